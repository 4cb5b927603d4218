"""The line that is quoted where no rule reads a log: the one that tells most, whatever the language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dm_tools.collect.logs import grouped
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from dm_tools.records import LogLine
from dm_tools.text.last_words import MAX_WORDS, last_words, quoted
from tests.making import service

LIBRARY = reader.read(None)

# What a program prints at its end, a line of the log each, and what is worth quoting of it.
ENDS = {
    "one plain sentence, repeated at each start": (
        "The dump of the database is missing.\nThe dump of the database is missing.",
        "The dump of the database is missing.",
    ),
    "Python": (
        'INFO starting\nTraceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x()\n'
        "shop.errors.Unfit: no plan for 'gold'",
        "shop.errors.Unfit: no plan for 'gold'",
    ),
    "Java": (
        "ERROR Application run failed\norg.shop.BeanException: cannot make bean\n\tat org.shop.A.b(A.java:1)\n"
        "Caused by: org.shop.KeyException: key ring /etc/ring is empty\n\t... 3 more",
        "Caused by: org.shop.KeyException: key ring /etc/ring is empty",
    ),
    "Node": (
        "file:///app/main.mjs:3\n    throw new Error('x')\n          ^\n\nError: plan 'gold' is unknown\n"
        "    at main (file:///app/main.mjs:3:5)\n\nNode.js v20.9.0",
        "Error: plan 'gold' is unknown",
    ),
    "Go": (
        "panic: plan gold: no such plan\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:3 +0x1d\nexit status 2",
        "panic: plan gold: no such plan",
    ),
    "logfmt": (
        'ts=2026-11-28T19:44:05Z caller=a.go:97 level=error msg="cannot go on" err="plan \\"gold\\": no such plan"',
        'cannot go on: plan "gold": no such plan',
    ),
    "Ruby": (
        "/app/main.rb:3:in `plan': plan 'gold' is unknown (RuntimeError)\n\tfrom /app/main.rb:7:in `<main>'",
        "/app/main.rb:3:in `plan': plan 'gold' is unknown (RuntimeError)",
    ),
    "Rust": (
        "thread 'main' panicked at src/main.rs:5:10:\nplan 'gold' is unknown\nnote: run with `RUST_BACKTRACE=1`",
        "plan 'gold' is unknown",
    ),
    "PHP": (
        "PHP Fatal error:  Uncaught Exception: plan 'gold' is unknown in /app/x.php:3\nStack trace:\n#0 {main}",
        "PHP Fatal error: Uncaught Exception: plan 'gold' is unknown in /app/x.php:3",
    ),
    ".NET": (
        "Unhandled exception. System.InvalidOperationException: plan 'gold' is unknown\n   at Shop.Main() in /x.cs",
        "Unhandled exception. System.InvalidOperationException: plan 'gold' is unknown",
    ),
    "Perl": ("starting up\nplan 'gold' is unknown at /app/x.pl line 3.", "plan 'gold' is unknown at /app/x.pl line 3."),
    "Elixir": (
        "** (RuntimeError) plan 'gold' is unknown\n    (shop 0.1.0) lib/shop.ex:3: Shop.plan/1",
        "** (RuntimeError) plan 'gold' is unknown",
    ),
    "the cause before what follows from it": (
        "2022-08-25 19:01:31 0 [ERROR] Storage: upgrade after a crash is not supported\n"
        "2022-08-25 19:01:31 0 [ERROR] Plugin 'Storage' init function returned error.\n"
        "2022-08-25 19:01:31 0 [ERROR] Aborting",
        "0 [ERROR] Storage: upgrade after a crash is not supported",
    ),
    "what is wrong before the usage": (
        "level 9 is not one of 1-5\nUsage: frob [-l LEVEL]\n  -l LEVEL  how much\n  -h        this help",
        "level 9 is not one of 1-5",
    ),
    "the usage alone": (
        "Frob 2.1 - https://frob.example\nUsage : frob [-f <file>]\n  -f  a file",
        "Usage : frob [-f <file>]",
    ),
    "JSON": (
        '{"level":"info","msg":"starting"}\n{"level":"fatal","msg":"cannot start","error":"ring /etc/ring is empty"}',
        "cannot start: ring /etc/ring is empty",
    ),
    "not a line of an access log": (
        'frob: the ring is empty\n10.0.0.1 - - [01/Jan/2026:10:00:00 +0000] "GET /fatal-error HTTP/1.1" 500 3',
        "frob: the ring is empty",
    ),
    "nothing that speaks of a failure: the very last": ("Backup of 3 files\nBackup done", "Backup done"),
}


def log(text: str) -> list[LogLine]:
    """The items of a log as dm-logs makes them."""
    return grouped([(None, "stderr", line) for line in text.split("\n")])


@pytest.mark.parametrize("name", ENDS)
def test_the_line_that_tells_most_is_found(name: str) -> None:
    text, expected = ENDS[name]
    lines = log(text)
    words = last_words(lines, ended=True)
    assert words is not None and words.text == expected
    said = " ".join(next(line.text for line in lines if line.id == words.id).split())
    assert expected in said or said.startswith(("{", "ts=")), "the id is that of the item"


def test_of_a_program_that_goes_on_only_a_failure_is_quoted() -> None:
    assert last_words(log("Backup of 3 files\nBackup done"), ended=False) is None
    assert last_words(log("ERROR the ring /etc/ring is empty\ntick"), ended=False) is not None


def test_what_came_before_the_word_that_it_serves_is_no_reason() -> None:
    warning = "# Server can't set maximum open files to 10032 because of OS error: Operation not permitted."
    words = last_words(log(warning), ended=False)
    assert words is not None and words.text == warning
    served = log(f"{warning}\n* Ready to accept connections")
    assert last_words(served, ended=False) is None
    assert quoted(last_words(served, ended=True)) == '; its last words: "* Ready to accept connections"'


def test_a_line_of_an_earlier_run_is_history() -> None:
    lines = [
        LogLine("logs:0", "2026-01-01T00:00:00Z", "stderr", "FATAL the ring /etc/ring is empty"),
        LogLine("logs:1", "2026-01-01T00:05:00Z", "stderr", "disk of 3 sectors is odd"),
    ]
    words = last_words(lines, ended=True)
    assert words is not None and words.id == "logs:1"


@given(st.lists(st.text(), max_size=5))
def test_what_is_quoted_is_short_printable_and_from_the_log(texts: list[str]) -> None:
    lines = [LogLine(f"logs:{index}", None, "stdout", text) for index, text in enumerate(texts)]
    words = last_words(lines, ended=True)
    if words is not None:
        assert 0 < len(words.text) <= MAX_WORDS and words.text.isprintable()
        assert words.id in {line.id for line in lines}
        assert quoted(words).count('"') == 2


def test_a_huge_line_takes_no_time() -> None:
    lines = [LogLine("logs:0", None, "stdout", "a" * 4_000_000), LogLine("logs:1", None, "stdout", "{" * 4_000_000)]
    last_words(lines, ended=True)


@pytest.mark.parametrize("state", ["restarting", "exited"])
def test_where_no_rule_reads_the_log_the_verdict_quotes_and_cites_it(state: str) -> None:
    found = facts(service("frob", "failed", ("start", "the ring is odd"), state=state, exit_code=3), LIBRARY)
    verdict = analyze({"frob": found}, LIBRARY)["frob"]
    assert verdict.hypothesis is not None and verdict.hypothesis.endswith('; its last words: "the ring is odd"')
    assert "logs:1" in verdict.evidence
    assert verdict.confidence == "low"


def test_where_a_rule_reads_the_log_nothing_is_quoted() -> None:
    text = "Error: listen EADDRINUSE: address already in use :::3000"
    found = facts(service("web", "failed", (text,), state="restarting", exit_code=1), LIBRARY)
    assert found.values["last_words"] == ""


GUESSED = {
    "Impossible write into the DATA_PATH folder: grant write access to it": "permission_denied",
    "Error: shop daemon is running. please stop it to run this command": "lock_contention",
    "ERROR failed to open the vault: invalid repository password": "auth_failure",
    "ValueError: Model type plum4 not supported.": "version_mismatch",
    "** (RuntimeError) SHOP_NAME not available": "missing_env",
    "TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'": "crash_loop",  # of no kind: the code's own
}
DYING = {"state": "restarting", "restart_count": 3, "exit_code": 1}


@pytest.mark.parametrize("words", GUESSED)
def test_the_kind_of_last_words_that_no_rule_knows_is_guessed_and_never_sure(words: str) -> None:
    found = analyze({"x": facts(service("x", "failed", ("starting", words), **DYING), LIBRARY)}, LIBRARY)["x"]
    assert found.cause == GUESSED[words]
    assert found.confidence == "low"
    assert found.hypothesis is not None and words[:40].replace('"', "'") in found.hypothesis


def test_nothing_is_guessed_where_a_rule_knows_or_where_all_is_well() -> None:
    refused = ("FATAL lock of plum", "cannot connect to redis://cart-db:6379: Connection refused")
    for record in (service("x", "failed", refused, **DYING), service("x", log=tuple(GUESSED))):
        assert not any(hit.pattern.guesses for hit in facts(record, LIBRARY).hits)
