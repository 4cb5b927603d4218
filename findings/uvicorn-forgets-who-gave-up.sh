#!/usr/bin/env bash
# uvicorn 0.54.0: a request whose client gives up before the answer begins is in no access log, neither with h11 nor with httptools,
# though the application handled it to its end: just the slow requests are missing. hypercorn 0.18.0 logs the same one twice, once
# without a status and once with the 200 that nobody read.
# Expected before it was run: one line each, with 200, or 499 as nginx has it.
# Output: "h11 0 1", "httptools 0 1" and "hypercorn 2 1" (server, lines for who gave up, lines for who waited).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0 httptools==0.9.0 hypercorn==0.18.0 2>/dev/null
cat >"$folder/app.py" <<'PY'
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.sleep(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})
PY
cd "$folder"
for server in h11 httptools hypercorn; do
    port=$(python3 -c 'import socket; free = socket.socket(); free.bind(("127.0.0.1", 0)); print(free.getsockname()[1])')
    command=(venv/bin/uvicorn app:app --port "$port" --lifespan off --http "$server")
    [[ $server != hypercorn ]] || command=(venv/bin/hypercorn app:app --bind "127.0.0.1:$port" --access-logfile -)
    "${command[@]}" >"$server.log" 2>&1 &
    running=$!
    python3 - "$port" <<'PY'
import socket, sys, time

def ask(path, patience):
    for _ in range(100):  # until the server listens
        try:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as link:
                link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                link.settimeout(patience)
                return link.recv(1000)
        except ConnectionRefusedError:
            time.sleep(0.1)
        except TimeoutError:
            return b""

ask("/gave-up", 0.4)
assert b" 200" in ask("/waited", 5)
time.sleep(1)
PY
    kill "$running"
    wait "$running" || true
    echo "$server $(grep -c /gave-up "$server.log") $(grep -c /waited "$server.log")"
done | tee out
diff <(printf 'h11 0 1\nhttptools 0 1\nhypercorn 2 1\n') out
