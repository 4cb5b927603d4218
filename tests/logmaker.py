"""Makes logs as real programs write them, each item with its true kind: for tests and benchmark of dm-condense."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Made = tuple[str, str]  # the true kind (one per statement in the program that logs), the text
Dice = random.Random

USERS = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
HOSTS = ["db", "cache", "queue", "search", "mail", "auth", "billing", "stock"]
PLACES = ["products", "orders", "users", "carts", "search", "static", "img", "checkout", "login", "health"]
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "curl/8.5.0",
    "kube-probe/1.30",
]


def _clock(index: int) -> tuple[str, str]:
    """Time of day and milliseconds of an item: ten items a second."""
    second, part = divmod(index, 10)
    return f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}", f"{part * 97:03}"


def _hex(dice: Dice, digits: int) -> str:
    return f"{dice.getrandbits(4 * digits):0{digits}x}"


def _uuid(dice: Dice) -> str:
    return "-".join(_hex(dice, digits) for digits in (8, 4, 4, 4, 12))


def access(dice: Dice, index: int) -> Made:
    """nginx, format combined."""
    clock, _ = _clock(index)
    path = f"/api/{dice.choice(PLACES)}/{dice.randrange(10_000)}"
    if dice.random() < 0.3:
        path = f"/static/{_hex(dice, 8)}.js?v={dice.randrange(99)}"
    status = dice.choices([200, 304, 404, 502], [90, 6, 3, 1])[0]
    method = dice.choices(["GET", "POST"], [9, 1])[0]
    line = f"10.0.{dice.randrange(256)}.{dice.randrange(256)} - - [22/Nov/2026:{clock} +0000] "
    line += f'"{method} {path} HTTP/1.1" {status} {dice.randrange(50_000)} "-" "{dice.choice(AGENTS)}"'
    return f"access {status // 100 if status >= 400 else 'answered'}", line


_APP: list[tuple[int, str, Callable[[Dice], str]]] = [  # how often, level and logger, text
    (30, "INFO app.web", lambda d: f"request {_uuid(d)} GET /orders/{d.randrange(9999)} 200 in {d.randrange(90)} ms"),
    (8, "INFO app.web", lambda d: f"user {d.choice(USERS)} logged in from 10.1.{d.randrange(256)}.{d.randrange(256)}"),
    (25, "DEBUG app.cache", lambda d: f"cache {d.choice(['hit', 'miss'])} for key user:{d.randrange(99999)}:cart"),
    (10, "INFO app.jobs", lambda d: f"job {_hex(d, 24)} finished in {d.randrange(900)}ms (queue={d.choice(HOSTS)})"),
    (10, "INFO app.jobs", lambda d: f"job {_hex(d, 24)} started by {d.choice(USERS)}"),
    (4, "INFO app.mail", lambda d: f'sent mail to {d.choice(USERS)} subject="order {d.randrange(9999)}"'),
    (3, "WARNING app.db", lambda d: f"slow query ({d.random() * 9:.3f} s): SELECT * FROM t WHERE id={d.randrange(9)}"),
    (1, "WARNING app.pool", lambda d: f"pool of {d.choice(HOSTS)} is {d.randrange(80, 100)} % full"),
    (1, "ERROR app.web", lambda d: f"upstream {d.choice(HOSTS)}:{d.randrange(8000, 8009)} answered 503"),
    (8, "INFO app.health", lambda d: "health check ok"),
]  # fmt: skip


def _statement(dice: Dice) -> tuple[int, str, str, str]:
    """Number, level, logger and text of a statement of the app's."""
    kind = dice.choices(range(len(_APP)), [often for often, _, _ in _APP])[0]
    level, logger = _APP[kind][1].split()
    return kind, level, logger, _APP[kind][2](dice)


def app(dice: Dice, index: int) -> Made:
    """Python's logging, ten statements."""
    clock, milliseconds = _clock(index)
    kind, level, logger, text = _statement(dice)
    return f"app {kind}", f"2026-11-22 {clock},{milliseconds} {level} {logger}: {text}"


def json_app(dice: Dice, index: int) -> Made:
    """The same statements as JSON, one object a line, without blanks between the keys."""
    clock, milliseconds = _clock(index)
    kind, level, logger, text = _statement(dice)
    message = text.replace('"', '\\"')
    line = f'{{"ts":"2026-11-22T{clock}.{milliseconds}Z","level":"{level}","logger":"{logger}","msg":"{message}",'
    return f"json {kind}", f'{line}"pid":{dice.randrange(9)}}}'


_POSTGRES: list[tuple[int, Callable[[Dice], str]]] = [
    (3, lambda d: f"LOG:  checkpoint starting: {d.choice(['time', 'wal'])}"),
    (3, lambda d: f"LOG:  checkpoint complete: wrote {d.randrange(9999)} buffers ({d.random():.1f}%); 0 WAL file(s) "
        f"added, {d.randrange(3)} removed, 1 recycled; write={d.random() * 90:.3f} s, sync={d.random():.3f} s"),
    (30, lambda d: f"LOG:  connection received: host=10.0.{d.randrange(256)}.7 port={d.randrange(30000, 60000)}"),
    (30, lambda d: f"LOG:  connection authorized: user={d.choice(USERS)} database=shop application={d.choice(HOSTS)}"),
    (30, lambda d: f"LOG:  duration: {d.random() * 900:.3f} ms  statement: SELECT a FROM t WHERE id={d.randrange(9)}"),
    (1, lambda d: f'ERROR:  duplicate key value violates unique constraint "orders_{d.choice(["pkey", "user_key"])}"\n'
        f"\tDETAIL:  Key (id)=({d.randrange(9999)}) already exists."),
    (3, lambda d: f'LOG:  automatic vacuum of table "shop.public.{d.choice(PLACES)}": index scans: {d.randrange(3)}'),
]  # fmt: skip


def postgres(dice: Dice, index: int) -> Made:
    """PostgreSQL with the prefix of its image; an error has a second, indented line."""
    clock, milliseconds = _clock(index)
    kind = dice.choices(range(len(_POSTGRES)), [often for often, _ in _POSTGRES])[0]
    prefix = f"2026-11-22 {clock}.{milliseconds} UTC [{dice.randrange(30, 9000)}] "
    return f"postgres {kind}", prefix + _POSTGRES[kind][1](dice)


def java(dice: Dice, index: int) -> Made:
    """Logback; every hundredth item is an exception with its frames and its cause, 34 lines."""
    clock, milliseconds = _clock(index)
    head = f"2026-11-22 {clock}.{milliseconds} [http-nio-8080-exec-{dice.randrange(20)}]"
    if dice.random() < 0.01:
        frames = [f"\tat org.example.shop.Layer{depth}.call(Layer{depth}.java:{40 + depth})" for depth in range(25)]
        cause = f"Caused by: java.net.ConnectException: Connection refused: {dice.choice(HOSTS)}/10.0.0.5:5432"
        first = f"{head} ERROR o.e.shop.OrderService - order {dice.randrange(9999)} failed"
        thrown = "java.lang.IllegalStateException: no stock"
        return "java 0", "\n".join([first, thrown, *frames, cause, *frames[:5], "\t... 31 more"])
    kind = dice.choices([1, 2, 3], [5, 3, 2])[0]
    text = {
        1: f"INFO  o.e.shop.OrderService - order {_uuid(dice)} placed by {dice.choice(USERS)}",
        2: f"DEBUG o.e.shop.Stock - reserved {dice.randrange(9)} of item {dice.randrange(9999)}",
        3: f"INFO  o.e.shop.Metrics - heap {dice.randrange(900)} MB of 1024 MB, {dice.randrange(200)} threads",
    }[kind]
    return f"java {kind}", f"{head} {text}"


KINDS = {"access": access, "app": app, "json": json_app, "postgres": postgres, "java": java}


def made(name: str, items: int, seed: int = 1) -> Iterator[Made]:
    """So many items of one kind of log, or of `mixed`: all of them, interleaved."""
    dice = Dice(seed)
    makers = list(KINDS.values())
    for index in range(items):
        maker = makers[dice.randrange(len(makers))] if name == "mixed" else KINDS[name]
        yield maker(dice, index)
