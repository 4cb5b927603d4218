"""A witness on every address of this machine, and the ways in which a page may try to make a browser ask it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

ADMIN = "LOCAL ADMIN PAGE"
_ANSWER = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\n"
    f"Content-Length: {len(ADMIN)}\r\nConnection: close\r\n\r\n{ADMIN}"
).encode()


@dataclass
class Witness:
    """What it heard: the first word of the path of each HTTP request, or what else came (`tcp`, `udp`)."""

    port: int
    heard: list[str] = field(default_factory=list)

    def settled(self, seconds: float = 1.0) -> set[str]:
        """All that it heard, once nothing more has come for a while."""
        count = -1
        while count != len(self.heard):
            count = len(self.heard)
            time.sleep(seconds)
        return set(self.heard)


@contextlib.contextmanager
def witness() -> Iterator[Witness]:
    """Listens on one port, with TCP and UDP, IPv4 and IPv6; answers every request with a page."""
    with contextlib.ExitStack() as cleaning:
        tcp = cleaning.enter_context(
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200)
        )
        listening = Witness(tcp.getsockname()[1])
        udp = cleaning.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind(("::", listening.port))
        udp.settimeout(0.2)
        ended = threading.Event()

        def answer(connection: socket.socket) -> None:
            data = b""
            with connection, contextlib.suppress(OSError):
                connection.settimeout(3)
                while b"\r\n\r\n" not in data and (more := connection.recv(4096)):
                    data += more
                connection.sendall(_ANSWER)
            path = re.match(rb"[A-Z]+ /([\w-]*)", data)
            listening.heard.append(path[1].decode() if path else "tcp")

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = tcp.accept()
                    threading.Thread(target=answer, args=[connection], daemon=True).start()

        def receive() -> None:
            with contextlib.suppress(OSError):
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        udp.recv(2048)
                        listening.heard.append("udp")

        for work in (accept, receive):
            threading.Thread(target=work, daemon=True).start()
        cleaning.callback(tcp.shutdown, socket.SHUT_RDWR)
        cleaning.callback(ended.set)
        yield listening


# Ways that leave the page where it is. `{place}` is the witness's host and port; the path is the way's name.
WITHIN = {
    "img": "<img src='http://{place}/img'>",
    "srcset": "<img srcset='http://{place}/srcset 2x, http://{place}/srcset 1x'>",
    "picture": "<picture><source srcset='http://{place}/picture'><img></picture>",
    "input-image": "<input type=image src='http://{place}/input-image'>",
    "script": "<script src='http://{place}/script'></script>",
    "module": "<script type=module src='http://{place}/module'></script>",
    "import": "<script>import('http://{place}/import').catch(() => 0)</script>",
    "stylesheet": "<link rel=stylesheet href='http://{place}/stylesheet'>",
    "css-import": "<style>@import 'http://{place}/css-import';</style>",
    "background": "<div style='background:url(http://{place}/background);height:9px'></div>",
    "font": "<style>@font-face{font-family:f;src:url(http://{place}/font)}</style><i style='font-family:f'>f</i>",
    "video": "<video src='http://{place}/video' preload=auto></video>",
    "poster": "<video poster='http://{place}/poster'></video>",
    "audio": "<audio src='http://{place}/audio' preload=auto></audio>",
    "svg": "<svg><image href='http://{place}/svg' width=9 height=9 /></svg>",
    "iframe": "<iframe src='http://{place}/iframe'></iframe>",
    "srcdoc": "<iframe srcdoc=\"<img src='http://{place}/srcdoc'>\"></iframe>",
    "data-frame": '<iframe src="data:text/html,<img src=http://{place}/data-frame>"></iframe>',
    "sandbox": "<iframe sandbox='allow-scripts' srcdoc=\"<script>fetch('http://{place}/sandbox')</script>\"></iframe>",
    "blob-frame": "<iframe id=bf></iframe><script>bf.src = URL.createObjectURL(new Blob("
    "['<img src=http://{place}/blob-frame>'], {type: 'text/html'}))</script>",
    "object": "<object data='http://{place}/object'></object>",
    "embed": "<embed src='http://{place}/embed'>",
    "form-in-frame": "<iframe name=ff></iframe><form id=fg target=ff action='http://{place}/form-in-frame'></form>"
    "<script>fg.submit()</script>",
    "post-in-frame": "<iframe name=fp></iframe><form id=fo method=post target=fp action='http://{place}/post-in-frame'>"
    "</form><script>fo.submit()</script>",
    "fetch": "<script>fetch('http://{place}/fetch', {mode: 'no-cors'}).catch(() => 0)</script>",
    "fetch-post": "<script>fetch('http://{place}/fetch-post', {mode: 'no-cors', method: 'POST', body: 'x'})"
    ".catch(() => 0)</script>",
    "fetch-put": "<script>fetch('http://{place}/fetch-put', {method: 'PUT'}).catch(() => 0)</script>",
    "keepalive": "<script>fetch('http://{place}/keepalive', {mode: 'no-cors', method: 'POST', keepalive: true})"
    ".catch(() => 0)</script>",
    "later": "<script>fetchLater('http://{place}/later', {mode: 'no-cors', method: 'POST', activateAfter: 0})</script>",
    "through-own": "<script>fetch('/out?through-own', {mode: 'no-cors'}).catch(() => 0)</script>",
    "img-through-own": "<img src='/out?img-through-own'>",
    "xhr": "<script>var x = new XMLHttpRequest; x.open('GET', 'http://{place}/xhr'); x.send()</script>",
    "beacon": "<script>navigator.sendBeacon('http://{place}/beacon', 'x')</script>",
    "websocket": "<script>new WebSocket('ws://{place}/websocket')</script>",
    "events": "<script>new EventSource('http://{place}/events')</script>",
    "worker": "<script>new Worker(URL.createObjectURL(new Blob([\"fetch('http://{place}/worker', "
    "{mode: 'no-cors'})\"])))</script>",
    "import-scripts": '<script>new Worker(URL.createObjectURL(new Blob(["importScripts('
    "'http://{place}/import-scripts')\"])))</script>",
    "shared-worker": "<script>new SharedWorker(URL.createObjectURL(new Blob("
    "[\"fetch('http://{place}/shared-worker', {mode: 'no-cors'})\"])))</script>",
    "window": "<script>window.open('http://{place}/window')</script>",
    "link-to-window": "<a id=lw target=_blank href='http://{place}/link-to-window'></a><script>lw.click()</script>",
    "ping": "<a id=pi href='#' ping='http://{place}/ping'></a><script>pi.click()</script>",
    "rules": '<script type=speculationrules>{"prerender": [{"urls": ["http://{place}/rules"], '
    '"eagerness": "immediate"}]}</script>',
    "preload": "<link rel=preload as=image href='http://{place}/preload'>",
    "modulepreload": "<link rel=modulepreload href='http://{place}/modulepreload'>",
    "prefetch": "<link rel=prefetch href='http://{place}/prefetch'>",
}
# What is heard as a connection without a word.
SILENT = {
    "turn": "<script>{let c = new RTCPeerConnection({iceServers: [{urls: 'turn:{place}?transport=tcp', username: 'u',"
    "credential: 'c'}]}); c.createDataChannel('x'); c.createOffer().then(o => c.setLocalDescription(o))}</script>",
}
# What Chromium refuses by itself as it is started here, and what a headless one leaves alone.
CLOSED = {
    "preconnect": "<link rel=preconnect href='http://{place}/'>",
    "manifest": "<link rel=manifest href='http://{place}/manifest'>",
    "icon": "<link rel=icon href='http://{place}/icon'>",
    "dns-prefetch": "<link rel=dns-prefetch href='http://{place}/'>",
    "service-worker": "<script>navigator.serviceWorker?.register('http://{place}/service-worker')"
    ".catch(() => 0)</script>",
    "transport": "<script>try { new WebTransport('https://{place}/transport').ready.catch(() => 0) }"
    " catch { }</script>",
    "stun": "<script>{let c = new RTCPeerConnection({iceServers: [{urls: 'stun:{place}'}]}); c.createDataChannel('x');"
    "c.createOffer().then(o => c.setLocalDescription(o))}</script>",
}
# Ways that lead the tab itself away.
AWAY = {
    "meta-refresh": "<meta http-equiv=refresh content='0;url=http://{place}/meta-refresh'>",
    "location": "<script>location = 'http://{place}/location'</script>",
    "replace": "<script>location.replace('http://{place}/replace')</script>",
    "link": "<a id=li href='http://{place}/link'></a><script>li.click()</script>",
    "download": "<a id=do download href='http://{place}/download'></a><script>document.getElementById('do').click()</script>",
    "form": "<form id=fo action='http://{place}/form'></form><script>fo.submit()</script>",
    "form-post": "<form id=fo method=post action='http://{place}/form-post'></form><script>fo.submit()</script>",
    "own-then-out": "<script>location = '/out?own-then-out'</script>",
    "unload": "<script>onpagehide = () => navigator.sendBeacon('http://{place}/unload', 'x')</script>",
    "push": "<script>history.pushState(0, '', '/x'); location.assign('http://{place}/push')</script>",
}
# Answers of which the headers say where to go, or whom to ask: status and headers.
HEADERS: dict[str, tuple[int, dict[str, str]]] = {
    **{
        f"redirect-{status}": (status, {"Location": "http://{place}/" + f"redirect-{status}"})
        for status in (301, 302, 303, 307, 308)
    },
    "refresh": (200, {"Refresh": "0; url=http://{place}/refresh"}),
    "link-header": (200, {"Link": "<http://{place}/link-header>; rel=preload; as=image"}),
    "policy-report": (200, {"Content-Security-Policy": "img-src 'none'; report-uri http://{place}/policy-report"}),
    "attached": (302, {"Location": "http://{place}/attached", "Content-Disposition": "attachment"}),
}
# What is no page of the web: a page may try to have it opened, by a script, in a frame, by a redirect.
ODD = (
    *("file:///etc/passwd", "chrome://version", "devtools://devtools/bundled/x", "view-source:http://{place}/source"),
    *("data:text/html,<img src='http://{place}/data'>", "filesystem:http://{place}/x", "blob:http://{place}/x"),
    *("ftp://{place}/x", "mailto:somebody@host.test", "x-own:go", "ssh://{place}", "javascript:1"),
)
