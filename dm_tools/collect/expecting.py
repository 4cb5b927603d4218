"""What is wanted of a URL beside an answer: status, a text, values of its JSON, how long its certificate lasts. Pure.

It is said in the manifest, or on the command line for all URLs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from dm_tools import redact
from dm_tools.collect.http import MAX_BODY_BYTES
from dm_tools.records import Check, ProbeError, Wanted

METHODS = ("GET", "HEAD", "OPTIONS")
_ANSWERED = (None, ProbeError.HTTP_4XX, ProbeError.HTTP_5XX)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_CREDENTIALS = ("authorization", "proxy-authorization", "cookie")
_MOST_SHOWN = 100  # characters of a value that is not the wanted one


class Url(msgspec.Struct):
    """A URL of the manifest with what is wanted of it; `url` alone is the same as the plain text."""

    url: str
    status: int | list[int] = []
    text: str = ""
    json: dict[str, str | int | float | bool | None] = {}
    certificate_days: int = 0
    method: Literal["GET", "HEAD", "OPTIONS"] = "GET"
    headers: dict[str, str] = {}
    insecure: bool = False
    interval: str = ""


KEYS = Url.__struct_fields__


def wanted(given: Url, interval_s: float | None) -> Wanted:
    """The same, as a record carries it. Raises ValueError: it cannot be wanted."""
    status = [given.status] if isinstance(given.status, int) else given.status
    if wrong := [code for code in status if not 200 <= code <= 599 or 300 <= code < 400]:
        raise ValueError(f"no answer ends with the status {wrong[0]}: redirects are followed")
    of_http = status or given.text or given.json or given.headers or given.method != "GET"
    if of_http and given.url.startswith(("tcp://", "tls://")):
        raise ValueError("tcp:// and tls:// URLs have no status, text, JSON, method and headers")
    if given.method == "HEAD" and (given.text or given.json):
        raise ValueError("the answer to HEAD has no text; leave 'method' away")
    for name, value in given.headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise ValueError(f"{name[:100]!r} is no header, or its value none")
        if is_secret(name) and "${" not in value:
            raise ValueError(f"the header {name!r} is a secret: write ${{NAME}}, a variable, in its place")
    return Wanted(
        url=given.url,
        status=status,
        text=given.text or None,
        json=given.json,
        certificate_days=given.certificate_days or None,
        method=given.method,
        headers=given.headers,
        insecure=given.insecure,
        interval_s=interval_s,
    )


def is_secret(header: str) -> bool:
    """Whether a header of that name says who one is."""
    return header.lower() in _CREDENTIALS or redact.is_secret_name(header)


def judge(check: Check, wish: Wanted) -> None:
    """Write into a check whether its answer is the wanted one; nothing to one that did not answer."""
    if check.error not in _ANSWERED:
        return
    if wish.status and check.status_code is not None:
        if check.status_code in wish.status:
            check.error = check.message = None
        elif check.error is None:
            listed = " or ".join(map(str, wish.status))
            check.error = ProbeError.UNEXPECTED_ANSWER
            check.message = f"HTTP status {check.status_code}, and {listed} is wanted"
    if (
        check.error is None
        and check.kind == "http"
        and (missing := next(_missing(check.body_excerpt or "", wish), None))
    ):
        check.error, check.message = ProbeError.UNEXPECTED_ANSWER, missing
    days = check.certificate.expires_in_days if check.certificate else None
    if check.error is None and wish.certificate_days and days is not None and days < wish.certificate_days:
        check.error = ProbeError.TLS_EXPIRES_SOON
        check.message = f"the certificate expires in {days:g} days, and {wish.certificate_days} are wanted"
    check.ok = check.error is None


def _missing(body: str, wish: Wanted) -> Iterator[str]:
    """What of the body is not as it is wanted."""
    longer = f" (in its first {MAX_BODY_BYTES // 1024} KiB)" if len(body.encode()) >= MAX_BODY_BYTES else ""
    if wish.text and wish.text not in body:
        yield f"the answer does not hold {wish.text[:_MOST_SHOWN]!r}{longer}"
    if not wish.json:
        return
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        yield f"the answer is no JSON{longer}"
        return
    for path, hoped in wish.json.items():
        found = _at(value, path.split("."))
        if found != hoped or isinstance(found, bool) != isinstance(hoped, bool):
            shown = "missing" if found is _NOTHING else json.dumps(found, ensure_ascii=False)[:_MOST_SHOWN]
            better = json.dumps(hoped, ensure_ascii=False)[:_MOST_SHOWN]
            yield f"{path[:_MOST_SHOWN]!r} is {shown}, and {better} is wanted"


_NOTHING = object()


def _at(value: Any, path: Iterable[str]) -> Any:
    """What stands at a path of keys, and numbers of items."""
    for key in path:
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return _NOTHING
    return value


def told(text: str) -> dict[str, Any]:
    """What `--expect` says, as keys of the manifest: 204, text=ok, json:db.status=up, days=14. Raises ValueError."""
    key, equals, value = text.partition("=")
    if not equals and text.isdecimal():
        return {"status": [int(text)]}
    if key == "status" and all(code.isdecimal() for code in value.split(",")):
        return {"status": [int(code) for code in value.split(",")]}
    if key == "text" and value:
        return {"text": value}
    if key == "days" and value.isdecimal():
        return {"certificate_days": int(value)}
    if key.startswith("json:") and len(key) > 5 and equals:
        try:
            return {"json": {key[5:]: json.loads(value)}}
        except ValueError:
            return {"json": {key[5:]: value}}
    raise ValueError("give a status as 204 or status=200,401, or text=ok, json:db.status=up, days=14")
