"""Secrets that say by themselves what they are: keys of vendors, JSON Web Tokens, hashes of passwords, private keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.values import Span

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+){0,4}")
_HASH = re.compile(
    r"\$(?:2[abxy]?\$\d\d\$[./A-Za-z0-9]{20,60}|argon2(?:id|i|d)\$[^\s\"'`<>]{16,400}"
    r"|(?:1|5|6|7|y|gy|apr1|sha1|md5)\$[^\s:\"'`<>]{12,300}|scram-sha-(?:1|256|512)\$[^\s\"'`<>]{16,300})",
    re.IGNORECASE,
)
_OTHER_HASH = re.compile(
    r"(?:pbkdf2[_:](?:sha\d{1,3}|sha\d{1,3}:\d+)\$|SCRAM-SHA-\d{1,3}\$|\{S?SHA(?:256|512)?\}|scrypt:\d+:\d+:\d+\$)[^\s\"'`<>]{16,300}"
)
_UNDERSCORED = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[oprsu]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}|[rs]k_(?:live|test|prod)_\w{10,255}"
    r"|whsec_[A-Za-z0-9+/=]{16,128}|hf_[A-Za-z0-9]{20,64}|npm_[A-Za-z0-9]{30,64}|do[opr]_v1_[a-f0-9]{40,64}"
    r"|dckr_(?:pat|oat)_[\w-]{20,64}|gsk_[A-Za-z0-9]{20,128}|gl(?:sa|c)_[\w+/=]{20,255}|r8_[A-Za-z0-9]{20,64}"
    r"|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}|lin_api_[A-Za-z0-9]{20,64}|ntn_[A-Za-z0-9]{20,64}|sntry[su]_[\w+/=-]{20,500}"
    r"|secret_[A-Za-z0-9]{32,64}|figd_[\w-]{20,64}|nfp_[A-Za-z0-9]{20,64}|ATATT3[\w=-]{20,300}|phc_\w{20,64})"
)
_VENDOR = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])|AIza[\w-]{30,64}|ya29\.[\w-]{20,2000}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[\w-]{20,255}|gl(?:pat|ptt|dt|rt|ft|soat|cbt|agent|imt|oas)-[\w-]{16,255}"
    r"|GOCSPX-[\w-]{20,64}|pypi-Ag[\w-]{16,1000}|SG\.[\w-]{16,64}\.[\w-]{16,64}|hvs\.[\w-]{20,255}|dapi[0-9a-f]{32}"
    r"|tskey-[\w-]{10,128}|xai-[A-Za-z0-9]{20,128}|pplx-[A-Za-z0-9]{20,128}|(?:bot)?\d{8,12}:AA[\w-]{30,64}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,64}|key-[0-9a-f]{32}|dp\.pt\.[A-Za-z0-9]{20,64})"
)
_SK = re.compile(r"(?<![A-Za-z0-9_-])sk-[\w-]{16,255}")
_DISCORD = re.compile(r"(?<![\w.-])[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w-])")
_DISCORD_END = re.compile(r"\.[\w-]{6}\.[\w-]{27}")
_AFTER_UNDERSCORE = re.compile(r"_[A-Za-z0-9+/=]{10}")


def vendor(text: str, lowered: str) -> Iterator[Span]:
    """Keys with the beginning that their maker gives them: AKIA..., xoxb-..., sk-..."""
    for match in _VENDOR.finditer(text):
        yield match.span()
    if "sk-" in text:
        for match in _SK.finditer(text):
            if any(map(str.isdigit, match[0])) or not match[0].islower():
                yield match.span()


def discord(text: str, lowered: str) -> Iterator[Span]:
    """The token of a Discord bot."""
    if _DISCORD_END.search(text):
        for match in _DISCORD.finditer(text):
            yield match.span()


def underscored(text: str, lowered: str) -> Iterator[Span]:
    """Keys with a beginning and an underscore: ghp_..., sk_live_..."""
    if _AFTER_UNDERSCORE.search(text):
        for match in _UNDERSCORED.finditer(text):
            yield match.span()


def web_tokens(text: str, lowered: str) -> Iterator[Span]:
    """JSON Web Tokens, whole or in part."""
    for match in _JWT.finditer(text):
        yield match.span()


def hashes(text: str, lowered: str) -> Iterator[Span]:
    """Hashes of passwords in crypt's form: $2b$..., $argon2id$..."""
    for match in _HASH.finditer(text):
        yield match.span()


def other_hashes(text: str, lowered: str) -> Iterator[Span]:
    """Hashes of passwords in other forms: {SSHA}..., SCRAM-SHA-256$..."""
    if "{s" in lowered or "$" in lowered:
        for match in _OTHER_HASH.finditer(text):
            yield match.span()


_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{16}|Proc-Type:|Version:|Comment:")


def pem(text: str, lowered: str) -> Iterator[Span]:
    """A private key with its armour, whatever separates its lines (JSON writes \\n); a cut one to the text's end."""
    if "private key" not in lowered:
        return
    at = 0
    last = text.rfind("-----END ")
    while begin := _PEM.search(text, at):
        end = _PEM_END.search(text, begin.end()) if begin.end() <= last else None
        at = begin.end()
        if end:
            yield begin.start(), end.end()
            at = end.end()
        elif _KEY_BODY.search(text, begin.end(), begin.end() + 200):
            yield begin.start(), len(text)
            return


_KEY_LINE = re.compile(r"(?:^|[\s|:>\"'])([A-Za-z0-9+/]{4,100}={0,2})[\s\"',\\]*$")
_KEY_HEADER = re.compile(r"(?:^|\s)(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): ?[^\n]{0,200}$|^\s*$")


def opens_key(line: str) -> bool:
    """Whether a private key begins in this line and does not end in it."""
    begins = [match.end() for match in _PEM.finditer(line)]
    return bool(begins) and not _PEM_END.search(line, begins[-1])


def key_line(line: str) -> tuple[list[Span], bool]:
    """In a line within a private key: the span of what is the key's, and whether the key goes on after it."""
    end = _PEM_END.search(line)
    if end:
        return [(0, end.start())] if line[: end.start()].strip() else [], False
    body = _KEY_LINE.search(line)
    if body:
        return [body.span(1)], True
    return [], bool(_KEY_HEADER.search(line))
