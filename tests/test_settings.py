"""Settings: whose they are, where a wrong one stands, and that none is without bounds."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, SEALED, Run, records
from tests.making import service
from tests.scripted import Answer, endpoint

FAILED = json.dumps(service("app", "failed", ("something odd",))) + "\n"


def test_a_foreign_env_file_names_no_model_no_key_and_no_folder(run: Run, tmp_path: Path) -> None:
    """A Compose folder's own: its application has a model, and may not have our evidence."""
    with endpoint(lambda request: Answer("no")) as place:
        lines = [f"LLM_BASE_URL={place.url}", "LLM_API_KEY=sk-of-the-application", "PROOFS_DIR=theirs"]
        lines += ["DM_PATTERNS=theirs", "SERVICES_MANIFEST_PATH=theirs.json", "HTTP_TIMEOUT=nan", "DM_ENV_FILE=theirs"]
        (tmp_path / ".env").write_text("\n".join(lines) + "\n")
        done = run("dm-analyze | dm-report", stdin=FAILED)
        assert (done.returncode, done.stderr) == (0, "")
        assert place.requests == []
        assert records(done.stdout)[0]["report_path"].startswith("volumes/proofs/")
        assert run("dm-llm check").returncode == 2
        assert "configs/probe-orchestrator" in run("dm-services").stderr
        assert run("dm-probe http://127.0.0.1:1/").returncode == 0
        run("dm-analyze", stdin=FAILED, DM_ENV_FILE=".env", DM_PATTERNS=str(tmp_path), HTTP_TIMEOUT="5")
        assert place.requests != []  # that is how it is meant, if it is meant


def test_our_own_files_and_which_decides(tmp_path: Path) -> None:
    """In a copy of the checkout: `.env` beside the README, the user's own before it, `$DM_ENV_FILE` in their place."""
    for name in ("dm_tools", "configs", "bin"):
        (tmp_path / "checkout" / name).parent.mkdir(exist_ok=True)
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "checkout" / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "checkout" / "pyproject.toml").touch()
    (tmp_path / "elsewhere").mkdir()
    user = tmp_path / "home" / ".config" / "dm-tools"
    user.mkdir(parents=True)

    def folder(**variables: str) -> str:
        environment = SEALED | {"HOME": str(tmp_path / "home"), "DM_ENV_FILE": "", "PROOFS_DIR": ""} | variables
        done = subprocess.run(
            [tmp_path / "checkout" / "bin" / "dm-report"],
            input='{"service": "x"}\n',
            env=environment,
            cwd=tmp_path / "elsewhere",
            capture_output=True,
            text=True,
        )
        return str(Path(json.loads(done.stdout)["report_path"]).parent)

    assert folder() == str(tmp_path / "checkout" / "volumes/proofs")  # and not in somebody else's folder
    (tmp_path / "checkout" / ".env").write_text("PROOFS_DIR=a\n")
    assert folder() == str(tmp_path / "checkout" / "a")  # what it says is meant from where it lies
    (user / "env").write_text("PROOFS_DIR=/tmp/../" + str(tmp_path) + "/b\n")
    assert Path(folder()).resolve() == tmp_path / "b"
    (tmp_path / "elsewhere" / "c.env").write_text("PROOFS_DIR=c\n")
    assert folder(DM_ENV_FILE="c.env") == "c"
    assert folder(DM_ENV_FILE="c.env", PROOFS_DIR="d") == "d"


WRONG = {
    "HTTP_TIMEOUT": ("dm-probe x", ["nan", "inf", "-1", "0", "30 seconds", "1e3", "2h", "x" * 500]),
    "LLM_TIMEOUT": ("dm-analyze x", ["nan", "1e3", "30x", "0", "2h"]),
    "LLM_DEADLINE": ("dm-analyze x", ["nan", "soon"]),
    "LLM_JOBS": ("dm-analyze x", ["nan", "2.5", "0", "65", "0x10"]),
    "LLM_TEMPERATURE": ("dm-analyze x", ["nan", "-1", "3"]),
    "MAX_STEPS": ("dm-analyze x", ["nan", "0", "ten"]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in WRONG.items() for value in values])
def test_a_bad_value_is_one_line_that_names_its_source(run: Run, tmp_path: Path, name: str, value: str) -> None:
    line, model = WRONG[name][0], {"LLM_BASE_URL": "http://127.0.0.1:1/v1"}
    (tmp_path / "own.env").write_text(f"# ours\n\n{name}={value}\n")
    for variables, source in (({name: value}, name), ({"DM_ENV_FILE": "own.env"}, f"{name} in own.env:3")):
        done = run(line, **model | variables)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{line.split()[0]}: {source}: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "dm-probe -t nan x",
        "dm-logs --since 1w x",
        "dm-logs --since nan x",
        "dm-inspect --window 8d x",
        "dm-stats -t '' x",
        "dm-services -t inf",
        "dm-services -t 2h",
        "dm-screenshot -t 1ms x",
    ],
)
def test_a_bad_flag_is_one_line_that_names_it(run: Run, line: str) -> None:
    done = run(line)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{line.split()[1]}'" in done.stderr and "is no time" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "dm-logs --since 10m x",
        "dm-logs --since 600 x",
        "dm-inspect --window 2d -t 500ms x",
        "dm-stats -t 1m30s x",
        "HTTP_TIMEOUT=2s dm-probe http://127.0.0.1:1/",
        "LLM_BASE_URL= LLM_TIMEOUT=5m dm-analyze x",
    ],
)
def test_durations_are_read_everywhere(run: Run, line: str) -> None:
    done = run(line)
    assert (done.returncode in (0, 4, 5), done.stderr) == (True, "")


def laughs(depth: int) -> str:
    """Each line twice the one before."""
    return "A0=ha\n" + "".join(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, depth))


@pytest.mark.parametrize("text", [laughs(64), laughs(5000), "A=" + "${" * 15_000 + "\n", "A" * 300_000])
def test_no_file_of_variables_takes_more_than_a_moment(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text('{"services": [{"name": "a", "external": ["http://${A63}/"]}]}')
    (tmp_path / ".env").write_text(text)
    began = time.monotonic()
    for variables in ({}, {"DM_ENV_FILE": ".env"}):
        done = run("(ulimit -v 2000000; dm-services --manifest m.json)", timeout=30, **variables)
        assert (done.returncode in (2, 3), done.stdout) == (True, "")
        assert done.stderr.count("\n") == 1 and len(done.stderr) < 500
    assert time.monotonic() - began < 30


def test_a_manifest_cannot_be_blown_up(run: Run, tmp_path: Path) -> None:
    text = "${BIG}" * 5_000
    (tmp_path / "m.json").write_text(json.dumps({"services": [{"name": "a", "x-note": text}]}))
    done = run("dm-services --manifest m.json", BIG="x" * 100_000)
    assert (done.returncode, done.stdout) == (3, "")
    assert "a text becomes longer than 64 KiB" in done.stderr


def test_what_leaves_this_machine_is_said_once_and_stands_in_the_report(run: Run, tmp_path: Path) -> None:
    many = "".join(json.dumps(service(f"app{n}", "failed", ("something odd",))) + "\n" for n in range(3))
    with endpoint(lambda request: Answer("no")) as place:
        line = "dm-analyze | dm-report --html"
        here = run(line, stdin=many, **place.variables)
        assert here.stderr == ""
        port = place.url.rpartition(":")[2]
        # every address of loopback is this machine; 0.0.0.0 leads there, too, but does not say so
        away = run(line, stdin=many, **place.variables | {"LLM_BASE_URL": f"http://0.0.0.0:{port}"})
    told = f"what the model is shown leaves this machine: http://0.0.0.0:{port} (LLM_BASE_URL)"
    assert away.stderr == f"dm-analyze: {told}\n"
    paths = [Path(tmp_path / records(done.stdout)[0]["report_path"]) for done in (here, away)]
    assert [json.loads(path.read_text())["sent_to"] for path in paths] == [[], [f"http://0.0.0.0:{port}"]]
    page = paths[1].with_suffix(".html").read_text()
    assert f"Evidence left this machine: a model at http://0.0.0.0:{port} was asked." in page
