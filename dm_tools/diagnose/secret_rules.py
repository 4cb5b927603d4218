"""Where the secrets in a text are: names that announce one, keys that say what they are, URLs, headers, hashes.

A rule yields spans (begin, end) of the text and runs only where a cheap test says that it might find something: most
log lines cost a few substring searches. What a rule leaves alone is as much a part of it as what it takes: a host,
a user, a path, `password authentication failed for user "shop"`, `KeyError: 'SECRET_KEY'` are the diagnosis.

Every pattern takes time linear in the text: repetitions are possessive or bounded, and begin where a word begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache

Span = tuple[int, int]
STAND_IN = "\ue000"  # in place of each character of what is masked already; no rule takes it for a secret's


class Kind(Enum):
    """What a name announces, and so what is masked behind it."""

    PASSWORD = "password"  # any value, also several words
    SECRET = "secret"  # any value, unless it reads like a word of a sentence
    TOKEN = "token"  # the same, but a number may be a count
    WEAK = "weak"  # only a value that looks random: a session, a salt, a signature


# Names

_WORDS = re.compile(r"[A-Z]++(?![a-z])|[A-Z](?=[a-z])[a-z]++|[A-Z]+?(?=[A-Z][a-z])|[a-z]++|\d++")
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "passwort", "requirepass", "masterauth", "dbpass", "pwd")
_BARE_PASSWORDS = {"pass", "passwords", "userpass", "sshpass", "rootpass", "smtppass"}
_SECRETS = {"secret", "secrets", "credential", "credentials", "creds", "cred", "mnemonic"}
_SECRET_ENDINGS = ("secret", "apikey", "secretkey", "accesskey", "privatekey", "signingkey", "encryptionkey")
_KEY_OWNERS = {
    "access", "account", "admin", "aes", "api", "app", "auth", "cookie", "deploy", "encryption", "fernet", "hmac",
    "jwt", "license", "master", "private", "root", "secret", "service", "session", "shared", "signing", "ssh",
    "storage", "subscription", "webhook",
}  # fmt: skip
_WEAK = {
    "auth", "cookie", "csrf", "hmac", "jsessionid", "jwt", "phpsessid", "salt", "session", "sessionid", "sid", "sig",
    "signature",
}  # fmt: skip
# password_file, tokenUrl, secret_name: what is said of a secret is none.
_ABOUT = {
    "age", "alg", "algorithm", "arn", "attempt", "attempts", "budget", "changed", "check", "class", "column", "count",
    "created", "dir", "directory", "disabled", "enabled", "encoder", "encoding", "endpoint", "engine", "env", "error",
    "errors", "exp", "expiration", "expired", "expires", "expiry", "field", "file", "filename", "files", "format",
    "handler", "hint", "host", "id", "ids", "input", "issued", "issuer", "leeway", "len", "length", "lifetime",
    "limit", "limits", "manager", "max", "method", "min", "mode", "mount", "name", "names", "namespace", "path",
    "paths", "per", "plugin", "policy", "port", "prefix", "prompt", "provider", "rate", "ref", "refs", "refresh",
    "request", "required", "reset", "rotation", "scope", "scopes", "server", "service", "size", "source", "status",
    "storage", "store", "strength", "ttl", "timeout", "type", "types", "updated", "uri", "url", "usage", "used",
    "user", "username", "valid", "validation", "validator", "validity", "version", "window",
}  # fmt: skip
_COUNTED = {
    "audio", "bos", "cached", "completion", "context", "count", "draft", "end", "eos", "generated", "image", "input",
    "max", "min", "new", "num", "number", "output", "pad", "prompt", "reasoning", "remaining", "start", "stop",
    "syntax", "total", "unexpected", "unk", "used",
}  # fmt: skip


@lru_cache(4096)
def kind_of(name: str) -> Kind | None:
    """What an identifier announces: POSTGRES_PASSWORD, clientSecret, X-Api-Key, session.id; None for nothing."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words:
        return None
    joined = "".join(words)
    for index, word in enumerate(words):
        # camel case that is one word: passWord, passPhrase; and PASSWORDS like dbpassword, mypasswd
        if word in _BARE_PASSWORDS or word.endswith(_PASSWORDS):
            after = words[index + 1 :]
            if after and after[0] in ("word", "phrase", "code"):
                after = after[1:]
            elif word == "pass" and after:
                return None  # pass_rate, pass-through
            if "hash" in after or "hashed" in words[:index]:
                return Kind.WEAK
            return None if set(after) & _ABOUT else Kind.PASSWORD
    if set(words[-2:]) & _ABOUT and words[-1] in _ABOUT:
        return None
    if set(words) & _SECRETS or joined.endswith(_SECRET_ENDINGS):
        return Kind.SECRET
    if words[-1] in ("key", "keys") and set(words[:-1]) & _KEY_OWNERS:
        return Kind.SECRET
    for index, word in enumerate(words):
        if word == "token" or (word.endswith("token") and len(word) > 5):
            return None if set(words[:index]) & _COUNTED or set(words[index + 1 :]) & _ABOUT else Kind.TOKEN
    return Kind.WEAK if words[-1] in _WEAK or joined in _WEAK else None


# Values

_NOTHING = {
    "", "null", "none", "nil", "undefined", "unset", "empty", "true", "false", "yes", "no", "redacted", "hidden",
    "masked", "filtered", "removed", "omitted", "str", "string", "bytes", "text", "varchar", "secretstr", "optional",
    "any", "object", "nan", "n/a", "missing", "invalid", "expired", "required", "incorrect", "unknown", "wrong",
    "revoked", "denied", "mismatch", "failed", "ok",
}  # fmt: skip
# Words with which a sentence goes on behind "password:" or "token": it tells of the secret and does not hold it.
_SENTENCE = _NOTHING | {
    "a", "access", "after", "all", "already", "also", "always", "an", "and", "are", "as", "at", "audience",
    "authentication", "authorization", "auth", "bad", "be", "because", "been", "before", "being", "blank", "but", "by",
    "can", "can't", "cannot", "changed", "check", "claims", "config", "configuration", "connect", "connection",
    "contains", "corrupt", "could", "couldn't", "credentials", "decode", "decoded", "decoding", "decryption", "did",
    "does", "doesn't", "don't", "each", "either", "ensure", "enter", "error", "exceeded", "expected", "failure",
    "field", "file", "for", "forbidden", "format", "found", "from", "generated", "get", "given", "got", "has", "have",
    "header", "http", "if", "in", "input", "insufficient", "is", "isn't", "issuer", "it", "its", "key", "length",
    "loaded", "loading", "login", "long", "lookup", "malformed", "may", "must", "name", "needs", "never", "new", "not",
    "nothing", "now", "of", "off", "on", "only", "open", "option", "or", "padding", "parameter", "password",
    "permission", "please", "provided", "read", "reading", "rejected", "requires", "reset", "resolved", "same", "see",
    "set", "setting", "shall", "short", "should", "signature", "since", "so", "something", "still", "stored", "success",
    "supplied", "than", "that", "the", "their", "there", "this", "timeout", "to", "token", "too", "type", "unable",
    "unauthorized", "under", "unexpected", "unrecognized", "unsupported", "until", "updated", "use", "used", "user",
    "username", "using", "valid", "validated", "validation", "value", "variable", "verification", "verify", "via",
    "was", "wasn't", "weak", "were", "when", "which", "will", "with", "without", "you", "your",
}  # fmt: skip
_PREPOSITIONS = {
    "after", "and", "as", "at", "because", "but", "by", "connecting", "failed", "for", "from", "host", "in", "into",
    "is", "of", "on", "or", "port", "rejected", "to", "user", "using", "via", "was", "when", "while", "with",
}  # fmt: skip

_PLACEHOLDER = re.compile(
    r"<(?:secret(?::\d{1,9})?|[A-Za-z][A-Za-z _-]{0,30})>|\$\{[A-Za-z_]\w{0,60}\}"
    r"|\$[A-Z_][A-Z0-9_]{0,60}(?![A-Za-z0-9])"
    r"|\$\(|\{\{|\{[A-Za-z_.]{0,40}\}|%[sdrv]\b|%\([a-z_]{1,40}\)s|[*•]{3,}|[xX]{3,}(?!\w)|\.{3}"
    r"|\[(?:redacted|filtered|hidden|masked|removed|omitted|secret)[^\]\n]{0,20}\]|\((?:redacted|hidden|masked|none)\)",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:os|process|system|env|self|this|cls|config|conf|cfg|settings|request|req|args|opts|options|ctx|context|kwargs"
    r"|params|data|deno|import|secrets|vault|props|state|app|module|boto3)[.\[(?]"
    r"|(?:await|new|async|lambda)\s|ENV\[|getenv\(|[A-Za-z_][A-Za-z_.]{2,60}\(",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"(?:~?/(?:run|var|etc|home|root|app|opt|usr|tmp|srv|mnt|data|secrets?|dev|proc|certs?|keys?|config)\b|\.{1,2}/|[A-Z]:\\)",
    re.IGNORECASE,
)
_URL_VALUE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}:(?://|\\/\\/)")
_QUOTE = re.compile(r"[bru]?(\\{0,7}[\"'`])")
_BARE = re.compile(
    r"""(?:[^\s"'`,;&|<>()\[\]{}\\]"""
    r"""|[,;&|](?![\s"'`]|$|[\w.-]{1,40}+[=:])"""
    r"""|[()\[\]{}<>](?![\s,;:.)\]}>"'`]|$)"""
    r"""|\\(?![nrt"'\\]))++"""
)
_RANDOM = re.compile(r"[\w.+/=%~:|-]{1,500}+")
_ALONE = re.compile(r"[ \t.!]*(?:$|[\r\n])")
_FAILURE = re.compile(r"(?:error|exception|failure|invalid|expired)\w{0,20}$", re.IGNORECASE)
_NEXT_WORD = re.compile(r"[ \t]([^\s\"'`=:,;()\[\]{}<>|]{1,64})(?![^\s,;.!)\]}])")
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


def _tokenish(value: str) -> bool:
    """Whether it is no word of a sentence: a digit, a symbol or a capital inside it, or very long."""
    core = value.rstrip(".,:;!?")
    if len(core) >= 24:
        return True
    return (
        len(core) >= 5 and not core.isalpha() and (any(map(str.isdigit, core)) or not core.replace("-", "").isalpha())
    )


def _harmless(text: str, begin: int, end: int) -> bool:
    """Whether nothing, a placeholder, a path or a URL stands there (a URL's own password is another rule's)."""
    if _elsewhere(text, begin):
        return True
    if end - begin > 100:
        return False
    value = text[begin:end]
    if value.strip(".,:;!?" + STAND_IN) == "":
        return True
    if value.strip(".,:;!?").lower() in _NOTHING:
        return True
    placeholder = _PLACEHOLDER.match(text, begin)
    return placeholder is not None and (
        placeholder.end() >= begin + len(value.rstrip(".,;:!?)]}")) or placeholder[0] in ("{{", "$(")
    )


def _elsewhere(text: str, begin: int) -> bool:
    """Whether a path or a URL begins here."""
    return bool(_PATH.match(text, begin) or _URL_VALUE.match(text, begin))


def _value(text: str, begin: int, kind: Kind, name: str, direct: bool) -> Span | None:
    """The span of the secret that begins here behind a name of this kind; None if there is none.

    `direct`: the value follows the separator at once (NAME=value), so it cannot be a sentence's next word.
    """
    while text.startswith(("[", "("), begin):  # ["a reason"] as validators write it
        begin += 1
    quote = _QUOTE.match(text, begin)
    if quote:
        return _quoted(text, quote.end(), quote[1], kind)
    # What is left alone is recognised by its beginning, so that a long text is not read again behind every name.
    if _CODE.match(text, begin) or _elsewhere(text, begin):
        return None
    if kind is Kind.WEAK:
        random = _RANDOM.match(text, begin)
        return random.span() if random and looks_random(random[0]) else None
    bare = _BARE.match(text, begin)
    if not bare:
        return None
    end = bare.end()
    word = bare[0].rstrip(".,:!?")
    if bare[0] == name or _harmless(text, begin, end):  # password=password in a trace's source line
        return None
    if kind is Kind.TOKEN and direct and word.isdigit() and len(word) < 5:
        return None
    if not direct:
        if word.lower() in _SENTENCE:
            return None
        if kind is Kind.TOKEN and not _tokenish(word):
            return None
        if kind is Kind.SECRET and not _tokenish(word) and (_FAILURE.search(word) or not _ALONE.match(text, end)):
            return None
        if kind is Kind.PASSWORD:
            end = _phrase(text, end)
    elif kind is Kind.TOKEN and not any(map(str.isalnum, word)):
        return None
    return begin, end


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
    if not value or _harmless(text, begin, end) or (" " in value and first in _SENTENCE):
        return False
    if kind is Kind.WEAK:
        return looks_random(value)
    if kind is Kind.TOKEN:
        return " " not in value and any(map(str.isalnum, value)) and not (value.isdigit() and len(value) < 5)
    return True


def announced(name: str, value: str) -> bool:
    """Whether a value that stands behind a name (in a JSON object, in an environment) is a secret."""
    kind = kind_of(name)
    return kind is not None and _quoted_secret(value, 0, len(value), kind)


def values(text: str) -> set[str]:
    """The secrets that a text holds, without e-mail addresses."""
    lowered = text.lower()
    rules = dict.fromkeys(rule for _, rules in _RULES for rule in rules if rule is not _emails)
    return {text[begin:end] for rule in rules for begin, end in rule(text, lowered)}


def query_secret(url: str) -> bool:
    """Whether a URL carries a secret in its query or path: ?token=..., a webhook's address."""
    return any(True for rule in (_queries, _webhooks) for _ in rule(url, url))


def _escaped(text: str, at: int, begin: int) -> bool:
    """Whether a quote is one of the value's own: an odd number of backslashes before it."""
    count = 0
    while at - count - 1 >= begin and text[at - count - 1] == "\\" and count < 64:
        count += 1
    return count % 2 == 1


def _phrase(text: str, end: int) -> int:
    """The end of a password of several words: up to a preposition, a NAME=, punctuation or the line's end."""
    for _ in range(12):
        word = _NEXT_WORD.match(text, end)
        if not word or word[1].lower() in _PREPOSITIONS or not any(map(str.isalnum, word[1])):
            break
        end = word.end()
    return end


# Rules: (text, its lower case) -> spans

_ASSIGNMENT = re.compile(
    r"""(?<![\w.-])([\w.-]++)(?:\\{0,7}["'`])?[\])]?[ \t]{0,8}"""
    r"""(:=|=>|={1,3}|:(?!:)|>(?=[^<>\s][^<\n]{0,500}</))([ \t]*+)"""
)
_NAMED = re.compile(
    r"""\bname(\\{0,7}["'])?[ \t]?[:=][ \t]?\1?([\w.-]{1,80})\1?[ \t]?(?:,|\n)\s{0,20}\1?value\1?[ \t]?[:=][ \t]?"""
)
_OWNER = re.compile(r"([A-Za-z]{2,16})[ _-]$")


def _assignments(text: str, lowered: str) -> Iterator[Span]:
    """NAME=value, "name": "value", Name: several words, <name>value</name>, ;Name=a value;"""
    done = 0
    for match in _ASSIGNMENT.finditer(text):
        if match.start() < done:
            continue
        name = match[1][-100:].strip("-.")
        kind = kind_of(name)
        if kind in (None, Kind.WEAK):
            owner = _OWNER.search(text, max(0, match.start() - 18), match.start())
            if owner and (kind is None or kind is Kind.WEAK):  # "api key: x", "secret access key = x"
                kind = kind_of(f"{owner[1]}_{name}") if name.lower() in ("key", "token", "phrase", "code") else kind
        if kind is None:
            continue
        begin, separator = match.end(), match[2]
        if separator == ">":
            end = text.find("</", begin)
            if not _harmless(text, begin, end):
                yield begin, end
                done = end
            continue
        direct = separator in ("=", ":=", "=>", "==") and not match[3]
        if name.lower() == "pass" and not direct and not _QUOTE.match(text, begin):
            continue  # "pass: 5 fail: 0"
        if name == "pass" and text[begin : begin + 5].rstrip(" ,;").isdigit():
            continue
        if kind is Kind.PASSWORD and direct and match.start() and text[match.start() - 1] == ";":
            end = text.find(";", begin)  # Server=db;User Id=app;Password=with a space;
            quote = _QUOTE.match(text, begin)
            if end > begin and not quote and "\n" not in text[begin:end] and not _harmless(text, begin, end):
                yield begin, end
                continue
        span = _value(text, begin, kind, match[1], direct)
        if span is not None:
            yield span
            done = span[1]
    for match in _NAMED.finditer(text):  # {"name": "DB_PASSWORD", "value": "x"}
        kind = kind_of(match[2])
        span = _value(text, match.end(), kind, "", direct=True) if kind else None
        if span is not None:
            yield span


_FLAG = re.compile(r"""(?<![\w.-])--?([A-Za-z][\w-]*+)(?:["'],?)?[ \t]+["']?(?![-=])""")
_LOGIN = re.compile(
    r"\b(?:mysql\w*|mariadb[\w-]*|sshpass|docker login|podman login|redis-cli|valkey-cli|mongo\w*|curl|wget|ldap\w+)\b"
)
# What these programs take as a password; mysql's -p has it attached.
_LOGIN_OPTION = re.compile(
    r"""(?<=[ \t"'])(?:-p(?:=|["'],?[ \t]*["']|[ \t])?["']?|-a["']?,?[ \t]+["']?|-w["']?,?[ \t]+["']?"""
    r"""|(?:-u|--user)["']?,?[ \t]+["']?[^\s:"']{1,64}:)([^\s"',;]{3,200})"""
)


def _flags(text: str, lowered: str) -> Iterator[Span]:
    """The value behind an option: --password foo, and in a list of arguments."""
    for match in _FLAG.finditer(text):
        kind = kind_of(match[1])
        bare = _BARE.match(text, match.end()) if kind not in (None, Kind.WEAK) else None
        if bare and bare[0].rstrip(".,:").lower() not in _SENTENCE and not _harmless(text, *bare.span()):
            yield bare.span()


def _logins(text: str, lowered: str) -> Iterator[Span]:
    """mysql -pfoo, redis-cli -a foo, curl -u user:foo"""
    for login in _LOGIN.finditer(text):
        line = text.find("\n", login.end(), login.end() + 400)
        until = min(login.end() + 400, line if line >= 0 else len(text))
        for option in _LOGIN_OPTION.finditer(text, login.end(), until):
            if not option[1].isdigit() and not _harmless(text, *option.span(1)):  # redis-cli -p 6379
                yield option.span(1)


# Searched for in the lower case of a text: faster than a search that ignores case.
_PROSE = re.compile(
    r"\bpass(?:word|phrase|wd|code)[ \t]+(?:(?:is|was)(?:[ \t]+(?:set|changed|reset|now))?(?:[ \t]+to)?|"
    r"(?:set|changed|reset)[ \t]+to|"
    r"(?:has been|is|was)[ \t]+(?:generated|created|set)[ \t]+for[ \t]+\S{1,80}:)[ \t]*:?[ \t]+"
)
_PASSWORD_THEN = re.compile(
    r"\b(?i:pass(?:word|phrase|wd|code))[ \t]+(?!(?i:sha|scram|md5|bcrypt|argon|pbkdf|scrypt|v\d))"
    r"(?=[A-Za-z_-]{0,60}\d)(?=[\d_-]{0,60}[A-Za-z])([\w!#$%&*+@^~-]{8,200}+)(?![\w(.:/=])"
)
_PASSWORD_QUOTED = re.compile(r"\bpass(?:word|phrase|wd|code)[ \t]+(?=[\"'`]\S)")
_NEW_PASSWORD = re.compile(
    r"\b(?:(?:generated|temporary|initial|default|following|new)\b[\w \t]{0,30}pass(?:word|phrase)\b[^:\n]{0,80}"
    r"|pass(?:word|phrase|code) for\b[^:\n]{0,80}):[ \t]+"
)
_SPACED = re.compile(
    r"""(?:\b(?:requirepass|masterauth|(?<!revision )identified by(?: password)?)|"auth"|^auth)[ \t]+"""
)
_DEFAULT = re.compile(r"""(?:environ\.get|getenv)\(\s?["'](\w{1,80})["']\s?,\s?(?=["'])""")


def _prose(text: str, lowered: str) -> Iterator[Span]:
    """password is X, password "X", temporary password for root: X, requirepass X, IDENTIFIED BY 'X'"""
    if "env" in lowered:
        for match in _DEFAULT.finditer(text):
            kind = kind_of(match[1])
            span = _value(text, match.end(), kind, "", direct=True) if kind else None
            if span is not None:
                yield span
    if "pass" not in lowered:
        return
    for match in _PROSE.finditer(lowered):
        bare = _BARE.match(text, match.end())
        word = bare[0].rstrip(".,:!?") if bare else ""
        if not bare:
            span = _value(text, match.end(), Kind.PASSWORD, "", direct=False)
            if span is not None:
                yield span
        elif (
            word.lower() not in _SENTENCE
            and not _harmless(text, *bare.span())
            and (_tokenish(word) or _ALONE.match(text, bare.end()))
        ):
            yield bare.start(), bare.start() + len(word)
    for match in _PASSWORD_THEN.finditer(text):
        yield match.span(1)
    for match in _NEW_PASSWORD.finditer(lowered):
        span = _value(text, match.end(), Kind.PASSWORD, "", direct=False)
        if span is not None and _tokenish(text[slice(*span)]):
            yield span
    for match in _PASSWORD_QUOTED.finditer(lowered):
        span = _value(text, match.end(), Kind.PASSWORD, "", direct=False)
        if span is not None:
            yield span


def _spaced(text: str, lowered: str) -> Iterator[Span]:
    if not any(word in lowered for word in ("requirepass", "masterauth", "identified by", "auth ", 'auth"')):
        return
    for match in _SPACED.finditer(lowered):
        span = _value(text, match.end(), Kind.PASSWORD, "", direct=True)
        if span is not None and text[span[0] : span[1]].lower() not in _SENTENCE:
            yield span


# Headers

_HEADER = re.compile(
    r"""\b((?:proxy-|x-amzn-)?authorization|(?:set-)?cookie2?|x-(?:api-key|auth-token|access-token|csrf-token)|apikey)"""
    r"""(?:\\{0,7}["'])?[ \t]{0,4}(?:[:=]|,(?=[ \t]?b?["']))[ \t]{0,8}b?(\\{0,7}["'])?\[?"""
)
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|bot|key)[ \t]+", re.IGNORECASE)
_CREDENTIAL = re.compile(r"[^\s\"'`,;\\]{1,4000}")
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,30}[ \t]+(?=[\w.-]{1,40}=|\S{8})")
_AUTH_TOKEN = re.compile(
    r"\b(bearer|basic)(?:[ \t]+|%20)([A-Za-z0-9._~+/=-]{6,4000})(?![A-Za-z0-9._~+/-])", re.IGNORECASE
)


def _headers(text: str, lowered: str) -> Iterator[Span]:
    """Authorization and Proxy-Authorization of any scheme, Cookie, Set-Cookie, X-Api-Key; Bearer and Basic anywhere."""
    if "bearer" in lowered or "basic" in lowered:
        for match in _AUTH_TOKEN.finditer(text):
            if _credential(match[1].lower(), match[2]):
                yield match.span(2)
    if not any(word in lowered for word in ("authorization", "cookie", "apikey", "x-a", "x-csrf")):
        return
    done = 0
    for match in _HEADER.finditer(lowered):
        if match.start() < done:
            continue
        begin, quote, name = match.end(), match[2], match[1].lower()
        line = text.find("\n", begin, begin + MAX_VALUE)
        end = line if line >= 0 else min(len(text), begin + MAX_VALUE)
        if quote and (closing := text.find(quote, begin, end)) >= 0:
            end = closing
        escaped = text.find("\\r\\n", begin, end)
        end = escaped if escaped >= 0 else end
        value = text[begin:end].rstrip(" \t\r")
        end = begin + len(value)
        first = value.partition(" ")[0].rstrip(".,:;!?").lower()
        if not value or first in _SENTENCE or _harmless(text, begin, end):
            continue
        if "cookie" in name:
            if "=" in value:
                yield begin, end
                done = end
            continue
        scheme = _SCHEME.match(value)
        credential = _CREDENTIAL.match(value, scheme.end() if scheme else 0)
        other = None if scheme else _OTHER_SCHEME.match(value)
        if other and not quote and "=" not in value and not name.endswith("authorization"):
            other = None
        if other:
            yield begin + other.end(), end
            done = end
        elif credential and credential[0].lower() not in _SENTENCE and not _harmless(value, *credential.span()):
            yield begin + credential.start(), begin + credential.end()


def _credential(scheme: str, value: str) -> bool:
    """Whether what follows the word is a token, and not "authentication" or `realm="..."`."""
    if re.match(r"(?:realm|error|charset)=", value, re.IGNORECASE):
        return False
    if value.isalpha():
        return len(value) >= 20 or (scheme == "basic" and not value.islower() and not value.istitle())
    return _tokenish(value)


# URLs and connection strings

_USER_INFO = re.compile(r"://([^\s:/@\"'<>]{0,200}):([^\s/?#\"'<>]{1,500})@")
_SLASHED_USER_INFO = re.compile(
    r"://([^\s:/@\"'<>]{0,200}):(?!\d{1,5}[/?#])([^\s\"'<>]{1,200})@(?=[\w.\[-]{1,253}+(?::\d|[/?#,\s\"']|$))"
)
_USER_TOKEN = re.compile(r"://([^\s:/@\"'<>?#]{16,300})@")
_QUERY = re.compile(r"[?&;]([\w.-]{1,60})=([^&\s\"'<>#;]{1,4000})")
_QUERY_SECRETS = {"sig", "signature", "x-amz-signature", "x-goog-signature", "hmac", "jwt", "ticket", "otp"}
_QUERY_RANDOM = {"key", "code"}
_WEBHOOK = re.compile(
    r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{1,30}/"
    r"|outlook\.office\.com/webhook/|api\.telegram\.org/bot|chat\.googleapis\.com/v1/spaces/)([\w:/.@-]{8,300})"
)


def _urls(text: str, lowered: str) -> Iterator[Span]:
    """://user:password@host, ://token@host, ?token=..., webhooks whose path is the secret"""
    at = text.find("://")
    while at >= 0:
        if text.find("@", at, at + 720) < 0:
            at = text.find("://", at + 3)
            continue
        info = _USER_INFO.match(text, at) or _SLASHED_USER_INFO.match(text, at)
        if info:
            if not _placeholder(info[2]):
                yield info.span(2)
        else:
            user = _USER_TOKEN.match(text, at)
            if user and looks_random(user[1]):
                yield user.span(1)
        at = text.find("://", at + 3)
    yield from _webhooks(text, lowered)


def _webhooks(text: str, lowered: str) -> Iterator[Span]:
    for match in _WEBHOOK.finditer(text):
        yield match.span(1)


def _placeholder(value: str) -> bool:
    match = _PLACEHOLDER.fullmatch(value)
    return match is not None


def _queries(text: str, lowered: str) -> Iterator[Span]:
    for match in _QUERY.finditer(text):
        name, value = match[1].lower(), match[2]
        kind = kind_of(match[1])
        if (kind is None and name not in _QUERY_SECRETS | _QUERY_RANDOM) or _harmless(text, *match.span(2)):
            continue
        strong = name in _QUERY_SECRETS or kind in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN)
        if not (kind is Kind.TOKEN and value.isdigit() and len(value) < 5) if strong else looks_random(value):
            yield match.span(2)


_USER_AT_HOST = re.compile(
    r"""(?<![\w.:@/+-])([A-Za-z_][\w.+-]{0,63}):([^\s:@/"'<>(),;=]{1,100}+)@((?!sha\d)[\w.-]{1,253}+)(:\d{2,5}\b)?(/)?"""
)
_APART = re.compile(r"[\s\"'`(]")
_ORACLE = re.compile(r":thin:[^\s/@\"']{1,64}/([^\s/@\"']{1,100})@")


def _connections(text: str, lowered: str) -> Iterator[Span]:
    """user:password@tcp(host:3306)/db and user:password@host:5432"""
    for needle in ("@tcp(", "@tcp6(", "@unix("):
        at = text.find(needle)
        while at >= 0:
            before = _APART.split(text[max(0, at - 300) : at])[-1]
            password = before.partition(":")[2]
            if password and "//" not in before and not _placeholder(password):
                yield at - len(password), at
            at = text.find(needle, at + 1)
    for match in _USER_AT_HOST.finditer(text):
        somewhere = match[4] or match[5] or "." in match[3]
        if somewhere and not _placeholder(match[2]) and match[2].lower() not in _NO_PERSON:
            yield match.span(2)
    for match in _ORACLE.finditer(text):
        yield match.span(1)


_EMAIL = re.compile(
    r"(?<![\w.+%/:@$-])([A-Za-z0-9_][\w.+%-]{0,63})@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})(?![\w@:-]|\.\w|/)"
)
_NO_MAIL = re.compile(
    r"\.(?:service|socket|timer|target|slice|scope|mount|path|device|swap|local|internal|lan|svc|localdomain|home|arpa"
    r"|png|jpe?g|gif|svg|webp|css|[cm]?js|json|ya?ml|toml|py|so|jar|tgz|gz|zip|map|tsx?|x|\d[\w-]*)$",
    re.IGNORECASE,
)
_NO_PERSON = {
    "git",
    "root",
    "celery",
    "rabbit",
    "ejabberd",
    "postgres",
    "mysql",
    "redis",
    "kafka",
    "nobody",
    "www-data",
}
_MESSAGE_ID = re.compile(r"message-id[=:]\s?<$", re.IGNORECASE)


def _emails(text: str, lowered: str) -> Iterator[Span]:
    """The local part of an e-mail address: the domain stays, it is what a mail server's trouble is about."""
    for match in _EMAIL.finditer(text):
        domain = match[2]
        if match[1].lower() in _NO_PERSON or _NO_MAIL.search(domain) or not domain.rpartition(".")[2].isalpha():
            continue
        if not _MESSAGE_ID.search(text, max(0, match.start() - 14), match.start()):
            yield match.span(1)


# What says by itself what it is

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


def _vendor(text: str, lowered: str) -> Iterator[Span]:
    for match in _VENDOR.finditer(text):
        yield match.span()
    if "sk-" in text:
        for match in _SK.finditer(text):
            if any(map(str.isdigit, match[0])) or not match[0].islower():
                yield match.span()


def _discord(text: str, lowered: str) -> Iterator[Span]:
    if _DISCORD_END.search(text):
        for match in _DISCORD.finditer(text):
            yield match.span()


def _underscored(text: str, lowered: str) -> Iterator[Span]:
    if _AFTER_UNDERSCORE.search(text):
        for match in _UNDERSCORED.finditer(text):
            yield match.span()


def _web_tokens(text: str, lowered: str) -> Iterator[Span]:
    for match in _JWT.finditer(text):
        yield match.span()


def _hashes(text: str, lowered: str) -> Iterator[Span]:
    for match in _HASH.finditer(text):
        yield match.span()


def _other_hashes(text: str, lowered: str) -> Iterator[Span]:
    if "{s" in lowered or "$" in lowered:
        for match in _OTHER_HASH.finditer(text):
            yield match.span()


_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{16}|Proc-Type:|Version:|Comment:")


def _pem(text: str, lowered: str) -> Iterator[Span]:
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


Rule = Callable[[str, str], Iterator[Span]]
# The rules behind what a text must hold, in lower case, for them to find anything. Short on purpose: an ordinary log
# line costs these searches and no more.
_RULES: tuple[tuple[tuple[str, ...], tuple[Rule, ...]], ...] = (
    (
        ("pass", "secret", "token", "key", "auth", "pwd", "cred", "cookie", "sess"),
        (_assignments, _flags, _headers, _prose, _spaced, _logins, _queries, _vendor, _other_hashes, _pem),
    ),
    (("identified by",), (_spaced,)),
    (("bearer", "basic"), (_headers,)),
    ((" -p", '"-p', "redis-cli", "valkey-cli", "curl "), (_logins,)),
    (("sig=", "signature=", "code="), (_queries,)),
    (("://",), (_urls,)),
    (("@",), (_connections, _emails)),
    (("eyj",), (_web_tokens,)),
    (("$",), (_hashes, _other_hashes)),
    (("_",), (_underscored,)),
    ((".",), (_discord,)),
    (
        (
            "sk-", "xox", "akia", "asia", "aiza", "glpat-", "glrt-", ":aa", "ya29.", "xapp-", "gocspx-", "pypi-ag",
            "sg.", "hvs.", "dapi", "xai-", "pplx-",
        ),
        (_vendor,),
    ),
)  # fmt: skip


def spans(text: str) -> list[Span]:
    """Where the text's secrets are, in any order; spans may overlap."""
    lowered = text.lower()
    if len(lowered) != len(text):  # one capital of Turkish becomes two characters
        lowered = text
    wanted: list[Rule] = []
    for needles, rules in _RULES:
        for needle in needles:
            if needle in lowered:
                wanted += rules
                break
    found: list[Span] = []
    for rule in dict.fromkeys(wanted):
        found += rule(text, lowered)
    return found


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
