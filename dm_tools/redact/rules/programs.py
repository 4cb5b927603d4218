"""Secrets on the command lines of programs that have them behind an option, or in a place, of their own."""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.redact.rules.names import kind_of
from dm_tools.redact.rules.values import Span, is_harmless
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.text.late import late

_ARG = r"""(?:\\{0,7}["']((?:(?!\\{0,7}["'])[^\n]){1,300})\\{0,7}["']|([^\s"',;|&)\]}]{2,300}))"""
_SEP = r"""["']?,?[ \t]+"""

# Programs, and the options behind which each of them takes a password. An option that ends in ~ has it attached.
_PROGRAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(?:mysql|mariadb|mycli|xtrabackup|mariabackup|percona)[\w-]*", ("-p~",)),
    (r"(?:sshpass|psexec|paexec)", ("-p~", "-p")),
    (r"(?:docker|podman|nerdctl|buildah|skopeo|helm|crane|oras|az|oc|cf|ibmcloud)(?:[ \t]+\w+)?[ \t]+login", ("-p",)),
    (r"(?:redis|valkey|keydb)-(?:cli|benchmark)", ("-a",)),
    (r"mongo(?:sh|dump|restore|export|import|stat|top|d)?", ("-p~", "-p")),
    (r"ldap\w+", ("-w",)),
    (r"ldappasswd", ("-s", "-a")),
    (r"openssl", ("-k", "-K")),
    (r"(?:sqlcmd|bcp|isql|osql|mosquitto_\w+|ipmitool|zip|unzip)", ("-P", "-P~")),
    (r"(?:7z|7za|7zr|rar|unrar)", ("-p~",)),
    (
        r"(?:useradd|usermod|twine(?:[ \t]+upload)?|cqlsh|kinit|arangosh|couchbase-cli|nats|influx|tsh|vncviewer)",
        ("-p",),
    ),
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
    for sign in ("-p", "-w", "-a", "-k", "-c", "-s", "-x", "-u", "--user", "--proxy-user")
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
    r"""\b(?:htpasswd|mosquitto_passwd)[ \t]+-\w*b\w*[ \t]+"""
    r"""(?:\S+[ \t]+)??\S+[ \t]+(?P<a>[^\s"'|;&]{3,200})(?=[ \t]*(?:$|\n|["'|;&]))"""
    r"""|\b(?:rabbitmqctl|ejabberdctl|svnserve)[ \t]+(?:add_user|change_password|authenticate_user|register)"""
    r"""[ \t]+["']?[^\s"']+["']?[ \t]+["']?(?P<b>[^\s"']{2,200})"""
    r"""|\bnet(?:\.exe)?[ \t]+use\b[^\n]{1,200}?/user:\S+[ \t]+(?P<c>[^\s/]\S{2,200})"""
    r"""|\bnet(?:\.exe)?[ \t]+user[ \t]+[^\s/]{1,64}[ \t]+(?P<q>[^\s/*]\S{3,200})"""
    r"""|\breg(?:\.exe)?[ \t]+add\b[^\n]{1,300}?/v[ \t]+\w{0,40}(?i:password|passwd|pwd|secret|token|apikey)[ \t]"""
    r"""[^\n]{0,80}?/d[ \t]+["']?(?P<r>[^\s"']{3,200})"""
    r"""|\bbw[ \t]+unlock[ \t]+(?!-)(?P<t>\S{4,200})"""
    r"""|\bhttp-basic\.\S{1,200}[ \t]+\S{1,100}[ \t]+(?P<u>[^\s"']{4,200})"""
    r"""|\bvault[ \t]+login[ \t]+(?!-)(?P<d>[^\s=]{4,300})(?=\s|$)"""
    r"""|\b(?:echo|printf)[ \t]+(?:-n[ \t]+|'%s'[ \t]+)?["']?(?P<e>[^\s"'|:]{3,300})["']?[ \t]*\|[^\n|"""
    r"""]{0,100}(?:--password-stdin|--stdin|sudo[ \t]+-S|kinit\b|smbpasswd|passwd\b|cryptsetup)"""
    r"""|\b(?:echo|printf)[ \t]+["']?[\w.-]{1,64}:(?P<f>[^\s"'|]{2,300})["']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?chpasswd"""
    r"""|(?<![\w:])pass:(?P<g>[^\s"',;]{3,200})(?=[\s"']|$)"""
    r"""|--password-command[ =]["'](?:echo|printf)[ \t]+(?P<h>[^\s"']{3,200})"""
    r"""|\blftp\b[^\n]{0,100}-u[ \t]+[^\s,]{1,64},(?P<i>\S{2,200})"""
    r"""|\bwpa_passphrase[ \t]+\S{1,64}[ \t]+(?P<j>\S{8,64})"""
    r"""|\bConvertTo-SecureString[ \t]+(?:-String[ \t]+)?["']?(?P<l>[^\s"'()]{3,200})"""
    r"""|\b(?:schtasks|wmic|msdeploy)\b[^\n]{0,200}?[ \t]/(?:rp[ \t]+|password:)["']?(?P<m>[^\s"']{2,200})"""
    r"""|\bmc[ \t]+(?:alias[ \t]+set|config[ \t]+host[ \t]+add)(?:[ \t]+[^\s|;&]+){3}[ \t]+["']?(?P<n>[^\s"']{4,200})"""
    r"""|\b[xw]?(?:free)?rdp\b[^\n]{0,200}?[ \t]/p:["']?(?P<s>[^\s"']{2,200})"""
    r"""|\baddauth[ \t]+digest[ \t]+[^\s:]{1,64}:(?P<o>\S{2,200})"""
    r"""|\bsqlplus\b[^\n]{0,60}[ \t][\w.$#]{1,30}/(?P<k>[^\s@/"']{2,100})"""
)


PLACE_NEEDLES = (
    "htpasswd", "mosquitto_passwd", "bw unlock", "http-basic.",
    "net user", "net.exe user", "reg add", "reg.exe add", "rabbitmqctl", "ejabberdctl", " use ",
    "vault login", "--password-stdin", "--stdin", "sudo -s", "chpasswd", "cryptsetup", "convertto-securestring",
    "schtasks", "wmic", "msdeploy", "mc alias", "mc config", "addauth", "| kinit", "|kinit",
    "freerdp", "smbpasswd", "| passwd", "|passwd", "pass:", "-password-command", "lftp", "wpa_passphrase", "sqlplus",
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
