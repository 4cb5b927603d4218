"""What takes long to make and is always made the same, kept between runs: in `$XDG_CACHE_HOME/dm-tools`, or in
`~/.cache/dm-tools`.

It is never needed, and trusted only where the file system shows that nobody else wrote it. Whatever is wrong with it,
the answer is that nothing is kept: what is asked for is made anew, slower and the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dm_tools.pipe import leftovers

KEPT = 4  # files: those of a few checkouts and versions that are used in turn
OTHERS_MAY_WRITE = 0o022
DIGEST_BYTES = 32


def key(parts: Iterable[str | bytes]) -> str:
    """The name of what is made of these parts, as hexadecimal digits: other parts have another name."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def read(name: str) -> bytes | None:
    """What is kept under a name; None if nothing is, if it is damaged, or if somebody else could have written it."""
    try:
        descriptor = os.open(_folder() / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or not _ours(found):
                return None
            digest, content = file.read(DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if digest == _digest(name, content) else None


def write(name: str, content: bytes) -> None:
    """Keep something, or do nothing where that cannot be: the file is there in full or not at all, and private."""
    with contextlib.suppress(OSError):
        folder = _folder()
        with contextlib.suppress(FileExistsError):
            folder.parent.mkdir(mode=0o700)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not _ours(os.stat(folder, follow_symlinks=False)):
            return
        leftovers.remove(folder)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=leftovers.PREFIX)
        try:
            with open(descriptor, "wb") as file:
                file.write(_digest(name, content) + content)
            os.replace(temporary, folder / name)
        except BaseException:
            os.unlink(temporary)
            raise
        kind = name.partition("-")[0]
        for old in sorted(folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink()


def _folder() -> Path:
    """The folder of the cache. Raises OSError if there is no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given) / "dm-tools"
    home = Path(os.path.expanduser("~"))
    if not home.is_dir():
        raise FileNotFoundError(home)
    return home / ".cache" / "dm-tools"


def _ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & OTHERS_MAY_WRITE


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + b"\0" + content, digest_size=DIGEST_BYTES).digest()
