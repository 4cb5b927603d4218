"""Condensing logs: what is kept of a long one, what its templates say, and that no input makes it slow or large."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dm_tools.collect import logs, textlog
from dm_tools.patterns import reading as library
from dm_tools.records import LogLine, Logs
from dm_tools.text import condense
from tests.conftest import ROOT, SEALED, Run, records
from tests.logmaker import KINDS, made
from tests.used import used

CAUSES = library.read(None).causal
CAUSE = "redis.exceptions.OutOfMemoryError: OOM command not allowed when used memory > 'maxmemory'."


def condensed(whole: str | bytes, causes: condense.Carries | None = CAUSES) -> Logs:
    """A text log as a section."""
    return textlog.condensed(io.BytesIO(whole if isinstance(whole, bytes) else whole.encode()), causes)


def ids(section: Logs) -> list[str]:
    return [line.id for line in section.lines]


def templates(section: Logs) -> list[tuple[int, str]]:
    return [(template.count, template.text) for template in section.templates]


# What is kept, and what the templates say


@pytest.mark.parametrize("name", [*KINDS, "mixed"])
def test_twenty_thousand_items_become_tens_of_templates(name: str) -> None:
    items = list(made(name, 20_000))
    section = condensed("\n".join(text for _, text in items))
    kinds = len({kind for kind, _ in items})
    assert kinds <= len(section.templates) <= 2 * kinds
    assert sum(template.count for template in section.templates) == len(items)
    assert len(section.lines) <= 4 * len(section.templates) + 20
    assert {template.example for template in section.templates} <= set(ids(section))
    numbered = ["", *"\n".join(text for _, text in items).split("\n")]
    for line in section.lines:  # verbatim, and the id is the number of its first line
        first = int(line.id.removeprefix("logs:"))
        assert line.text.split("\n") == numbered[first : first + line.text.count("\n") + 1]


def test_the_one_line_with_the_cause_is_kept_among_100_000() -> None:
    """It is of the same template as all the others: what tells it apart are the patterns."""
    other = "2026-11-22 10:00:00,000 INFO app: note {}: OOM query not allowed when used memory > 'maxrows' of {}"
    lines = [other.format(index, index % 7) for index in range(99_999)]
    cause = other.format(5, 5).replace("query", "command").replace("maxrows", "maxmemory")
    lines.insert(31_415, cause)
    section = condensed("\n".join(lines))
    assert [template.count for template in section.templates] == [100_000]
    assert section.total_lines == 100_000
    kept = {line.id: line.text for line in section.lines}
    assert kept["logs:31416"] == cause
    assert len(kept) < 20


def test_a_number_decides_whether_a_line_carries_a_cause() -> None:
    """The lines differ by nothing but digits, and so they are of one template; each is looked at all the same."""

    def causes(texts: list[str]) -> dict[int, list[str]]:
        return {at: ["code"] for at, text in enumerate(texts) if "code 137" in text}

    lines = [f"worker ended with code {index % 100}" for index in range(50_000)]
    lines[40_000] = "worker ended with code 137"
    section = condensed("\n".join(lines), causes)
    assert "logs:40001" in ids(section)
    assert templates(section) == [(50_000, "worker ended with code <*>")]


def test_of_each_cause_the_first_and_the_newest_are_kept() -> None:
    def causes(texts: list[str]) -> dict[int, list[str]]:
        return {at: ["oom", "more"] for at, text in enumerate(texts) if "OOM" in text}

    whole = "\n".join([f"{CAUSE} try {index}" for index in range(50_000)] + ["well"] * 50)
    for carries in (causes, CAUSES):
        kept = ids(condensed(whole, carries))
        assert kept[:2] == ["logs:1", "logs:2"]
        assert [each for each in kept[2:] if int(each[5:]) <= 50_000][-1:] == ["logs:50000"]
        assert kept[-10:] == [f"logs:{number}" for number in range(50_041, 50_051)]
        assert len(kept) <= 2 + 3 + 2 + 1 + 10
    assert ids(condensed(whole, causes))[2:5] == ["logs:49998", "logs:49999", "logs:50000"]


def test_errors_come_first_and_each_level_keeps_apart() -> None:
    lines = ["INFO job 1 done", "WARN job 2 slow", "ERROR job 3 broke", "INFO job 4 done", "ERROR job 5 broke"]
    section = condensed("\n".join(lines), None)
    assert templates(section) == [(2, "ERROR job <*> broke"), (1, "WARN job <*> slow"), (2, "INFO job <*> done")]
    assert section.templates[0].example == "logs:3"


def test_first_and_last_are_the_times_of_the_items() -> None:
    section = condensed(
        "2026-11-22 10:00:00,123 up 1\n2026-11-22 10:00:09,5 up 2\n2026-11-22T12:00:10+02:00 up 3", None
    )
    (template,) = [each for each in section.templates if each.count == 2]
    assert (template.first, template.last) == ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:09.5Z")
    assert [line.ts for line in section.lines][-1] == "2026-11-22T10:00:10Z"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-22T10:00:00.5+02:00 x", "2026-11-22T08:00:00.5Z"),
        ("[2026-11-22 10:00:00,123] x", "2026-11-22T10:00:00.123Z"),
        ("2026/11/22 10:00:00 [error] 7#7: x", "2026-11-22T10:00:00Z"),
        ("2026-11-22 10:00:00.798 UTC [15] LOG:  x", "2026-11-22T10:00:00.798Z"),
        ('time="2026-11-22T10:00:00.1Z" level=info', "2026-11-22T10:00:00.1Z"),
        ('{"ts":"2026-11-22T10:00:00Z","level":"INFO"}', "2026-11-22T10:00:00Z"),
        ('10.0.0.1 - - [22/Nov/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 1', "2026-11-22T09:00:00Z"),
        ("9999-99-99 99:99:99 x", None),
        ("0000-01-01 00:00:00 x", None),
        ("0001-01-01 00:00:00+23:59 x", None),
        ("10.0.0.1 - - [31/Feb/2026:10:00:00 +0000] x", None),
        ("it was 2026-11-22 10:00:00", None),
    ],
)
def test_the_time_with_which_a_line_begins(line: str, expected: str | None) -> None:
    assert textlog.time_of(line) == expected


def test_answers_of_a_server_are_counted_by_their_class() -> None:
    line = '10.0.0.1 - - [22/Nov/2026:10:00:{:02} +0000] "GET /a/{} HTTP/1.1" {} 17 "-" "curl/8"'
    answers = [200] * 50 + [502] * 3 + [404] * 5 + [200] * 2
    section = condensed("\n".join(line.format(index, index, code) for index, code in enumerate(answers)), None)
    assert [count for count, _ in templates(section)] == [3, 5, 52]
    assert '" 5<*> <*>' in section.templates[0].text


def test_the_words_that_differ_are_left_open() -> None:
    section = condensed("\n".join(f"user {name} logged in from db" for name in ("ann", "bob", "cy")), None)
    assert templates(section) == [(3, "user <*> logged in from db")]


def test_a_trace_is_one_item() -> None:
    python = (
        'ERROR order 1 failed\nTraceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nKeyError: 1\n'
        "\n"
        "During handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
        '  File "b.py", line 2\nValueError: no stock 5'
    )
    java = (
        "ERROR order 2 failed\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n"
        "Caused by: java.net.ConnectException: refused\n\t... 3 more"
    )
    section = condensed(f"{python}\nINFO well\n{java}\nINFO well\n", None)
    assert [line.text for line in section.lines] == [python, "INFO well", java, "INFO well"]
    assert ids(section) == ["logs:1", "logs:12", "logs:13", "logs:18"]
    assert templates(section)[0] == (1, "ERROR order <*> failed\nValueError: no stock <*>")
    assert templates(section)[1] == (1, "ERROR order <*> failed\nCaused by: java.net.ConnectException: refused")


FRAGMENTS = [
    *("INFO a", "ERROR b failed", "Traceback (most recent call last):", '  File "x"', "\tat a.B", "ValueError: x", ""),
    *("Caused by: y", "The above exception was the cause:", "java.lang.StackOverflowError", "goroutine 1 [running]:"),
    *("DEBUG c", "exit status 1", "-----BEGIN RSA PRIVATE KEY-----", "QUJD", "-----END RSA PRIVATE KEY-----", "   "),
]


def test_items_are_those_of_dm_logs_wherever_the_pieces_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way of finding traces, which looks at few lines, and the plain one, which looks at all."""
    dice = random.Random(1)
    for _ in range(400):
        lines = [dice.choice(FRAGMENTS) for _ in range(dice.randrange(1, 40))]
        plain = [item.text for item in logs.grouped([(None, "stdout", line) for line in lines])]
        monkeypatch.setattr(textlog, "PIECE_BYTES", dice.choice([1, 7, 60, 10_000]))
        items = textlog.Items()
        source = io.BytesIO("\n".join(lines).encode())
        batches = [*map(items.add, textlog.pieces(source)), items.end()]
        assert [logs.item([text]) for batch in batches for text in batch.texts] == plain, lines


def test_engine_timestamps_are_taken_off() -> None:
    lines = ["ERROR broke", "Traceback (most recent call last):", '  File "x"', "ValueError: y", "INFO well"]
    stamped = "".join(f"2026-11-22T10:00:0{index}.123456789Z {line}\n" for index, line in enumerate(lines))
    section = condensed(stamped, None)
    assert [line.text for line in section.lines] == ["\n".join(lines[:4]), "INFO well"]
    assert [line.ts for line in section.lines] == ["2026-11-22T10:00:00.123456789Z", "2026-11-22T10:00:04.123456789Z"]


def test_secrets_reach_neither_lines_nor_templates() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7c\nq83vEjRWeJCrze8SNFZ4\n-----END RSA PRIVATE KEY-----"
    whole = "\n".join(
        [
            *("connect postgres://app:hunter2@db/shop", "login password=hunter2 for ann", "INFO up", key),
            *("token ghp_abcdefghij0123456789abcdefghij", "INFO up", "connect postgres://app:hunter3x@db/shop"),
        ]
    )
    shown = json.dumps([json.loads(json.dumps(line.text)) for line in condensed(whole).lines])
    shown += json.dumps([template.text for template in condensed(whole).templates])
    for secret in ("hunter", "abcdefghij", "MIIE", "q83v"):
        assert secret not in shown
    assert "<secret:1>" in shown and "<secret>" in shown


# The command


def test_a_text_log_goes_through_the_whole_pipe(run: Run, tmp_path: Path) -> None:
    lines = [text for _, text in made("app", 3_000)] + [f"ERROR {CAUSE}"] * 3
    (tmp_path / "app.log").write_text("\n".join(lines) + "\n")
    done = run("dm-condense --service app < app.log | dm-analyze | tee out.jsonl | dm-show")
    assert done.returncode == 0, done.stderr
    assert "app" in done.stdout
    (record,) = records((tmp_path / "out.jsonl").read_text())
    assert record["service"] == "app"
    assert record["logs"]["total_lines"] == 3_003
    assert {finding["cause"] for finding in record["analysis"]["findings"]} >= {"store_read_only"}
    kept = {line["id"] for line in record["logs"]["lines"]}
    assert {each for finding in record["analysis"]["findings"] for each in finding["evidence"]} <= kept


def section(*texts: str) -> dict[str, Any]:
    lines = [{"id": f"logs:{at}", "ts": None, "stream": "stderr", "text": text} for at, text in enumerate(texts)]
    return {"lines": lines, "total_lines": len(lines), "truncated": True, "more": ["kept"]}


def test_records_keep_all_but_the_lines_that_say_nothing_new(run: Run) -> None:
    long = section(*(f"tick {index}" for index in range(500)), CAUSE, *(f"tick {index}" for index in range(500)))
    verdict = {"evidence": ["logs:77", "db/logs:3"], "findings": []}
    whole = {"zebra": 1, "service": "x", "logs": long, "analysis": verdict, "v": 1}
    plain = {"service": "y", "probe": None}
    text = "".join(json.dumps(each) + "\n" for each in (whole, plain))
    short, untouched = records(run("dm-condense", stdin=text).stdout)
    assert untouched == plain
    assert list(short) == list(whole)
    assert {**short, "logs": 0} == {**whole, "logs": 0}
    kept = short["logs"]["lines"]
    assert [line["id"] for line in kept] == [
        "logs:0",
        "logs:77",
        "logs:500",
        *(f"logs:{at}" for at in range(991, 1001)),
    ]
    assert all(line in long["lines"] for line in kept)
    assert {key: short["logs"][key] for key in ("total_lines", "truncated", "more")} == {
        "total_lines": 1001,
        "truncated": True,
        "more": ["kept"],
    }
    assert [template["count"] for template in short["logs"]["templates"]] == [1, 1000]
    (again,) = records(run("dm-condense | dm-condense", stdin=json.dumps(whole) + "\n").stdout)
    assert again["logs"] == short["logs"]  # once more changes nothing: the templates speak of all lines


def test_a_malformed_section_is_an_entry_in_errors(run: Run) -> None:
    done = run("dm-condense", stdin='{"service":"x","logs":{"lines":5}}\n')
    assert records(done.stdout)[0]["errors"][0]["code"] == "bad_section"
    assert done.returncode == 4


@pytest.mark.parametrize("line", ["dm-condense --service ''", "dm-condense --service $'a\\ab'"])
def test_wrong_usage_is_one_line(run: Run, line: str) -> None:
    done = run(line, stdin="x\n")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_reader_that_has_enough(run: Run) -> None:
    done = run("seq 100000 | dm-condense --service x | head -c 10; echo ${PIPESTATUS[1]} >&2")
    assert done.stdout == '{"v":1,"se'
    assert done.stderr in ("0\n", "141\n")  # the record may fit into the pipe
    done = run("dm-condense --service x > /dev/full", stdin="a\n")
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)


def test_no_log_is_an_empty_section(run: Run) -> None:
    (record,) = records(run("dm-condense --service x < /dev/null").stdout)
    assert record["logs"] == {"lines": [], "total_lines": 0, "truncated": False, "templates": []}


# Bad input: bounded time and memory, and no word lost that matters


MUCH = 250_000  # kilobytes: Python, the patterns with what RE2 remembers of them, a megabyte of log


def peak(produce: str, folder: Path) -> tuple[int, float, dict[str, Any]]:
    """Kilobytes at most, seconds of processor time, and the record that is made of a shell line's output."""
    command = [sys.executable, "-P", "-m", "dm_tools.commands.condense", "--service", "x"]
    environment = SEALED | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(["bash", "-c", produce], stdout=subprocess.PIPE, env=SEALED, cwd=folder) as source:
        done = used(command, folder, environment, source.stdout)
    assert (done.status, done.stderr) == (0, b"")
    return done.kilobytes, done.seconds, json.loads(done.stdout)


@pytest.mark.parametrize(("megabytes", "most"), [(60, 6_000), pytest.param(300, 24_000, marks=pytest.mark.slow)])
def test_a_long_log_at_constant_memory(tmp_path: Path, megabytes: int, most: int) -> None:
    payload = " ".join(f"field-{number}=value" for number in range(60))
    lines = "".join(f"{text} {payload}\n" for _, text in made("app", 3_000))
    (tmp_path / "log").write_text(lines)
    repeats, few = (size * 1_000_000 // len(lines) + 1 for size in (megabytes, 10))
    # Ten megabytes have everything made that is made once: the automaton for large logs is made after four.
    small, _, _ = peak(f"for _ in {{1..{few}}}; do cat log; done", tmp_path)
    large, _, record = peak(f"for _ in {{1..{repeats}}}; do cat log; done", tmp_path)
    assert large - small < most, f"{large} kB for {megabytes} megabytes, {small} kB for ten of them"
    assert record["logs"]["total_lines"] == repeats * lines.count("\n")
    assert len(record["logs"]["templates"]) < 15


def test_lines_without_end_that_all_differ(tmp_path: Path) -> None:
    """No two have a word in common: the templates are full, the rest is counted, and a cause among them is found."""
    words = 'BEGIN{for(i=0;i<200000;i++){n=i;w="";do{w=w substr("ghijklmnop",n%10+1,1);n=int(n/10)}while(n);'
    words += f'if(i==177776)print "{CAUSE}";else print w "q" w,w "r",w "s" w}}}}'
    (tmp_path / "program").write_text(words)
    memory, seconds, record = peak("awk -f program", tmp_path)
    assert memory < MUCH
    assert seconds < 20
    found = record["logs"]
    assert found["total_lines"] == sum(template["count"] for template in found["templates"]) == 200_000
    assert len(found["templates"]) <= sum(condense.MAX_TEMPLATES.values()) + 3
    assert found["templates"][-1]["text"] == condense.OTHERS
    assert CAUSE in {line["text"] for line in found["lines"] if line["id"] == "logs:177777"}


def test_a_line_of_100_megabytes(tmp_path: Path) -> None:
    produce = "echo begin; (printf head; head -c 100000000 /dev/zero | tr '\\0' 'a'; echo tail); echo end"
    memory, _, record = peak(produce, tmp_path)
    assert memory < MUCH
    texts = [line["text"] for line in record["logs"]["lines"]]
    assert len(texts) == 3
    assert texts[1].startswith("headaaa") and texts[1].endswith("aaatail")
    assert len(texts[1]) < 10_000


def test_a_trace_without_end(tmp_path: Path) -> None:
    memory, _, record = peak("echo Traceback; yes '  at frame' | head -n 1000000; echo end", tmp_path)
    assert memory < MUCH
    assert [line["id"] for line in record["logs"]["lines"]] == ["logs:1", "logs:1000002"]


def test_a_late_kind_of_line_gets_a_template_although_there_were_too_many() -> None:
    noise = [
        f"{random.Random(index).getrandbits(200):x}".translate({48 + d: 103 + d for d in range(10)})
        for index in range(5_000)
    ]
    late = [f"order {index} is stored in {index % 9} ms" for index in range(20_000)]
    section = condensed("\n".join([*noise, *late]), None)
    assert max(templates(section)) > (19_000, "order <*> is stored in <*> ms") or any(
        count > 10_000 and text == "order <*> is stored in <*> ms" for count, text in templates(section)
    )


def hostile() -> Iterator[bytes]:
    """Logs that nobody should have written."""
    dice = random.Random(1)
    yield dice.randbytes(3_000_000)
    yield bytes(range(256)) * 4_000
    yield "naïve café – “quoted”\n".encode("latin-1", "replace") + "grüße\n".encode("utf-16") + b"\xff\xfe\n" * 100
    yield b"a\r\nb\r\n\r\nprogress 1%\rprogress 2%\rdone\r\n"
    yield b"\x1b]0;title without end\nINFO after it\n\x1b[31mERROR red\x1b[0m\n"
    yield b"9999-99-99 99:99:99 x\n0000-00-00T00:00:00Z y\n2026-02-30 10:00:00 z\n9999-12-31T23:59:59-23:59 w\n"
    yield b"\n" * 100_000
    yield b" \n\t\n" * 1000
    yield b'{"service":"evil","v":1,"logs":{}}\nlogs:0\n[logs:1] probe:0 shows\n{"id":"logs:2","text":"x"}\n'
    yield b"<*> <*> <*>\n" * 10 + b"\x1e\x1e\x1e\n\x02\x01 \x02\n" * 5
    yield "\ud800".encode("utf-16", "surrogatepass") + b"\xed\xa0\x80\n" * 10
    yield b"(" * 50_000 + b"\n" + b"a" * 50_000 + b"\n" + b"0 " * 30_000 + b"\n" + b"ab1-" * 20_000
    yield b"-----BEGIN RSA PRIVATE KEY-----\n" + b"QUJDREVG\n" * 200_000
    yield b'" 5" 5" 500 status=5status":5status: 5' * 10_000
    yield b"?a=" * 100_000 + b'"Mozilla/' * 100_000


@pytest.mark.parametrize("whole", list(hostile()), ids=range(len(list(hostile()))))
def test_hostile_logs(whole: bytes) -> None:
    begin = time.process_time()
    section = condensed(whole)
    assert time.process_time() - begin < 5
    assert section.total_lines == whole.count(b"\n") + (not whole.endswith(b"\n"))
    assert len({line.id for line in section.lines}) == len(section.lines)
    assert {template.example for template in section.templates} <= set(ids(section))
    for line in section.lines:
        assert "\x1b" not in line.text and "\x00" not in line.text and "\r" not in line.text
        assert len(line.text) <= 3 * logs.MAX_ITEM_CHARACTERS


def test_carriage_returns_and_escapes() -> None:
    section = condensed(b"a\r\nb\r\n1%\r2%\rdone\r\n\x1b]0;title\nINFO after\n\x1b[31mERROR red\x1b[0m", None)
    assert [line.text for line in section.lines] == ["a", "b", "done", "INFO after", "ERROR red"]
    assert ids(section) == ["logs:1", "logs:2", "logs:3", "logs:5", "logs:6"]


def test_text_that_imitates_our_marks_stays_text() -> None:
    """An id in a text is no id, and a record in a text log no record."""
    section = condensed('{"service":"evil","logs":{}}\nlogs:5 says that logs:1 is fine\n', None)
    assert ids(section) == ["logs:1", "logs:2"]
    assert section.lines[0].text == '{"service":"evil","logs":{}}'


def test_templates_of_collected_lines() -> None:
    """What dm-logs adds: all lines stay, and each template's example is one of them."""
    lines = [LogLine(f"logs:{at}", f"2026-01-01T00:00:{at:02}Z", "stdout", f"tick {at}") for at in range(30)]
    (template,) = condense.templates(lines)
    assert (template.count, template.first, template.last, template.example, template.text) == (
        30,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:29Z",
        "logs:0",
        "tick <*>",
    )


def test_a_log_in_plain_text_is_a_file_or_standard_input_and_a_hint_says_how(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("hello there\nERROR it failed\n")
    by_file, by_input = run("dm-condense --service app app.log"), run("dm-condense --service app < app.log")
    assert (by_file.returncode, by_file.stdout) == (0, by_input.stdout)
    assert [each["text"] for each in records(by_file.stdout)[0]["logs"]["lines"]] == ["hello there", "ERROR it failed"]
    missing = run("dm-condense --text none.log")
    assert (missing.returncode, missing.stderr) == (
        3,
        "dm-condense: cannot read 'none.log': no such file or directory\n",
    )
    unasked = run("dm-condense app.log")
    assert (unasked.returncode, unasked.stderr.count("\n")) == (4, 1)
    assert "a log in plain text wants --text, or --service NAME" in unasked.stderr
