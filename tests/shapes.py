"""The corpus of secrets in tests/data/secrets/: announced ones, known ones in every form, and texts that hold none."""

from __future__ import annotations

import base64
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from dm_tools import redact
from dm_tools.collect.environment import secrets
from tests.conftest import ROOT

FOLDER = ROOT / "tests/data/secrets"
FOLDERS = (FOLDER, FOLDER / "fresh")
PIECE = 6  # so many characters of a secret that stand together are a leak


@dataclass(frozen=True)
class Announced:
    """A text and the secrets that it announces."""

    kind: str
    text: str
    secrets: tuple[str, ...]
    rest: str  # the text without them

    def leaked(self, redacted: str) -> list[str]:
        """The secrets of which a piece came out."""
        return [secret for secret in self.secrets if comes_out(secret, redacted, self.rest)]


@dataclass(frozen=True)
class Known:
    """A container of which something is known, and a text in which its secret comes again, in some form."""

    name: str
    container: dict[str, Any]
    text: str
    form: str

    def leaked(self) -> bool:
        """Whether a piece of the secret came out, in the form that it had in the text."""
        redactor = redact.Redactor(known=secrets(self.container))
        return comes_out(self.form, redactor.redact(self.text), "")


def comes_out(secret: str, redacted: str, rest: str, least: int = PIECE) -> bool:
    """Whether a piece of a secret stands in a redacted text, that does not stand in the rest of what it was made of."""
    redacted = re.sub(r"<secret(?::\d+)?>", "<>", redacted)
    size = min(len(secret), max(least, len(secret) // 3))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    return any(piece in redacted and piece not in rest for piece in pieces if piece.strip())


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def announced(path: Path = FOLDER / "announced.toml") -> list[Announced]:
    """The announced secrets of a file."""
    found = []
    for kind, texts in _toml(path).items():
        for marked in texts:
            whole = marked.replace("¦", "")
            found.append(
                Announced(
                    kind,
                    whole.replace("«", "").replace("»", ""),
                    tuple(re.findall("«(.*?)»", whole, re.DOTALL)),
                    re.sub("«.*?»", "\0", whole, flags=re.DOTALL),
                )
            )
    return found


def plain(path: Path = FOLDER / "plain.toml") -> list[str]:
    """Texts that hold no secret."""
    return [text for texts in _toml(path).values() for text in texts]


def known(path: Path = FOLDER / "known.toml") -> Iterator[Known]:
    """Each secret of a file in each text of it."""
    given = _toml(path)
    for each in given.get("secrets", []):
        yield from _texts(given, each["name"], each.get("says", each["value"]), [f"{each['name']}={each['value']}"], [])
    for each in given.get("urls", []):
        yield from _texts(given, each["name"], each["secret"], [f"{each['name']}={each['value']}"], [])
    for each in given.get("arguments", []):
        yield from _texts(given, " ".join(each["argv"]), each["secret"], [], each["argv"])


def _texts(given: dict[str, Any], name: str, secret: str, environment: list[str], argv: list[str]) -> Iterator[Known]:
    container = {"Config": {"Env": ["PATH=/bin", *environment], "Labels": {}}, "Path": "", "Args": argv}
    for text in given["texts"]:
        form_name = re.findall(r"\{(\w+)\}", text)[0]
        form = FORMS[form_name](secret)
        if form:
            core = form[4:-4] if form_name == "wrapped" else form
            yield Known(f"{name}: {text}", container, re.sub(r"\{\w+\}", lambda _, form=form: form, text), core)
    if len(secret) > 9:
        for text in given.get("cut", []):
            form = secret[: max(8, len(secret) * 2 // 3)]
            yield Known(f"{name}: {text}", container, text.replace("{cut}", form), form)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "value": lambda value: value,
    "percent": lambda value: quote(value, safe=""),
    "percent_lower": lambda value: re.sub("%..", lambda each: each[0].lower(), quote(value, safe="")),
    "percent_all": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "plus": quote_plus,
    "base64": lambda value: _b64(value.encode()),
    "base64url": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "basic": lambda value: _b64(f"bob:{value}".encode()),
    "wrapped": lambda value: _b64(f"login={value};x=1".encode()) if len(value) >= 8 else "",
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "spaced": lambda value: value.encode().hex(" "),
    "json": lambda value: json.dumps(value)[1:-1],
    "json2": lambda value: json.dumps(json.dumps(value))[3:-3],
    "unicode": lambda value: "".join(f"\\u{ord(letter):04x}" for letter in value),
    "upper": str.upper,
    "lower": str.lower,
    "xml": lambda value: escape(value),
    "shell": shlex.quote,
    "repr": repr,
    "sql": lambda value: value.replace("'", "''"),
}


@dataclass(frozen=True)
class Score:
    """What of a corpus came out, and what was masked that is no secret: the texts, and how many there were."""

    announced: int
    announced_leaks: list[str]
    stream_leaks: list[str]
    known: int
    known_leaks: list[str]
    plain: int
    masked: list[str]


def score(folder: Path = FOLDER) -> Score:
    """Count a corpus: each text by itself, and the announced ones also line by line, as dm-redact --text reads."""
    texts, values, harmless = (
        announced(folder / "announced.toml"),
        list(known(folder / "known.toml")),
        plain(folder / "plain.toml"),
    )
    return Score(
        len(texts),
        [each.text for each in texts if each.leaked(redact.redact(each.text))],
        [each.text for each in texts if each.leaked(by_line(each.text))],
        len(values),
        [each.name for each in values if each.leaked()],
        len(harmless),
        [text for text in harmless if redact.redact(text) != text],
    )


def by_line(text: str) -> str:
    """A text as dm-redact --text sees it."""
    lines = redact.Lines(redact.Redactor())
    return "\n".join(map(lines.redact, text.split("\n")))
