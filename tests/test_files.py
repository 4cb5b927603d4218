"""dm_tools/store/files.py: there in full or not at all, and on the disk before anybody is told so.

That the power fails cannot be tried here. So these tests write down which calls are made, really make them, and hold
their order: a file's bytes reach the disk before its name does, and its name before the caller goes on.
"""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dm_tools.store import files
from tests.conftest import ROOT

Called = list[tuple[Any, ...]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """The calls that matter, as they are made: what is synced (a folder, or so many bytes), what gets which name."""
    made: Called = []

    def sync(descriptor: int, real: Callable[[int], None] = os.fsync) -> None:
        status = os.fstat(descriptor)
        made.append(("sync", "folder" if stat.S_ISDIR(status.st_mode) else status.st_size))
        real(descriptor)

    def naming(name: str) -> None:
        real = getattr(os, name)

        def call(source: Any, target: Any) -> None:
            made.append((name, Path(target).name))
            real(source, target)

        monkeypatch.setattr(os, name, call)

    monkeypatch.setattr(os, "fsync", sync)
    naming("link")
    naming("replace")
    return made


def test_a_new_file_is_on_the_disk_before_it_has_its_name(called: Called, tmp_path: Path) -> None:
    assert files.write_new(tmp_path / "a", iter([b"12345", b"67"]))
    assert called == [("sync", 7), ("link", "a"), ("sync", "folder")]


def test_of_two_writers_of_one_name_the_first_wins(tmp_path: Path) -> None:
    assert files.write_new(tmp_path / "a", iter([b"first"]))
    assert not files.write_new(tmp_path / "a", iter([b"second"]))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"first"}


def test_a_file_is_replaced_by_one_that_is_on_the_disk(called: Called, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    files.replace(tmp_path / "a", [b"12345", b"67"])
    assert called == [("sync", 7), ("replace", "a"), ("sync", "folder")]


def test_what_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def torn() -> Any:
        yield b"half"
        raise OSError(5, "Input/output error")

    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(files.CannotWrite, match="input/output error"):
        files.replace(tmp_path / "a", torn())
    with pytest.raises(files.CannotWrite, match=r"'.*/b': input/output error"):
        files.write_new(tmp_path / "b", torn())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_line_is_on_the_disk_before_it_is_acknowledged_and_the_name_of_a_new_file_too(
    called: Called, tmp_path: Path
) -> None:
    files.append(tmp_path / "a", b"one")
    assert called == [("sync", 4), ("sync", "folder")]
    called.clear()
    files.append(tmp_path / "a", b"two\n")
    assert called == [("sync", 8)]
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"


def test_a_torn_line_is_closed_and_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\ntor")
    files.append(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one\ntor\ntwo\n"


def test_what_is_written_is_nobody_elses_business(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "x" / "y")
    files.write_new(tmp_path / "x" / "y" / "new", iter([b"1"]))
    files.replace(tmp_path / "x" / "y" / "replaced", [b"1"])
    files.append(tmp_path / "x" / "y" / "appended", b"1")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "x").rglob("*")}
    assert modes == {"y": 0o700, "new": 0o600, "replaced": 0o600, "appended": 0o600}


def test_a_line_that_fits_only_in_part_is_refused_and_taken_out(tmp_path: Path) -> None:
    """A real short write: the limit of a file's size lets the first bytes pass, as a nearly full disk does."""
    journal = tmp_path / "journal"
    files.append(journal, b"an earlier decision")
    code = "import sys; from pathlib import Path; from dm_tools.store import files\n"
    code += "try: files.append(Path(sys.argv[1]), b'x' * 100)\n"
    code += "except files.CannotWrite as failure: print(failure)\n"
    code += "else: print('acknowledged')"
    done = subprocess.run(
        [sys.executable, "-c", code, journal],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50)),
    )
    assert done.stdout == f"cannot write '{journal}': no space left on device\n", done.stderr
    assert journal.read_bytes() == b"an earlier decision\n"
    files.append(journal, b"a later one")
    assert journal.read_bytes() == b"an earlier decision\na later one\n"


def test_what_a_killed_writer_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    names = {"old": 3700, "young": 60, "other": 3700}
    for name, age in names.items():
        path = tmp_path / f"{'' if name == 'other' else '.writing-'}{name}"
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)
    (tmp_path / ".writing-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".writing-folder").mkdir()
    for name in (".writing-link", ".writing-folder"):
        os.utime(tmp_path / name, (time.time() - 3700,) * 2, follow_symlinks=False)
    files.replace(tmp_path / "new", [b"whole"])
    left = {"elsewhere", ".writing-young", "other", ".writing-link", ".writing-folder", "new"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """In a folder that others may write to: whoever lays a link there has no file of ours changed or made."""
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    for name in ("a", "b", "c"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(files.CannotWrite, match=r"cannot write '.*/a': too many levels of symbolic links"):
        files.append(tmp_path / "a", b"line")
    files.replace(tmp_path / "b", [b"new"])
    assert not files.write_new(tmp_path / "c", iter([b"new"]))
    assert victim.read_text() == "mine\n"
    assert (tmp_path / "b").read_bytes() == b"new" and not (tmp_path / "b").is_symlink()


def test_a_line_is_not_lost_in_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    with pytest.raises(files.CannotWrite, match="it is no file"):
        files.append(tmp_path / "journal", b"line")


def test_a_folder_of_ours_is_no_link_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    for name, owner in (("own", os.geteuid()), ("foreign", 65534)):
        (tmp_path / name).symlink_to(tmp_path / "theirs")
        os.lchown(tmp_path / name, owner, owner)
    files.make_folder(tmp_path / "own")
    with pytest.raises(files.CannotWrite, match="a symbolic link of somebody else's"):
        files.make_folder(tmp_path / "foreign")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_file_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").write_bytes(b"a\nb\n")
    path = tmp_path / "kept"
    assert files.lines(path) == []
    {"link": lambda: path.symlink_to("real"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(OSError, match=r"it is no file|symbolic links"):
        files.lines(path)
    assert files.lines(tmp_path / "real") == [b"a", b"b"]
