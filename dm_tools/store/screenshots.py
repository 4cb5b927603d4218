"""The pages that dm-screenshot saw, as far as a report shows them."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

LARGEST = 512 * 1024  # bytes of one picture in the report
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}

Json = dict[str, Any]


def pages(record: Json) -> list[Json]:
    """What is known of each page; a key that is missing or makes no sense is null or empty."""
    section = record.get("screenshot")
    found = section.get("pages") if isinstance(section, dict) else None
    return [_page(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _page(page: Json) -> Json:
    texts = ("id", "url", "final_url", "title", "verdict", "path", "thumbnail_path")
    lists = ("reasons", "console", "exceptions", "failed_requests")
    code = page.get("status_code")
    return (
        {name: page[name] if isinstance(page.get(name), str) else None for name in texts}
        | {"status_code": code if isinstance(code, int) else None}
        | {name: page[name] if isinstance(page.get(name), list) else [] for name in lists}
    )


def picture(path: str | None, folder: Path) -> str | None:
    """A PNG or JPEG below the folder as a data: URL; None if it is something else, too large, or not there.

    The path comes from a record, which may come from anywhere: no other file of this machine gets into a report.
    """
    if not path:
        return None
    try:
        real = Path(path).resolve()
        if not real.is_relative_to(folder.resolve()):
            return None
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(LARGEST + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except (OSError, ValueError, RuntimeError):  # ValueError: a NUL in it; RuntimeError: a circle of links
        return None
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), None)
    if kind is None or len(data) > LARGEST:
        return None
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
