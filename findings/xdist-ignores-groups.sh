#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` ignores every xdist_group without a word: tests of one group run
# on several workers at once. With pytest 9.1.1 and the same xdist each group stays on one worker.
# Expected before it was run: groups hold, whatever pytest; or at least a warning.
# Output: "9.1.1 1" and "9.2.0 2" (pytest's version, workers that ran the one group).
# Seen as pytest-dev/pytest-xdist#1386.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/test_group.py" <<'PY'
import os, time, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.2)
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY
workers() { # workers PYTEST: how many workers ran the group
    python3 -m venv "$folder/$1"
    "$folder/$1/bin/pip" install -q --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0 2>/dev/null
    SEEN=$folder/seen-$1 "$folder/$1/bin/python" -m pytest -q -n 2 --dist loadgroup -p no:cacheprovider "$folder" >/dev/null
    sort -u "$folder/seen-$1" | wc -l
}
for version in 9.1.1 9.2.0; do printf '%s %s\n' "$version" "$(workers "$version")"; done | tee "$folder/out"
diff <(printf '9.1.1 1\n9.2.0 2\n') "$folder/out"
