"""Options that every command has, as people expect them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from dm_tools import records
from dm_tools.records import described
from tests.conftest import COMMANDS, ROOT, Run
from tests.making import service
from tests.servers import answer, status

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


def test_verbose_says_what_is_asked_of_whom(run: Run, serve: Any) -> None:
    port = serve(answer(status(204)))
    line = f"dm-probe -v 'http://127.0.0.1:{port}/x?token=${{TOKEN}}'"
    plain, done = (run(each, TOKEN="hunter2hunter2") for each in (line.replace(" -v", ""), line))
    asked = rf"dm-probe: asked http://127.0.0.1:{port}/x\?token=\S+ at 127.0.0.1\S*: 204, \d+ ms\n"
    assert re.fullmatch(asked, done.stderr) and "hunter2" not in done.stderr
    assert (done.returncode, done.stdout.count("\n"), plain.stderr) == (0, 1, "")
    assert run(f"dm-probe -v -q http://127.0.0.1:{port}/").stderr == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("dm-services --filter no=such", "there is no 'no'; there are: ancestor, before, "),
        ("dm-services --filter label", "give KEY=VALUE"),
        ("dm-execute --deadline 2h", "'2h' is no time from 1s to 1h"),
        ("dm-execute --deadline 30x", "30x"),
        ("dm-probe -t 1y x", "1y"),
    ],
)
def test_a_value_that_makes_no_sense_is_one_line_and_status_2(run: Run, words: str, says: str) -> None:
    refused = run(words)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1) and says in refused.stderr


def test_each_time_takes_a_unit() -> None:
    """A number of seconds that is no Duration would refuse `30s`."""
    options = [each for name in COMMANDS for each in importlib.import_module(f"dm_tools.commands.{name}").cli.params]
    floats = [each.name for each in options if isinstance(each.type, click.FloatRange | type(click.FLOAT))]
    assert floats == [] and len(options) > 200


@pytest.mark.parametrize("words", ["report", "policy", "policy explain", "incidents", "incidents list"])
def test_sessions_that_print_text_print_json_when_asked(run: Run, words: str) -> None:
    line = orjson.dumps(service("web", "failed")).decode() + "\n"
    made = run("dm-analyze | dm-propose | dm-report | jq -r .report_path", line)
    assert made.returncode == 0, made.stderr
    first, *rest = words.split()
    told = run(f"{ROOT}/scripts/supervisor-session.sh {' '.join([first, '--json', *rest])}")
    assert told.returncode == 0 and not told.stderr
    texts = [told.stdout] if first == "report" else told.stdout.splitlines()
    assert texts and all(isinstance(orjson.loads(text), dict) for text in texts)
    if first == "report":
        assert orjson.loads(told.stdout)["issues"]
    assert run(f"{ROOT}/scripts/supervisor-session.sh {words}").stdout != told.stdout


@pytest.mark.parametrize(
    ("line", "coloured"),
    [("", False), ("--color always", True), ("--color=never", False), ("--colour always", True)],
)
def test_colour_as_it_is_wanted(run: Run, line: str, coloured: bool) -> None:
    done = run(f"dm-show {line}", '{"service":"x","probe":{"status":"failed","checks":[]}}\n', NO_COLOR="1")
    assert done.returncode == 0 and ("\x1b[" in done.stdout) == coloured
