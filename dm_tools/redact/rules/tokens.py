"""Secrets that say by themselves what they are: keys of vendors, JSON Web Tokens, hashes of passwords, private keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dm_tools.redact.rules.values import Span
from dm_tools.text import KeyLines
from dm_tools.text.late import late

_JWT = late(r"eyJ[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+){0,4}")
_HASH = late(
    r"\$(?:2[abxy]?\$\d\d\$[./+A-Za-z0-9]{20,60}|argon2(?:id|i|d)\$[^\s\"'`<>]{16,400}"
    r"|(?:1|5|6|7|y|gy|apr1|sha1|md5)\$[^\s:\"'`<>]{12,300}|scram-sha-(?:1|256|512)\$[^\s\"'`<>]{16,300})",
    re.IGNORECASE,
)
_OTHER_HASH = late(
    r"(?:pbkdf2[_:](?:sha\d{1,3}|sha\d{1,3}:\d+)\$|SCRAM-SHA-\d{1,3}\$|\{S?SHA(?:256|512)?\}|scrypt:\d+:\d+:\d+\$)[^\s\"'`<>]{16,300}"
)
_DISCORD = late(r"(?<![\w.-])[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![\w-])")
_DISCORD_END = late(r"\.[\w-]{6}\.[\w-]{27}")


def discord(text: str, lowered: str) -> Iterator[Span]:
    """The token of a Discord bot."""
    if _DISCORD_END.search(text):
        for match in _DISCORD.finditer(text):
            yield match.span()


def web_tokens(text: str, lowered: str) -> Iterator[Span]:
    """JSON Web Tokens, whole or in part."""
    for match in _JWT.finditer(text):
        yield match.span()


HASH_NEEDLES = (
    *(f"${each}" for each in ("2", "argon2", "scram")),
    *(f"${each}$" for each in ("1", "5", "6", "7", "y", "gy", "apr1", "sha1", "md5")),
)


def hashes(text: str, lowered: str) -> Iterator[Span]:
    """Hashes of passwords in crypt's form: $2b$..., $argon2id$..."""
    for match in _HASH.finditer(text):
        yield match.span()


def other_hashes(text: str, lowered: str) -> Iterator[Span]:
    """Hashes of passwords in other forms: {SSHA}..., SCRAM-SHA-256$..."""
    for match in _OTHER_HASH.finditer(text):
        yield match.span()


# Keys with the beginning that their maker gives them: what they begin with, what follows, and, where that says too
# little, an example. After the makers' documentation and the rules of gitleaks (MIT licence,
# https://github.com/gitleaks/gitleaks/blob/b58d3f102cf3a2c84cb7f923d05c25c9b1aed84b/config/gitleaks.toml), with fewer
# characters asked for: a log may cut a key. `detect-secrets` (Apache 2.0) knows 20 of these, and brings two packages.
MAKERS: tuple[tuple[str, str], ...] = (
    # a private key in base64, as Kubernetes keeps it; after its beginning other things may come, too: a certificate
    ("LS0tLS1CRUdJTi", r"B(?:SU0EgUFJJVkFUR|QUklWQVRFIEtF|FQyBQUklWQVRF|PUEVOU1NIIFBS|FTkNSWVBURUQg|EU0EgUFJJVkFU)"
                       r"[A-Za-z0-9+/]{8,100000}={0,2}"),
    # clouds
    ("AKIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"), ("ASIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("ABIA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"), ("ACCA", r"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("ABSK", r"[A-Za-z0-9+/]{40,300}={0,2}"), ("bedrock-api-key-", r"[\w+/=-]{20,300}"),
    ("AIza", r"[\w-]{30,64}"), ("ya29.", r"[\w-]{20,2000}"), ("GOCSPX-", r"[\w-]{20,64}"), ("1//0", r"[\w-]{30,200}"),
    ("LTAI", r"[A-Za-z0-9]{16,24}(?![A-Za-z0-9])"), ("AKID", r"[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("dop_v1_", r"[a-f0-9]{20,64}"), ("doo_v1_", r"[a-f0-9]{20,64}"), ("dor_v1_", r"[a-f0-9]{20,64}"),
    ("v1.0-", r"[a-f0-9]{24}-[a-f0-9]{20,146}"), ("fo1_", r"[\w-]{30,64}"), ("fm1r_", r"[A-Za-z0-9+/]{30,2000}={0,3}"),
    ("fm2_", r"[A-Za-z0-9+/]{30,2000}={0,3}"), ("HRKU-", r"[\w-]{20,64}"), ("nfp_", r"[A-Za-z0-9]{20,64}"),
    ("tskey-", r"[\w-]{10,128}"), ("pul-", r"[a-f0-9]{40}"), ("hvs.", r"[\w-]{20,255}"), ("hvb.", r"[\w-]{20,400}"),
    ("hvr.", r"[\w-]{20,400}"), ("dp.pt.", r"[A-Za-z0-9]{20,64}"), ("dp.st.", r"[\w.]{20,80}"),
    ("dp.ct.", r"[A-Za-z0-9]{20,64}"),
    ("dapi", r"[0-9a-f]{32}(?:-\d)?"), ("pscale_", r"(?:tkn|pw|oauth)_[\w=.-]{20,64}"),
    ("sha256~", r"[\w-]{40,46}(?![\w-])"),
    ("dt0c01.", r"[A-Za-z0-9]{24}\.[A-Za-z0-9]{20,64}"), ("ops_eyJ", r"[A-Za-z0-9+/]{40,2000}={0,3}"),
    ("A3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{5,11}-){3,4}[A-Z0-9]{5}"), ("AGE-SECRET-KEY-1", r"[A-Z0-9]{20,64}"),
    ("K10", r"[0-9a-zA-Z]{4,128}::[\w-]{1,40}:[\w.-]{4,128}"), ("SWMTKN-1-", r"[a-z0-9]{20,60}-[a-z0-9]{10,40}"),
    # code and packages
    ("EAACEdEose0cBA", r"[0-9A-Za-z]{20,400}"), ("EAAC", r"(?=[a-zA-Z]{0,60}\d)[0-9A-Za-z]{100,400}"),
    ("ghp_", r"[A-Za-z0-9]{20,255}"), ("gho_", r"[A-Za-z0-9]{20,255}"), ("ghu_", r"[A-Za-z0-9]{20,255}"),
    ("ghs_", r"[A-Za-z0-9]{20,255}"), ("ghr_", r"[A-Za-z0-9]{20,255}"), ("github_pat_", r"\w{20,255}"),
    *((f"{each}-", r"[\w.-]{16,300}") for each in (
        "glpat", "glptt", "gldt", "glrt", "glft", "glsoat", "glcbt", "glagent", "glimt", "gloas", "glffct",
    )),
    ("GR1348941", r"[\w-]{20}"), ("ATATT3", r"[\w=-]{20,300}"), ("ATCTT3", r"[\w=-]{20,300}"),
    ("ATBB", r"[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("npm_", r"[A-Za-z0-9]{30,64}"), ("pypi-Ag", r"[\w-]{16,1000}"),
    ("pypi-", r"(?=[\w-]{0,200}\d)[\w-]{40,1000}"), ("rubygems_", r"[a-f0-9]{40,48}"),
    ("CLOJARS_", r"[a-z0-9]{40,60}"), ("dckr_pat_", r"[\w-]{20,64}"), ("dckr_oat_", r"[\w-]{20,64}"),
    ("AKCp", r"[A-Za-z0-9]{40,80}"), ("cmVmd", r"[A-Za-z0-9]{50,64}"), ("oy2", r"[a-z0-9]{43}(?![A-Za-z0-9])"),
    ("sgp_", r"(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}"), ("sq0", r"(?:atp|csp|idp)-[\w-]{20,64}"),
    ("CCIPAT_", r"\w{20,80}"),
    ("bkua_", r"[a-z0-9]{40}"), ("sqp_", r"[a-f0-9]{40}"), ("squ_", r"[a-f0-9]{40}"), ("pnu_", r"[A-Za-z0-9]{36}"),
    # talk and mail
    ("xoxa-", r"[\w.-]{10,255}"), ("xoxb-", r"[\w.-]{10,255}"), ("xoxe-", r"[\w.-]{10,255}"),
    ("xoxe.", r"[\w.-]{10,255}"),
    ("xoxo-", r"[\w.-]{10,255}"), ("xoxp-", r"[\w.-]{10,255}"), ("xoxr-", r"[\w.-]{10,255}"),
    ("xoxs-", r"[\w.-]{10,255}"),
    ("xoxc-", r"[\w.-]{10,255}"), ("xoxd-", r"[\w%.-]{10,255}"), ("xapp-", r"[\w-]{20,255}"),
    ("SG.", r"[\w-]{16,64}\.[\w-]{16,64}"),
    ("xkeysib-", r"[a-f0-9]{40,64}(?:-[A-Za-z0-9]{8,16})?"), ("key-", r"[0-9a-f]{32}(?![0-9a-f])"),
    ("re_", r"[A-Za-z0-9]{8}_[A-Za-z0-9]{16,32}"),
    ("EAAM", r"[A-Za-z0-9]{50,300}"), ("EAAC", r"[A-Za-z0-9]{50,300}"), ("PMAK-", r"[a-f0-9]{20,24}-[a-f0-9]{20,34}"),
    # money and shops
    *((f"{kind}_{where}_", r"\w{10,255}") for kind in ("sk", "rk") for where in ("live", "test", "prod")),
    ("whsec_", r"[A-Za-z0-9+/=]{16,128}"), ("shpat_", r"[A-Fa-f0-9]{32}"), ("shpca_", r"[A-Fa-f0-9]{32}"),
    ("shppa_", r"[A-Fa-f0-9]{32}"),
    ("shpss_", r"[A-Fa-f0-9]{32}"), ("shippo_", r"(?:live|test)_[a-fA-F0-9]{30,40}"), ("EZAK", r"[A-Za-z0-9]{54}"),
    ("FLWSECK", r"(?:_TEST)?-[A-Za-z0-9]{12,40}(?:-X)?"), ("access_token$production$", r"[a-z0-9]{16}\$[a-f0-9]{32}"),
    # models
    ("sk-ant-", r"[\w-]{16,255}"), ("hf_", r"[A-Za-z0-9]{20,64}"), ("api_org_", r"[A-Za-z0-9]{30,40}"),
    ("gsk_", r"[A-Za-z0-9]{20,128}"),
    ("r8_", r"[A-Za-z0-9]{20,64}"), ("xai-", r"[A-Za-z0-9]{20,128}"), ("pplx-", r"[A-Za-z0-9]{20,128}"),
    ("nvapi-", r"[\w-]{20,128}"),
    # watching and organising
    ("glsa_", r"[\w+/=]{20,255}"), ("glc_", r"[\w+/=]{20,400}"), ("sntrys_", r"[\w+/=-]{20,500}"),
    ("sntryu_", r"[\w+/=-]{20,500}"),
    ("NRAK-", r"[A-Z0-9]{20,40}"), ("NRII-", r"[\w-]{20,40}"), ("NRJS-", r"[a-f0-9]{19}"),
    ("lin_api_", r"[A-Za-z0-9]{20,64}"),
    ("ntn_", r"[A-Za-z0-9]{20,64}"), ("secret_", r"[A-Za-z0-9]{32,64}"), ("figd_", r"[\w-]{20,64}"),
    ("phc_", r"\w{20,64}"), ("phx_", r"\w{20,64}"),
    ("duffel_", r"(?:test|live)_[\w=-]{30,50}"), ("rdme_", r"[a-z0-9]{40,70}"), ("p8e-", r"[A-Za-z0-9]{32}"),
    ("sm_pat_", r"[A-Za-z0-9]{16}"),
    ("sm_aat_", r"[A-Za-z0-9]{16}"), ("sm_sat_", r"[A-Za-z0-9]{16}"), ("ico-", r"[A-Za-z0-9]{32}"),
    ("API-", r"[A-Z0-9]{26}(?![A-Z0-9])"),
    ("tk-us-", r"[\w-]{40,48}"), ("fio-u-", r"[\w=-]{40,64}"), ("4b1d", r"[A-Za-z0-9]{38}(?![A-Za-z0-9])"),
)  # fmt: skip
# Others say what they are by something in their middle: what a text must hold, the expression, an example.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("sk-", r"(?<![A-Za-z0-9_-])sk-(?=[\w-]{0,80}(?:\d|[A-Z]))[\w-]{16,255}", "sk-proj-abcDEF1234567890abcDEF"),
    (":aa", r"(?<![A-Za-z0-9])(?:bot)?\d{8,12}:AA[\w-]{30,64}", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"),
    ("sk", r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![0-9A-Za-z])", "SK" + "3f8a9b2c" * 4),
    ("q~", r"(?<![\w~.])[\w~.]{3}[\d]?Q~[\w~.-]{20,36}", "abc8Q~" + "k3J9dLqP2xVb" * 2),
    ("-us", r"(?<![0-9a-f])[0-9a-f]{32}-us\d{1,2}(?!\d)", "3f8a9b2c" * 4 + "-us12"),
    (".atlasv1.", r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{20,80}", "abcdefghijklmn.atlasv1." + "a1" * 30),
    ("_mmk", r"(?<![A-Za-z0-9])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk(?![A-Za-z0-9])", "abcdef_" + "a" * 29 + "_mmk"),
    ("pat", r"(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[a-f0-9]{64}", "pat" + "a" * 14 + "." + "0a" * 32),
    ("sat.", r"(?<![A-Za-z0-9])[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}",
    "sat." + "a" * 22 + "." + "b" * 24 + "." + "c" * 20),
    ("zxlk", r"(?<![A-Za-z0-9+/])ZXlK[A-Za-z0-9+/]{40,4000}={0,2}", "ZXlK" + "aGJHY2lP" * 6),
)  # fmt: skip


def whole(source: str) -> Callable[[str, str], Iterator[Span]]:
    """The rule that every match of an expression is a secret."""
    expression = late(source)

    def find(text: str, lowered: str) -> Iterator[Span]:
        for match in expression.finditer(text):
            yield match.span()

    return find


# Each maker's rule: the function, what a text must hold, an example.
VENDORS = [
    *((whole(rf"(?<![A-Za-z0-9]){re.escape(begin)}{rest}"), (begin.lower(),), "") for begin, rest in MAKERS),
    *((whole(shape), (needle,), example) for needle, shape, example in _SHAPES),
]


_ARMOUR = late(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-Lines: \d{1,4}")
_ARMOUR_END = late(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_LINE_END = late(r"\\{1,8}r\\{1,8}n|\\{1,8}n|\r?\n|(?<=-----)[ \t]+|(?<=[A-Za-z0-9+/=])[ \t]+(?=-----END)|$")
_ALPHABET = late(r"[A-Za-z0-9+/=]{60,20000}+")
_PUTTY_MAC = late(r"Private-MAC: ([0-9a-f]{20,128})")


def pem(text: str, lowered: str) -> Iterator[Span]:
    """A private key with its armour, whatever separates its lines (JSON writes \\n); a cut one as far as it goes.

    No line is taken that does not look like one of a key: what carries only the first line hides nothing behind it.
    """
    done = 0
    for begin in _ARMOUR.finditer(text):
        if begin.start() < done:
            continue
        line_start = max(text.rfind("\n", 0, begin.start()) + 1, begin.start() - 300)
        key = KeyLines(text[line_start : begin.end()])
        at = begin.end()
        end = 0
        for _ in range(1000):
            run = _ALPHABET.match(text, at)
            stop = _LINE_END.search(text, run.end() if run else at, (run.end() if run else at) + 300)
            if stop is None:
                break
            if stop.start() > at or stop.end() > stop.start():
                own = key.own(text[at : stop.start()])
                if own is None:
                    break
                if key.ended:
                    close = _ARMOUR_END.search(text, at)
                    end = close.end() if close and close.start() <= stop.start() else at
                    break
                if own[1] > own[0]:
                    end = at + own[1]
            if stop.end() >= len(text):
                end = len(text) if end and key.own("") is not None else end
                break
            at = stop.end()
        if end and key.length:
            yield begin.start(), _with_rest(text, end)
            done = end
    for match in _PUTTY_MAC.finditer(text):
        yield match.span(1)


def _with_rest(text: str, end: int) -> int:
    """The text's end, if nothing but the beginning of an empty line follows."""
    rest = text[end : end + 100]
    return (
        len(text)
        if len(rest) < 100 and not re.sub(r"^[\"'\s]{0,4}(?:\\{1,8}[rn])*\s*(?:[\w-]{1,40}[ ]*\|)?\s*$", "", rest)
        else end
    )
