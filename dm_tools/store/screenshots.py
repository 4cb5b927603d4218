"""The pages that dm-screenshot saw, as far as a report shows them."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from pathlib import Path

import msgspec

from dm_tools.records import IssuePage, Page, PageLine

LARGEST = 512 * 1024  # bytes of one picture in the report
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def line(page: Page) -> PageLine:
    """A page in short."""
    return msgspec.convert(page, PageLine, from_attributes=True)


def of_issue(service: str, page: PageLine) -> IssuePage:
    """What an issue tells of a page of one of its services."""
    reason = next((each.message for each in page.reasons), None)
    return IssuePage(service, page.url, page.verdict, page.id, page.path, reason)


def located(path: str | None, folder: Path) -> Path | None:
    """Where a picture lies below the folder of reports, links followed; None if it does not.

    The path comes from a record, which may come from anywhere: no other file of this machine is read or opened. It was
    written as seen from where dm-screenshot ran; a folder that was moved since still has the picture.
    """
    if not path:
        return None
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # ValueError: a NUL in it; RuntimeError: a circle
        top = folder.resolve()
        for each in (Path(path), top / "screenshots" / Path(path).name):
            real = each.resolve()
            if real.is_relative_to(top) and real.is_file():
                return real
    return None


def picture(path: str | None, folder: Path) -> str | None:
    """A PNG or JPEG below the folder as a data: URL; None if it is something else, too large, or not there."""
    real = located(path, folder)
    data = real and read(real, LARGEST)
    if not data:
        return None
    kind = next(kind for magic, kind in _KINDS.items() if data.startswith(magic))
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def read(path: Path, limit: int) -> bytes | None:
    """The PNG or JPEG of at most `limit` bytes in a file that was located; None if it is something else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(limit + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return None
    return data if len(data) <= limit and data.startswith(tuple(_KINDS)) else None
