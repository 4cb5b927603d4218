#!/usr/bin/env bash
# chdb 26.9.0 (ClickHouse in a Python process): `import chdb` leaves SIGPIPE blocked in the thread that imports it, and so in every program
# that is started from it later: `yes | head -1` complains of a broken pipe and ends with 1 instead of dying quietly by the signal.
# Expected before it was run: subprocess, which gives SIGPIPE its default back (restore_signals=True), starts programs as ever.
# It gives the handling back, not the mask; signal.pthread_sigmask has to be asked before and after the import.
# Output: "before 141 ''", "after 1 'yes: standard output: Broken pipe'" (status of yes, what it said).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb-core==26.9.0 2>/dev/null
"$folder/venv/bin/python" - <<'PY' | tee "$folder/out"
import subprocess


def yes(when):
    line = "LC_ALL=C yes | head -1 >/dev/null; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    print(when, done.stdout.strip(), repr(done.stderr.strip()))


yes("before")
import chdb

yes("after")
PY
diff <(printf "before 141 ''\nafter 1 'yes: standard output: Broken pipe'\n") "$folder/out"
