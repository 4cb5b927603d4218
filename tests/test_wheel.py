"""What is installed: sdist and wheel are built, and put into an environment of its own, far from any checkout.

Its packages are those of the tests' environment; nothing is asked of an index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMANDS, ROOT, SEALED
from tests.servers import answer, status

WANTED = ("MANIFEST.in", "bin", "completions", "configs", "dm_tools", "docs", "man", "pyproject.toml", "scripts")
OURS = ("DM_ENV_FILE", "PROOFS_DIR", "SERVICES_MANIFEST_PATH")  # their defaults are asked for
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2])"


def built(kind: str, source: Path, into: Path) -> Path:
    """The archive that the build backend makes of a folder."""
    subprocess.run([sys.executable, "-c", BUILD, kind, into], cwd=source, check=True, capture_output=True)
    (archive,) = into.iterdir()
    return archive


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of this checkout, and the wheel that is made of that."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for path in (*map(ROOT.joinpath, WANTED), *ROOT.glob("*.md"), ROOT / "LICENSE"):
        if path.is_dir():
            shutil.copytree(path, source / path.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    for name in ("sdist", "wheel"):
        (folder / name).mkdir()
    sdist = built("sdist", source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return sdist, built("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder / "wheel")


Installed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and the packages that it needs from the tests' own."""
    folder = tmp_path_factory.mktemp("venv") / "v"
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--no-compile", "--no-deps", "--no-index", archives[1]], check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    return folder


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    """Run a shell line somewhere, with commands linked into a folder of PATH, as pipx and uv tool do."""
    linked = tmp_path / "home/.local/bin"
    linked.mkdir(parents=True)
    for path in environment.glob("bin/dm*"):
        (linked / path.name).symlink_to(path)
    sealed = {name: value for name, value in SEALED.items() if name not in OURS}
    system = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if str(ROOT) not in each)

    def execute(line: str, folder: str = "/", **variables: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{linked}:{system}", "HOME": str(tmp_path / "home")}
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=folder,
            env=sealed | path | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return execute


def test_both_archives_hold_all_that_comes_along(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(archives[1]) as wheel:
        files = set(wheel.namelist())
        entries = next(name for name in files if name.endswith("entry_points.txt"))
        assert wheel.read(entries).decode().count("dm_tools.") == len(COMMANDS) + 1
    data = next(name for name in files if "/share/man/" in name).partition("/share/")[0]
    for folder in ("configs", "docs", "completions", "dm_tools", "man", "scripts/supervisor-session.sh"):
        top = ROOT / folder
        for path in [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]:
            name = str(path.relative_to(ROOT))
            if "__pycache__" in name:
                continue
            assert name in sources
            section = f"{data}/share/man/man{path.suffix[1:]}/{path.name}"
            assert (section if folder == "man" else name if folder == "dm_tools" else f"dm_tools/{name}") in files


def test_every_package_is_named(archives: tuple[Path, Path]) -> None:
    """A folder of modules that pyproject.toml forgets is missing in the wheel only."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "dm_tools").rglob("*.py")}
    assert folders <= set(listed)


def test_what_was_seen_is_found_again_from_any_folder(installed: Installed, tmp_path: Path, serve: Any) -> None:
    home = tmp_path / "home"
    state, settings = home / ".local/state/dm-tools", home / ".config/dm-tools"
    settings.mkdir(parents=True)
    port = serve(answer(status(500)))
    listed = {"name": "shop", "external": [f"http://127.0.0.1:{port}/"]}
    (settings / "services_manifest.json").write_text(json.dumps({"services": [listed]}))
    (tmp_path / "elsewhere").mkdir()
    done = installed("dm diagnose-enhanced --no-screenshots", str(tmp_path / "elsewhere"))
    (page,) = state.glob("enhanced_diagnostics_*.html")
    assert "shop" in done.stdout and str(page) in done.stdout, done.stderr
    shown = installed("dm report")
    assert (shown.returncode, shown.stderr) == (0, "") and "shop" in shown.stdout
    assert "shop" in installed("dm history").stdout
    assert f"nothing is approved in '{state}'" in installed("dm execute").stderr
    assert installed("dm report", XDG_STATE_HOME=str(tmp_path / "other")).returncode == 3
    assert {path.name for path in home.iterdir()} <= {".local", ".config", ".cache"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_watch_runs(installed: Installed, tmp_path: Path, serve: Any) -> None:
    settings = tmp_path / "home/.config/dm-tools"
    settings.mkdir(parents=True)
    port = serve(answer(status(500)))
    listed = {"name": "shop", "external": [f"http://127.0.0.1:{port}/"]}
    (settings / "services_manifest.json").write_text(json.dumps({"services": [listed]}))
    line = (
        "dm watch --every 1s > ~/said & watch=$!; "
        "seen=~/.local/state/dm-tools/watch/status.json; "
        "until grep -q shop $seen 2>/dev/null || ((SECONDS > 90)); do sleep 0.1; done; "
        "kill $watch; wait; dm status"
    )
    done = installed(line)
    assert "shop" in done.stdout and done.returncode == 10, done.stderr


def test_sessions_name_the_command_that_works_here(installed: Installed) -> None:
    assert installed("dm execute --help").stdout.startswith("Usage: dm execute")
    for name in ("demo", "test"):
        refused = installed(f"dm {name}")
        assert refused.returncode == 2 and "needs a checkout" in refused.stderr
    assert "~/.config/dm-tools" in installed("dm-services --help").stdout
    wrong = installed("dm-services")
    assert wrong.returncode == 3 and ".config/dm-tools/services_manifest.json" in wrong.stderr


def test_a_copy_in_the_environment_of_a_checkout_says_so(installed: Installed, environment: Path) -> None:
    code = environment.parent / "dm_tools"
    code.mkdir()
    (code / "umbrella.py").touch()
    try:
        told = installed("dm-schema")
    finally:
        shutil.rmtree(code)
    assert told.returncode == 0 and "pip install -e" in told.stderr
    assert installed("dm-schema").stderr == ""


def test_documents_completions_and_man_pages_are_there(installed: Installed, environment: Path) -> None:
    assert installed("dm docs notify").stdout == (ROOT / "docs/notify.md").read_text()
    assert installed("dm docs readme").stdout.strip() == (ROOT / "README.md").read_text().strip()
    example = installed("dm docs services_manifest.example.json").stdout
    assert example == (ROOT / "configs/probe-orchestrator/services_manifest.example.json").read_text()
    assert installed("dm completion bash").stdout == (ROOT / "completions/dm-tools.bash").read_text()
    found = installed("man -w dm-probe dm dm-records dm-tools", PATH=f"{environment}/bin:/usr/bin:/bin")
    assert found.stdout.count(str(environment)) == 4, found.stderr


@pytest.mark.parametrize(
    ("mark", "begins"),
    [("pipx_metadata.json", "pipx inject dm-tools "), ("uv-receipt.toml", "uv pip install --python "), (None, "/")],
)
def test_a_hint_installs_where_it_is_missing(
    installed: Installed, environment: Path, mark: str | None, begins: str
) -> None:
    if mark:
        (environment / mark).touch()
    try:
        code = "from dm_tools.pipe import configs; print(configs.install('screenshot'))"
        told = installed(f'{environment}/bin/python -P -c "{code}"').stdout
    finally:
        if mark:
            (environment / mark).unlink()
    assert told.startswith(begins) and told.endswith("'playwright>=1.49'\n")
