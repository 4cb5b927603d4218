"""Who is told what: by real servers that hear it, are dead, slow or refuse; once, whatever kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.notify import config, ledger, words
from dm_tools.notify.config import Config, Rule, Target
from dm_tools.notify.journal import Journal
from dm_tools.notify.ledger import Entry, Ledger, Message, Sending, Time
from dm_tools.records import ENDS, Happening, IncidentEvent, Severity
from tests.conftest import COLD, SEALED, Run, records
from tests.hearers import Mail

OPENED, RECOVERED, WORSE, GAP = Happening.OPENED, Happening.RECOVERED, Happening.WORSE, Happening.GAP
DEAD = "http://127.0.0.1:1/hook"


def event(kind: Happening = OPENED, incident: str = "i1", number: int = 1, **more: Any) -> IncidentEvent:
    """An event of an incident of the service db."""
    usual: dict[str, Any] = {
        "id": f"{incident}.{number}",
        "number": number,
        "kind": kind,
        "at": "2024-11-28T13:20:00.000Z",
        "incident": incident,
        "service": "db",
        "project": "shop",
        "severity": Severity.CRITICAL,
        "text": "db shut itself down",
        "seconds": 300.0,
        "symptoms": ["app", "web"],
        "evidence": ["exit_code = 1"],
        "proposed": ["restart: it ended"],
    }
    return IncidentEvent(**(usual | more))


def lines(*events: IncidentEvent) -> str:
    """Events as dm-incidents prints them."""
    return "".join(msgspec.json.encode(each).decode() + "\n" for each in events)


MARKER = '{"v":1,"round":{"number":1,"at":"2024-11-28T13:20:00Z","services":1}}\n'


@pytest.fixture
def tell(run: Run, tmp_path: Path) -> Any:
    """Run dm-notify with a configuration on events; what it printed."""

    def execute(text: str, stdin: str, options: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "notify.toml").write_text(text)
        return run(f"dm-notify --config notify.toml --proofs-dir p {options}", stdin, **variables)

    return execute


def test_a_mail_by_smtp(tell: Any, smtp: Mail) -> None:
    done = tell('[target.ops]\nurl = "${OPS_MAIL}"', lines(event()), OPS_MAIL=smtp.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["outcome"] for each in records(done.stdout)] == ["told"]
    (heard,) = smtp.mails
    assert heard["Subject"].startswith("[CRITICAL] db: db shut itself down, 2 more fail (shop on ")
    assert heard["To"] == "ops@example.com"
    text = heard.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "also failing:   app, web\nevidence:       exit_code = 1\n" in text.replace("\r", "")
    assert "dm-inspect db | dm-logs | dm-show" in text


def test_a_page_is_attached(tell: Any, smtp: Mail, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>page</p>")
    text = f'[target.ops]\npage = true\nurl = "{smtp.url}"'
    assert tell(text, lines(event()), "--page page.html").returncode == 0
    assert tell(text, lines(event(incident="i2")), "--page gone.html").returncode == 0
    assert [[each.get_filename() for each in heard.iter_attachments()] for heard in smtp.mails] == [["page.html"], []]


def test_a_webhook_with_our_body(tell: Any, hears: Any) -> None:
    hook = hears()
    text = f'[target.hook]\nwebhook = "{hook.url}/in"\nheaders = {{ Authorization = "Bearer ${{HOOK_TOKEN}}" }}'
    done = tell(text, lines(event(), event(RECOVERED, number=2, reason="well again")), HOOK_TOKEN="t0ps3cr3t-t0ken")
    assert done.returncode == 0, done.stderr
    ((path, headers, _),) = hook.heard
    assert (path, headers["Authorization"], headers["Idempotency-Key"]) == ("/in", "Bearer t0ps3cr3t-t0ken", "i1.2")
    (body,) = hook.bodies()
    assert body["v"] == 1 and body["kind"] == "incident"
    assert body["events"][0]["kind"] == "recovered"
    assert body["subject"].startswith("[RECOVERED] db: over after 5 minutes")


def test_ntfy_by_apprise_in_short(tell: Any, hears: Any) -> None:
    server = hears()
    url = server.url.replace("http://", "ntfy://") + "/alarms"
    done = tell(f'[target.phone]\nurl = "{url}"\nlength = "short"', lines(event()))
    assert done.returncode == 0, done.stderr
    (body,) = server.bodies()
    assert body["topic"] == "alarms"
    assert body["message"] == "db: db shut itself down; also failing: app, web; to do: restart: it ended"


@pytest.mark.parametrize(
    "kind, codes, why",
    [
        ("webhook", [500], "the service answered 500"),
        ("webhook", [403], "the service answered 403"),
        ("webhook", [302], "the service answered 302"),
        ("url", [500], "the service answered 500"),
        ("url", [401], "the service answered 401"),
        ("webhook", [], "no connection"),
        ("url", [], "the service could not be reached, or refused it"),
        ("slow webhook", [200], "no answer within 1 s"),
        ("slow url", [200], "no answer within 1 s"),
    ],
)
def test_what_could_not_be_told_is_said_without_the_url(
    tell: Any, hears: Any, kind: str, codes: list[int], why: str
) -> None:
    url = (
        hears(*codes, wait=3.0 * kind.startswith("slow")).url if codes else "http://127.0.0.1:1"
    ) + "/S3cretTokenOfMine123"
    if kind.endswith("url"):
        url = url.replace("http://", "json://")
    done = tell(f'[target.t]\n{kind.split()[-1]} = "{url}"\ntimeout = "1s"', lines(event()))
    assert done.returncode == 4
    assert [(each["outcome"], each["why"]) for each in records(done.stdout)] == [("failed", why)]
    assert done.stderr == f"dm-notify: t: not told: {why}\n"
    assert "S3cret" not in done.stdout + done.stderr


def test_it_is_tried_again_later_and_told_once(tell: Any, hears: Any) -> None:
    hook = hears(500, 500, 200)
    text = f'[target.hook]\nwebhook = "{hook.url}"'
    told = [
        [each["outcome"] for each in records(tell(text, stdin, DM_NOW=str(1_732_800_000 + seconds)).stdout)]
        for seconds, stdin in [
            (0, lines(event())),
            (10, ""),
            (40, lines(event())),
            (80, ""),
            (101, ""),
            (200, ""),
            (9000, ""),
        ]
    ]
    assert told == [["failed"], [], ["failed"], [], ["told"], [], []]
    assert len(hook.heard) == 1


def test_another_target_takes_over(tell: Any, hears: Any) -> None:
    second = hears()
    text = (
        f'[target.a]\nwebhook = "{DEAD}"\ninstead = "b"\n[target.b]\nwebhook = "{second.url}"\n[[rule]]\ntell = ["a"]'
    )
    done = tell(text, lines(event()), DM_NOW="1732800000")
    assert [(each["target"], each["outcome"], each["instead_of"]) for each in records(done.stdout)] == [
        ("a", "failed", None),
        ("b", "told", "a"),
    ]
    assert records(tell(text, "", DM_NOW="1732800100").stdout) == []  # neither is told once more
    done = tell(text, lines(event(RECOVERED, number=2)), DM_NOW="1732800200")
    assert [(each["target"], each["outcome"]) for each in records(done.stdout)] == [("a", "failed"), ("b", "told")]
    assert [each["events"][0]["kind"] for each in second.bodies()] == ["opened", "recovered"]


def test_a_storm_is_a_digest(tell: Any, hears: Any) -> None:
    hook = hears()
    text = f'digest_above = 3\n[target.hook]\nwebhook = "{hook.url}"'
    storm = [event(incident=f"i{number}", service=f"s{number}") for number in range(40)]
    assert tell(text, lines(*storm)).returncode == 0
    (body,) = hook.bodies()
    assert body["kind"] == "digest" and len(body["events"]) == 40
    assert body["subject"].startswith("[40 INCIDENTS]")
    assert "and 10 more: dm-incidents list" in body["text"]


def test_in_rounds_what_is_too_much_waits_and_comes_as_one(tell: Any, hears: Any) -> None:
    hook = hears()
    text = f'digest_above = 2\n[target.hook]\nwebhook = "{hook.url}"'
    stdin = "".join(lines(event(incident=f"i{number}")) + MARKER for number in range(6))
    tell(text, stdin)
    assert [len(each["events"]) for each in hook.bodies()] == [1, 1, 4]


def test_a_killed_one_sends_nothing_twice(tmp_path: Path, hears: Any) -> None:
    """Killed while the server thinks: nobody knows whether it took it, so it is not sent there again."""
    slow, second = hears(wait=0.6), hears()
    text = f'[target.a]\nwebhook = "{slow.url}"\ninstead = "b"\n[target.b]\nwebhook = "{second.url}"\n'
    text += '[[rule]]\ntell = ["a"]'
    (tmp_path / "notify.toml").write_text(text)
    command = ["dm-notify", "--config", "notify.toml", "--proofs-dir", "p"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path, env=SEALED | COLD) as process:
        assert process.stdin is not None
        process.stdin.write(lines(event()).encode())
        process.stdin.close()
        until = time.monotonic() + 20
        while not slow.asked and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    for _ in range(2):
        subprocess.run(
            command, input=lines(event()).encode(), cwd=tmp_path, env=SEALED, capture_output=True, check=True
        )
    time.sleep(0.7)
    assert len(slow.heard) == 1
    assert len(second.heard) == 1


def test_what_was_lost_on_the_way_is_told_all_the_same(run: Run, tell: Any, hears: Any, tmp_path: Path) -> None:
    """Events that dm-incidents printed into a pipe that died are on the disk."""
    hook = hears()
    text = f'[target.hook]\nwebhook = "{hook.url}"'
    tell(text, lines(event(incident="before")))
    now = "1732800000"
    fault = json.dumps({"service": "db", "analysis": judged("root", "failed")})
    run("dm-incidents --proofs-dir p > /dev/null", fault + "\n", DM_NOW=now)
    tell(text, "", DM_NOW=now)
    tell(text, "", DM_NOW=now)
    assert [each["events"][0]["service"] for each in hook.bodies()] == ["db", "db"]
    assert hook.bodies()[1]["events"][0]["text"] == "it failed"


def judged(role: str, status: str) -> dict[str, Any]:
    """The section `analysis` of a service."""
    empty: dict[str, Any] = {key: [] for key in ("evidence", "findings", "symptoms", "peers", "looked_at")}
    return empty | {
        **{"engine": "rules", "role": role, "status": status, "cause": "exited", "root": None, "severity": "critical"},
        **{"confidence": "high", "hypothesis": "it failed"},
    }


def test_dry_run_sends_and_remembers_nothing(tell: Any, hears: Any, tmp_path: Path) -> None:
    hook = hears()
    done = tell(f'[target.hook]\nwebhook = "{hook.url}"', lines(event()), "--dry-run")
    (would,) = records(done.stdout)
    assert would["outcome"] == "would_tell" and "exit_code = 1" in would["text"]
    assert hook.heard == [] and not (tmp_path / "p").exists()


def test_test_tells_every_target(tell: Any, hears: Any) -> None:
    hook = hears()
    done = tell(f'[target.a]\nwebhook = "{DEAD}"\n[target.b]\nwebhook = "{hook.url}"', "", "--test")
    assert done.returncode == 4
    assert [(each["target"], each["outcome"]) for each in records(done.stdout)] == [("a", "failed"), ("b", "told")]
    assert hook.bodies()[0]["kind"] == "test"


def test_no_secret_leaves_in_a_message(tell: Any, hears: Any) -> None:
    hook = hears()
    text = f'[target.hook]\nwebhook = "{hook.url}/services/T0kenOfTheHook12345"\nheaders = {{ X = "${{HOOK_KEY}}" }}'
    said = "password=hunter2hunter2 key-of-the-hook T0kenOfTheHook12345"
    hostile = event(text=said, evidence=[said], reason=said, proposed=[said], done=[said], next=[said])
    assert tell(text, lines(hostile), HOOK_KEY="key-of-the-hook").returncode == 0
    sent = hook.heard[0][2].decode()
    for secret in ("hunter2", "key-of-the-hook", "T0kenOfTheHook"):
        assert secret not in sent
    assert "<secret" in sent


def test_a_log_line_calls_nobody_in_a_chat(tell: Any, hears: Any) -> None:
    hook = hears()
    hostile = event(text="<!channel> @everyone look", evidence=["<@U123> @here"])
    assert tell(f'[target.hook]\nwebhook = "{hook.url}"', lines(hostile)).returncode == 0
    body = hook.bodies()[0]
    assert "< !channel> @ everyone look" in body["text"] and "< @U123> @ here" in body["text"]
    assert "@everyone" not in body["subject"] + body["short"]


def test_templates_by_file(tell: Any, hears: Any, tmp_path: Path) -> None:
    hook = hears()
    (tmp_path / "subject.txt").write_text("$service is $kind for $duration")
    (tmp_path / "full.txt").write_text("$what\n$evidence\ncosts $$5")
    text = f'[target.hook]\nwebhook = "{hook.url}"\n[templates]\nsubject = "subject.txt"\nfull = "full.txt"'
    tell(text, lines(event()))
    assert hook.bodies()[0]["subject"] == "db is opened for 5 minutes"
    assert hook.bodies()[0]["text"] == "db shut itself down\nexit_code = 1\ncosts $5"


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "names no target"),
        ("[target.a]", "needs one of url, url_file, webhook, webhook_file"),
        ('[target.a]\nurl = "json://x"\nwebhook = "http://x"', "needs one of"),
        ('[target.a]\nurl = "${NOT_SET}"', "the variable NOT_SET is not set"),
        ('[target.a]\nurl_file = "gone"', "no such file"),
        ('[target.a]\nwebhook = "ftp://x"', "is no http"),
        ('[target.a]\nurl = "word"', "url is no URL"),
        ('[target.a]\nurl = "json://x"\ninstead = "b"', "instead names no target: 'b'"),
        ('[target.a]\nurl = "json://x"\nlenght = "short"', "unknown field `lenght`"),
        ('[target.a]\nurl = "json://x"\nlength = "long"', "Invalid enum value 'long'"),
        ('[target.a]\nurl = "json://x"\ntimeout = "soon"', "'soon' is no time"),
        ('[target.a]\nurl = "json://x"\n[[rule]]\ntell = ["b"]', "rule 1 tells a target that is not there: 'b'"),
        ('[target.a]\nurl = "json://x"\n[[rule]]\ntell = ["a"]\nhours = "8-20"', "hours '8-20' are none"),
        ('[target.a]\nurl = "json://x"\n[[rule]]\ntell = ["a"]\nafter = "1"', "after: '1' is no time"),
        (
            '[target.a]\nurl = "json://x"\n[templates]\nfull = "bad.txt"',
            "template 'bad.txt': $nothing; there are subject",
        ),
        ("[target.a", "notify.toml"),
    ],
)
def test_a_configuration_is_read_strictly(tell: Any, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.txt").write_text("$nothing")
    done = tell(text, lines(event()))
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_the_shipped_configuration_is_an_example(tmp_path: Path) -> None:
    """As it is it names nobody; with its comments taken away it is read."""
    shipped = config.path(None)
    assert config.read(shipped).config.target == {}
    text = "\n".join(
        line.removeprefix("# ")
        for line in shipped.read_text().splitlines()
        if not line.startswith("# ") or "=" in line or "[" in line
    )
    text = (
        text.replace("${OPS_MAIL_URL}", "mailto://x").replace("${SLACK_URL}", "slack://x").replace("${HOOK_TOKEN}", "x")
    )
    kept = [line for line in text.splitlines() if line.startswith(("[", "#")) or " = " in line]
    decoded = msgspec.convert(
        __import__("tomllib").loads("\n".join(each for each in kept if "dm-notify" not in each)), Config
    )
    assert set(decoded.target) == {"mail", "phone", "chat", "hook"} and len(decoded.rule) == 2


def test_what_is_no_event_is_bad_input(tell: Any) -> None:
    for line in ("nonsense\n", '{"service":"x"}\n', "[]\n"):
        done = tell('[target.a]\nurl = "json://127.0.0.1:1"', line)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == "dm-notify: line 1: no event of dm-incidents\n"


# Rules, judged without a server.


class Office:
    """Targets a, b, c, told at once; what was told at which minute."""

    def __init__(self, *rules: Rule, **more: Any) -> None:
        targets = {name: Target(url="json://x") for name in "abc"}
        self.config = Config(target=targets, rule=list(rules), digest_above=50, **more)
        self.ledger = Ledger()
        self.number = 0

    def came(self, minute: float, *events: IncidentEvent, day: int = 0) -> list[str]:
        now = 1_732_800_000 + minute * 60
        for each in events:
            self.ledger.apply(Entry(event=each, at=now))
        told = []
        for message in ledger.due(self.ledger, self.config, Time(now, day, int(minute) % 1440), True):
            self.number += 1
            about = {name: [each.id for each in found] for name, found in message.parts}
            sending = Sending(self.number, message.target, about, now, message.instead_of, bool(message.still))
            self.ledger.apply(Entry(sending=sending))
            self.ledger.apply(Entry(outcome="told", id=self.number, at=now))
            told.append(f"{message.target} {message.parts[0][1][-1].kind}{' still' if message.still else ''}")
        return told


def test_severity_service_and_project() -> None:
    office = Office(
        Rule(["a"], Severity.CRITICAL), Rule(["b"], service=["d*"], project=["shop"]), Rule(["c"], service=["web"])
    )
    assert office.came(0, event(severity=Severity.WARNING)) == ["b opened"]
    assert office.came(1, event(WORSE, number=2)) == ["a worse", "b worse"]
    assert office.came(2, event(RECOVERED, number=3)) == ["a recovered", "b recovered"]


def test_only_what_is_still_open_after_a_while() -> None:
    office = Office(Rule(["a"], after="10m"))
    assert office.came(0, event()) == []
    assert office.came(9) == []
    assert office.came(10) == ["a opened"]
    assert office.came(11, event(WORSE, number=2)) == ["a worse"]
    assert office.came(12, event(RECOVERED, number=3)) == ["a recovered"]
    assert office.came(20, event(incident="i2")) == []
    assert office.came(22, event(RECOVERED, "i2", 2)) == []
    assert office.came(60) == []


def test_told_again_while_it_is_open() -> None:
    office = Office(Rule(["a"], repeat="4h"))
    told = [office.came(minute, *([event()] if minute == 0 else [])) for minute in (0, 239, 240, 241, 480)]
    assert told == [["a opened"], [], ["a opened still"], [], ["a opened still"]]
    assert office.came(500, event(RECOVERED, number=2)) == ["a recovered"]
    assert office.came(900) == []


def test_outside_of_its_hours_it_waits_and_is_told_if_it_is_open_then() -> None:
    office = Office(Rule(["a"], hours="08:00-20:00", days=["mon"]))
    assert office.came(3 * 60, event()) == []
    assert office.came(8 * 60, day=6) == []
    assert office.came(8 * 60) == ["a opened"]
    assert office.came(1440 + 60, event(incident="i2")) == []
    assert office.came(1440 + 120, event(RECOVERED, "i2", 2)) == []
    assert office.came(1440 + 9 * 60) == []


def test_a_gap_is_told_once() -> None:
    office = Office()
    gap = event(GAP, incident="gap-1", severity=Severity.INFO)
    assert office.came(0, gap) == ["a gap", "b gap", "c gap"]
    assert office.came(1, gap) == []


def test_what_came_and_went_in_one_go_is_one_message() -> None:
    assert Office(Rule(["a"])).came(0, event(), event(RECOVERED, number=2)) == ["a recovered"]


happenings = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(["told", "failed", "unsure"]), st.integers(0, 4000)),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(happenings)
def test_no_event_is_sent_twice_to_one_that_heard_it(week: Any) -> None:
    """Whatever targets answer, and wherever a kill falls: told or unsure is the end of it."""
    ways = {name: Target(url="json://x", instead=instead) for name, instead in (("a", "b"), ("b", "c"), ("c", ""))}
    setup = Config(target=ways, rule=[Rule(["a"])], digest_above=3)
    known, open_ones, number, now = Ledger(), dict[int, int](), 0, 1_732_800_000.0
    heard: list[tuple[str, str]] = []
    for which, ends, outcome, seconds in week:
        now += seconds
        so_far = open_ones.get(which, 0) + 1
        kind = RECOVERED if ends and so_far > 1 else OPENED if so_far == 1 else WORSE
        open_ones[which] = so_far
        known.apply(Entry(event=event(kind, f"i{which}", so_far), at=now))
        for _ in range(4):
            for message in ledger.due(known, setup, Time(now), True):
                number += 1
                about = {name: [each.id for each in found] for name, found in message.parts}
                known.apply(Entry(sending=Sending(number, message.target, about, now, message.instead_of)))
                known.apply(Entry(outcome=outcome, id=number, at=now))
                if outcome != "failed":
                    heard += [(message.target, id) for ids in about.values() for id in ids]
        copy = msgspec.json.decode(msgspec.json.encode(known), type=Ledger)
        assert copy == known
    assert len(heard) == len(set(heard))


def test_the_journal_does_not_grow_for_ever(tmp_path: Path) -> None:
    """What is over and settled for two days is forgotten; what is open is not."""
    kept = Journal(tmp_path)
    with kept.alone():
        kept.add(Entry(event=event(incident="open"), at=0.0))
        for number in range(150):
            over = event(RECOVERED, f"i{number}", text="x" * 8000)
            kept.add(Entry(event=over, at=1000.0 * number))
            kept.tidy(1000.0 * number)
        kept.tidy(10_000_000.0)
    again = Journal(tmp_path)
    again.read()
    assert again.path.stat().st_size < 1_200_000
    assert "open" in again.ledger.stories and "i0" not in again.ledger.stories
    assert again.ledger.stories == kept.ledger.stories


def test_words_are_bounded_and_say_what_is_over() -> None:
    long = event(text="x" * 5000, evidence=["y" * 300] * 50, symptoms=["s" * 50] * 50)
    text = words.of_one([long], "host")
    assert len(text.subject) <= words.SUBJECT and len(text.short) <= words.SHORT and len(text.full) <= words.FULL
    over = words.of_one(
        [event(RECOVERED, reason="well again after 5 minutes; after what was done", done=["restart: done"])], "host"
    )
    assert over.subject == "[RECOVERED] db: over after 5 minutes (shop on host)"
    assert "well again after 5 minutes" in over.short and "done:           restart: done" in over.full
    assert "to do:" not in over.full
    failed = words.of_one([event(Happening.HEALING_FAILED, reason="looked again: worse")], "host")
    assert failed.subject.startswith("[HEALING FAILED] db") and failed.short.startswith("db: looked again: worse")
    assert set(ENDS) == {RECOVERED, Happening.ENDED}
    assert isinstance(Message("a", ()), Message)


RAW = "p@s s/#%&+ß"
MAIL = "mailtos://me:pw@mail.example"


@pytest.mark.parametrize(
    ("url", "value", "filled"),
    [
        ("mailtos://me:${X}@mail.example", RAW, "mailtos://me:p%40s%20s%2F%23%25%26%2B%C3%9F@mail.example"),
        ("mailtos://${X}:pw@mail.example?a=@", "me@x.example", "mailtos://me%40x.example:pw@mail.example?a=@"),
        ("mailtos://me:${X}@mail.example", "p%40ss:w", "mailtos://me:p%40ss:w@mail.example"),  # encoded already
        (MAIL + "?to=${X}", "a+b@x.example", f"{MAIL}?to=a%2Bb%40x.example"),
        (MAIL + "?to=${X}&x=1", "a@x.example,b@x.example", f"{MAIL}?to=a@x.example,b@x.example&x=1"),
        (MAIL + "?${X}", "to=a&cc=b", f"{MAIL}?to=a&cc=b"),  # parts of a query
        ("slack://${X}/#ops", "T1/B2/x3", "slack://T1/B2/x3/#ops"),  # a path
        ("${X}", "mailtos://me:p%40ss@mail.example", "mailtos://me:p%40ss@mail.example"),
        ("tgram://${X}@x/1", "12:ab", "tgram://12:ab@x/1"),
    ],
)
def test_a_variable_in_a_url_may_hold_any_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, value: str, filled: str
) -> None:
    monkeypatch.setenv("X", value)
    path = tmp_path / "notify.toml"
    path.write_text(f'[target.a]\nurl = "{url}"\n')
    found = config.read(path)
    assert found.config.target["a"].url == filled
    assert value in found.secret
