"""Secrets that a program's own language announces: command lines, commands of protocols, statements of SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dm_tools.redact.rules.late import late
from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import Span, is_harmless
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.redact.rules.wrapped import value_at

_ARG = r"""(?:\\{0,7}["']((?:(?!\\{0,7}["'])[^\n]){1,300})\\{0,7}["']|([^\s"',;|&)\]}]{2,300}))"""
_SEP = r"""["']?,?[ \t]+"""

# Programs, and the options behind which each of them takes a password. An option that ends in ~ has it attached.
_PROGRAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(?:mysql|mariadb|mycli|xtrabackup|mariabackup|percona)[\w-]*", ("-p~",)),
    (r"sshpass", ("-p~", "-p")),
    (r"(?:docker|podman|nerdctl|buildah|skopeo|helm|crane|oras|az|oc|cf|ibmcloud)(?:[ \t]+\w+)?[ \t]+login", ("-p",)),
    (r"(?:redis|valkey|keydb)-(?:cli|benchmark)", ("-a",)),
    (r"mongo(?:sh|dump|restore|export|import|stat|top|d)?", ("-p~", "-p")),
    (r"ldap\w+", ("-w",)),
    (r"openssl", ("-k", "-K")),
    (r"(?:sqlcmd|bcp|isql|osql|mosquitto_\w+|ipmitool|zip|unzip)", ("-P", "-P~")),
    (r"(?:7z|7za|7zr|rar|unrar)", ("-p~",)),
    (r"(?:useradd|usermod|cqlsh|kinit|arangosh|couchbase-cli|nats|influx|tsh|vncviewer)", ("-p",)),
    (r"snmp\w+", ("-c", "-A", "-X")),
)
_OPTIONS = [
    (
        late(rf"(?<![\w/.-])(?:[\w./-]*/)?{program}\b(?!-)"),
        late(
            r"""(?:(?<=[ \t"'])(?:"""
            + "|".join(
                (rf"{option[:2]}=?" if option.endswith("~") else option + r"""(?:["'],?)?[ \t]+["']?(?!-)""")
                for option in options
            )
            + rf"""))(?![ \t]){_ARG}"""
        ),
    )
    for program, options in _PROGRAMS
]
_USERS = late(
    r"""(?<=[ \t"'])(?:-u|-U|--user|--proxy-user)(?:["']?,?[ \t=]+)?["']?(?:[^\s:"'%]{0,64}|\{[^\s"']{1,64}\})"""
    r"""["']?[:%]"""
    r"""(?:(["'])([^"'\n]{2,200})\1|([^\s"',;]{2,200}))|(?<=[ \t])-u[ \t]+["']([^\s:"']{8,200}):["']"""
)
_USER_PROGRAMS = late(r"\b(?:curl|wget|http|xh|smbclient|rpcclient|smbget|lftp|net)\b")


OPTION_NEEDLES = tuple(
    f"{before}{sign}"
    for before in " \"'\t"
    for sign in ("-p", "-w", "-a", "-k", "-c", "-x", "-u", "--user", "--proxy-user")
)


def options(text: str, lowered: str) -> Iterator[Span]:
    """mysql -pfoo, redis-cli -a foo, curl -u user:foo"""
    for program, option in _OPTIONS:
        for match in program.finditer(text):
            until = _line_end(text, match.end(), 400)
            for found in option.finditer(text, match.end(), until):
                span = found.span(1 if found[1] is not None else 2)
                value = text[slice(*span)]
                if not value.isdigit() and not _says_nothing(text, span) and not value.startswith(("-", "/")):
                    yield span
    for match in _USER_PROGRAMS.finditer(text):
        for found in _USERS.finditer(text, match.end(), _line_end(text, match.end(), 400)):
            span = found.span(found.lastindex or 0)
            if not _says_nothing(text, span) and not text.startswith("//", span[0]):
                yield span


# What has its password in a place of its own.
_PLACES = late(
    r"""\bhtpasswd[ \t]+-\w*b\w*[ \t]+(?:\S+[ \t]+)??\S+[ \t]+(?P<a>[^\s"'|;&]{3,200})(?=[ \t]*(?:$|\n|["'|;&]))"""
    r"""|\b(?:rabbitmqctl|ejabberdctl|svnserve)[ \t]+(?:add_user|change_password|authenticate_user|register)"""
    r"""[ \t]+["']?[^\s"']+["']?[ \t]+["']?(?P<b>[^\s"']{2,200})"""
    r"""|\bnet(?:\.exe)?[ \t]+use\b[^\n]{1,200}?/user:\S+[ \t]+(?P<c>[^\s/]\S{2,200})"""
    r"""|\bvault[ \t]+login[ \t]+(?!-)(?P<d>[^\s=]{4,300})(?=\s|$)"""
    r"""|\b(?:echo|printf)[ \t]+(?:-n[ \t]+|'%s'[ \t]+)?["']?(?P<e>[^\s"'|:]{3,300})["']?[ \t]*\|[^\n|"""
    r"""]{0,100}(?:--password-stdin|--stdin|sudo[ \t]+-S|passwd\b|cryptsetup)"""
    r"""|\b(?:echo|printf)[ \t]+["']?[\w.-]{1,64}:(?P<f>[^\s"'|]{2,300})["']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?chpasswd"""
    r"""|(?<![\w:])pass:(?P<g>[^\s"',;]{3,200})(?=[\s"']|$)"""
    r"""|--password-command[ =]["'](?:echo|printf)[ \t]+(?P<h>[^\s"']{3,200})"""
    r"""|\blftp\b[^\n]{0,100}-u[ \t]+[^\s,]{1,64},(?P<i>\S{2,200})"""
    r"""|\bwpa_passphrase[ \t]+\S{1,64}[ \t]+(?P<j>\S{8,64})"""
    r"""|\bsqlplus\b[^\n]{0,60}[ \t][\w.$#]{1,30}/(?P<k>[^\s@/"']{2,100})"""
)


PLACE_NEEDLES = (
    "htpasswd", "rabbitmqctl", "ejabberdctl", " use ", "vault login", "--password-stdin", "--stdin", "sudo -s",
    "chpasswd",
    "cryptsetup", "| passwd", "|passwd", "pass:", "-password-command", "lftp", "wpa_passphrase", "sqlplus",
)  # fmt: skip


def places(text: str, lowered: str) -> Iterator[Span]:
    """htpasswd -b file user foo, rabbitmqctl add_user user foo, echo foo | docker login --password-stdin"""
    for match in _PLACES.finditer(text):
        span = match.span(match.lastgroup or 0)
        if not _says_nothing(text, span):
            yield span


def _line_end(text: str, at: int, most: int) -> int:
    line = text.find("\n", at, at + most)
    while line > 0 and text[line - 1] == "\\":  # a shell's command goes on in the next line
        line = text.find("\n", line + 1, at + most)
    return line if line >= 0 else min(at + most, len(text))


def _says_nothing(text: str, span: Span) -> bool:
    """Whether a placeholder stands there, or a word for what should."""
    value = text[slice(*span)]
    return (
        is_harmless(text, *span)
        or (value[0] in "$<[{" and value[-1] != "}")
        or value.lower() in SENTENCE
        or (value.isalpha() and kind_of(value) is not None)
    )


# Commands of protocols

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
            rf"""(?:(?i:(?<=")auth2?"|(?:^|\n)auth)|\bAUTH2?)[ \t]+(?!{_MECHANISMS}(?![\w-]))"""
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
            r"""(?:(?:^|\n|[>:<|;,/\]})-]) ?|[ \t"'])PASS[ \t]+:?(?P<a>[^\s"':|]{3,300})"""
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
            r"""\b(?:community|rocommunity6?|rwcommunity6?)[ \t]+["']?"""
            r"""(?P<a>[A-Za-z0-9_@!$%-]{0,60}\d[A-Za-z0-9_@!$%-]{0,60})(?![\w.])"""
        ),
        "snmp-server community abc12345",
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
    (  # .pgpass
        (":5432:", ":3306:", ":*:"),
        late(r"(?m:^)[\w.*-]{1,100}:(?:\d{2,5}|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:(?P<a>[^\s:]\S{2,200})(?m:$)"),
        "db:5432:shop:bob:abc12345",
    ),
    (  # calls: the address, the user, the password
        ("__construct(", "connect(", "pdo(", "connection(", "mysqli("),
        late(
            r"""(?i:(?:__construct|pdo|mysqli|connect|connection)\()(?:[^()'"\n]{1,80}|["'][^"'\n]{0,200}["']),[ ]?"""
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
_NO_COMMAND = SENTENCE | {
    "command", "commands", "plugin", "mechanism", "mechanisms", "method", "methods", "service", "clause", "ok", "tests",
    "test", "fail", "passed", "successful", "successfully", "succeeded", "module", "server", "request", "requests",
    "endpoint", "flow", "state", "phase", "middleware", "level", "rule", "optional", "requested", "accepted", "aborted",
    "completed", "complete", "done", "disabled", "enabled",
}  # fmt: skip


def _command(command: re.Pattern[str]) -> Callable[[str, str], Iterator[Span]]:
    def find(text: str, lowered: str) -> Iterator[Span]:
        for match in command.finditer(text):
            begin, end = match.span("a")
            if text[begin] in "\"'>":
                begin += 1
            if text[begin] == "{" and (literal := late(r"\{\d{1,4}\+?\}\s*").match(text, begin)):
                begin = literal.end()
            if text[end - 1] in "\"'" and end - 1 > begin:
                end -= 1
            value = text[begin:end]
            if (
                value.lower().rstrip(".,:;!") in _NO_COMMAND
                or is_harmless(text, begin, end)
                or value.startswith(("<", "[", "("))
            ):
                continue
            yield begin, end

    return find


# Each command's rule: the function, what a text must hold, an example.
COMMANDS = [(_command(expression), needles, example) for needles, expression, example in _COMMANDS]


# Statements of SQL

_STATEMENTS = (
    late(
        r"""(?i:(?<!revision )\bidentified[ \t]+(?:with[ \t]+["'`]?\w{1,60}["'`]?[ \t]+)?"""
        r"""(?:by(?:[ \t]+password)?|as(?=[ \t]+["'])))[ \t]+"""
    ),
    late(
        r"""(?i:\bset[ \t]+password[ \t]+(?:for[ \t]+[^=\n;]{1,200}?)?(?:=|to)[ \t]{0,4}(?:(?:old_)?password\()?)"""
        r"""[ \t]{0,2}(?=["'])"""
    ),
    late(r"""(?i:\bpgp_(?:sym|pub)_(?:en|de)crypt(?:_bytea)?\((?:[^(),\n]{1,500}),)[ \t]?(?=["'])"""),
    late(r"""(?i:\b(?:aes|des)_(?:en|de)crypt\((?:[^(),\n]{1,500}),)[ \t]?(?=["'])"""),
    late(r"""(?i:\bcrypt\()(?=["'])"""),
)
_INSERT = late(
    r"""(?i:\b(?:insert|replace)(?:[ \t]+ignore)?[ \t]+into[ \t]+)["'`\w.\[\]]{1,100}\s{0,4}\(([^()\n]{1,1000})"""
    r"""\)\s{0,4}(?i:values)\s{0,4}"""
)
_ROW = late(r"""\(((?:[^()'\n]|'(?:[^'\n]|''){0,500}'|\([^()\n]{0,200}\)){1,2000})\)\s?,?\s?""")
_CELL = late(
    r"""\s*(?:[NEB]?'((?:[^'\\]|''|\\.){0,500})'|"([^"]{0,500})"|((?:[^,'()]|\([^()]{0,200}\)){1,200}))\s*(?:,|$)"""
)


def statements(text: str, lowered: str) -> Iterator[Span]:
    """IDENTIFIED BY 'foo', SET PASSWORD FOR bob = 'foo'"""
    for statement in _STATEMENTS:
        for match in statement.finditer(text):
            span = next(value_at(text, match.end(), Kind.PASSWORD, "", direct=True), None)
            if span is not None:
                end = span[0] + len(text[slice(*span)].rstrip(";"))
                value = text[span[0] : end]
                if value.lower() not in _NO_COMMAND and not (value.isupper() and value.isalpha()):
                    yield span[0], end


def inserts(text: str, lowered: str) -> Iterator[Span]:
    """INSERT INTO users (name, password) VALUES ('bob', 'foo')"""
    for insert in _INSERT.finditer(text):
        names = [name.strip(" \t\"'`[]") for name in insert[1].split(",")]
        secret = [kind_of(name) in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN) for name in names]
        at = insert.end()
        while any(secret) and (row := _ROW.match(text, at)):
            for hidden, cell in zip(secret, _CELL.finditer(row[1]), strict=False):
                group = next(number for number in (1, 2, 3) if cell[number] is not None)
                begin, end = (row.start(1) + place for place in cell.span(group))
                if hidden and group != 3 and end > begin and not is_harmless(text, begin, end):
                    yield begin, end
            at = row.end()


_PARAMETERS = late(
    r"""["']([^"'\n]{0,1000}?(?i:identified by|password|passwd)["`]?[ ]?(?:=[ ]?)?)(?:%s|\?|\$\d{1,2})"""
    r"""[^"'\n]{0,300}["'],[ ]?[(\[]([^()\[\]\n]{1,1000})[)\]]"""
)
_PLACE = late(r"%s|\?|\$\d{1,2}")
_PARAMETER = late(r"""["']([^"'\n]{0,500})["']|[^,"'\n]{1,100}(?=,|$)""")


def parameters(text: str, lowered: str) -> Iterator[Span]:
    """execute("ALTER USER x IDENTIFIED BY %s", ("foo",)): the parameter of the place that is the password's"""
    for match in _PARAMETERS.finditer(text):
        before = len(_PLACE.findall(match[1]))
        for number, parameter in enumerate(_PARAMETER.finditer(match[2])):
            if number == before and parameter[1]:
                yield match.start(2) + parameter.start(1), match.start(2) + parameter.end(1)
