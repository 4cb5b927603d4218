"""What a rendered page is, judged from what a browser recorded of it: blank, an error page, a login, or well."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dm_tools.records import ConsoleEntry, Page, ProbeError, Reason, Request, Status, Timing, Verdict
from dm_tools.text.late import late

SHORT_CHARACTERS = 400  # a page that only says one thing: "Loading...", "Bad Gateway"
ERROR_CHARACTERS = 4000  # an error page may quote a trace; an article about errors is longer still
MAX_QUOTED = 3

BROKEN = (Verdict.BLANK, Verdict.ERROR_PAGE, Verdict.LOADING)


@dataclass
class Seen:
    """What was recorded of one page, before it is redacted and judged. Times are in milliseconds.

    `failure` is a code (refused, timeout, crashed, download, ...) and words, `tls` likewise. `media`: how many
    pictures, canvases, inputs can be seen; `elements`: how many there are of all. `uniform`: all pixels of the picture
    are equal; None: not looked at. `cut`: it is larger than what is read of a page. `refused`: whom it wanted to be
    asked who was not, and why.
    """

    url: str
    final_url: str | None = None
    status_code: int | None = None
    content_type: str | None = None
    failure: tuple[str, str] | None = None
    tls: tuple[str, str] | None = None
    title: str = ""
    text: str = ""
    html: str = ""
    elements: int = 0
    media: int = 0
    password: bool = False
    spinner: bool = False
    uniform: bool | None = None
    loaded: bool = False
    cut: bool = False
    refused: list[str] = field(default_factory=list)
    console: list[ConsoleEntry] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    failed_requests: list[Request] = field(default_factory=list)
    slow_requests: list[Request] = field(default_factory=list)
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True)
class Signature:
    """An error or default page of a known program: what its title and its text look like."""

    code: str
    name: str
    title: str | None = None
    text: str | None = None

    def matches(self, seen: Seen) -> bool:
        """Whether a page is this one."""
        return all(
            wanted is None or re.search(wanted, given)
            for wanted, given in ((self.title, seen.title), (self.text, seen.text[:ERROR_CHARACTERS]))
        )


_STATUS = r"(?:4\d\d|5\d\d)"
_PHRASES = r"(?:Internal Server Error|Not Found|Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?[Oo]ut)"
_JAVA = r"^(?:HTTP Status 500|[\s\S]{0,200}Servlet\.service\(\)|(?:[a-z]\w*\.)+\w*Exception: .*\n\s+at )"
_DOTNET = r"^(?:An unhandled exception occurred while processing the request|Server Error in '.*' Application)"
_WORDPRESS = r"Error establishing a database connection|There has been a critical error on this website"
_HAPROXY = rf"^{_STATUS} [A-Z][\w ]+\s+(?:No server is available|The server didn't|Your browser sent)"
_ENVOY = r"^(?:upstream connect error or disconnect/reset before headers|no healthy upstream)"
_LARAVEL = r"(?:Illuminate\\\w+|App\\\w+)[\s\S]{0,400}(?:vendor/laravel|PHP \d+\.\d+)"
_APACHE = r"Apache2? .*Default Page|Test Page for the Apache"
# Two traits each where one could stand in a page that is well. `trace`: the program's own exception is shown.
SIGNATURES = (
    Signature("trace", "Werkzeug's debugger", r"// Werkzeug Debugger$", r"Traceback \(most recent call last\)"),
    Signature("trace", "Django's debug page", None, r"You're seeing this error because you have DEBUG = True"),
    Signature("trace", "Rails", r"Action Controller: Exception caught", None),
    Signature("trace", "Spring's Whitelabel page", None, r"^Whitelabel Error Page\s"),
    Signature("trace", "Express or Node", None, r"^(?:Uncaught )?(?:[A-Z]\w*)?Error: [^\n]*\n\s+at .+:\d+:\d+"),
    Signature("trace", "Laravel", None, _LARAVEL),
    Signature("trace", "PHP", None, r"^(?:PHP )?(?:Fatal|Parse) error: .+ on line \d+"),
    Signature("trace", "Java", None, _JAVA),
    Signature("trace", "Python", None, r"^(?:Internal Server Error\s+)?Traceback \(most recent call last\):"),
    Signature("trace", "ASP.NET", None, _DOTNET),
    Signature("trace", "Next.js", None, r"Application error: a (?:client|server)-side exception has occurred"),
    Signature("server_error", "Rails", r"We're sorry, but something went wrong \(500\)", None),
    Signature("server_error", "WordPress", None, _WORDPRESS),
    Signature("server_error", "nginx", rf"^{_STATUS} ", rf"^{_STATUS} [A-Z][\w -]+\s+(?:nginx|openresty)"),
    Signature("server_error", "Apache", rf"^{_STATUS} ", r"Apache/\d[\d.]* .*Server at \S+ Port \d+"),
    Signature("server_error", "HAProxy", None, _HAPROXY),
    Signature("server_error", "Varnish", None, r"^Error \d{3} [\s\S]*Guru Meditation:"),
    Signature("server_error", "Cloudflare", r"\| \d{3}: |Cloudflare", r"Error code \d{3,4}|Cloudflare Ray ID"),
    Signature("server_error", "Tomcat", r"^HTTP Status \d{3}", r"^HTTP Status \d{3}"),
    Signature("server_error", "Envoy", None, _ENVOY),
    Signature("server_error", "Traefik or Go", None, r"^404 page not found\s*$"),
    Signature("server_error", "Express", r"^Error$", r"^Cannot (?:GET|POST) /\S*\s*$"),
    Signature("server_error", "Werkzeug", rf"^{_STATUS} ", rf"^{_PHRASES}\s+The (?:server|requested)"),
    Signature("server_error", "FastAPI", None, r'^\{"detail":"(?:Not Found|Internal Server Error)"\}\s*$'),
    Signature("server_error", "a gateway", None, rf"^(?:{_STATUS} )?{_PHRASES}\.?\s*$"),
    Signature("default_page", "nginx", r"^Welcome to nginx!$", r"successfully installed and working"),
    Signature("default_page", "nginx", r"Test Page for the (?:Nginx|HTTP)|HTTP Server Test Page", None),
    Signature("default_page", "Apache", _APACHE, None),
    Signature("default_page", "Apache", None, r"^It works!\s*$"),
    Signature("default_page", "Caddy", r"^Caddy works!$", None),
    Signature("default_page", "IIS", r"^IIS Windows(?: Server)?$", None),
    Signature("default_page", "Tomcat", r"^Apache Tomcat/\d", r"you've successfully installed Tomcat"),
    Signature("default_page", "Django", r"The install worked successfully", None),
    Signature("default_page", "Rails", r"^Ruby on Rails(?: \d[\d.]*)?$", r"Rails version:|You're on Rails"),
    Signature("default_page", "Laravel", r"^Laravel$", r"Laravel has wonderful|Laracasts"),
    Signature("default_page", "Vite", r"^Vite \+ \w+$", r"Click on the \w+ .*logos? to learn more"),
)

_LOADING = late(
    r"^(?:\W*(?:loading|please wait|one moment|just a moment|initiali[sz]ing|connecting|starting up|wird geladen|"
    r"bitte warten|chargement|cargando|laden)\b.{0,60}\W*)$",
    re.IGNORECASE | re.DOTALL,
)
_LOGIN_WORDS = late(r"\b(?:sign|log)[ -]?(?:in|on)\b|\blogin\b|\banmelden\b|\bauthenticat", re.IGNORECASE)
_LOGIN_PATH = late(
    r"^[a-z]+://[^/?#]+/(?:[^?#]*/)?(?:login|log-in|signin|sign-in|sign_in|auth|oauth2?|sso|saml|authorize|realms)\b"
)
_HEALTH_PATH = late(
    r"^[a-z]+://[^/?#]+/(?:[^?#]*/)?(?:_?health\w*|\w*ready\w*|\w*live\w*|_?ping|_?status|up|heartbeat)/?(?:[?#]|$)"
)
_MIXED = late(r"^Mixed Content: ")
_ESSENTIAL = ("script", "stylesheet")


def judged(seen: Seen, page_id: str) -> tuple[Verdict, list[Reason]]:
    """The verdict on a page, and why; then what else is wrong with it. Evidence ids are those of `page_id`."""
    verdict, reasons = _verdict(seen, page_id)
    return verdict, reasons + list(_beside(seen, page_id) if not seen.failure else _refused(seen, page_id))


def _verdict(seen: Seen, page_id: str) -> tuple[Verdict, list[Reason]]:
    failed, text = seen.failure, seen.text.strip()
    code = seen.status_code or 0
    if code == 401 or (failed and failed[0] == "login"):
        return Verdict.LOGIN, [Reason("login_required", f"HTTP status {code or 401}: it asks who we are", [page_id])]
    if failed:
        return Verdict.NOT_RENDERED, [Reason(failed[0], failed[1], [page_id])]
    if seen.cut and not text:  # what would have been there is not known
        return Verdict.NOT_RENDERED, [Reason("too_large", "the page is larger than what is read of one", [page_id])]
    if (seen.final_url or "").startswith("chrome-error:"):
        return Verdict.NOT_RENDERED, [Reason("browser_error", "the browser shows its own error page", [page_id])]
    known = next((each for each in SIGNATURES if each.matches(seen)), None)
    if code < 400 and seen.password and known is None:
        return Verdict.LOGIN, [Reason("login_form", "the page asks for a password", [f"{page_id}.text"])]
    if known is not None:
        where = f"{page_id}.title" if known.text is None else f"{page_id}.text"
        return Verdict.ERROR_PAGE, [Reason(known.code, _words(known, code), [where])]
    if code >= 400:
        return Verdict.ERROR_PAGE, [Reason("http_status", f"HTTP status {code}", [page_id])]
    if _asks_to_log_in(seen, text):
        return Verdict.LOGIN, [Reason("login_form", "it leads to a page to log in", [f"{page_id}.text"])]
    if _waits(seen, text):
        shown = f"after all this time it shows only {text[:60]!r}" if text else "it shows nothing but a spinner"
        return Verdict.LOADING, [Reason("spinner", shown, [f"{page_id}.text"])]
    if not text and not seen.media:
        return _without_content(seen, page_id)
    if not text and seen.uniform:
        return Verdict.BLANK, [Reason("uniform", "all pixels have one colour, and there is no text", [page_id])]
    return Verdict.OK, []


def _words(known: Signature, code: int) -> str:
    if known.code == "default_page":
        return f"the default page of {known.name}: what should be here is not deployed, or another server answers"
    what = "shows the exception that ended the request" if known.code == "trace" else "an error page"
    return f"{known.name}: {what}" + (f" (HTTP status {code})" if code else "")


def _asks_to_log_in(seen: Seen, text: str) -> bool:
    """A page that only leads to a log-in elsewhere: few words, and those are about logging in."""
    if len(text) > SHORT_CHARACTERS or not _LOGIN_WORDS.search(f"{seen.title}\n{text}"):
        return False
    return bool(_LOGIN_WORDS.search(seen.title) or _LOGIN_PATH.match(seen.final_url or ""))


def _waits(seen: Seen, text: str) -> bool:
    return len(text) <= 80 and (bool(_LOADING.match(text)) or (seen.spinner and not text))


def _without_content(seen: Seen, page_id: str) -> tuple[Verdict, list[Reason]]:
    if seen.elements <= 3 and _HEALTH_PATH.match(seen.final_url or seen.url):
        return Verdict.OK, [Reason("empty_body", "the answer is empty, as a health check's may be", [page_id])]
    what = "the answer is empty" if seen.elements <= 3 else f"{seen.elements} elements and nothing to see"
    return Verdict.BLANK, [Reason("no_content", f"a blank page: {what}", [f"{page_id}.text"])]


def _beside(seen: Seen, page_id: str) -> Iterator[Reason]:
    """What a page suffers from, whatever its verdict."""
    broken = [
        (f"{page_id}.request.{index}", each)
        for index, each in enumerate(seen.failed_requests)
        if each.kind in _ESSENTIAL and not _is_refused(each)
    ]
    if broken:
        shown = ", ".join(f"{each.url} ({each.error or each.status_code})" for _, each in broken[:MAX_QUOTED])
        code = "script_failed" if any(each.kind == "script" for _, each in broken) else "style_failed"
        yield Reason(code, f"parts of the page cannot be loaded: {shown}", [where for where, _ in broken[:MAX_QUOTED]])
    data = [
        f"{page_id}.request.{index}"
        for index, each in enumerate(seen.failed_requests)
        if each.kind in ("fetch", "xhr", "websocket") and not _is_refused(each)
    ]
    if data:
        yield Reason("data_failed", f"{len(data)} requests of the page for its data fail", data[:MAX_QUOTED])
    if seen.exceptions:
        where = [f"{page_id}.exception.{index}" for index in range(len(seen.exceptions))][:MAX_QUOTED]
        yield Reason("exception", f"a script of the page fails: {seen.exceptions[0][:200]}", where)
    mixed = [f"{page_id}.console.{index}" for index, each in enumerate(seen.console) if _MIXED.match(each.text)]
    if mixed:
        yield Reason("mixed_content", "parts of a secure page are asked for over plain HTTP", mixed[:MAX_QUOTED])
    if seen.tls:
        yield Reason("tls", seen.tls[1], [page_id])
    if not seen.loaded:
        yield Reason("still_loading", "the page did not finish loading in time", [page_id])
    if seen.cut:
        yield Reason("too_large", "the page is larger than what is read of one", [page_id])
    yield from _refused(seen, page_id)


def _is_refused(request: Request) -> bool:
    """Whether it failed because we did not let it through, which is no fault of the page."""
    return (request.error or "").startswith(f"{ProbeError.NOT_ALLOWED}: ")


def _refused(seen: Seen, page_id: str) -> Iterator[Reason]:
    if seen.refused:
        which = [f"{page_id}.request.{index}" for index, each in enumerate(seen.failed_requests) if _is_refused(each)]
        more = f" (and {len(seen.refused) - MAX_QUOTED} more)" if len(seen.refused) > MAX_QUOTED else ""
        shown = "; ".join(seen.refused[:MAX_QUOTED])
        yield Reason(
            "not_allowed", f"asked for by the page, and not asked: {shown}{more}", which[:MAX_QUOTED] or [page_id]
        )


def unsettled(seen: Seen) -> bool:
    """Whether a page may only be on its way: worth another look in a moment."""
    text = seen.text.strip()
    return _waits(seen, text) or (not text and not seen.media and seen.elements > 3)


def status(pages: list[Page]) -> Status:
    """Healthy: all pages are well, or ask for a log-in. Failed: none is. Unknown: there is none."""
    if not pages:
        return Status.UNKNOWN
    well = [page for page in pages if page.verdict in (Verdict.OK, Verdict.LOGIN)]
    if len(well) == len(pages):
        return Status.HEALTHY
    return Status.DEGRADED if well else Status.FAILED


def broken(pages: list[Page]) -> bool:
    """Whether a page that was answered shows that the service does not work. What gave no answer, a probe tells."""
    return any(page.verdict in BROKEN for page in pages)


# Pictures

_COLOURS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG colour type -> bytes of a pixel of 8 bits a channel


def uniform(png: bytes) -> bool:
    """Whether all pixels of a picture (PNG, 8 bits, not interlaced: as browsers write it) are equal."""
    width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    if depth != 8 or interlaced or colours not in _COLOURS:
        return False
    size = _COLOURS[colours]
    rows = zlib.decompress(b"".join(_chunks(png, b"IDAT")))
    above = bytearray(width * size)
    first: bytes | None = None
    for begin in range(0, (width * size + 1) * height, width * size + 1):
        above = _unfiltered(rows[begin], bytearray(rows[begin + 1 : begin + 1 + width * size]), above, size)
        first = first if first is not None else bytes(above[:size])
        if bytes(above) != first * width:
            return False
    return True


def _chunks(png: bytes, kind: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == kind:
            yield png[at + 8 : at + 8 + length]
        at += length + 12


def _paeth(left: int, up: int, corner: int) -> int:
    near = left + up - corner
    return min((left, up, corner), key=lambda each: abs(near - each))


_FILTERS: dict[int, Callable[[int, int, int], int]] = {
    1: lambda left, up, corner: left,
    2: lambda left, up, corner: up,
    3: lambda left, up, corner: (left + up) // 2,
    4: _paeth,
}


def _unfiltered(kind: int, row: bytearray, above: bytearray, size: int) -> bytearray:
    """One row of a PNG as its pixels are (its section 9: what is stored is the difference to a guess)."""
    guess = _FILTERS.get(kind)
    if guess is not None:
        for at in range(len(row)):
            left, corner = (row[at - size], above[at - size]) if at >= size else (0, 0)
            row[at] = (row[at] + guess(left, above[at], corner)) & 255
    return row
