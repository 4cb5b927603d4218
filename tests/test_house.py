"""The rules of the house: who may import whom, nothing heavy too early, one name in five places, the tools' checks."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from dm_tools.evidence.ids import Kind
from tests.conftest import COMMANDS, ROOT

PACKAGE = ROOT / "dm_tools"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Where each outside package is at home: no other module imports it. Those marked heavy only inside a function.
AT_HOME: dict[str, str | tuple[str, ...]] = {
    "ahocorasick_rs": "text/needles.py",
    "apprise": "notify/channels.py",
    "chdb": "ask/embedded.py",
    "re2": "patterns/haystack.py",
    "cryptography": "collect/certificates.py",
    "docker": "engine/",
    "dotenv": "pipe/settings.py",
    "fastjsonschema": "tools/schema.py",
    "h11": "collect/exchange.py",
    "httpx": "notify/webhook.py",
    "httpx2": "llm/transport.py",
    "jinja2": "show/html/page.py",
    "markupsafe": "show/html/page.py",
    "openai": "llm/client.py",
    "playwright": "collect/browser/",
    "mcp": "serve/protocol.py",
    "mcp_types": "serve/protocol.py",
    "rapidocr": "llm/ocr.py",
    "requests": "engine/",
    "rich": "show/columns.py",
    "starlette": "serve/app.py",
    "uvicorn": "serve/listening.py",
    "urllib3": "engine/",
    "xllamacpp": "llm/server.py",
    "subprocess": ("collect/host.py", "serve/wrapper.py"),  # programs that look, and our own commands by SSH
}
LAZY = set(AT_HOME) - {"ahocorasick_rs", "re2", "subprocess"}  # imported only inside the function that needs them

# What each part may import of ours, beside itself. `diagnose` judges and touches nothing.
FOUNDATION = {"pipe", "records", "redact", "text"}
JUDGEMENT = {"diagnose", "evidence", "patterns"}
MAY_IMPORT = {
    "": {"collect", "engine", "pipe", "records", "text"},
    "session": FOUNDATION,
    "watch": {"notify", "patterns", "session", "show", "store"} | FOUNDATION,
    "commands": {"act", "ask", "collect", "engine", "incidents", "llm", "notify", "serve", "show", "store", "tools"}
    | JUDGEMENT
    | FOUNDATION,
    # what acts, looks and shows
    "act": {"engine"} | JUDGEMENT | FOUNDATION,
    "ask": {"store"} | JUDGEMENT | FOUNDATION,
    "collect": {"engine"} | JUDGEMENT | FOUNDATION,
    "llm": {"tools"} | JUDGEMENT | FOUNDATION,
    "notify": {"store"} | JUDGEMENT | FOUNDATION,
    "show": {"store"} | JUDGEMENT | FOUNDATION,
    "store": JUDGEMENT | FOUNDATION,
    "serve": {"collect", "engine", "store", "tools", "watch"} | FOUNDATION,
    "tools": {"collect", "engine", "show", "store"} | JUDGEMENT | FOUNDATION,
    "incidents": {"show", "store"} | JUDGEMENT | FOUNDATION,
    # what judges, and the engine
    "diagnose": {"evidence", "patterns", "records", "redact", "text"},
    "engine": FOUNDATION,
    "evidence": {"records", "redact", "text"},
    "patterns": {"evidence", "pipe", "records", "text"},
    # how a filter behaves, and texts
    "pipe": {"records", "redact"},
    "redact": {"records", "text"},
    "text": {"records"},
    "records": set(),
}
NO_IO = {"os", "pathlib", "socket", "subprocess", "tempfile", "time", "shutil", "io", "urllib", "asyncio", "threading"}
PURE = [
    path
    for folder in ("diagnose", "evidence", "patterns", "records", "redact", "text")
    for path in sorted((PACKAGE / folder).rglob("*.py"))
    if path not in (PACKAGE / "patterns" / "reading.py", PACKAGE / "patterns" / "keeping.py")  # the library's files
]


@cache
def _parsed(text: str) -> ast.Module:
    """Each rule asks for the syntax of every module."""
    return ast.parse(text)


def tree(path: Path) -> ast.Module:
    """The syntax of a module."""
    return _parsed(path.read_text())


def part(path: Path) -> str:
    """The folder of a module below dm_tools, empty for the top."""
    return path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else ""


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """The dotted names that a module imports; with `everywhere` false only those at its top level."""
    nodes = ast.walk(tree(path)) if everywhere else tree(path).body
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path.name}: a relative import hides who is imported"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = part(path)
    for name in imports(path):
        if not name.startswith("dm_tools."):
            continue
        other = name.split(".")[1]
        if other.startswith("__"):
            continue
        assert other in MAY_IMPORT[own] or (other == own and own != "commands"), f"{own or path.name} imports {name}"


WRITES = "dm_tools.engine.changing"


def can_change_an_engine(path: Path) -> bool:
    """Whether a module imports what writes to an engine, in whatever way."""
    return any(f"{name}.".startswith(f"{WRITES}.") for name in imports(path) | dynamic_imports(path))


def dynamic_imports(path: Path) -> set[str]:
    """The texts of a module that are the name of one of ours: what importlib could be given."""
    nodes = ast.walk(tree(path))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text.startswith("dm_tools.") and " " not in text}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_act_can_change_an_engine(path: Path) -> None:
    assert part(path) == "act" or not can_change_an_engine(path)


@pytest.mark.parametrize(
    "line",
    [
        "from dm_tools.engine import changing",
        "from dm_tools.engine import changing as reading",
        "from dm_tools.engine.changing import restart",
        "import dm_tools.engine.changing",
        "def late():\n    from dm_tools.engine.changing import restart",
        "import importlib; importlib.import_module('dm_tools.engine.changing')",
    ],
)
def test_the_check_sees_who_can_change_an_engine(line: str, tmp_path: Path) -> None:
    """Planted: the module itself need not exist for its import to be seen."""
    planted = tmp_path / "planted.py"
    planted.write_text(line + "\n")
    assert can_change_an_engine(planted)
    planted.write_text("from dm_tools.engine import reading\nimport dm_tools.engine.changing_places\n")
    assert not can_change_an_engine(planted)


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_judgement_does_no_input_or_output(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & NO_IO
    calls = {
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "exec", "eval"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_outside_packages_are_at_home_in_one_place_and_nothing_heavy_is_at_the_top(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    outside = {name.split(".")[0] for name in imports(path)}
    assert not {name for name in outside & set(AT_HOME) if not here.startswith(AT_HOME[name])}
    assert not {name.split(".")[0] for name in imports(path, everywhere=False)} & LAZY
    assert not outside & {"pickle", "shelve"}


def test_help_loads_nothing_heavy() -> None:
    """A fact about sys.modules and not a stopwatch. One fork for each command, of a Python that has loaded nothing."""
    code = (
        "import importlib, os, sys\n"
        "for name in sys.argv[1:]:\n"
        "    if not os.fork():\n"
        "        importlib.import_module(f'dm_tools.commands.{name}')\n"
        f"        print(name, *sorted(set(sys.modules) & {LAZY!r}), flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    command = [sys.executable, "-c", code, *(name.replace("-", "_") for name in COMMANDS)]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout.split() == [name.replace("-", "_") for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_file_is_wiring(name: str) -> None:
    path = PACKAGE / "commands" / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 120
    assert path.read_text().startswith(f'"""dm-{name}: ')


def test_commands_have_one_name_in_five_places() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    expected = {f"dm-{name}" for name in COMMANDS}
    own = {"dm": "dm_tools.umbrella:main"}
    assert scripts == own | {f"dm-{name}": f"dm_tools.commands.{name}:main" for name in COMMANDS}
    assert {path.name for path in (ROOT / "bin").iterdir()} == expected | {"dm"}
    assert {path.stem for path in (ROOT / "man").glob("*.1")} == expected | {"dm"}
    assert {f"dm-{path.name}" for path in (ROOT / "tests" / "cases").iterdir()} == expected


IDS = PACKAGE / "evidence" / "ids.py"
_APART = {"partition", "rpartition", "split", "rsplit", "startswith", "endswith", "removeprefix", "removesuffix"}
_OF_AN_ID = re.compile(rf"/?({'|'.join(Kind)}):")


def takes_ids_apart(path: Path) -> list[str]:
    """The expressions of a module that look into an evidence id: at what stands before its ":" or its "/".

    An id is what is named evidence_id, id or local, what goes through something named evidence, and what is compared
    with the beginning of one.
    """
    found = []
    for node in ast.walk(tree(path)):
        names = {"evidence_id"}
        for each in [node, *getattr(node, "generators", [])]:
            if isinstance(each, ast.For | ast.comprehension) and re.search(r"\bevidence\b", ast.unparse(each.iter)):
                names.add(ast.unparse(each.target))
        inner = ast.walk(node) if len(names) > 1 else [node]
        found += [ast.unparse(each) for each in inner if _looks_into(each, names)]
    return found


def _looks_into(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _APART:
        texts = [each.value for part in node.args for each in ast.walk(part) if isinstance(each, ast.Constant)]
        whole = ast.unparse(node.func.value)
        into = (whole in names or whole.endswith((".id", ".local"))) and bool({":", "/", "."} & set(texts))
        return into or any(isinstance(each, str) and _OF_AN_ID.match(each) for each in texts)
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        into = ast.unparse(node.comparators[0]) in names and node.left.value in (":", "/")
        return isinstance(node.ops[0], ast.In | ast.NotIn) and (into or bool(_OF_AN_ID.fullmatch(node.left.value)))
    return False


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_one_module_takes_evidence_ids_apart(path: Path) -> None:
    assert path == IDS or not takes_ids_apart(path)


@pytest.mark.parametrize(
    "line",
    [
        'kind = evidence_id.partition(":")[0]',
        'any(each.startswith("logs:") for each in finding.evidence)',
        'local = [each for each in verdict.evidence if "/" not in each]',
        'parts = [each.rpartition("/") for each in evidence]',
        'quoted = [each for each in foreign if "/logs:" in each.id]',
        'x = id.startswith(("inspect:", "event:"))',
        'x = piece.local.removeprefix("probe:")',
        'x = int(each.id.partition(":")[2])',
        'for each in found.evidence:\n    owner, slash, local = each.rpartition("/")',
    ],
)
def test_the_check_sees_who_takes_ids_apart(line: str, tmp_path: Path) -> None:
    """Planted: each is one of the ways in which it was done before there was a type."""
    planted = tmp_path / "planted.py"
    planted.write_text(line + "\n")
    assert takes_ids_apart(planted)
    planted.write_text('host, _, port = need.partition(":")\nwanted = parse(evidence_id).kind\n')
    assert not takes_ids_apart(planted)


def test_every_public_function_says_what_it_does() -> None:
    bare = []
    for path in MODULES:
        for node in ast.walk(tree(path)):
            public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            public |= isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.col_offset == 0
            if public and not ast.get_docstring(node):  # type: ignore[arg-type]
                bare.append(f"{path.relative_to(ROOT)}: {node.name}")  # type: ignore[attr-defined]
    assert not bare


def scripts() -> list[str]:
    """Every shell script of the project."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        name
        for name in tracked.splitlines()
        if (ROOT / name).is_file()
        and not (ROOT / name).is_symlink()
        and (
            name.endswith((".sh", ".bash"))
            or (ROOT / name).read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))
        )
    ]


@pytest.mark.parametrize(
    "check",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["deptry", ".", "--no-ansi"],
        ["shellcheck", *scripts()],
        ["scripts/man", "--check"],
        ["scripts/pattern-schema", "--check"],
    ],
    ids=["ruff", "ruff-format", "mypy", "deptry", "shellcheck", "man", "pattern-schema"],
)
def test_the_tools_have_nothing_to_say(check: list[str]) -> None:
    path = ROOT / ".venv" / "bin" / check[0]
    command = [str(path)] if path.exists() else [sys.executable] if check[0].startswith("scripts/") else []
    command += check if check[0].startswith("scripts/") else [*check[1:]] if command else check
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "man").iterdir()), ids=lambda path: path.name)
def test_man_pages_are_well_formed(path: Path) -> None:
    checked = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True)
    # a page has no date on purpose: it changes only when its command does
    assert [line for line in checked.stdout.splitlines() if "missing date" not in line] == []


def test_every_finding_is_listed_and_says_what_it_is_of() -> None:
    """They run outside the tests: they install other packages, and tell of other people's software."""
    findings = sorted((ROOT / "findings").glob("*.sh"))
    listed = (ROOT / "findings" / "README.md").read_text()
    assert findings
    for path in findings:
        head = path.read_text().split("set -euo pipefail")[0]
        assert f"| `{path.stem}` |" in listed, path.name
        assert os.access(path, os.X_OK), path.name
        assert re.search(r"\d+\.\d+", head) and "Output:" in head, path.name
        assert "dm_tools" not in path.read_text() and "bin/dm-" not in path.read_text(), path.name
