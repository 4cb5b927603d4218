"""What is made of the pattern files is kept between runs; nothing that is wrong with it is ever seen in a verdict."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from dm_tools.patterns import keeping
from dm_tools.patterns import reading as reader
from tests.conftest import ROOT, SEALED, Run

RECORDED = (ROOT / "tests" / "data" / "redis-maxmemory.jsonl").read_text()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, empty; it is made when it is needed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dm-tools"


def analyzed(cache: Path | str) -> str:
    """What is said of the recording, by a process that keeps what it makes here."""
    home = str(cache.parent) if isinstance(cache, Path) else cache
    variables = SEALED | {"XDG_CACHE_HOME": home}
    judged = subprocess.run(["dm-analyze"], input=RECORDED, env=variables, capture_output=True, text=True, timeout=60)
    assert judged.returncode == 0 and judged.stderr == ""
    return judged.stdout


@pytest.fixture(scope="module")
def verdict() -> str:
    """What the library says where nothing can be kept: its cache's home is no folder."""
    said = analyzed("/dev/null")
    assert "store_read_only" in said
    return said


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cache as a run leaves it; whoever damages it takes a copy."""
    folder = tmp_path_factory.mktemp("made") / "dm-tools"
    analyzed(folder)
    return folder


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_it_is_made_once_private_and_says_the_same(made: Path, verdict: str) -> None:
    before = only(made).stat()
    assert stat.S_IMODE(before.st_mode) == 0o600 and stat.S_IMODE(made.stat().st_mode) == 0o700
    assert analyzed(made) == verdict
    assert only(made).stat().st_mtime_ns == before.st_mtime_ns


def test_a_changed_pattern_is_seen_at_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "patterns"
    folder.mkdir()
    shutil.copy(ROOT / "configs" / "patterns" / "redis.toml", folder)
    monkeypatch.setattr(reader, "shipped", lambda: folder)
    before = reader.read(None)
    path = folder / "redis.toml"
    path.write_text(path.read_text().replace("OOM command not allowed", "OOM order not allowed"))
    after = reader.read(None)
    assert len(list(cache.iterdir())) == 2
    assert before.causal(["OOM command not allowed when used memory"]) == {0: ["redis.maxmemory"]}
    assert after.causal(["OOM order not allowed when used memory"]) == {0: ["redis.maxmemory"]}
    path.write_text("[[pattern]")
    with pytest.raises(reader.language.PatternError, match="not valid TOML"):
        reader.read(None)


@pytest.mark.parametrize("damage", [b"", b"x" * 5000, "flip", "cut"], ids=["empty", "foreign", "a-bit", "cut-off"])
def test_what_is_damaged_is_made_anew(made: Path, cache: Path, verdict: str, damage: bytes | str) -> None:
    shutil.copytree(made, cache)
    path = only(cache)
    whole = path.read_bytes()
    if damage == "flip":
        damaged = whole.replace(b"OOM command not allowed", b"OOM command not allowee")
        assert damaged != whole
    else:
        damaged = damage if isinstance(damage, bytes) else whole[:-1]
    path.write_bytes(damaged)
    assert analyzed(cache) == verdict
    assert only(cache).read_bytes() == whole


def test_what_somebody_else_could_have_written_is_not_read(cache: Path) -> None:
    keeping.write("patterns-x", b"content")
    path = cache / "patterns-x"
    assert keeping.read("patterns-x") == b"content"
    path.chmod(0o620)
    assert keeping.read("patterns-x") is None
    path.chmod(0o600)
    path.rename(cache / "other")
    path.symlink_to(cache / "other")
    assert keeping.read("patterns-x") is None
    path.unlink()
    os.mkfifo(path)
    assert keeping.read("patterns-x") is None, "and nobody waits for a writer"


def test_the_file_and_folder_of_another_user_are_left_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping.write("patterns-x", b"content")
    another = os.geteuid() + 1  # only root could give the file away; who asks can be changed by anybody
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert keeping.read("patterns-x") is None
    keeping.write("patterns-y", b"content")
    assert not (cache / "patterns-y").exists()


def test_under_another_name_it_is_something_else(cache: Path) -> None:
    keeping.write("patterns-x", b"content")
    (cache / "patterns-x").rename(cache / "patterns-y")
    assert keeping.read("patterns-y") is None


def test_old_ones_go(cache: Path) -> None:
    for number in range(keeping.KEPT + 3):
        keeping.write(f"patterns-{number}", b"content")
        os.utime(cache / f"patterns-{number}", (number, number))
    assert len(list(cache.iterdir())) == keeping.KEPT


@pytest.mark.parametrize("home", ["/proc", "/dev/null/none"])
def test_without_a_home_that_can_be_written_nothing_is_kept_and_nothing_is_missing(
    run: Run, verdict: str, home: str
) -> None:
    judged = run("env -u XDG_CACHE_HOME dm-analyze", stdin=RECORDED, HOME=home)
    assert (judged.returncode, judged.stderr, judged.stdout) == (0, "", verdict)
