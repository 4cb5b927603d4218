#!/usr/bin/env bash
# redis (Python) 8.1.0: one `incr()` with a socket_timeout adds 2 if the server is busy for longer than that: the client sends the
# command again by itself (its default since 6), though the first one was only late, and says nothing. With 5.3.1 the same call adds
# 1 and raises TimeoutError. What waits behind one slow script is thus counted, queued or pushed twice.
# Expected before it was run: a TimeoutError and at most 1, whatever the version.
# Output: "5.3.1 TimeoutError 1" and "8.1.0 2 2" (version, what incr() gave, the counter afterwards).
# Needs Debian 12 for redis-server 7.0, whose packages are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
server=
clean() {
    [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
mkdir "$folder/debs"
(cd "$folder/debs" && apt-get download -qq 'redis-server=5:7.0.15*' 'redis-tools=5:7.0.15*' libatomic1 libhiredis0.14 \
    libjemalloc2 liblua5.1-0 liblzf1 lua-bitop lua-cjson 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
port=$(python3 -c 'import socket; free = socket.socket(); free.bind(("127.0.0.1", 0)); print(free.getsockname()[1])')
LD_LIBRARY_PATH=${libraries[0]} "$folder/packages/usr/bin/redis-server" --bind 127.0.0.1 --port "$port" --save '' --dir "$folder" \
    >"$folder/log" &
server=$!
for version in 5.3.1 8.1.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q --disable-pip-version-check "redis==$version" 2>/dev/null
    "$folder/$version/bin/python" - "$port" <<'PY'
import sys, threading, time
import redis

BUSY = """local function now() local t = redis.call('time') return t[1] * 1000000 + t[2] end
local till = now() + 1500000
repeat until now() > till"""
other = redis.Redis(port=int(sys.argv[1]))
client = redis.Redis(port=int(sys.argv[1]), socket_timeout=0.4)
other.delete("visits")
client.ping()
busy = threading.Thread(target=other.eval, args=(BUSY, 0))
busy.start()
time.sleep(0.2)
try:
    result = client.incr("visits")
except redis.TimeoutError as error:
    result = type(error).__name__
busy.join()
time.sleep(0.3)
print(redis.__version__, result, int(other.get("visits")))
PY
done | tee "$folder/out"
diff <(printf '5.3.1 TimeoutError 1\n8.1.0 2 2\n') "$folder/out"
