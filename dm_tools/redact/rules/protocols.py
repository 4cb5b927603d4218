"""Secrets in the commands of protocols, and in calls and files whose form is always the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dm_tools.redact.rules.values import Span, is_harmless
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.text.late import late

_Q = r"""(?:["']([^"'\n]{1,300})["']|(\S{1,300}))"""
_START = r"""(?:^|\n|[>:<|\]][ \t]?|["'`(])"""
_MECHANISMS = r"(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|CRAM-MD5|DIGEST-MD5|NTLM|GSSAPI|SCRAM[\w-]*)"
_NEW_LINE = r"(?:\r?\n|\\{1,2}r\\{1,2}n|\\{1,2}n)"
_NAMED_USER = r"""["'][^"'\n]{1,100}["'],[ ]?"""
# What a text must hold, where the secret is (group a), and an example.
_COMMANDS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (  # Redis: AUTH [user] password, as a line of its own or as MONITOR prints it
        ("auth",),
        late(
            rf"""(?:(?i:(?<=")auth2?"|(?:^|\n)auth|(?<=")auth(?=[ ][^"\n]{{1,300}}\\r\\n))|\bAUTH2?)"""
            rf"""[ \t]+(?!{_MECHANISMS}(?![\w-]))"""
            r"""(?:(?P<user>"[^"\n]{1,100}"|[\w.@-]{1,100})[ \t]+)??(?P<a>"[^"\n]{1,300}"|[^\s"']{4,300})"""
            r"""(?=["'`)\\]|[ \t]*(?:$|\n|"?SETNAME|"?KEYS))"""
        ),
        "AUTH abc12345",
    ),
    (  # SMTP, IMAP
        ("auth",),
        late(rf"\b(?:AUTH|AUTHENTICATE)[ \t]+{_MECHANISMS}[ \t]+(?P<a>[A-Za-z0-9+/=]{{4,2000}})(?![\w.:])"),
        "AUTH PLAIN AGJvYgBodW50ZXI=",
    ),
    (
        ("334 ", "334-"),
        late(
            rf"(?<!\d)334[ -][^\n\\]{{0,400}}{_NEW_LINE}(?:[^\n]{{0,60}}?[ >:])??(?P<a>[A-Za-z0-9+/]{{4,400}}={{0,2}})"
            r"(?=[ \t\r]*(?:\\|\n|$))"
        ),
        "334 UGFzc3dvcmQ6\naHVudGVy",
    ),
    (
        ("setuser",),
        late(r"""(?i:\bsetuser\b)["']?[ \t][^\n]{0,200}?[ "'](?P<a>[>#][^\s"']{3,300})"""),
        "ACL SETUSER bob on >abc12345",
    ),
    (("on >",), late(r"""\bon[ \t]+(?P<a>>[^\s"']{3,300})"""), "user bob on >abc12345"),
    (
        ('"config"',),
        late(r"""(?i:"config"[ \t]"set"[ \t]"(?:requirepass|masterauth)"[ \t])"(?P<a>[^"\n]{1,300})\""""),
        '"CONFIG" "SET" "requirepass" "abc12345"',
    ),
    (  # IMAP
        ("login ",),
        late(
            r"""(?:(?:\b[A-Za-z]{1,6}\d{1,8}|[*.+])[ \t](?i:LOGIN)|\b\d{1,8}[ \t](?:LOGIN|"""
            r"""login(?=[^\n]{1,200}\{\d)))[ \t]+(?:"[^"\n]{1,200}"|[^\s"{]{0,199}[^\s"{:])[ \t]+"""
            r"""(?P<a>"[^"\n]{1,300}"|\{\d{1,4}\+?\}(?:\r?\n)?[^\s]{1,300}|[^\s"]{3,300})(?=\s|$)"""
        ),
        "a1 LOGIN bob abc12345",
    ),
    (  # POP3, FTP, IRC
        ("pass ",),
        late(
            r"""(?:(?:^|\n|[>:<|;,/\]})-]) ?|[ \t"'])PASS[ \t]+:?(?:oauth:)?(?P<a>[^\s"':|]{3,300})"""
            r"""(?=["']?[ \t]*(?:$|\n|[/|;)]|\\r))"""
        ),
        "PASS abc12345",
    ),
    (
        ("identify ",),
        late(r"""\bIDENTIFY[ \t]+(?:[^\s:]{1,60}[ \t]+)?(?P<a>[^\s:"']{4,300})(?=[ \t]*(?:$|\n|["']))"""),
        "IDENTIFY abc12345",
    ),
    (
        ("oper ",),
        late(r"""(?:^|\n|[>:<|\]][ \t]?)OPER[ \t]+\S{1,60}[ \t]+:?(?P<a>\S{3,300})(?=[ \t]*(?:$|\n))"""),
        "OPER bob abc12345",
    ),
    (
        ("community",),
        late(
            r"""\b(?:community|rocommunity6?|rwcommunity6?)(?:[ \t]string)?[ \t]+["']?"""
            r"""(?P<a>[A-Za-z0-9_@!$%-]{0,60}\d[A-Za-z0-9_@!$%-]{0,60})(?![\w.])"""
        ),
        "snmp-server community abc12345",
    ),
    (("server community ",), late(r"\bsnmp-server community (?P<a>\S{3,64})"), "snmp-server community blue RO"),
    (  # routers: keys between two of them
        ("isakmp key ", "shared-key ", "server key "),
        late(
            r"\b(?:isakmp key (?:[06] )?(?P<a>\S{3,200}) (?:address|hostname)\b"
            r"|pre-shared-key (?:(?:address|hostname) \S{1,100} )?(?:key )?(?:[06] )?"
            r"(?P<b>(?!key\b|address\b)\S{4,200})(?=\s*$|\s*\n)"
            r"|(?:radius|tacacs)-server key (?:[067] )?(?P<c>\S{3,200}))"
        ),
        "crypto isakmp key abc12345 address 10.0.0.1",
    ),
    (("join #",), late(r"\bJOIN #\S{1,60} (?P<a>[^\s,:#]{4,100})(?=[\s\"']|$)"), "JOIN #ops abc12345"),
    (  # JSON Web Keys: what of one is not public
        ('"kty"', '\\"kty'),
        late(r"""(?<=["'])(?:k|d|p|q|dp|dq|qi)\\{0,7}["']\s?:\s?\\{0,7}["'](?P<a>[A-Za-z0-9_-]{16,2000})"""),
        '{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMko"}',
    ),
    (
        (
            "login attempt",
            "log in with ",
            "login with ",
            "logged in with ",
            "log in as ",
            "login as ",
            "signed in with ",
        ),
        late(
            r"""(?i:(?:log(?:ged)? ?in|sign(?:ed)? in) (?:with|as)|login attempt:?) \[?b?["']?[\w.@-]{1,60}["']?"""
            r"""(?: / |/|:)b?["']?"""
            r"""(?P<a>(?=[^\s"',;:/]{0,60}\d)[^\s"',;:/]{6,200})(?=["'\s,;.\]]|$)"""
        ),
        "login with admin/abc12345",
    ),
    (
        ("sec-websocket-protocol",),
        late(
            r"""(?i:sec-websocket-protocol)["']?[ \t]?[:=][ \t]?["']?"""
            r"""(?:bearer|token|access_token|base64url\.bearer\.[\w.]+)[ \t]?,[ \t]?(?P<a>[^\s,"']{6,4000})"""
        ),
        "Sec-WebSocket-Protocol: bearer, abc12345",
    ),
    (
        ("new value: ",),
        late(r"\bNew value: (?P<a>\S{6,200})"),
        "New value: abc12345",
    ),  # of elasticsearch-reset-password
    (("stats auth ",), late(r"\bstats auth [^\s:]{1,60}:(?P<a>\S{3,200})"), "stats auth bob:abc12345"),  # HAProxy's
    (  # Redis, as the protocol writes it
        ("auth\\r\\n", "auth\r\n"),
        late(
            rf"(?i:AUTH){_NEW_LINE}\$\d{{1,4}}{_NEW_LINE}(?:[^\\\r\n]{{1,100}}{_NEW_LINE}\$\d{{1,4}}{_NEW_LINE})?"
            r"(?P<a>[^\\\r\n]{1,300})"
        ),
        r"$4\r\nAUTH\r\n$8\r\nabc12345\r\n",
    ),
    (
        ("apop ",),
        late(r"\bAPOP[ \t]+\S{1,100}[ \t]+(?P<a>[0-9a-f]{32})\b"),
        "APOP bob 0123456789abcdef0123456789abcdef",
    ),
    (  # a file of keys, as SSLKEYLOGFILE names it
        ("client_random ", "_secret ", "_secret_0 "),
        late(r"\b(?:CLIENT_RANDOM|[A-Z_]{6,40}_SECRET(?:_\d)?)[ \t]+[0-9a-f]{64}[ \t]+(?P<a>[0-9a-f]{32,200})"),
        "CLIENT_RANDOM " + "0a" * 32 + " " + "0b" * 48,
    ),
    (  # routers: 0 is in clear, the others are weak
        tuple(f"{name} {number} " for name in ("password", "secret", "key") for number in (0, 5, 7, 8, 9)),
        late(r"\b(?:password|secret|key)[ \t][05789][ \t]+(?P<a>(?=\S{0,300}\d)[^\s\"',;:]{6,300})(?=\s|$)"),
        "username bob password 0 abc12345",
    ),
    (  # JAAS
        ("loginmodule",),
        late(r"""\buser_[\w-]{1,60}=\\?["'](?P<a>[^"'\\\n]{1,300})"""),
        'PlainLoginModule required user_bob="abc12345";',
    ),
    (
        ("command: /",),
        late(r"command: /(?:login|l|register|reg)[ ]+(?P<a>\S{4,100})"),
        "issued server command: /login abc12",
    ),
    (
        ("at+cwjap",),
        late(r"""AT\+CWJAP\w{0,4}=\\?"[^"\n]{1,64}",\\?"(?P<a>[^"\\\n]{4,100})"""),
        'AT+CWJAP="Home","abc12345"',
    ),
    (  # Postfix's sasl_passwd
        ("]:25 ", "]:465 ", "]:587 "),
        late(r"\]:(?:25|465|587)[ \t]+[^\s:]{1,100}:(?P<a>\S{4,200})"),
        "[smtp.example.org]:587 bob:abc12345",
    ),
    (  # Oracle's SQL*Plus
        ("connect ", "conn "),
        late(r"""\b(?i:conn(?:ect)?)[ \t]+[A-Za-z][\w.$#]{1,30}/(?P<a>[^\s@/"']{2,100})@\w"""),
        "CONNECT scott/abc12345@orcl",
    ),
    (
        ("is your ",),
        late(r"\b(?P<a>\d{4,8}) is your [^\n]{0,40}(?i:code|passcode|pin)\b"),
        "G-123456 is your verification code",
    ),
    (
        ("basic_auth ", "authenticate_with "),
        late(rf"""\b(?:basic_auth|authenticate_with) {_NAMED_USER}(?P<a>["'][^"'\n]{{1,300}}["'])"""),
        "basic_auth 'bob', 'abc12345'",
    ),
    (  # what a shell gives to a command that asks
        ("<<<",),
        late(
            r"""(?i:token|secret|passwd|password|login|luks\w{0,10}|stdin|unlock)\b[^\n<]{0,80}<<<[ \t]*["']?"""
            r"""(?P<a>[^\s"'$]{4,300})"""
        ),
        "gh auth login --with-token <<< abc12345",
    ),
    (("wifi:",), late(r"\bWIFI:[^\n]{0,200}?\bP:(?P<a>[^;\n]{4,100});"), "WIFI:S:Home;T:WPA;P:abc12345;;"),
    (("clear-text=",), late(r"""\bclear-text=\\?["'](?P<a>[^"'\\\n]{1,300})"""), 'clear-text="abc12345"'),
    (  # TURN, and others that write the user's name and password as one
        ("user=",),
        late(
            r"\buser=[\w.-]{1,64}:(?P<a>(?=[^\s:/]{0,100}\d)(?=[^\s:/]{0,100}[A-Za-z])[^\s:/\"',;&]{8,200})(?=[\s\"',;&]|$)"
        ),
        "user=bob:abc12345",
    ),
    (  # .pgpass
        (":5432:", ":3306:", ":*:"),
        late(r"(?m:^)[\w.*-]{1,100}:(?:\d{2,5}|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:(?P<a>[^\s:]\S{2,200})(?m:$)"),
        "db:5432:shop:bob:abc12345",
    ),
    (  # calls: the address, the user, the password
        ("__construct(", "connect(", "sequelize(", "pdo(", "connection(", "mysqli("),
        late(
            r"""(?i:(?:__construct|pdo|mysqli|connect|connection|sequelize)\()"""
            r"""(?:[^()'"\n]{1,80}|["'][^"'\n]{0,200}["']),[ ]?"""
            rf"""{_NAMED_USER}(?P<a>["'][^"'\n]{{1,200}}["'])"""
        ),
        "PDO->__construct('mysql:host=db', 'bob', 'abc12345')",
    ),
    (  # the user, the password
        ("bind(", "bind_s(", "login(", "auth(", "sign_in(", "authenticate(", "changeuserpassword(", "credentials("),
        late(
            r"""(?i:(?:bind|bind_s|login|auth|sign_in|authenticate|changeuserpassword|credentials)\()(?:\$\w+,[ ]?)?"""
            rf"""{_NAMED_USER}(?P<a>["'][^"'\n]{{1,300}}["'])"""
        ),
        'HTTPBasicAuth("bob", "abc12345")',
    ),
)
NO_COMMAND = SENTENCE | {
    "command", "commands", "plugin", "mechanism", "mechanisms", "method", "methods", "service", "clause", "ok", "tests",
    "test", "fail", "passed", "successful", "successfully", "succeeded", "module", "server", "request", "requests",
    "endpoint", "flow", "state", "phase", "middleware", "level", "rule", "optional", "requested", "accepted", "aborted",
    "completed", "complete", "done", "disabled", "enabled",
}  # fmt: skip


_SOURCE = late(r"/[^/]{0,100}\.\w{1,5}$")  # PASS src/app.test.js


def _command(command: re.Pattern[str]) -> Callable[[str, str], Iterator[Span]]:
    def find(text: str, lowered: str) -> Iterator[Span]:
        for match in command.finditer(text):
            begin, end = match.span(match.lastgroup or "a")
            if text[begin] in "\"'>":
                begin += 1
            if text[begin] == "{" and (literal := late(r"\{\d{1,4}\+?\}\s*").match(text, begin)):
                begin = literal.end()
            if text[end - 1] in "\"'" and end - 1 > begin:
                end -= 1
            value = text[begin:end]
            if (
                value.lower().rstrip(".,:;!") in NO_COMMAND
                or is_harmless(text, begin, end)
                or value.startswith(("<", "[", "("))
                or _SOURCE.search(value)
            ):
                continue
            yield begin, end

    return find


# Each command's rule: the function, what a text must hold, an example.
COMMANDS = [(_command(expression), needles, example) for needles, expression, example in _COMMANDS]
