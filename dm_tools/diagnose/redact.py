"""Take secrets out of text at the moment it is collected: what is not in a record cannot leak from it.

A secret is replaced by `<secret>`; what the diagnosis needs around it (host, port, user, path) stays.
"""

from __future__ import annotations

import re

MASK = "<secret>"

_SECRET_NAME = r"(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|pwd|credential)s?"

_RULES = [
    # PEM blocks
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
    ),
    # scheme://user:password@host, also with an empty user
    (
        re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{0,100}):[^\s/\"']{1,200}@", re.IGNORECASE),
        rf"\1:{MASK}@",
    ),
    # Authorization headers, cookies
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\b((?:set-)?cookie\s*[:=]\s*)[^\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    # JSON web tokens
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), MASK),
    # keys that say what they are: AWS, GitHub, Slack, OpenAI-like
    (
        re.compile(
            r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{16,})"
        ),
        MASK,
    ),
    # A value that is code (SECRET_KEY = os.environ["SECRET_KEY"]) is no secret but often the cause.
    # password=..., "api_key": "...", MYSQL_ROOT_PASSWORD='...', --requirepass ...
    (
        re.compile(
            rf"""((?:{_SECRET_NAME}[\w-]{{0,40}})["']?\s{{0,3}}[:=]\s{{0,3}})"""
            r"""(?!os\.(?:environ|getenv)|process\.env|System\.getenv|ENV\[|None\b|null\b|\*+(?:\s|$))"""
            r"""("[^"\r\n]{1,500}"|'[^'\r\n]{1,500}'|[^\s,;&"'<>()\[\]{}]{1,500})""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(--?(?:requirepass|password|pass|token|secret)[= ])\S+", re.IGNORECASE), rf"\1{MASK}"),
]


# The password of a URL as a variable, ://user:${NAME}@: a record may carry it, since it is no secret.
PASSWORD_VARIABLE = re.compile(r"(?<=:)\$\{([A-Za-z_][A-Za-z0-9_]*)\}(?=@)")
NO_PASSWORDS = "a password in a URL: write ${NAME} in its place, dm-probe fills it in from the environment"


def password(url: str) -> str:
    """The password in a URL, whatever it is made of; empty if there is none."""
    address = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    user_info, at, _ = address.rpartition("@")
    return user_info.partition(":")[2] if at else ""


def has_secret(url: str) -> bool:
    """Whether a URL carries a password in clear."""
    found = password(url)
    return bool(found) and PASSWORD_VARIABLE.sub("", f":{found}@") != ":@"


def url(text: str) -> str:
    """A URL without its password; a variable in its place stays."""
    return text.replace(f":{password(text)}@", f":{MASK}@", 1) if has_secret(text) else text


def redact(text: str) -> str:
    """The text without its secrets. Takes time linear in its length for any input."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
