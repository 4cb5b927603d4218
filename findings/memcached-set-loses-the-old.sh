#!/usr/bin/env bash
# memcached 1.6.18: a `set` that is refused because its value is too large ("SERVER_ERROR object too large for cache") has nevertheless
# deleted the value that was there. A `replace` or `append` that is refused for the same reason leaves it.
# Expected before it was run: what is refused changes nothing.
# Output: "set refused gone", "replace refused there" and "append refused there".
# Seen as memcached/memcached#1069. Needs Debian 12: its packages are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
server=
clean() {
    [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
mkdir "$folder/debs"
(cd "$folder/debs" && apt-get download -qq 'memcached=1.6.18*' libevent-2.1-7 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
LD_LIBRARY_PATH=${libraries[0]} "$folder/packages/usr/bin/memcached" -u "$(id -un)" -s "$folder/socket" &
server=$!
python3 - "$folder/socket" <<'PY' | tee "$folder/out"
import os, socket, sys, time

while not os.path.exists(sys.argv[1]):
    time.sleep(0.1)
link = socket.socket(socket.AF_UNIX)
link.settimeout(10)
link.connect(sys.argv[1])
stream = link.makefile("rwb")

def ask(*lines):
    stream.write(b"".join(line + b"\r\n" for line in lines))
    stream.flush()
    answer = stream.readline().decode().strip()
    if answer.startswith("VALUE"):
        stream.readline(), stream.readline()  # the value itself and END
    return answer

large = b"x" * 1_100_000
for verb in ("set", "replace", "append"):
    assert ask(b"set page 0 0 3", b"old") == "STORED"
    refused = ask(f"{verb} page 0 0 {len(large)}".encode(), large).startswith("SERVER_ERROR object too large")
    print(verb, "refused" if refused else "taken", "there" if ask(b"get page").startswith("VALUE") else "gone")
PY
diff <(printf 'set refused gone\nreplace refused there\nappend refused there\n') "$folder/out"
