"""Options that every command has, as people expect them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from dm_tools import records
from dm_tools.records import described
from tests.conftest import COMMANDS, ROOT, Run

NEVER = {"learn": {4}, "review": {4}, "schema": {3, 4, 5, 10}, "serve": {4, 5, 10}, "show": {4}, "verify": {5}}
LINE = '{"service": "x"}\n'


def test_output_is_a_file_in_full_or_not_at_all(run: Run, tmp_path: Path) -> None:
    (tmp_path / "records").write_text(LINE)
    (tmp_path / "records").chmod(0o640)
    done = run("dm-redact -o records < records")  # the shell would have emptied it
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert '"service":"x"' in (tmp_path / "records").read_text()
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o640
    before = (tmp_path / "records").read_text()
    refused = run("dm-redact -o records --no-such-option")
    assert (refused.returncode, (tmp_path / "records").read_text()) == (2, before)
    failed = run("dm-analyze -o records --on-bad fail", "no record\n")
    assert failed.returncode == 3
    assert run("dm-redact -o none/records", LINE).returncode == 6
    nameless = run("dm-redact -o ''", LINE)  # as of a variable that is not set
    assert (nameless.returncode, nameless.stderr) == (2, "dm-redact: --output needs the name of a file\n")
    assert {path.name for path in tmp_path.iterdir()} == {"records"}


def test_output_of_what_is_matched_or_unreachable_is_there(run: Run, tmp_path: Path) -> None:
    done = run("dm-probe -q --fail-on any -o found http://127.0.0.1:1/")
    assert (done.returncode, done.stderr) == (10, "")
    assert '"refused"' in (tmp_path / "found").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_the_statuses_that_a_command_may_have(name: str) -> None:
    """What it writes as records may carry errors; what it looks for may be found; what it asks may be away."""
    source = (ROOT / f"dm_tools/commands/{name}.py").read_text()
    shown = importlib.import_module(f"dm_tools.commands.{name}").cli.epilog
    table = {int(status) for status in re.findall(r"^ +(\d+)  ", shown, re.MULTILINE)}
    assert {0, 1, 2, 6, 130, 141, 143} <= table and not NEVER.get(name, set()) & table
    assert ("fail_on" in source) == (10 in table)
    if re.search(r"stream\.write\(|stream\.status_of|exits\.ERRORS", source) and name != "schema":
        assert 4 in table
    assert 3 in table or "BAD_INPUT" not in source


def test_each_key_of_a_record_is_described_and_nothing_else() -> None:
    found = {name: set(each.get("properties") or {}) for name, each in records.schema()["$defs"].items()}
    assert {name: set(keys) for name, keys in described.keys().items()} == {
        name: keys for name, keys in found.items() if keys
    }
    texts = [text for keys in described.keys().values() for text in keys.values()]
    assert all(text and text[0] not in " :" and not re.search(r"[^.]\.$", text) for text in texts)


def test_quiet_says_nothing_and_ends_as_ever(run: Run) -> None:
    for line in ("dm-services", "dm-probe gopher://x/ ''", "dm-redact none.json"):
        loud, quiet = run(line), run(line.replace(" ", " -q ", 1) if " " in line else f"{line} -q")
        assert loud.stderr and not quiet.stderr
        assert (quiet.returncode, quiet.stdout) == (loud.returncode, loud.stdout)


@pytest.mark.parametrize(
    ("line", "coloured"),
    [("", False), ("--color always", True), ("--color=never", False), ("--colour always", True)],
)
def test_colour_as_it_is_wanted(run: Run, line: str, coloured: bool) -> None:
    done = run(f"dm-show {line}", '{"service":"x","probe":{"status":"failed","checks":[]}}\n', NO_COLOR="1")
    assert done.returncode == 0 and ("\x1b[" in done.stdout) == coloured
