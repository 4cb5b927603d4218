#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12): where memory can never become executable (systemd's MemoryDenyWriteExecute=yes, prctl PR_SET_MDWE) a
# configuration with a regular expression does not load: "jit compilation failed". One without an expression does.
# Expected before it was run: the expression is interpreted then, as `grep -P` does with the same library.
# Output: "without an expression: valid", "with one: jit compilation failed" and "grep -P: found".
# Needs Debian 12 (its packages are only unpacked) and Linux 6.3 or newer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/debs"
(cd "$folder/debs" && apt-get download -qq 'haproxy=2.6.12*' liblua5.3-0 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
cat >"$folder/without.cfg" <<'CFG'
defaults
    mode http
    timeout client 5s
frontend web
    bind "unix@${FOLDER}/web.sock"
    http-request deny if { path_beg /private }
CFG
sed 's|path_beg /private|path_reg ^/private/[0-9]+$|' "$folder/without.cfg" >"$folder/with.cfg"
denied() { # denied COMMAND...: as systemd starts a unit with MemoryDenyWriteExecute=yes
    python3 -c 'import ctypes, os, sys
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0, "this kernel has no PR_SET_MDWE"
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}
proxy() { FOLDER=$folder LD_LIBRARY_PATH=${libraries[0]} denied "$folder/packages/usr/sbin/haproxy" -c -f "$1" 2>&1; }
{
    proxy "$folder/without.cfg" | grep -q 'is valid' && echo "without an expression: valid"
    ! proxy "$folder/with.cfg" >"$folder/said" && grep -o 'jit compilation failed' "$folder/said" | head -n 1 | sed 's/^/with one: /'
    echo /private/7 | denied grep -qP '^/private/[0-9]+$' && echo "grep -P: found"
} | tee "$folder/out"
diff <(printf 'without an expression: valid\nwith one: jit compilation failed\ngrep -P: found\n') "$folder/out"
