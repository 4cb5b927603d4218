#!/usr/bin/env bash
# docker 7.2.0 (the Python SDK): a client for a unix socket where nobody listens leaves the socket that it tried with open: once its
# garbage is collected Python warns of it. Closing is left to chance, so the warning turns up in whatever runs then.
# Expected before it was run: the library closes what it could not connect, as http.client does for TCP.
# Output: "unix 1" and "tcp 0" (address family, sockets left open).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check docker==7.2.0 2>/dev/null
"$folder/venv/bin/python" - "$folder/nobody.sock" <<'PY' | tee "$folder/out"
import gc, socket, sys, warnings

import docker

with socket.socket() as free:  # a port of this machine where nobody listens
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
for address in (f"unix://{sys.argv[1]}", f"tcp://127.0.0.1:{port}"):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            docker.APIClient(base_url=address, version="auto", timeout=2)
        except docker.errors.DockerException:
            pass
        gc.collect()
    left = [each for each in seen if issubclass(each.category, ResourceWarning)]
    print(address.partition(":")[0], len(left))
PY
diff <(printf 'unix 1\ntcp 0\n') "$folder/out"
