"""The registry of tools at the shell, and tools that others bring."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dm_tools.llm.agent import Agent
from dm_tools.records import Problem, new
from dm_tools.tools import plugins, reports
from dm_tools.tools.registry import MAX_ANSWER, MAX_OUTPUT, TOOLS, Tool, Toolbox, check
from tests.conftest import ROOT, SEALED, Box, Run

PLUGIN = """
TOOL = {
    "name": "moon_phase",
    "description": "How full the moon is.",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "integer", "minimum": 1}},
        "required": ["day"],
        "additionalProperties": False,
    },
}


def run(arguments, inventory):
    return {"full": arguments["day"] % 28 == 14, "services": sorted(inventory), "says": "password=hunter2secret"}
"""


def said(run: Run, line: str, stdin: str = "", **variables: str) -> Any:
    """What a call of dm-tool writes."""
    return json.loads(run(line, stdin, **variables).stdout)


def test_a_tool_of_ones_own(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "moon.py").write_text(PLUGIN)
    (tmp_path / "stack.jsonl").write_text(json.dumps(new("app")) + "\n")
    answer = said(run, "dm-tool --inventory stack.jsonl --tools tools moon_phase day=14")
    assert answer["error"] is None and answer["output"]["full"] is True
    assert answer["output"]["services"] == ["app"] and "hunter2secret" not in json.dumps(answer)
    listed = run("dm-tool --list --json", DM_TOOLS=str(folder))
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [row["name"] for row in rows] == [*TOOLS, "diagnose", "explain", "history", "moon_phase"] and rows[-1][
        "parameters"
    ]["required"] == ["day"]
    wrong = run("dm-tool --inventory stack.jsonl --tools tools moon_phase", '{"day": 0}')
    assert wrong.returncode == 2 and "day must be bigger than or equal to 1" in wrong.stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("moon_phase", "docker_logs"), "there is a tool 'docker_logs' already"),
        (("moon_phase", "Moon Phase"), "a name has 3 to 64 small letters"),
        (("def run", "def walk"), "there is no function run(arguments, inventory)"),
        (("TOOL =", "TOOLS ="), "TOOL: Expected `object`, got `null`"),
        (('"description"', '"describtion"'), "TOOL: Object contains unknown field `describtion`"),
        (('"type": "object"', '"type": "array"'), "parameters must be the schema of an object"),
        (('"type": "integer"', '"type": "whole"'), "parameters: no JSON Schema"),
        (("TOOL =", "import nowhere_at_all\nTOOL ="), "cannot be loaded: ModuleNotFoundError"),
        (("TOOL =", "TOOL = ="), "cannot be loaded: SyntaxError"),
    ],
)
def test_a_tool_that_does_not_fit_is_refused_by_name(change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "moon.py").write_text(PLUGIN.replace(*change))
    found, refused = plugins.tools(tmp_path)
    assert found == TOOLS
    assert len(refused) == 1 and str(refused[0]).startswith(f"{tmp_path}/moon.py: ") and reason in str(refused[0])


def test_a_tool_that_breaks_is_a_problem_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "moon.py").write_text(PLUGIN.replace('arguments["day"] % 28', "1 / 0"))
    found, _ = plugins.tools(tmp_path)
    with pytest.raises(Problem, match="moon_phase failed: ZeroDivisionError"):
        Toolbox({}, tools=found).answer("moon_phase", {"day": 1})


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("10**30", "64-bit"),
        ("{1: 2}", "str"),
        ("object()", "object"),
        ('"\\ud800"', "UTF-8"),
        (
            "[].append(1) or (_ for _ in ()).throw(ValueError('password=hunter2secret'))",
            "ValueError: password=<secret:1>",
        ),
    ],
)
def test_what_is_no_answer_is_a_problem_without_secrets(run: Run, tmp_path: Path, returned: str, says: str) -> None:
    (tmp_path / "moon.py").write_text(PLUGIN.partition("    return ")[0] + f"    return {returned}\n")
    (tmp_path / "stack.jsonl").write_text(json.dumps(new("app")) + "\n")
    done = run("dm-tool --inventory stack.jsonl --tools . moon_phase day=1")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"], done.stderr) == (4, "tool_failed", "")
    assert error["message"].startswith("moon_phase failed: ") and says in error["message"]


def test_what_a_tool_prints_is_no_answer(run: Run, tmp_path: Path) -> None:
    noisy = PLUGIN.replace("    return ", "    print('noise')\n    return ") + "\nprint('loaded')\n"
    (tmp_path / "moon.py").write_text(noisy.replace("How full", "How\\n\\x1b[31mfull"))
    (tmp_path / "stack.jsonl").write_text(json.dumps(new("app")) + "\n")
    done = run("dm-tool --inventory stack.jsonl --tools . moon_phase day=14")
    assert json.loads(done.stdout)["output"]["full"] is True
    assert done.stderr == "loaded\nnoise\n"
    listed = run("dm-tool --list --tools .")
    assert listed.stdout.endswith("moon_phase               How \\x1b[31mfull the moon is.\n")


def test_answers_are_bounded() -> None:
    long = Tool("long", "", {}, (), lambda box, arguments: ["x" * 100] * 10_000)
    assert len(Toolbox({}, tools={"long": long}).answer("long", {})) <= MAX_ANSWER + 100
    assert len(Toolbox({}, tools={"long": long}).call("long", {})) <= MAX_OUTPUT + 100


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("docker_logs", {}),
        ("docker_logs", {"container": "a", "tail": 0}),
        ("docker_logs", {"container": "a", "tail": True}),
        ("docker_logs", {"container": ["a"]}),
        ("docker_logs", {"container": "a", "follow": 1}),
        ("docker_inspect", {"container": "a" * 300}),
        ("host_exec_readonly", {"cmd": "uptime", "cwd": "/root"}),
        ("http_get", {"url": "http://a/", "headers": {"X\r\nY": "1"}}),
        ("http_get", {"url": "http://a/", "headers": {"X": "1\r\nHost: b"}}),
        ("http_get", {"url": "http://a/", "headers": {str(number): "x" for number in range(11)}}),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refused:
        check(TOOLS[name], arguments)
    assert refused.value.code == "bad_arguments"


# What was found


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report of a recorded fault, and its history."""
    folder = tmp_path_factory.mktemp("reported")
    line = f"dm-analyze <{ROOT}/tests/data/faults/database-down.jsonl | dm-propose | dm-history record | dm-report"
    variables = SEALED | {"PROOFS_DIR": str(folder)}
    subprocess.run(["bash", "-o", "pipefail", "-c", line], env=variables, check=True, capture_output=True, timeout=60)
    return folder


CANNOT_BE = "postgres shut itself down (exit code 0), and its restart policy (no) does not start it again"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("explain of=1", "CRITICAL postgres: exited"),
        ("explain of=postgres", '[inspect:state] state = "exited"'),
        ("explain of=postgres report=latest", CANNOT_BE),
        ("explain of=web", "web: degraded, symptom\n  postgres → app → web"),
        ("explain of=web", "because of:\n\nCRITICAL postgres: exited"),
        ("explain of=redis", "redis: healthy"),
        ("history", "seen in 1 run"),
        ("history service=postgres newest=1", CANNOT_BE),
        ("history service=nobody", "Nothing is recorded."),
    ],
)
def test_what_was_found_is_told(run: Run, reported: Path, call: str, expected: str) -> None:
    answer = said(run, f"dm-tool {call}", PROOFS_DIR=str(reported))
    assert answer["error"] is None and expected in answer["output"], answer


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("explain of=2", "not_found"),
        ("explain of=nobody", "not_found"),
        ("explain of=postgres report=../secret", "not_found"),
        ("explain of=postgres report=stack", "not_found"),
        ("explain", "bad_arguments"),
        ("history service=-x", "bad_arguments"),
        ("history newest=0", "bad_arguments"),
        ("diagnose services='[\"--execute\"]'", "bad_arguments"),
        ("diagnose engine=rules", "bad_arguments"),
        ("diagnose", "failed"),  # there is no engine
    ],
)
def test_what_cannot_be_told_is_refused(run: Run, reported: Path, call: str, code: str) -> None:
    assert said(run, f"dm-tool {call}", PROOFS_DIR=str(reported))["error"]["code"] == code


def test_a_report_in_short(reported: Path) -> None:
    told = reports.summarised(reported, "latest").split("\n")
    assert told[0].endswith(": 3 failed, 1 degraded, 1 healthy") and len(told) == 2
    why = f"1. critical postgres exited, high confidence: {CANNOT_BE}"
    assert told[1] == f"{why}; suffer: app, web, worker; fix: start (reversible)"


def test_a_diagnosis_starts_no_diagnosis() -> None:
    """The agent's tools are those that look: it has no way to a session, nor to an older verdict."""
    assert {each["function"]["name"] for each in Agent({}, 1).box.definitions()} == set(TOOLS)
    assert not {"diagnose", "explain", "history"} & set(TOOLS)


@pytest.fixture
def heard() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A web server: its URL, and the headers of what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers.items()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"well")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def test_headers_of_a_request(heard: tuple[str, list[dict[str, str]]]) -> None:
    url, asked = heard
    box = Toolbox({"web": new("web", external=[url])})
    found = box.answer("http_get", {"url": url, "headers": {"accept": "text/plain", "X-Request-Id": "7"}})
    assert found["status_code"] == 200 and found["body_excerpt"] == "well"
    assert (asked[0]["accept"], asked[0]["X-Request-Id"]) == ("text/plain", "7") and "Accept" not in asked[0]
    for name in ("Host", "Authorization", "Cookie", "Content-Length", "X-HTTP-Method-Override", "X-Api-Key"):
        with pytest.raises(Problem, match="may not be set here"):
            box.answer("http_get", {"url": url, "headers": {name: "x1y2z3w4q5"}})
    assert len(asked) == 1
    with pytest.raises(Problem, match="only plain paths at hosts and ports of the inventory"):
        box.answer("http_get", {"url": "http://127.0.0.1:1/"})


def test_containers_at_the_shell(run: Run, box: Box, shop: dict[str, str]) -> None:
    labels = {"com.docker.compose.project": "dmtool", "com.docker.compose.service": "web"}
    box("tool", "sh", "-c", "echo ready; sleep 100", labels=labels)
    variables = shop | {"COMPOSE_PROJECT_NAME": "dmtool", "SERVICES_MANIFEST_PATH": "/nonexistent"}
    (row,) = said(run, "dm-tool docker_list_containers", **variables)["output"]
    assert (row["service"], row["container"], row["state"]) == ("web", "dmtest-tool", "running")
    assert said(run, "dm-tool docker_stats container=dmtest-tool", **variables)["output"]["memory_bytes"] > 0
    assert "ready" in said(run, "dm-tool docker_logs", '{"container": "web"}', **variables)["output"]
    done = run("dm-tool docker_inspect container=elsewhere", **variables)
    assert done.returncode == 4 and json.loads(done.stdout)["error"]["code"] == "not_in_inventory"
