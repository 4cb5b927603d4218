"""configs/notify.toml: targets, rules, templates. Read strictly: what is not understood is wrong usage, not ignored.

What is secret stands in it as `${NAME}`, a variable of the environment or of our settings file, or in a file of its
own.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from string import Template
from typing import Literal
from urllib.parse import quote

import msgspec

from dm_tools.pipe import configs, exits, say, settings
from dm_tools.records import Happening, Severity
from dm_tools.text import toml

WORDS = (  # what a template may say
    *("subject", "kind", "severity", "service", "project", "host", "machine", "what", "cause", "reason", "symptoms"),
    *("evidence", "done", "todo", "look", "opened", "since", "duration", "incident"),
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,200})\}", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_MAX_SECRET = 16 * 1024  # bytes of a file that holds a URL


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """A place to tell: a URL of apprise, or a webhook of ours.

    `length`: which of the three texts; `instead`: the target that takes over; `page`: the HTML page is attached where
    the channel can.
    """

    url: str = ""
    url_file: str = ""
    webhook: str = ""
    webhook_file: str = ""
    headers: dict[str, str] = {}
    length: Literal["subject", "short", "full"] = "full"
    instead: str = ""
    page: bool = False
    timeout: str = "10s"

    @property
    def seconds(self) -> float:
        """How long telling it may take."""
        return settings.seconds(self.timeout) or 10.0


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """Who is told of what. Empty selectors match all. `after`: only of what is still open then; `repeat`: again."""

    tell: list[str]
    severity: Severity = Severity.INFO
    kinds: list[Happening] = []
    service: list[str] = []
    project: list[str] = []
    host: list[str] = []
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    hours: str = ""
    after: str = ""
    repeat: str = ""

    @property
    def after_seconds(self) -> float:
        """How long an incident must be open."""
        return settings.seconds(self.after) or 0.0

    @property
    def repeat_seconds(self) -> float:
        """After how long it is told again; 0: never."""
        return settings.seconds(self.repeat) or 0.0

    @property
    def minutes(self) -> tuple[int, int] | None:
        """Begin and end of the hours, in minutes of the day."""
        found = _HOURS.fullmatch(self.hours)
        return (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else None


class Templates(msgspec.Struct, forbid_unknown_fields=True):
    """Files with texts of one's own, beside the configuration."""

    subject: str = ""
    short: str = ""
    full: str = ""


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file. More than `digest_above` messages to one target within `digest_window` become one."""

    target: dict[str, Target] = {}
    rule: list[Rule] = []
    templates: Templates = msgspec.field(default_factory=Templates)
    digest_above: int = 5
    digest_window: str = "5m"

    @property
    def window_seconds(self) -> float:
        """Within how many seconds messages are counted."""
        return settings.seconds(self.digest_window) or 300.0


class Settings(msgspec.Struct):
    """A configuration with its variables and files read. `secret`: what must appear nowhere."""

    config: Config
    templates: dict[str, Template]
    secret: list[str]


def path(named: Path | None) -> Path:
    """Where the configuration is: the file that was named, one's own, or the shipped one (which names no target)."""
    if named is not None:
        return named
    return own() if own().exists() else shipped()


def own() -> Path:
    """Where one's own configuration belongs."""
    return configs.own() / "notify.toml"


def shipped() -> Path:
    """The configuration that comes along, which names no target."""
    return configs.folder("") / "notify.toml"


def read(file: Path) -> Settings:
    """The settings of a file. Raises exits.Stop: says what is wrong and where, and no secret."""
    try:
        config = msgspec.convert(toml.parsed(file.read_text("utf-8")), Config)
    except OSError as failure:
        raise exits.Stop(exits.USAGE, f"cannot read {str(file)!r}: {(failure.strerror or '').lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as wrong:
        raise exits.Stop(exits.USAGE, f"{str(file)!r}: {wrong}") from None
    try:
        secret = [text for name, target in config.target.items() for text in _filled(name, target, file.parent)]
        _check(config)
        templates = {
            name: _template(file.parent, getattr(config.templates, name)) for name in ("subject", "short", "full")
        }
    except ValueError as wrong:
        raise exits.Stop(exits.USAGE, f"{str(file)!r}: {wrong}") from None
    return Settings(config, {name: each for name, each in templates.items() if each}, secret)


def main() -> None:
    """End with 0 if targets are named, with 1 if there are none, with 2 if it is wrong: how scripts ask."""
    try:
        settings.load()
        sys.exit(0 if read(path(Path(named) if (named := os.environ.get("DM_NOTIFY")) else None)).config.target else 1)
    except exits.Stop as stop:
        say.note(stop.message)
        sys.exit(stop.status)


def _filled(name: str, target: Target, folder: Path) -> list[str]:
    """Put variables and files into a target; returns what is secret of it."""
    given = [key for key in ("url", "url_file", "webhook", "webhook_file") if getattr(target, key)]
    if len(given) != 1:
        raise ValueError(f"target {name!r} needs one of url, url_file, webhook, webhook_file")
    secret = []
    for key in ("url", "webhook"):
        if file := getattr(target, f"{key}_file"):
            setattr(target, key, _kept(name, folder / file))
        text, values = _with_variables(f"target {name!r}: {key}", getattr(target, key), in_url=True)
        setattr(target, key, text)
        secret += [text, *values] if text else []
    for header, value in target.headers.items():
        target.headers[header], values = _with_variables(f"target {name!r}: header {header!r}", value)
        secret += values
    if target.webhook and not target.webhook.startswith(("http://", "https://")):
        raise ValueError(f"target {name!r}: webhook is no http:// or https:// URL")
    if not target.webhook and "://" not in target.url:
        raise ValueError(f"target {name!r}: url is no URL")
    return secret


def _kept(name: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_SECRET).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        why = getattr(failure, "strerror", None) or "it is no text"
        raise ValueError(f"target {name!r}: cannot read {str(file)!r}: {str(why).lower()}") from None


def _with_variables(where: str, text: str, in_url: bool = False) -> tuple[str, list[str]]:
    """The text with its variables filled in, and their values as they are and as they stand in it."""
    values = []
    for name in _VARIABLE.findall(text):
        if not os.environ.get(name):
            raise ValueError(f"{where}: the variable {name} is not set")
        values.append(os.environ[name])

    def value(found: re.Match[str]) -> str:
        if not in_url:
            return os.environ[found[1]]
        values.append(encoded := _in_url(text, found))
        return encoded

    return _VARIABLE.sub(value, text), values


_USERINFO = re.compile(r"[/?#@\s]|%(?![0-9a-fA-F]{2})|[^\x21-\x7e]")  # what a user or password never holds, encoded
_QUERY = re.compile(r"[&#+\s]|%(?![0-9a-fA-F]{2})|[^\x21-\x7e]")  # nor a value of a query


def _in_url(url: str, variable: re.Match[str]) -> str:
    """What a variable of a URL stands for: percent-encoded where it is a user, a password or a value of the query, and
    holds a character that nothing there has that is encoded already. Anywhere else as it is: it may be half of the URL.
    """
    value, before, after = os.environ[variable[1]], url[: variable.start()], url[variable.end() :]
    rest = before.partition("://")[2]
    is_user = "://" in before and not re.search(r"[/?#@]", rest) and re.match(r"[^/?#]*@", after)
    is_query = "?" in rest and "#" not in rest and before.endswith("=") and after[:1] in ("", "&", "#")
    raw = _USERINFO if is_user else _QUERY if is_query else None
    return quote(value, safe="") if raw and raw.search(value) else value


def _check(config: Config) -> None:
    for name, target in config.target.items():
        if target.instead and target.instead not in config.target:
            raise ValueError(f"target {name!r}: instead names no target: {target.instead!r}")
        _duration(f"target {name!r}: timeout", target.timeout, 1.0, 300.0)
    for number, rule in enumerate(config.rule, 1):
        if unknown := [each for each in rule.tell if each not in config.target]:
            raise ValueError(f"rule {number} tells a target that is not there: {unknown[0]!r}")
        if rule.hours and rule.minutes is None:
            raise ValueError(f"rule {number}: hours {rule.hours!r} are none (as '08:00-20:00')")
        for key in ("after", "repeat"):
            if text := getattr(rule, key):
                _duration(f"rule {number}: {key}", text, 60.0, 30 * 86400.0)
    _duration("digest_window", config.digest_window, 1.0, 86400.0)
    if config.digest_above < 1:
        raise ValueError("digest_above must be 1 or more")


def _duration(where: str, text: str, least: float, most: float) -> None:
    value = settings.seconds(text)
    if value is None or not least <= value <= most:
        raise ValueError(f"{where}: {settings.no_duration(text, least, most)}")


def _template(folder: Path, name: str) -> Template | None:
    if not name:
        return None
    try:
        found = Template((folder / name).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as failure:
        why = getattr(failure, "strerror", None) or "it is no text"
        raise ValueError(f"templates: cannot read {name!r}: {str(why).lower()}") from None
    if not found.is_valid() or (unknown := sorted(set(found.get_identifiers()) - set(WORDS))):
        what = f"${unknown[0]}" if found.is_valid() else "a $ that names nothing"
        raise ValueError(f"template {name!r}: {what}; there are {', '.join(WORDS)}")
    return found


if __name__ == "__main__":
    main()
