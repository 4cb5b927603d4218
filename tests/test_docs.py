"""The documents keep their word: every example of the help texts (which are the man pages') and of the README runs.

On the real shop, in a folder that holds the files which the examples name.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dm_tools.act import catalogue
from dm_tools.records import Risk
from tests.conftest import BROWSER, COMMANDS, ROOT, SEALED

README = (ROOT / "README.md").read_text()


def examples(name: str) -> list[str]:
    """The lines of a command's examples."""
    text: str = importlib.import_module(f"dm_tools.commands.{name}").cli.help
    return [line.strip() for line in text.partition("Examples:")[2].strip().splitlines()]


def readme_examples() -> list[str]:
    """The lines of the README's shell blocks, and its pipeline at the top."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    lines = [line for line in blocks.splitlines() if line and not line.startswith("#")]
    top = next(line.strip() for line in README.splitlines() if line.startswith("    dm-services |"))
    return [top, *lines]


# Those of dm-llm need a model, those of dm-serve a server: tests/test_llm_real.py and tests/test_serve.py run them.
ELSEWHERE = ("llm", "serve")
EXAMPLES = [line for name in COMMANDS if name not in ELSEWHERE for line in examples(name)] + readme_examples()
EXAMPLES = [line for line in EXAMPLES if "ssh://me@" not in line]  # other machines: tests/test_hosts.py has two engines


@pytest.fixture(scope="module")
def recorded(_lab_up: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recorded incident, a judged one and a report."""
    folder = tmp_path_factory.mktemp("recorded")
    line = (
        "dm-services | dm-probe | dm-inspect | dm-logs | tee incident.jsonl | dm-analyze | dm-propose "
        "| tee judged.jsonl | DM_NOW=1732800000 dm-report"
    )
    variables = SEALED | _lab_up | {"PROOFS_DIR": "volumes/proofs"}
    (folder / "policy.toml").write_text("version = 1\n")
    (folder / "app.log").write_text("2026-11-22 10:00:00,000 INFO app: started\n" * 3)
    # a small action was approved and carried out: there is something to plan, to verify and to take back
    approve = """select(.service == "worker") | {issue_id: "1", service, action: "scale_up", confidence: "high",
        reasoning: "it starts threads", parameters: {resource: "pids"}, docker_host,
        identity: (.inspect | {container_id: .id, started_at, state, restart_count})}"""
    line += (
        f" && jq -c '{approve}' judged.jsonl > approved.jsonl && dm-execute approved.jsonl > done.jsonl"
        ' && jq -s \'{generated_at: "", source_report: "", approved_actions: .}\' approved.jsonl'
        " > volumes/proofs/approved_fixes_20260101_030000.json"
        f" && dm-analyze {ROOT}/tests/data/database-down.jsonl | dm-propose > before.jsonl"
        " && cp judged.jsonl after.jsonl"
        " && dm-verify --before before.jsonl --executed done.jsonl < after.jsonl > proved.jsonl"
    )
    subprocess.run(["bash", "-c", line], cwd=folder, env=variables, check=True, capture_output=True)
    return folder


@pytest.fixture
def desk(shop: dict[str, str], recorded: Path, tmp_path: Path, hears: Any) -> tuple[Path, dict[str, str]]:
    """A copy of that folder, and the variables to see the shop."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    (tmp_path / "notify.toml").write_text(f'[target.hook]\nwebhook = "{hears().url}"\n')
    return tmp_path, shop | BROWSER | {"PROOFS_DIR": "volumes/proofs", "DM_NOTIFY": "notify.toml"}


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_example_runs(desk: tuple[Path, dict[str, str]], line: str) -> None:
    folder, variables = desk
    if line.startswith("dm-review"):
        session = pexpect.spawn(
            "bash",
            ["-o", "pipefail", "-c", line],
            cwd=str(folder),
            env=SEALED | variables,
            encoding="utf-8",
            timeout=30,
        )
        chosen = "--approve" in line  # a fix that a healthy stack has not
        session.expect("has no fix" if chosen else "No issues found")
        session.expect(pexpect.EOF)
        session.close()
        assert session.exitstatus == (3 if chosen else 0)
        return
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=SEALED | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    # 4: a name of the example (app, postgres) that is no container of its own here
    expected = (10,) if "--fail-on" in line and "||" not in line else (0, 4)
    expected += (141,) if line.endswith("| head -n 4") else ()  # who stays is ended by its reader
    assert done.returncode in expected, done.stdout + done.stderr
    assert done.stderr == ""


def test_the_readme_names_what_there_is() -> None:
    for name in COMMANDS:
        assert f"| `dm-{name}` |" in README
    for path in re.findall(r"`((?:scripts|configs|tests|man|completions|bin)/[\w./*-]*)`", README):
        assert list(ROOT.glob(path.rstrip("/"))) or path.endswith("services_manifest.json"), path
    sessions = subprocess.run(
        [ROOT / "scripts/supervisor-session.sh", "help"], capture_output=True, text=True, env=SEALED, check=True
    ).stdout
    for session in re.findall(r"supervisor-session\.sh ([a-z-]+)", README):
        assert f"\n  {session} " in sessions


def test_what_may_change_an_engine_is_in_the_document_call_by_call() -> None:
    """A proxy's configuration is made from that list."""
    source = (ROOT / "dm_tools/engine/changing.py").read_text()
    text = (ROOT / "docs/execute.md").read_text()
    verbs = set(re.findall(r'_post\(engine, container_id, "(\w+)"', source))
    verbs |= set(re.findall(r'_network\(engine, network, "(\w+)"', source))
    assert len(verbs) == 9
    for verb in verbs:
        assert re.search(rf"POST   /(containers|networks)/ID/{verb}\b", text), verb
    listed = re.findall(r"(?:POST|DELETE) +/\S+", text)
    assert len(listed) == len(verbs) + source.count("/containers/create") + source.count("client.delete")


def test_every_action_that_changes_something_is_explained() -> None:
    text = (ROOT / "docs/execute.md").read_text()
    for action in catalogue.CATALOGUE.values():
        if action.risk in (Risk.REVERSIBLE, Risk.DISRUPTIVE):
            assert f"| `{action.name}` |" in text


def test_the_architecture_names_every_part_of_the_tree() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in (ROOT / "dm_tools").rglob("*.py"):
        folder = path.parent.name
        if path.name != "__init__.py" and folder in ("act", "pipe", "collect", "diagnose", "llm"):
            assert path.name in text, path.name
    there = {path.name for folder in ("dm_tools", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert set(re.findall(r"\b(\w+\.py)\b", text)) <= there


def test_installed_from_a_wheel_it_finds_its_patterns_and_templates(tmp_path: Path) -> None:
    """As a user installs it: built, unpacked elsewhere, run without the checkout."""
    python = ROOT / ".venv/bin/python"
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    subprocess.run(
        [python, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", tmp_path, source],
        check=True,
        cwd=tmp_path,
        env=dict(os.environ),
    )
    wheel = next(tmp_path.glob("*.whl"))
    subprocess.run([python, "-m", "zipfile", "-e", wheel, tmp_path / "installed"], check=True)
    line = (
        '"$0" -P -m dm_tools.commands.analyze | tee judged | "$0" -P -m dm_tools.commands.report --html >&2; cat judged'
    )
    done = subprocess.run(
        ["bash", "-c", line, python],
        input='{"service":"x","probe":{"status":"failed","checks":[{"id":"probe:0","url":"http://x/","kind":"http",'
        '"scope":"internal","ok":false,"error":"tls_expired"}]}}\n',
        env=SEALED | {"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"cause":"tls_expired"' in done.stdout
    code = "from dm_tools.llm import prompts; from dm_tools.show import cost; "
    code += "print(prompts.read('analyst').id, prompts.read('agent').id, len(cost.prices()))"
    found = subprocess.run(
        [python, "-P", "-c", code],
        env=SEALED | {"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"analyst/\d+ \w{8} agent/\d+ \w{8} \d\n", found.stdout)
    page = next((tmp_path / "volumes/proofs").glob("enhanced_*.html")).read_text()
    assert "tls expired" in page
    assert "</style>" in page


def test_completion_offers_options(tmp_path: Path) -> None:
    script = (
        f"source {ROOT}/completions/dm-tools.bash; _dm_tools dm-probe --time; echo ${{COMPREPLY[@]}}; "
        "_dm_tools ./scripts/supervisor-session.sh diag; echo ${COMPREPLY[@]}"
    )
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "--timeout\ndiagnose diagnose-enhanced\n"


def test_the_demo_of_the_readme_says_what_the_sessions_say() -> None:
    """The figures are of one run; every word of it stands in what prints it, and each stage has its line."""
    shown = README.partition("$ ./scripts/supervisor-session.sh demo\n")[2].partition("```")[0].splitlines()
    script = (ROOT / "scripts/supervisor-session.sh").read_text()
    stages, finished = [], [0.0]
    for line in shown:
        if found := re.fullmatch(r"\[supervisor\] ( *\d+\.\d\d) s  (\w+): (\d+) (records?)", line):
            assert len(found[1]) == 6 and found[4] == ("record" if found[3] == "1" else "records"), line
            stages.append(found[2])
            finished.append(float(found[1]))
        elif found := re.match(r"\[[a-z]+\] [^:.]*[:.]|Analyzing |Enhanced [a-z ]*:|To open in a browser:", line):
            assert found[0] in script, line
        else:
            assert re.match(r"CRITICAL \w+: .*; proposed: \w+$", line), line
    assert " ".join(stages) == "services probe inspect logs stats screenshot analyze propose report"
    assert f"stages=({' '.join(stages[:-1])})" in script
    assert finished == sorted(finished)
