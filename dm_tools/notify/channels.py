"""Mail, Slack, ntfy and whatever else apprise knows: the only module that imports it.

Its log lines quote URLs with their tokens, so none of them is ever seen; of a failure we say what can be said without.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from dm_tools.pipe import configs

_QUIET = ("apprise", "urllib3", "requests", "asyncio", "smtplib", "markdown")
_CODE = re.compile(r"error=([1-5]\d\d)\b")


class NotTold(Exception):
    """A message did not arrive; the message says why, without the URL."""


class NotInstalled(Exception):
    """The extra `notify` is missing."""


def known(url: str) -> bool:
    """Whether apprise knows what such a URL means. Raises NotInstalled."""
    return bool(_teller(url))


def tell(url: str, title: str, body: str, kind: str, page: Path | None, seconds: float) -> None:
    """Send one message by one URL. `kind`: info, success, warning or failure. Raises NotTold, NotInstalled."""
    import apprise

    teller = _teller(url)
    if not teller:
        raise NotTold("apprise knows no such kind of URL, or a part of it is missing")
    attached = str(page) if page is not None and page.is_file() else None  # a missing one: nothing would be sent
    result = teller.notify(
        body=body,
        title=title,
        notify_type=apprise.NotifyType(kind),
        body_format=apprise.NotifyFormat.TEXT,  # else a mail's lines are joined and what looks like a tag is lost
        attach=attached,
        timeout=seconds,
        interpret_escapes=False,
    )
    status = result.status.name
    if status == "SUCCESS":
        return
    if status == "TIMEOUT":
        raise NotTold(f"no answer within {seconds:g} s")
    codes = {code for entry in result.logs() for code in _CODE.findall(str(getattr(entry, "message", entry)))}
    raise NotTold(f"the service answered {min(codes)}" if codes else "the service could not be reached, or refused it")


def _teller(url: str):  # type: ignore[no-untyped-def] # of a package that is imported late
    for name in _QUIET:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [logging.NullHandler()]
    try:
        import apprise
    except ImportError:
        raise NotInstalled(f"apprise is not installed ({configs.install('notify')})") from None
    teller = apprise.Apprise()
    return teller if teller.add(url) and len(teller) else None
