"""Questions to the history: ClickHouse in the process and a real server answer all of docs/history.md alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dm_tools.ask import gate, library
from dm_tools.ask.embedded import CannotAsk, WrongQuestion
from dm_tools.ask.push import push
from dm_tools.ask.server import Server as Client
from dm_tools.records import ActionName, Cause, EventKind, HistoryEvent, Outcome, Proof
from dm_tools.store import history
from tests.clickhouse import Server
from tests.conftest import COLD, ROOT, SEALED, Run

QUESTIONS = re.findall(r"### \d+\. (.*?)\n.*?```sql\n(.*?)```", (ROOT / "docs" / "history.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("clickhouse"))
    found.start()
    yield found
    found.kill()


def year(machine: str = "alpha") -> list[HistoryEvent]:
    """A small shop's year: twelve occasions, three kinds of trouble, one that a restart does not help."""
    found = []
    for month in range(1, 13):
        service, cause, action = [
            ("app", Cause.CRASH_LOOP, ActionName.RESTART),
            ("postgres", Cause.EXITED, ActionName.START),
            ("cache", Cause.OOM_KILLED, ActionName.SCALE_UP),
        ][month % 3]
        about: dict[str, Any] = {
            "machine": machine,
            "service": service,
            "cause": cause,
            "image": f"shop/{service}:{1 + month // 7}",
            "fingerprint": f"{service}-1",
            "opened": f"2026-{month:02}-03T0{month % 4}:00:00.000Z",
            "pattern": f"{service}.broken",
        }
        for minute in (0, 10):
            found.append(
                HistoryEvent(
                    kind=EventKind.INCIDENT,
                    at=about["opened"].replace(":00:", f":{minute:02}:"),
                    patterns=[f"{service}.broken", "general.failed"],
                    symptoms=["web"],
                    text="it is \"down\"\nand 'out' \\ é \x1b[31m",
                    lines=["cannot open /dev/thing"] if service == "cache" else [],
                    **about,
                )
            )
        done: dict[str, Any] = about | {"action_id": f"{machine}{month}", "action": action, "by": "person"}
        at = about["opened"].replace(":00:", ":20:")
        labels = {"resource": "memory", "note": 'a "b"\\'}
        found.append(
            HistoryEvent(kind=EventKind.EXECUTION, at=at, outcome=Outcome.DONE, labels=labels, seconds=2.0, **done)
        )
        proof = Proof.NOT_RECOVERED if service == "app" else Proof.RECOVERED
        later = about["opened"].replace(":00:", ":30:")
        found.append(HistoryEvent(kind=EventKind.PROOF, at=later, proof=proof, seconds=1800.0, **done))
        if service == "app" and month < 12:
            ended = about["opened"].replace(":00:", ":50:")
            found.append(HistoryEvent(kind=EventKind.OVER, at=ended, seconds=3000.0, **about))
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> history.History:
    """That year: half of it is stored twice, the last line is torn, and a newer version wrote one."""
    found = history.History(tmp_path_factory.mktemp("proofs") / "it's a {strange} * folder")
    found.append(*year())
    found.append(*year()[:30])
    with found.segments()[0].open("ab") as file:
        file.write(
            b'{"kind":"rumour","id":"0","at":"2027-01-01T00:00:00Z","service":"app","new":{"a":[1]}}\n{"kind":"inci'
        )
    return found


Ask = Callable[[str], list[dict[str, Any]]]


ASKED = """
import json, sys
from pathlib import Path
from dm_tools.ask import work
from dm_tools.store.history import History
for line in sys.stdin:
    try:
        found = b"".join(work.answer(History(Path(sys.argv[1])), json.loads(line), sys.argv[2] == "embedded"))
        print(json.dumps([json.loads(row) for row in found.splitlines()]), flush=True)
    except work.embedded.WrongQuestion as refused:
        print(json.dumps(str(refused)), flush=True)
"""


@pytest.fixture(scope="module", params=["embedded", "server"])
def ask(request: pytest.FixtureRequest, kept: history.History, server: Server) -> Iterator[Ask]:
    """Asks in a process of its own: the embedded engine has threads, and other tests fork."""
    variables = SEALED | COLD | {"CLICKHOUSE_URL": server.url}
    if request.param == "server":
        push(kept, Client(server.url), library.rows(None, "2026-01-01T00:00:00Z"))
        push(kept, Client(server.url), library.rows(None, "2026-01-02T00:00:00Z"), everything=True)
    with subprocess.Popen(
        [sys.executable, "-c", ASKED, str(kept.folder.parent), request.param],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asked:

        def answered(sql: str) -> list[dict[str, Any]]:
            assert asked.stdin and asked.stdout
            asked.stdin.write(json.dumps(sql) + "\n")
            asked.stdin.flush()
            found = json.loads(asked.stdout.readline())
            if isinstance(found, str):
                raise WrongQuestion(found)
            return list(found)

        yield answered
        assert asked.stdin
        asked.stdin.close()


EXPECTED: dict[str, Any] = {
    "What fails most?": [["app", "crash_loop", 4, 8], ["cache", "oom_killed", 4, 8], ["postgres", "exited", 4, 8]],
    "How long does it take until it is over, by cause?": [
        ["crash_loop", 3, 3000, 3000],
        ["exited", 4, 1800, 1800],
        ["oom_killed", 4, 1800, 1800],
    ],
    "Which fix works against what?": [
        ["crash_loop", "restart", 0, 4, 0],
        ["exited", "start", 4, 0, 0],
        ["oom_killed", "scale_up", 4, 0, 0],
    ],
    "What got worse with which image?": [
        ["app", "shop/app:1", 2],
        ["app", "shop/app:2", 2],
        ["cache", "shop/cache:1", 2],
    ],
    "Which pattern was wrong?": [["app.broken", 0, 4]],
    "What is not over?": [["app", "crash_loop", "2026-12-03T00:00:00.000Z", "2026-12-03T00:10:00.000Z", 2]],
    "Who suffers from others, and from whom?": [["web", "app", 8], ["web", "cache", 8], ["web", "postgres", 8]],
    "At which hour of the day does it begin?": [["00", 3], ["01", 3], ["02", 3], ["03", 3]],
    "Is it getting better, week by week?": [["2025-12-29", 1, 0.5], ["2026-02-02", 1, 0.5], ["2026-03-02", 1, 0.8]],
    "What was done by whom, and how did it end?": [["person", "restart", 4, 0, 0], ["person", "scale_up", 4, 4, 0]],
}


@pytest.mark.parametrize(("title", "sql"), QUESTIONS, ids=[title for title, _ in QUESTIONS])
def test_the_documented_questions(ask: Ask, title: str, sql: str) -> None:
    """On both engines, and the first rows and columns are right; a text with everything in it comes back as it was."""
    assert len(QUESTIONS) == 10
    expected = EXPECTED[title]
    rows = [list(row.values()) for row in ask(sql)]
    assert [row[: len(expected[0])] for row in rows[: len(expected)]] == expected
    if title == "What is not over?":
        assert rows[0][-1] == year()[0].text


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count() AS n FROM events WHERE kind != 'rumour'", [{"n": len(year())}]),
        ("SELECT count() AS n, uniq(action_id) AS m FROM actions", [{"n": 12, "m": 12}]),
        ("SELECT DISTINCT visitParamExtractString(labels, 'note') AS note FROM actions", [{"note": 'a "b"\\'}]),
        ("SELECT sum(decided) AS n, count() AS m FROM pattern_hits WHERE hit LIKE 'app%'", [{"n": 8, "m": 8}]),
        ("SELECT any(line) AS line, count() AS n FROM unexplained_lines", [{"line": "cannot open /dev/thing", "n": 8}]),
        ("SELECT count() > 2000 AS m, count() = uniqExact(pattern) AS n FROM pattern_library", [{"m": 1, "n": 1}]),
        ("SELECT service FROM incidents WHERE service = 'nobody';", []),
    ],
)  # fmt: skip
def test_each_view_holds_each_thing_once(ask: Ask, sql: str, expected: list[dict[str, Any]]) -> None:
    assert ask(sql) == expected


REACHING_OUT = [
    "SELECT * FROM file('/etc/passwd', 'CSV', 'a String')",
    "SELECT FILE('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT \"file\" /* */ ('/etc/passwd')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1:9000', system.one)",
    "SELECT 1 INTO OUTFILE '/tmp/dm-history-outfile'",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 AS a; DROP TABLE dm_events",
    "SELECT $$'$$, file('/etc/passwd'), $$'$$",
    "SELECT $a$'$a$ INTO OUTFILE '/tmp/dm-history-outfile' --'",
    "SELECT \u2018'\u2019, file('/etc/passwd'), \u2018'\u2019",
    "SELECT `\\x66ile`('/etc/passwd')",
    "SELECT \"\\x66ile\"('/etc/passwd')",
    "SELECT file\u200b('/etc/passwd')",
    "DESCRIBE TABLE url('http://127.0.0.1:1/', 'CSV')",
    "EXPLAIN SELECT * FROM S3('http://127.0.0.1:1/a/b', 'CSV')",
    "INSERT INTO dm_events (id) VALUES ('1')",
    "-- a remark\nDROP TABLE dm_events",
    "CREATE TABLE t (a Int8) ENGINE = Memory",
    "SET readonly = 0",
    "SYSTEM SHUTDOWN",
    "",
    ";",
]


@pytest.mark.parametrize("sql", REACHING_OUT)
def test_a_question_writes_nothing_and_reads_nothing_else(ask: Ask, sql: str) -> None:
    with pytest.raises(WrongQuestion) as refused:
        ask(sql)
    assert "\n" not in str(refused.value)
    assert not Path("/tmp/dm-history-outfile").exists()


@pytest.mark.parametrize("sql", ["SELECT 'into outfile; file(1)' AS file", "WITH 1 AS a SELECT 'b' -- ;", "(SELECT 1)"])
def test_what_only_looks_like_it_is_let_through(sql: str) -> None:
    assert gate.checked(f"{sql} ; ") == sql.removesuffix(" -- ;")


@pytest.mark.parametrize(
    "sql", [each for each in REACHING_OUT if "'$" in each or "file" in each or "TABLE url" in each]
)
def test_the_gate_itself_refuses_what_read_only_leaves_open(sql: str) -> None:
    with pytest.raises(gate.Refused):
        gate.checked(sql)


def test_every_function_that_leads_out_of_the_history_is_known(tmp_path: Path) -> None:
    """A newer ClickHouse may bring more: whoever takes it over decides whether they only look at what is there."""
    rows = _by_itself(tmp_path, "SELECT lower(name) AS name FROM system.table_functions").splitlines()
    harmless = r"format|fuzzjson|generate.*|loop|merge(tree.*)?|null|(numbers|zeros)(_mt)?|primes|(sqlstandard)?values"
    harmless += r"|timeseries.*|view(explain|ifpermitted)?"
    names = {json.loads(row)["name"] for row in rows}
    assert "file" in names
    assert {each for each in names if not re.fullmatch(harmless, each)} <= gate.FUNCTIONS


def test_what_is_asked_here_leaves_the_signals_of_this_process_alone(tmp_path: Path) -> None:
    """Programs started later inherit them: one with SIGPIPE blocked goes on when its reader has gone."""
    signals = """
import signal
print([signal.pthread_sigmask(signal.SIG_BLOCK, ()), *map(signal.getsignal, signal.valid_signals() - {9, 19})])
"""
    asked = _by_itself(tmp_path, "SELECT 1", before=signals, after=signals).splitlines()
    assert asked[1] == '{"1":1}'
    assert asked[0] == asked[2]


def _by_itself(folder: Path, sql: str, before: str = "", after: str = "") -> str:
    """What the embedded engine answers in a process of its own, with what some code prints before and after."""
    asking = f"""
import sys
from pathlib import Path
from dm_tools.ask.embedded import answer
from dm_tools.store.history import History
{before}
sys.stdout.write(b"".join(answer(History(Path({str(folder)!r})), {sql!r}, "JSONEachRow")).decode())
{after}"""
    return subprocess.run(
        [sys.executable, "-c", asking], cwd=ROOT, env=SEALED, capture_output=True, text=True, check=True
    ).stdout


def test_two_machines_and_a_server_that_dies_under_load(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines push at once, batch after batch, while the server is killed and comes back: each event once."""
    monkeypatch.setattr("dm_tools.ask.push.BATCH", 20)
    url = server.url.replace("/dm", "/killed")
    machines = {}
    for machine in ("alpha", "beta"):
        machines[machine] = history.History(tmp_path / machine)
        numbered = (msgspec.structs.replace(event, text=str(each)) for each in range(6) for event in year(machine))
        machines[machine].append(*numbered)
    failures: list[str] = []

    def until_done(kept: history.History) -> None:
        while True:
            try:
                push(kept, Client(url))
                return
            except CannotAsk as failure:
                failures.append(str(failure))
                threading.Event().wait(0.05)

    pushing = [threading.Thread(target=until_done, args=(kept,)) for kept in machines.values()]
    for each in pushing:
        each.start()
    while not list(tmp_path.rglob("pushed-*")):
        threading.Event().wait(0.01)
    server.kill()
    threading.Event().wait(0.1)
    server.start()
    for each in pushing:
        each.join()
    sql = "SELECT machine, count() AS n, uniqExact(id) AS ids FROM events GROUP BY machine ORDER BY machine"
    rows = [json.loads(line) for line in b"".join(Client(url).answer(sql, "JSONEachRow")).splitlines()]
    assert rows == [{"machine": each, "n": 6 * len(year()), "ids": 6 * len(year())} for each in ("alpha", "beta")]
    assert failures and not [each for each in failures if "s3cret" in each]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://keeper:s3cret@127.0.0.1:9/dm", "ClickHouse at http://127.0.0.1:9/ cannot be reached: connection refused"),  # noqa: E501
        ("ftp://keeper:s3cret@127.0.0.1/", "CLICKHOUSE_URL is no URL such as http://host:8123/database"),
        ("http://keeper:s3cret@127.0.0.1:x/", "CLICKHOUSE_URL is no URL such as http://host:8123/database"),
        ("http://keeper:s3cret@[::1/", "CLICKHOUSE_URL is no URL such as http://host:8123/database"),
        ("http://keeper:s3cret@a..b/", "CLICKHOUSE_URL is no URL such as http://host:8123/database"),
        ("http://keeper:s3cret\udcff@a/", "CLICKHOUSE_URL is no URL such as http://host:8123/database"),
    ],
)  # fmt: skip
def test_a_server_that_is_not_there(run: Run, url: str, said: str) -> None:
    done = run("dm-history query 'SELECT 1'", CLICKHOUSE_URL=url)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", f"dm-history: {said}\n")


def test_a_wrong_password(run: Run, server: Server) -> None:
    done = run("dm-history query 'SELECT 1'", CLICKHOUSE_URL=server.url.replace("s3cret", "gu3ss"))
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1 and "401" in done.stderr and "gu3ss" not in done.stderr


def test_without_the_extra_everything_but_questions_works(run: Run, tmp_path: Path) -> None:
    (tmp_path / "chdb").mkdir()
    (tmp_path / "chdb" / "__init__.py").write_text("raise ImportError\n")
    here = f"{tmp_path}:{ROOT}"
    assert run("dm-history show", PYTHONPATH=here).stdout == "Nothing is recorded.\n"
    done = run("dm-history query 'SELECT 1'", PYTHONPATH=here)
    assert done.returncode == 5
    assert done.stderr.startswith("dm-history: this needs ClickHouse (")


def test_recording_does_not_load_clickhouse() -> None:
    code = "import sys; from dm_tools.ask import work, push; sys.exit('chdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
