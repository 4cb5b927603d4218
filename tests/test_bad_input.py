"""Input that nobody should send: huge, broken, baiting, impossible. No traceback, the right status, bounded time and
memory. Times are processor time, so that a busy machine fails nothing.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import Facts, facts
from dm_tools.patterns import reading as reader
from dm_tools.patterns.matching import Hit
from tests.conftest import SEALED, records
from tests.making import Record, logs, service

LIBRARY = reader.read(None)
MIB = 2**20


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def command(name: str, *words: str, source: Path, target: Path) -> tuple[int, str, int]:
    """Exit status, standard error and the most memory (bytes) that a command used."""
    words = (sys.executable, "-P", "-m", f"dm_tools.commands.{name}", *words)
    environment = SEALED | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    with source.open("rb") as stdin, target.open("wb") as stdout, tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(words, env=environment, stdin=stdin, stdout=stdout, stderr=stderr)
        used = 0
        while child.poll() is None:
            with contextlib.suppress(OSError, IndexError):  # it may just have ended
                used = int(Path(f"/proc/{child.pid}/status").read_text().partition("VmHWM:")[2].split()[0])
            time.sleep(0.02)
        stderr.seek(0)
        said = stderr.read().decode("utf-8", "replace")
    return child.returncode, said, used * 1024


def through(tmp_path: Path, lines: Iterator[bytes], most: int) -> tuple[list[Record], list[int]]:
    """dm-analyze, dm-propose and dm-show --why on some lines: the proposed records, and the statuses."""
    files = [tmp_path / name for name in ("in", "judged", "proposed", "shown")]
    with files[0].open("wb") as out:
        out.writelines(lines)
    statuses = []
    for index, words in enumerate((["analyze"], ["propose"], ["show", "--why"])):
        status, said, used = command(*words, source=files[index], target=files[index + 1])
        assert "Traceback" not in said and "internal error" not in said, said[-2000:]
        assert used < most, f"{words[0]} used {used / MIB:.0f} MiB"
        statuses.append(status)
        sys.stdout.write(f"{words[0]}: status {status}, {used / MIB:.0f} MiB\n")
    return records(files[2].read_text(encoding="utf-8")), statuses


def encoded(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def test_lines_that_are_too_long_binary_or_of_another_encoding(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes]:
        head, tail = encoded(service("endless", "failed", ("HERE",))).split(b"HERE")
        yield from (head, *(b"x" * MIB for _ in range(100)), tail)
        yield from (
            head.replace(b"endless", b"long"),
            *(b"No space left on device " * (MIB // 24) for _ in range(50)),
            tail,
        )
        yield bytes(range(256)).replace(b"\n", b"") + b"\n"
        yield encoded(service("latin")).replace(b"latin", b"caf\xe9")
        yield json.dumps(service("wide")).encode("utf-16") + b"\n"
        yield b'{"service": "\\ud800"}\n{"service": "a\\nb"}\n{"service": ["x"]}\n[[[[\n{"service":"x"\n'
        yield b'{"service":"deep","logs":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
        yield encoded(service("app", "failed", ("\x00\x1b[2J\udcff" + "\ufffd" * 50,))).replace(b"\\udcff", b"\\u0000")

    found, statuses = through(tmp_path, lines(), most=2000 * MIB)
    assert statuses[:2] == [4, 4]
    judged = {record["service"]: record["analysis"]["role"] for record in found if "analysis" in record}
    assert judged == {"long": "root", "app": "root"}
    assert any("longer than" in each["message"] for record in found for each in record.get("errors") or [])


def test_a_million_short_lines(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes]:
        head, tail = encoded(service("app", "failed") | {"logs": {"lines": "HERE"}}).split(b'"HERE"')
        yield head + b"["
        for begin in range(0, 600_000, 1000):
            texts = (
                f'{{"id":"logs:{n}","ts":null,"stream":"o","text":"order {n}"}},' for n in range(begin, begin + 1000)
            )
            yield "".join(texts).encode()
        yield b'{"id":"logs:600000","ts":null,"stream":"o","text":"No space left on device"}'
        yield b'],"total_lines":600001,"truncated":false' + tail
        for number in range(40):
            texts = tuple(f"order {each} of {number}" for each in range(10_000))
            yield encoded(service(f"s{number}") | {"logs": logs(*texts)})

    found, statuses = through(tmp_path, lines(), most=1500 * MIB)
    assert statuses[:2] == [0, 0]
    assert [record["service"] for record in found if record["analysis"]["role"] == "root"] == ["app"]
    assert found[0]["analysis"]["cause"] == "disk_full"


BAIT = [
    *('a"', '"', "'", '\\"', '"GET /" 200 ', 'upstream: "http://', "[", '{"', '","', '": "', "(", "\n", "\t", "1."),
    *("No space left on device ", '"No space left on device" ', 'x="No space left on device",', "='No space left "),
    *('error: "No space left on device" ', "GET /", "  statement: ", "DETAIL:  \n", "[SQL: ", "key=", "é", "\u202e"),
    *('[01/Jan/2026:00:00:00] "No space left on device\n', "Traceback (most recent call last):\n", "lookup a."),
    *('os.environ["A"]\n', 'connection to server at "', "upstream timed out ", 'File "a", line 1\n', "kafka ", "{ "),
]


@pytest.mark.parametrize("bait", BAIT, ids=ascii)
def test_bait_for_every_expression_takes_time_linear_in_the_text(bait: str) -> None:
    text = (bait * (300_000 // len(bait) + 1))[:300_000]
    assert spent(lambda: facts(service("app", "failed", (text,)), LIBRARY)) < 3
    many = tuple((bait * 400)[:400] for _ in range(60))
    assert spent(lambda: facts(service("app", "failed", many), LIBRARY)) < 3


STAMPS = [
    *(None, "", "9999-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "yesterday"),
    *("2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00.5+14:00", "１２３"),
    *("2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "-001-01-01T00:00:00Z", "Z" * 100_000),
    "0001-01-01T00:00:00Z",
]


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda each: str(each)[:30])
@pytest.mark.parametrize("place", ["one line", "all lines", "observed", "started", "event", "health"])
def test_a_time_that_is_none_stops_nothing(stamp: str | None, place: str) -> None:
    record = service("app", "failed", ("OSError: [Errno 28] No space left on device", "tick", "tock"), restart_count=3)
    for line in record["logs"]["lines"][1 if place == "one line" else 0 :]:
        line["ts"] = stamp if place in ("one line", "all lines") else line["ts"]
    if place in ("observed", "started"):
        record["inspect"][f"{place}_at"] = stamp if stamp or place == "started" else ""
    elif place == "event":
        record["inspect"]["events"] = [{"ts": stamp or "", "action": "die"}]
    elif place == "health":
        record["inspect"]["health_log"] = [{"exit_code": 1, "output": "x", "start": stamp, "end": stamp}]
    assert analyze({"app": facts(record, LIBRARY)}, LIBRARY)["app"].role == "root"


def test_times_out_of_order() -> None:
    record = service("app", "failed", tuple(["tick"] * 50))
    for index, line in enumerate(record["logs"]["lines"]):
        line["ts"] = f"20{index * 37 % 50 + 10}-01-01T00:00:00Z"
    assert analyze({"app": facts(record, LIBRARY)}, LIBRARY)["app"].role == "root"


@pytest.mark.parametrize(
    "text", ["logs:0", "app/logs:0", '{"service":"x"}', "<secret:1>", "$upstream {upstream}", "[[", ""]
)
def test_text_that_imitates_ids_and_records(text: str) -> None:
    name = text if text.isprintable() and text else "x"
    verdict = analyze({name: facts(service(name, "failed", (text,)), LIBRARY)}, LIBRARY)[name]
    assert (verdict.role, verdict.cause) == ("root", "http_error")


# Large maps: digests, as thousands of records would leave them.

COUNT = 5000
REFUSED = 'connection to server at "{}" (10.0.0.9), port 5432 failed: Connection refused'


@pytest.fixture(scope="module")
def pattern_of_refused() -> Facts:
    """The digest of a service that is refused by its peer."""
    return facts(service("a", "failed", (REFUSED.format("b"),)), LIBRARY)


def digest(like: Facts, name: str, upstream: str | None, *needs: str, **more: object) -> Facts:
    """A digest of a service that complains about an upstream."""
    hits = [
        Hit(hit.pattern, [replace(seen, captures=seen.captures | {"upstream": upstream}) for seen in hit.seen])
        for hit in like.hits
        if upstream and "upstream" in hit.captures
    ]
    names: dict[str, object] = {"service": name, "container": name, "compose_service": name}
    names["aliases"] = frozenset({name})
    node = replace(like.node, needs=list(needs), **(names | more))  # type: ignore[arg-type]
    return replace(like, node=node, hits=hits, courses=like.courses[:1] * len(hits), values={"service": name})


MAPS: dict[str, Callable[[int], tuple[str, str | None, list[str], dict[str, object]]]] = {
    "chain": lambda n: (f"s{n}", f"s{n + 1}", [f"s{n + 1}"], {}),
    "circle": lambda n: (f"s{n}", f"s{(n + 1) % COUNT}", [f"s{(n + 1) % COUNT}"], {}),
    "two circles that meet": lambda n: (f"s{n}", f"s{(n + 1) % (COUNT // 2)}", [f"s{(n * 7) % COUNT}"], {}),
    "star": lambda n: (f"s{n}", "s0", ["s0"], {}),
    "one needs all": lambda n: (f"s{n}", None, [f"s{each}" for each in range(COUNT if n == 0 else 0)], {}),
    "one name in many projects": lambda n: (f"p{n}-db", "db", ["db"], {"compose_service": "db", "project": f"p{n}"}),
    "one name in one project": lambda n: (f"db{n}", "db", ["db"], {"compose_service": "db"}),
    "needs itself": lambda n: (f"s{n}", f"s{n}", [f"s{n}"], {}),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_large_map_takes_time_linear_in_it(name: str, pattern_of_refused: Facts) -> None:
    stack = {}
    for number in range(COUNT):
        service_name, upstream, needs, more = MAPS[name](number)
        stack[service_name] = digest(pattern_of_refused, service_name, upstream, *needs, **more)
    verdicts = {}
    assert spent(lambda: verdicts.update(analyze(stack, LIBRARY))) < 6
    assert set(verdicts) == set(stack)
    assert any(each.role == "root" for each in verdicts.values())


def test_two_services_of_one_name_and_one_that_needs_itself(tmp_path: Path) -> None:
    stack = [
        service("app", "failed", (REFUSED.format("app"),), depends_on=["app"], env_hosts=["app:5432"]),
        service("app", "failed", state="paused"),
        service("app"),
    ]
    found, statuses = through(tmp_path, map(encoded, stack), most=400 * MIB)
    assert statuses[:2] == [4, 4]
    assert [bool(record.get("analysis")) for record in found] == [True, False, False]
    assert found[0]["analysis"]["role"] == "root"
