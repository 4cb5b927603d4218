"""The Chromium of this machine: which one, how it is started, and what is missing if there is none."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dm_tools import records
from dm_tools.pipe import configs

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Playwright

UNAVAILABLE = "browser_unavailable"
START_SECONDS = 60.0

# The shells come first: the same engine without windows and menus, which cost more than a page.
CHROMIUM = (
    *("chromium-headless-shell", "chrome-headless-shell", "headless_shell"),
    *("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"),
)
# Ports that browsers refuse by themselves: a web interface may have one, and a check of another is to be refused there.
PORTS = (
    "1,7,9,11,13,15,17,19,20,21,22,23,25,37,42,43,53,69,77,79,87,95,101,102,103,104,"
    "109,110,111,113,115,117,119,123,135,137,139,143,161,179,389,427,465,512,513,514,515,"
    "526,530,531,532,540,548,554,556,563,587,601,636,989,990,993,995,1719,1720,1723,2049,"
    "3659,4045,4190,5060,5061,6000,6566,6665,6666,6667,6668,6669,6679,6697,10080"
)
# With a desktop, Chromium has a mail program opened for mailto: and others for their schemes. These open nothing.
NOTHING = Path(__file__).parent / "nothing"
FLAGS = (
    f"--explicitly-allowed-ports={PORTS}",
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps"),
    *("--metrics-recording-only", "--no-pings", "--mute-audio", "--disable-dev-shm-usage", "--disable-breakpad"),
    *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--js-flags=--max-old-space-size=512"),
    # No UDP around the proxy (STUN): the shell's word for it, and Chromium's own.
    *(
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    ),
)

# Top-level domains that Chromium only opens over TLS (its HSTS list), and people call services so: http://app:8000/.
SECURE_NAMES = frozenset(
    {"app", "bank", "channel", "dev", "foo", "google", "how", "ing", "meet", "meme", "new", "nexus", "office", "page"}
    | {"play", "search", "zip"}
)
SECURE = re.compile(rf"^http://({'|'.join(sorted(SECURE_NAMES))})(:\d+)?/")
# What its error codes mean: ours, and words.
CERTIFICATE = {
    "ERR_CERT_DATE_INVALID": ("tls_expired", "the certificate has expired, or is not valid yet"),
    "ERR_CERT_COMMON_NAME_INVALID": ("tls_hostname", "the certificate is for another name"),
    "ERR_CERT_AUTHORITY_INVALID": ("tls_untrusted", "the browser does not trust the certificate's issuer"),
}
FAILURES = {
    "ERR_TOO_MANY_REDIRECTS": ("too_many_redirects", "the page redirects without end"),
    "ERR_INVALID_AUTH_CREDENTIALS": ("login", "the server asks for a password"),
    "ERR_EMPTY_RESPONSE": ("reset", "connection closed without an answer"),
    "ERR_CONNECTION_RESET": ("reset", "connection reset"),
    "ERR_CONNECTION_CLOSED": ("reset", "connection closed"),
    "ERR_SSL_PROTOCOL_ERROR": ("tls_error", "the server does not speak TLS there"),
    "ERR_INVALID_HTTP_RESPONSE": ("bad_response", "the answer is not HTTP"),
}


def executable() -> str | None:
    """The Chromium to start: $DM_CHROMIUM, or the system's; None: Playwright's own, if there is one."""
    named = os.environ.get("DM_CHROMIUM")
    if named:
        return named
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def missing() -> str | None:
    """What this machine lacks to look at pages, as far as that can be told without starting a browser."""
    if importlib.util.find_spec("playwright") is None:
        return f"the Python package 'playwright' is not installed ({configs.install('screenshot')})"
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path("~/.cache/ms-playwright").expanduser())
    path = executable()
    if path is None and not any(own.glob("chromium*")):
        return "no Chromium or Chrome on this machine: install one, or name it in DM_CHROMIUM"
    if path is not None and not os.access(path, os.X_OK):
        return f"no Chromium at {path!r}: install one, or name it in DM_CHROMIUM"
    return None


def unavailable(reason: str) -> records.Problem:
    """No page can be looked at, whatever the record."""
    return records.Problem(UNAVAILABLE, reason)


async def start() -> tuple[Playwright, Browser, CDPSession]:
    """A browser that runs: its driver, itself, and a session that asks it about its processes.

    Raises Problem browser_unavailable, saying what is missing.
    """
    if (reason := missing()) is not None:
        raise unavailable(reason)
    from playwright.async_api import Error, async_playwright

    playwright = await async_playwright().start()
    # None: Playwright's own shell, which may not have been installed with its Chromium.
    paths = [found] if (found := executable()) else [None, playwright.chromium.executable_path]
    reason = ""
    # As root the sandbox cannot work; for others it may be forbidden (a container), which only the attempt tells.
    for path, sandbox in itertools.product(paths, (True, False) if os.geteuid() else (False,)):
        try:
            browser = await playwright.chromium.launch(
                executable_path=path,
                args=list(FLAGS),
                chromium_sandbox=sandbox,
                timeout=START_SECONDS * 500,
                env={**os.environ, "PATH": os.pathsep.join((str(NOTHING), os.environ.get("PATH", os.defpath)))},
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as failure:
            reason = str(failure).partition("\n")[0][:200]
            continue
        return playwright, browser, await browser.new_browser_cdp_session()
    await playwright.stop()
    raise unavailable(f"{paths[-1]!r} does not start: {reason}")
