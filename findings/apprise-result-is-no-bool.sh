#!/usr/bin/env bash
# apprise 2.3.0: what `notify()` returns is equal to neither True nor False, though it is truthy or falsy, so that a caller
# which compares (`== True`, `== False`), as was right for 1.x where a bool came back, takes neither way. Its `.status` says more.
# Expected before it was run: a bool as in 1.9, or a type that is equal to one.
# Output: "1.9.9 bool True" and "2.3.0 AppriseResult False": the type, and whether the result of a refused
# notification == False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.9.9 2.3.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q --disable-pip-version-check "apprise==$version" 2>/dev/null
    "$folder/$version/bin/python" - <<'PY'
import importlib.metadata, logging, socket
import apprise

logging.disable(logging.CRITICAL)
with socket.socket() as free:  # a port of this machine where nobody listens
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
teller = apprise.Apprise()
teller.add(f"json://127.0.0.1:{port}")
result = teller.notify(body="hello")
print(importlib.metadata.version("apprise"), type(result).__name__, result == False)
PY
done | tee "$folder/out"
diff <(printf '1.9.9 bool True\n2.3.0 AppriseResult False\n') "$folder/out"
