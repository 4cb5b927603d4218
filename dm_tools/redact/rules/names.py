"""Names that announce a secret: POSTGRES_PASSWORD, clientSecret, X-Api-Key; and those that only speak of one."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """What a name announces, and so what is masked behind it."""

    PASSWORD = "password"  # any value, also several words
    SECRET = "secret"  # any value, unless it reads like a word of a sentence
    TOKEN = "token"  # the same, but a number may be a count
    WEAK = "weak"  # only a value that looks random: a session, a salt, a signature


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
