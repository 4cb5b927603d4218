"""Secrets in addresses: of URLs, connection strings, e-mail."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import Span, is_harmless, is_placeholder, is_weak_secret, looks_random
from dm_tools.text.late import late

_USER_INFO = late(r"://([^\s:/@\"'<>]{0,200}(?:@[\w.-]{1,100})?):([^\s/?#\"'<>]{1,500})@")
_SLASHED_USER_INFO = late(
    r"://([^\s:/@\"'<>]{0,200}):(?!\d{1,5}[/?#])([^\s\"'<>]{1,200})@(?=[\w.\[-]{1,253}+(?::\d|[/?#,\s\"']|$))"
)
_USER_TOKEN = late(r"://([^\s:/@\"'<>?#]{12,300})@")
_QUERY = late(r"[?&;#]([\w.-]{1,60})=([^&\s\"'<>#;]{1,4000})")
_QUERY_SECRETS = {"sig", "signature", "x-amz-signature", "x-goog-signature", "hmac", "jwt", "ticket", "otp"}
_QUERY_RANDOM = {"key", "code", "state"}
QUERY_NEEDLES = (
    *(f"{name}=" for name in (*sorted(_QUERY_SECRETS), *sorted(_QUERY_RANDOM))),
    "token=",
    "auth=",
    "session=",
)
_WEBHOOK = late(
    r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{1,30}/"
    r"|outlook\.office\.com/webhook/|api\.telegram\.org/bot|chat\.googleapis\.com/v1/spaces/)([\w:/.@-]{8,300})"
)


def urls(text: str, lowered: str) -> Iterator[Span]:
    """://user:password@host, ://token@host, ?token=..., webhooks whose path is the secret"""
    at = text.find("://")
    keyed = False
    while at >= 0:
        keyed = keyed or text[max(0, at - 20) : at].endswith(_KEYED)
        if text.find("@", at, at + 720) < 0:
            at = text.find("://", at + 3)
            continue
        info = _USER_INFO.match(text, at) or _SLASHED_USER_INFO.match(text, at)
        if info:
            if not is_placeholder(info[2]):
                yield info.span(2)
        else:
            user = _USER_TOKEN.match(text, at)
            if user and (looks_random(user[1]) or _mixed(user[1])):
                yield user.span(1)
        at = text.find("://", at + 3)
    if not keyed:
        return
    for match in _KEY_AS_HOST.finditer(text):
        if any(map(str.isdigit, match[1])) or len(match[1]) >= 20:
            yield match.span(1)
    for match in _KEY_AS_PATH.finditer(text):
        if is_weak_secret(match[1]):
            yield match.span(1)
    for match in _WHOLE_ADDRESS.finditer(text):
        yield match.span(1)


def _mixed(user: str) -> bool:
    """Whether it is made of digits, capitals and small letters, as no person's name is."""
    return any(map(str.isdigit, user)) and any(map(str.isupper, user[1:])) and any(map(str.islower, user))


# Services that notify, as Apprise writes their addresses: what stands where a host would is a key.
_HOSTED = (
    *("prowl", "pover", "pbul", "tgram", "discord", "slack", "ntfy", "ntfys", "gotify", "gotifys", "join", "ifttt"),
    *("msteams", "pagerduty", "opsgenie", "sendgrid", "mailgun", "pushed", "spush", "simplepush", "kumulos"),
    *("clickatell", "d7sms", "nexmo", "twilio", "sns", "workflows", "signal", "signals", "line", "bark", "apprise"),
    *("apprises", "pushover", "trojan", "vless"),
)
_KEY_AS_HOST = late(rf"\b(?:{'|'.join(_HOSTED)})://(?:[^\s/@]{{0,200}}@)?([^\s/@?\"'<>]{{8,200}})")
# The same with a server of one's own before the key; and addresses that are one secret, in base64.
_PATHED = (
    *("gotify", "gotifys", "ntfy", "ntfys", "bark", "apprise", "apprises", "mattermost", "mattermosts", "rocketchat"),
    "zulip",
)
_KEY_AS_PATH = late(rf"\b(?:{'|'.join(_PATHED)})://[^\s/]{{1,200}}/([\w-]{{12,200}})")
_WHOLE_ADDRESS = late(r"\b(?:vmess|ssr)://([A-Za-z0-9+/=_-]{16,4000})")
_KEYED = (*_HOSTED, *_PATHED, "vmess", "ssr")


WEBHOOKS = ("hooks.slack.com", "api/webhooks/", "office.com/webhook", "api.telegram.org/bot", "chat.googleapis.com")
_NESTED = late(r"(?:%3F|%26|(?<![\w%.-]))([\w.-]{1,60}+)%3D((?:(?!%26|%23)[^&\s\"'<>#;]){3,2000})", re.IGNORECASE)


def nested_queries(text: str, lowered: str) -> Iterator[Span]:
    """?next=%2F%3Ftoken%3D...: a URL in a URL"""
    for match in _NESTED.finditer(text):
        kind = kind_of(match[1])
        if kind not in (None, Kind.WEAK) or match[1].lower() in _QUERY_SECRETS:
            yield match.span(2)


_SENT_BY_MAIL = late(
    r"/(?:[\w-]{0,30}[-_])?(?:reset|confirm|confirmation|verify|verification|activate|activation|invite|invitation|magic"
    r"|magic-link)(?:[-_][\w-]{1,30}+)?/([\w.=~-]{16,400})",
    re.IGNORECASE,
)
SENT_BY_MAIL = ("reset", "confirm", "verif", "activat", "invit", "magic")


def mailed(text: str, lowered: str) -> Iterator[Span]:
    """https://shop/reset/...: whoever has the address of such a page may go on"""
    for match in _SENT_BY_MAIL.finditer(text):
        if looks_random(match[1]):
            yield match.span(1)


def webhooks(text: str, lowered: str) -> Iterator[Span]:
    """The addresses of webhooks: whoever knows the path may post."""
    for match in _WEBHOOK.finditer(text):
        yield match.span(1)


def queries(text: str, lowered: str) -> Iterator[Span]:
    """?token=..., &sig=..."""
    for match in _QUERY.finditer(text):
        name, value = match[1].lower(), match[2]
        kind = kind_of(match[1])
        if (kind is None and name not in _QUERY_SECRETS | _QUERY_RANDOM) or is_harmless(text, *match.span(2)):
            continue
        strong = name in _QUERY_SECRETS or kind in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN)
        if not (kind is Kind.TOKEN and value.isdigit() and len(value) < 5) if strong else is_weak_secret(value):
            yield match.span(2)


_USER_AT_HOST = late(
    r"""(?<![\w.:@/+-])([A-Za-z_][\w.+-]{0,63}):([^\s:@/"'<>(),;=]{1,100}+)@((?!sha\d)[\w.-]{1,253}+)(:\d{2,5}\b)?(/)?"""
)
# bob:x@/shop, as Go writes a database of this machine; sip:bob:x@pbx
_WITHOUT_HOST = late(
    r"""(?<![\w.:@/+-])[A-Za-z_][\w.+-]{0,63}:([^\s:@/"'<>(),;=]{1,100}+)@/\w"""
    r"""|(?<!\w)sips?:[^\s:@/"'<>]{1,64}:([^\s@/"'<>;]{1,100}+)@"""
)
_APART = late(r"[\s\"'`(]")
_ORACLE = late(
    r"(?::thin:|(?<![\w/.:-]))[A-Za-z]\w{1,30}/([^\s/@\"']{4,100})@(?://)?[\w.-]{1,253}+:\d{2,5}[:/]\w|:thin:[^\s/@\"']{1,64}/([^\s/@\"']{1,100})@"
)


def connections(text: str, lowered: str) -> Iterator[Span]:
    """user:password@tcp(host:3306)/db and user:password@host:5432"""
    for needle in ("@tcp(", "@tcp6(", "@unix("):
        at = text.find(needle)
        while at >= 0:
            before = _APART.split(text[max(0, at - 300) : at])[-1]
            password = before.partition(":")[2]
            if password and "//" not in before and not is_placeholder(password):
                yield at - len(password), at
            at = text.find(needle, at + 1)
    for match in _USER_AT_HOST.finditer(text):
        somewhere = match[4] or match[5] or "." in match[3]
        partition = match[2].isdigit() and len(match[2]) < 4  # topic:3@broker
        if somewhere and not partition and not is_placeholder(match[2]) and match[2].lower() not in _NO_PERSON:
            yield match.span(2)
    for match in _WITHOUT_HOST.finditer(text):
        if not is_placeholder(match[1] or match[2]):
            yield match.span(match.lastindex or 0)
    for match in _ORACLE.finditer(text):
        span = match.span(match.lastindex or 1)
        if not is_placeholder(text[slice(*span)]):
            yield span


_EMAIL = late(
    r"(?<![\w.+%/:@$-])([A-Za-z0-9_][\w.+%-]{0,63})@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})(?![\w@:-]|\.\w|/)"
)
_NO_MAIL = late(
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
_MESSAGE_ID = late(r"(?:message-id[=:]\s?|\bm(?:sg)?id=)<$", re.IGNORECASE)


# Where addresses are what is spoken of: whoever reads a mail server's log looks for one. And builders' addresses.
_MAIL_LOG = late(
    r"postfix/|\b(?:dovecot|spamd|exim4?|sendmail|opensmtpd|rspamd|amavis)\b|\brelay=|\bnrcpt=|\bdsn=|\bstatus=(?:sent|bounced|deferred)\b"
    r"|\bRCPT\b|\bMAIL FROM\b|\b(?:imap|pop3|lmtp|smtpd?)(?:-login)?[(\[:]",
    re.IGNORECASE,
)
_BUILD = late(r"\(MISSING\)|\bgo=go\d|goversion|build_context|\bmaintainer\b", re.IGNORECASE)


def emails(text: str, lowered: str) -> Iterator[Span]:
    """The local part of an e-mail address: the domain stays, it is what a mail server's trouble is about."""
    found = list(_EMAIL.finditer(text))
    if not found or _MAIL_LOG.search(text) or _BUILD.search(text):
        return
    for match in found:
        domain = match[2]
        if domain.isupper() and not match[1].isupper():  # a realm of Kerberos
            continue
        if match[1].lower() in _NO_PERSON or _NO_MAIL.search(domain) or not domain.rpartition(".")[2].isalpha():
            continue
        if not _MESSAGE_ID.search(text, max(0, match.start() - 14), match.start()):
            yield match.span(1)
