"""Names that announce a secret: POSTGRES_PASSWORD, clientSecret, X-Api-Key; and those that only speak of one."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from dm_tools.text.late import late


class Kind(Enum):
    """What a name announces, and so what is masked behind it."""

    PASSWORD = "password"  # any value, also several words
    SECRET = "secret"  # any value, unless it reads like a word of a sentence
    TOKEN = "token"  # the same, but a number may be a count
    PIN = "pin"  # a short number that is a secret, or what looks random
    WEAK = "weak"  # only a value that looks random: a session, a salt, a signature


_WORDS = late(r"[A-Z]++(?![a-z])|[A-Z](?=[a-z])[a-z]++|[A-Z]+?(?=[A-Z][a-z])|[a-z]++|\d++")
_PASSWORDS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "requirepass",
    "masterauth",
    "pwd",
    "pswd",
    "psk",
    "kennwort",
)
_BARE_PASSWORDS = {"pass", "passwords", "pw", "rootpw", "bindpw", "userpw", "adminpw", "dbpw"}
_NO_PASS = {"bypass", "compass", "trespass", "surpass", "overpass", "underpass", "pypass", "multipass", "onepass"}
_SECRETS = {"secret", "secrets", "credential", "credentials", "creds", "cred"}
_PHRASES = (
    "mnemonic",
    "recoveryphrase",
    "seedphrase",
    "securityanswer",
    "unsealkey",
    "communitystring",
    "snmpcommunity",
    "authstring",
)
_PINS = {"pin", "otp", "totp"}
_CODE_OWNERS = {
    "verification",
    "2fa",
    "fa",
    "auth",
    "access",
    "otp",
    "mfa",
    "confirmation",
    "security",
    "backup",
    "recovery",
    "login",
    "pin",
    "time",  # of "one-time code"
    "pairing",
    "enrollment",
    "activation",
    "unlock",
}
_SECRET_ENDINGS = ("secret", "apikey", "secretkey", "accesskey", "privatekey", "signingkey", "encryptionkey")
_KEY_OWNERS = {
    "access", "account", "admin", "aes", "api", "app", "auth", "cookie", "deploy", "encryption", "fernet", "hmac",
    "jwt", "license", "master", "private", "root", "secret", "service", "session", "shared", "signing", "ssh",
    "storage", "subscription", "webhook", "unseal", "recovery", "db", "bot", "pre", "preshared", "user", "client",
    "network", "wep",
}  # fmt: skip
_CIPHER_KEYS = {"decryption", "instrumentation", "validation", "wrapping"}  # of these only what looks random
_WEAK = {
    "auth", "authenticity", "cookie", "csrf", "hmac", "jsessionid", "jwt", "phpsessid", "salt", "session",
    "samlassertion", "samlresponse", "sessionid", "sid", "sig", "signature", "ticket", "xsrf",
}  # fmt: skip
# password_file, tokenUrl, secret_name: what is said of a secret is none.
_ABOUT = {
    "age", "alg", "encryption", "algorithm", "arn", "attempt", "attempts", "budget", "changed", "check", "class",
    "command", "column", "count", "created", "dir", "directory", "disabled", "enabled", "encoder", "encoding",
    "endpoint", "engine", "env", "error", "errors", "exp", "expiration", "expired", "expires", "expiry", "field",
    "file", "filename", "files", "format", "generator", "handler", "hasher", "hashers", "hint", "identity",
    "identities", "host", "id", "ids", "input", "issued", "issuer", "leeway", "len", "length", "lifetime", "limit",
    "limits", "manager", "max", "method", "min", "mode", "mount", "name", "names", "namespace", "path", "paths", "per",
    "plugin", "policy", "port", "prefix", "prompt", "provider", "rate", "ref", "refs", "refresh", "request", "required",
    "reset", "rotation", "scope", "scopes", "server", "service", "size", "source", "status", "storage", "store",
    "strength", "ttl", "timeout", "type", "types", "updated", "uri", "url", "usage", "used", "user", "username",
    "valid", "validation", "validator", "validity", "version", "window",
}  # fmt: skip
_COUNTED = {
    "audio", "bos", "cached", "completion", "context", "count", "draft", "end", "eos", "generated", "image", "input",
    "max", "min", "new", "num", "number", "output", "pad", "prompt", "reasoning", "remaining", "start", "stop",
    "syntax", "total", "unexpected", "unk", "used",
}  # fmt: skip


# The same in other languages: names that are not made of A to Z, or of several words.
FOREIGN = {
    "contraseña": Kind.PASSWORD, "contrasena": Kind.PASSWORD, "senha": Kind.PASSWORD, "passe": Kind.PASSWORD,
    "пароль": Kind.PASSWORD, "密码": Kind.PASSWORD, "密碼": Kind.PASSWORD, "口令": Kind.PASSWORD,
    "パスワード": Kind.PASSWORD,
    "비밀번호": Kind.PASSWORD, "wachtwoord": Kind.PASSWORD, "hasło": Kind.PASSWORD, "heslo": Kind.PASSWORD,
    "lösenord": Kind.PASSWORD, "şifre": Kind.PASSWORD, "parola": Kind.PASSWORD, "motdepasse": Kind.PASSWORD,
    "mot_de_passe": Kind.PASSWORD, "clave": Kind.TOKEN,
}  # fmt: skip
# Without one of these no name announces a secret: in lower case, as few and as short as can be.
NEEDLES = (
    "pass", "pwd", "pswd", "psk", "pw", "kennwort", "masterauth", "secret", "cred", "mnemonic", "phrase", "token",
    "key",
    "auth", "cookie", "csrf", "xsrf", "hmac", "jwt", "salt", "session",
    "samlassertion", "samlresponse", "sid", "sig", "ticket", "pin", "otp",
    "authenticity", "community", *(ending for ending in _SECRET_ENDINGS if "secret" not in ending),
    *(f"{owner}{between}{what}" for what, owners in (("code", _CODE_OWNERS), ("answer", {"security"}))
      for owner in owners for between in ("", "_", "-", " ", ".")),
    *(name for name in FOREIGN if "pass" not in name),
)  # fmt: skip
# Of these, those that are in the middle of many other words: they count where a word begins.
WHOLE_WORDS = frozenset({"key", "auth", "sid", "sig", "pin", "otp", "salt", "cred", "session"})


@lru_cache(4096)
def kind_of(name: str) -> Kind | None:
    """What an identifier announces: POSTGRES_PASSWORD, clientSecret, X-Api-Key, session.id; None for nothing."""
    foreign = FOREIGN.get(name.lower())
    if foreign:
        return foreign
    if ".key." in name:  # fs.azure.account.key.NAME
        return kind_of(name.partition(".key.")[0] + ".key")
    words = [word.lower() for word in _WORDS.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words:
        return None
    joined = "".join(words)
    for index, word in enumerate(words):
        # camel case that is one word: passWord, passPhrase; and PASSWORDS like dbpassword, mypasswd
        if word in _BARE_PASSWORDS or word.endswith(_PASSWORDS) or (word.endswith("pass") and word not in _NO_PASS):
            after = words[index + 1 :]
            if after and after[0] in ("word", "phrase", "code"):
                after = after[1:]
            elif word == "pass" and after:
                return None  # pass_rate, pass-through
            if "hash" in after or "hashed" in words[:index]:
                return Kind.WEAK
            return None if set(after) & _ABOUT else Kind.PASSWORD
    if words[-2:] in (["secret", "id"], ["key", "data"]):  # a UUID; what a kubeconfig holds
        return Kind.WEAK
    if set(words[-2:]) & _ABOUT and words[-1] in _ABOUT:
        return None
    if joined.endswith(_PHRASES):
        return Kind.PASSWORD
    if words[-1] == "salt" and len(words) > 1:
        return Kind.SECRET
    if words[-1] in _PINS or (words[-1] in ("code", "codes") and set(words[:-1]) & _CODE_OWNERS):
        return None if words[-2:-1] == ["time"] and "one" not in words else Kind.PIN
    if words[-1] == "community" and len(words) == 1:
        return Kind.WEAK
    if set(words) & _SECRETS or joined.endswith(_SECRET_ENDINGS):
        return Kind.SECRET
    if words[-1] in ("key", "keys") and set(words[:-1]) & _KEY_OWNERS:
        return Kind.SECRET
    if words[-1] == "key" and set(words[:-1]) & _CIPHER_KEYS:
        return Kind.WEAK
    for index, word in enumerate(words):
        if word == "token" or (word.endswith("token") and len(word) > 5):
            return None if set(words[:index]) & _COUNTED or set(words[index + 1 :]) & _ABOUT else Kind.TOKEN
    return Kind.WEAK if words[-1] in _WEAK or joined in _WEAK else None
