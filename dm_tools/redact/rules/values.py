"""What stands behind such a name: a secret, or nothing, a placeholder, a path, the next word of a sentence."""

from __future__ import annotations

import re

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.words import NOTHING, PREPOSITIONS, SENTENCE
from dm_tools.text.late import late

Span = tuple[int, int]
STAND_IN = "\ue000"  # in place of each character of what is masked already; no rule takes it for a secret's

PLACEHOLDER = late(
    r"<(?:secret(?::\d{1,9})?|[A-Za-z][A-Za-z _:-]{0,30})>|\$\{[A-Za-z_][\w.-]{0,60}(?::?\?[^{}\n]{0,80}|:?-)?\}|\$\{\{"
    r"|\$[A-Z_][A-Z0-9_]{0,60}(?![A-Za-z0-9])"
    r"|\$\(|\{\{|\{[A-Za-z_.]{0,40}\}|%[sdrv]\b|%\([a-z_]{1,40}\)s|\$2[abxy]?\$\d\d\$\.{3}|[*•]{3,}|[xX]{3,}(?!\w)|(?=(?s:.){0,52}?[xX]{10})(?:\w{0,30}?\W?\w{0,3}?[xX]{10,}(?![\w.-])|\w{3,20}\.\w{3,20}\.[xX]{10,}(?!\w))|\.{3}"
    r"|\[(?:redacted|filtered|hidden|masked|removed|omitted|secret)[^\]\n]{0,20}\]|\((?:redacted|hidden|masked|none)\)",
    re.IGNORECASE,
)
_CODE = late(
    r"!(?:secret|ref|sub|env|getatt|importvalue)\b(?![ \t]*[\"'\[])"
    r"|(?:os|process|system|env|var|local|locals|values"
    r"|self|this|cls|config|conf|cfg|settings|request|req|args|opts|options|ctx|context|kwargs"
    r"|params|data|deno|import|secrets|vault|props|state|app|module|boto3)[.\[(?]"
    r"|(?:await|new|async|lambda)\s|ENV\[|getenv\(|[A-Za-z_][A-Za-z_.]{2,60}\(",
    re.IGNORECASE,
)
_PATH = late(
    r"(?:~?/(?:run|var|etc|home|root|app|opt|usr|tmp|srv|mnt|data|secrets?|dev|proc|certs?|keys?|config)\b|\.{1,2}/|[A-Z]:\\)",
    re.IGNORECASE,
)
_URL_VALUE = late(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:(?://|\\/\\/)")
QUOTE = late(r"[bruNE]?(\\{0,7}[\"'`])")
BARE = late(
    r"""(?:[^\s"'`,;&|<>()\[\]{}\\]"""
    r"""|[,;&|](?![\s"'`]|$|[\w.\[\]-]{1,40}+[=:])"""
    r"""|[()\[\]{}<>](?![\s,;:.)\]}>"'`]|$)"""
    r"""|\\(?!u0026|[nrt"'\\]))++"""
)
_FIELD = late(r"(?!(?:sha\d+|v\d|t)=)[A-Za-z][A-Za-z_-]{1,30}=[^=\s]")  # auth: method=oauth2
_RANDOM = late(r"[\w.+/=%~:|-]{1,500}+")
ALONE = late(r"[ \t.!]*(?:$|[\r\n])")
_FAILURE = late(r"(?:error|exception|failure|invalid|expired)\w{0,20}$", re.IGNORECASE)
_NEXT_WORD = late(r"[ \t]([^\s\"'`=:,;()\[\]{}<>|]{1,64})(?![^\s,;.!)\]}])")
_USER_ID = late(r"[ug]id[:=]\d{1,10}")
_PRINTABLE = late(r"[\w.+/=%~:|$;&!-]+")
MAX_VALUE = 4000  # of a quoted value without its closing quote, the line ends it, or this


def looks_random(value: str) -> bool:
    """Whether it is no word and no number of a person's making: long, digits and letters mixed."""
    if len(value) < 12 or any(character.isspace() for character in value):
        return False
    digits = sum(character.isdigit() for character in value)
    letters = sum(character.isalpha() for character in value)
    if len(value) >= 24 and len(set(value)) >= 10 and not digits:
        return any(character.isupper() for character in value[1:]) and any(character.islower() for character in value)
    return digits >= 2 and letters >= 2 and len(set(value)) >= 8


def looks_like_token(value: str) -> bool:
    """Whether it is no word of a sentence: a digit, a symbol or a capital inside it, or very long."""
    core = value.rstrip(".,:;!?")
    if len(core) >= 24:
        return True
    return (
        len(core) >= 5 and not core.isalpha() and (any(map(str.isdigit, core)) or not core.replace("-", "").isalpha())
    )


def is_placeholder(value: str) -> bool:
    """Whether it stands for a value: ${NAME}, <password>, ****."""
    return PLACEHOLDER.fullmatch(value) is not None


def is_harmless(text: str, begin: int, end: int) -> bool:
    """Whether nothing, a placeholder, a path or a URL stands there (a URL's own password is another rule's)."""
    if _elsewhere(text, begin):
        return True
    if end - begin > 100:
        return False
    value = text[begin:end]
    if value.strip(".,:;!?" + STAND_IN) == "":
        return True
    if value.strip(".,:;!?").lower() in NOTHING:
        return True
    placeholder = PLACEHOLDER.match(text, begin)
    return placeholder is not None and (
        placeholder.end() >= begin + len(value.rstrip(".,;:!?)]}")) or placeholder[0] in ("{{", "${{", "$(")
    )


def _elsewhere(text: str, begin: int) -> bool:
    """Whether a path or a URL begins here."""
    return bool(_PATH.match(text, begin) or _URL_VALUE.match(text, begin))


def secret_at(text: str, begin: int, kind: Kind, name: str, direct: bool) -> Span | None:
    """The span of the secret that begins here behind a name of this kind; None if there is none.

    `direct`: the value follows the separator at once (NAME=value), so it cannot be a sentence's next word.
    """
    opened = begin
    while text.startswith(("[", "("), begin):  # ["a reason"] as validators write it
        begin += 1
    if begin > opened and text.startswith("{", begin):  # objects, each with names of its own
        return None
    quote = QUOTE.match(text, begin)
    if quote:
        return _quoted(text, quote.end(), quote[1], kind)
    # What is left alone is recognised by its beginning, so that a long text is not read again behind every name.
    if _CODE.match(text, begin) or _elsewhere(text, begin):
        return None
    if kind is Kind.WEAK:
        random = _RANDOM.match(text, begin) if not _FIELD.match(text, begin) else None
        return random.span() if random and is_weak_secret(random[0].rstrip(".,:;")) else None
    bare = BARE.match(text, begin)
    if not bare:
        return None
    end = bare.end()
    word = bare[0].rstrip(".,:!?")
    if kind is Kind.PIN:
        return (begin, begin + len(word)) if _is_pin(word) else None
    if word.isalpha() and word == word.lower() and kind_of(word) is not None:  # key=password names a field
        return None
    if (
        not direct and "_" in word and word.isupper() and word.replace("_", "").isalpha()
    ):  # "credentials: DB_PASSWORD ..."
        return None
    if kind is Kind.TOKEN and word.replace("_", "").isalpha() and word.isupper():  # token=IDENTIFIER, as parsers say
        return None
    if word in ("0", "1") or (kind is Kind.PASSWORD and direct and len(word) == 1):
        return None
    if direct and _USER_ID.fullmatch(word):
        return None
    if bare[0] == name or is_harmless(text, begin, end):  # password=password in a trace's source line
        return None
    if kind is Kind.TOKEN and direct and word.isdigit() and len(word) < 5:
        return None
    if not direct:
        if word.lower() in SENTENCE:
            return None
        if kind is Kind.TOKEN and not looks_like_token(word):
            return None
        if kind is Kind.SECRET and not looks_like_token(word) and (_FAILURE.search(word) or not ALONE.match(text, end)):
            return None
        if kind is Kind.PASSWORD:
            end = phrase(text, end)
    elif kind is Kind.TOKEN and not any(map(str.isalnum, word)):
        return None
    return begin, end


def _is_pin(value: str) -> bool:
    """A number that is typed in once, or a short secret with digits."""
    return (value.isdigit() and 4 <= len(value) <= 10) or is_weak_secret(value) or looks_like_token(value)


def _quoted(text: str, begin: int, quote: str, kind: Kind) -> Span | None:
    """The span between quotes, which may be escaped ones; without a closing one, to the line's end."""
    end = begin
    limit = min(len(text), begin + MAX_VALUE)
    while True:
        end = text.find(quote, end, limit)
        if end < 0:
            newline = text.find("\n", begin, limit)
            end = newline if newline >= 0 else limit
            break
        if len(quote) == 1 and _escaped(text, end, begin):
            end += 1
            continue
        if quote == "'" and end > begin and text.startswith("''", end):  # SQL's way to write one
            end += 2
            continue
        break
    return (begin, end) if _quoted_secret(text, begin, end, kind) else None


def _quoted_secret(text: str, begin: int, end: int, kind: Kind) -> bool:
    """Whether a value between quotes is a secret of this kind, and not a sentence about one."""
    value = text[begin:end]
    first = value.partition(" ")[0].rstrip(".,:;!?").lower()
    if not value or is_harmless(text, begin, end) or (" " in value and first in SENTENCE):
        return False
    if kind is Kind.WEAK:
        return is_weak_secret(value)
    if kind is Kind.PIN:
        return _is_pin(value)
    if kind is Kind.TOKEN:
        return " " not in value and any(map(str.isalnum, value)) and not (value.isdigit() and len(value) < 5)
    return True


def is_name(value: str) -> bool:
    """Whether it is itself a name that announces a secret: the next column, the next option."""
    return re.fullmatch(r"--?[A-Za-z_.-]+|[A-Za-z_.-]+", value) is not None and kind_of(value) is not None


def is_secret(name: str, value: str) -> bool:
    """Whether a value that stands behind a name (in a JSON object, in an environment) is a secret."""
    kind = kind_of(name)
    return kind is not None and _quoted_secret(value, 0, len(value), kind)


def _escaped(text: str, at: int, begin: int) -> bool:
    """Whether a quote is one of the value's own: an odd number of backslashes before it."""
    count = 0
    while at - count - 1 >= begin and text[at - count - 1] == "\\" and count < 64:
        count += 1
    return count % 2 == 1


def is_weak_secret(value: str) -> bool:
    """Whether it is made at random, as far as so few characters tell: what stands behind "salt" or "session"."""
    core = value.strip("\"'<>")
    core = core.partition("=")[2] if core.lower().startswith(("sha1=", "sha256=", "sha512=", "v0=", "t=")) else core
    if looks_random(core):
        return True
    letters, digits = any(map(str.isalpha, core)), any(map(str.isdigit, core))
    plain = re.fullmatch(
        r"[A-Za-z]+[-_.:/]?\d{1,3}|[A-Z]{2,10}-\d{1,6}|v?\d[\d.:TZ+-]*|0x[0-9a-f]{1,8}|(?i:sha|md|rs|hs|es|ps)-?\d+.*|\d+(?:ms|s|m|h|d|kb|mb|gb|%)",
        core,
    )
    return len(core) >= 6 and letters and digits and not plain and _PRINTABLE.fullmatch(core) is not None


def phrase(text: str, end: int) -> int:
    """The end of a password of several words: up to a preposition, a NAME=, punctuation or the line's end."""
    for _ in range(12):
        word = _NEXT_WORD.match(text, end)
        if not word or word[1].startswith("-") or word[1].lower() in PREPOSITIONS or not any(map(str.isalnum, word[1])):
            break
        end = word.end()
    return end
