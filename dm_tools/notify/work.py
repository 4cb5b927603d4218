"""What dm-notify does: events in, each on the disk; messages out, each on the disk before it is sent and after."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit

import msgspec
import orjson

from dm_tools.notify import channels, ledger, webhook, words
from dm_tools.notify.channels import NotTold
from dm_tools.notify.config import Settings, Target
from dm_tools.notify.journal import Journal
from dm_tools.notify.ledger import Entry, Message, Sending, Time
from dm_tools.pipe import clock, exits, say, stream
from dm_tools.records import ENDS, Happening, IncidentEvent, Severity, is_marker
from dm_tools.redact import Redactor, password
from dm_tools.store.incidents import Incidents
from dm_tools.text.times import parse_time

PASSES = 4  # a target, the one that takes over, and those behind it
MIN_SECRET = 8  # characters of a value that is masked wherever it stands
MIN_TOKEN = 16  # of a part of a URL


Marker = dict[str, Any]


def events(source: BinaryIO) -> Iterator[IncidentEvent | Marker]:
    """The events of a stream of JSON Lines, and the markers that end rounds. Raises exits.Stop."""
    for number, line in enumerate(stream.lines(source), 1):
        if not line:
            continue
        try:
            found = orjson.loads(line)
            yield found if is_marker(found) else msgspec.convert(found, IncidentEvent)
        except (ValueError, msgspec.ValidationError):
            raise exits.Stop(exits.BAD_INPUT, f"line {number}: no event of dm-incidents") from None


class Teller:
    """Tells targets what is due, and prints what came of it, or what would be sent."""

    def __init__(
        self, settings: Settings, proofs_dir: Path, page: Path | None, dry: bool = False, pass_on: bool = False
    ) -> None:
        self.settings, self.page, self.dry, self.pass_on = settings, page, dry, pass_on
        self.kept, self.incidents = Journal(proofs_dir), Incidents(proofs_dir)
        self.machine = socket.gethostname()
        self.writer = stream.Writer()
        self.writing = threading.Lock()
        self.came: dict[int, tuple[words.Text, str]] = {}  # what came of messages, by their id() while they are sent
        self.failure: BaseException | None = None
        self.status = exits.DONE
        self.caught = 0  # up to which number events of the disk were looked at

    def run(self, source: Iterable[IncidentEvent | Marker]) -> int:
        """Tell of all that comes, round by round. Raises files.CannotWrite, journal.Busy."""
        with self._alone():
            self._catch_up()
        for found in source:
            if self.pass_on:  # at once: a slow target holds up nobody else
                self.writer.write(stream.dumps(msgspec.to_builtins(found)), flush=True)
            if isinstance(found, IncidentEvent):
                with self._alone():
                    self._came(found)
            else:
                self.page = Path(found["html_path"]) if found.get("html_path") else self.page
                with self._alone():
                    self._catch_up()
                    self.deliver(final=False)
        with self._alone():
            self.deliver(final=True)
        return self.status

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        newest = max((each.number for each in self.incidents.events()[-1:]), default=0)
        if self.dry:
            self.kept.read()
            if not self.kept.path.exists():
                self.kept.ledger.since = newest
            yield
            return
        with self.kept.alone():
            self.kept.begin(newest)
            yield

    def _catch_up(self) -> None:
        """What others have left behind: messages that a kill cut off, and events that were lost on their way here."""
        for lost in self.kept.unfinished():
            self._add(Entry(outcome="unsure", id=lost.id, at=clock.now()))
            say.note(f"{lost.target}: killed while it was told; not told again, since it may have arrived")
        missed, oldest = [], clock.now() - ledger.KEPT_SECONDS
        since, kept = max(self.caught, self.kept.ledger.since), self.incidents.events()
        for each in itertools.takewhile(lambda event: event.number > since, reversed(kept)):
            if (parse_time(each.at) or 0.0) > oldest:
                missed.append(each)
        for each in reversed(missed):
            self._came(each)
        self.caught = kept[-1].number if kept else self.caught

    def _came(self, event: IncidentEvent) -> None:
        if not self.kept.ledger.knows(event):
            self._add(Entry(event=event, at=clock.now()))

    def _add(self, entry: Entry) -> None:
        if self.dry:
            self.kept.ledger.apply(entry)
        else:
            self.kept.add(entry)

    def deliver(self, final: bool) -> None:
        """Tell all that is due now, and what others take over."""
        for _ in range(PASSES):
            now = clock.now()
            due = ledger.due(self.kept.ledger, self.settings.config, Time(now, *clock.local(now)), final)
            if not due:
                break
            by_target = defaultdict(list)
            for message in due:
                by_target[message.target].append(message)
            threads = [threading.Thread(target=self._guarded, args=[each], daemon=True) for each in by_target.values()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for message in due:  # in their order, whoever answered first
                if (came := self.came.pop(id(message), None)) is not None:
                    self._show(message, *came)
            if self.failure is not None:
                raise self.failure
        if not self.dry:
            self.kept.tidy(clock.now())

    def _guarded(self, messages: list[Message]) -> None:
        try:
            self._tell_all(messages)
        except BaseException as failure:  # raised in the main thread
            self.failure = failure

    def _tell_all(self, messages: list[Message]) -> None:
        """Tell one target. Once it fails the rest is not tried now: a dead one must not hold up the round."""
        failed = ""
        for message in messages:
            about = {name: [each.id for each in found] for name, found in message.parts}
            with self.writing:
                number = self.kept.ledger.number + 1
                still = bool(message.still)
                self._add(Entry(sending=Sending(number, message.target, about, clock.now(), message.instead_of, still)))
            text = self._text(message)
            if not failed and not self.dry:
                failed = self.send(message.target, text, message)
            with self.writing:
                self._add(Entry(outcome="failed" if failed else "told", id=number, at=clock.now()))
                self.came[id(message)] = text, failed

    def _text(self, message: Message) -> words.Text:
        if len(message.parts) == 1:
            text = words.of_one(message.parts[0][1], self.machine, self.settings.templates, message.still)
        else:
            text = words.of_many([found for _, found in message.parts], self.machine)
        return words.Text(*(words.harmless(self._masked(each)) for each in (text.subject, text.short, text.full)))

    def _masked(self, text: str) -> str:
        return Redactor(known=known_secrets(self.settings)).redact(text)

    def send(self, name: str, text: words.Text, message: Message | None = None) -> str:
        """Tell one target; returns why it was not told, empty if it was."""
        target = self.settings.config.target[name]
        newest = [found[-1] for _, found in message.parts] if message else []
        try:
            _within(target.seconds + 5, lambda: self._by(target, text, newest))
        except NotTold as why:
            return str(why)
        return ""

    def _by(self, target: Target, text: words.Text, newest: list[IncidentEvent]) -> None:
        if target.webhook:
            masked = Redactor(known=known_secrets(self.settings))
            body: dict[str, Any] = {"v": 1, "kind": _kind(newest), "machine": self.machine}
            body |= {"subject": text.subject, "short": text.short, "text": text.full}
            body["events"] = [masked.value(msgspec.to_builtins(each)) for each in newest]
            webhook.tell(target.webhook, target.headers, orjson.dumps(body), _id(newest), target.seconds)
            return
        title, full = text.subject, {"subject": "", "short": text.short, "full": text.full}[target.length]
        page = self.page if target.page else None
        channels.tell(target.url, title if full else "", full or title, _colour(newest), page, target.seconds)

    def _show(self, message: Message, text: words.Text, failed: str) -> None:
        """One line of output for each message."""
        outcome = "would_tell" if self.dry else "failed" if failed else "told"
        line: dict[str, Any] = {"v": 1, "target": message.target, "outcome": outcome, "why": failed or None}
        line |= {"instead_of": message.instead_of or None, "subject": text.subject}
        line["events"] = [each.id for _, found in message.parts for each in found]
        if self.dry:
            line["text"] = getattr(text, self.settings.config.target[message.target].length)
        self.writer.write(stream.dumps(line), flush=True)
        if failed:
            self.status = exits.ERRORS
            say.note(f"{message.target}: not told: {failed}")

    def test(self) -> int:
        """Send a test message to every target; returns the exit status."""
        for name in self.settings.config.target:
            why = self.send(name, words.of_test(self.machine, name))
            outcome = {"v": 1, "target": name, "outcome": "failed" if why else "told", "why": why or None}
            self.writer.write(stream.dumps(outcome), flush=True)
            if why:
                self.status = exits.ERRORS
                say.note(f"{name}: not told: {why}")
        return self.status


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do it, and wait no longer than so long: a server that says a byte now and then holds nobody up."""
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise NotTold(f"no answer within {seconds:g} s")
    if failures:
        raise failures[0]


def known_secrets(settings: Settings) -> list[str]:
    """What must appear in no message: variables, passwords, and the long parts of URLs that may be tokens."""
    found = {each for each in settings.secret if len(each) >= MIN_SECRET}
    for target in settings.config.target.values():
        url = target.url or target.webhook
        found.add(password(url))
        parts = urlsplit(url)
        values = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.username or ""]
        found |= {each for each in values if len(each) >= MIN_TOKEN}
        found |= {each for each in re.split(r"[/?&=@]", url.partition("://")[2]) if len(each) >= 2 * MIN_TOKEN}
    return sorted(each for each in found if len(each) >= MIN_SECRET)


def _id(newest: list[IncidentEvent]) -> str:
    """What is the same if the same is sent once more; ids come from outside, so not every one can stand in a header."""
    if len(newest) == 1 and re.fullmatch(r"[\w.-]{1,100}", newest[0].id, re.ASCII):
        return newest[0].id
    return hashlib.blake2b("\0".join(each.id for each in newest).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _kind(newest: list[IncidentEvent]) -> str:
    return "test" if not newest else "incident" if len(newest) == 1 else "digest"


def _colour(newest: list[IncidentEvent]) -> str:
    """What channels show as an icon or a colour."""
    if not newest:
        return "info"
    if all(each.kind in ENDS for each in newest):
        return "success"
    if any(each.severity == Severity.CRITICAL or each.kind == Happening.HEALING_FAILED for each in newest):
        return "failure"
    return "warning" if any(each.severity == Severity.WARNING for each in newest) else "info"
