"""dm-services with manifests and `.env` files on disk, as a user would write them. Nothing is faked."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run, records

MANIFEST = "configs/probe-orchestrator/services_manifest.json"


def write(folder: Path, content: object, name: str = MANIFEST) -> None:
    """A manifest where dm-services looks for it without being told."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def services(*entries: object) -> dict[str, object]:
    return {"services": list(entries)}


def test_each_entry_becomes_a_record_in_the_manifests_order(run: Run, tmp_path: Path) -> None:
    write(
        tmp_path,
        services(
            {"name": "web", "internal": ["http://web/"], "external": ["https://example.invalid/"]},
            {"name": "app", "container": "shop-app-1", "docker_host": "tcp://10.0.0.1:2375"},
        ),
    )
    done = run("dm-services")
    assert (done.returncode, done.stderr) == (0, "")
    assert records(done.stdout) == [
        {
            "v": 1,
            "service": "web",
            "container": None,
            "docker_host": None,
            "internal": ["http://web/"],
            "external": ["https://example.invalid/"],
        },
        {
            "v": 1,
            "service": "app",
            "container": "shop-app-1",
            "docker_host": "tcp://10.0.0.1:2375",
            "internal": [],
            "external": [],
        },
    ]


def test_keys_of_ones_own_pass_through(run: Run, tmp_path: Path) -> None:
    write(tmp_path, services({"name": "a", "x-team": {"slack": ["#${CHANNEL}"]}, "x-tier": 1, "v": 7}))
    record = records(run("dm-services", CHANNEL="ops").stdout)[0]
    assert record["x-team"] == {"slack": ["#ops"]}
    assert record["x-tier"] == 1
    assert record["v"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://${DOMAIN}/", "http://shop.invalid/"),
        ("http://${DOMAIN}:${PORT:-8080}/", "http://shop.invalid:8080/"),
        ("http://${EMPTY:-fallback}/", "http://fallback/"),
        ("http://x${EMPTY:-}/", "http://x/"),
        ("http://x/?price=$$5&a=$b&c=$${DOMAIN}", "http://x/?price=$5&a=$b&c=${DOMAIN}"),
    ],
)
def test_variables_are_replaced(run: Run, tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, services({"name": "a", "external": [text]}))
    done = run("dm-services", DOMAIN="shop.invalid", EMPTY="")
    assert (done.returncode, done.stderr) == (0, "")
    assert records(done.stdout)[0]["external"] == [expected]


def test_variables_come_from_the_environment_before_the_env_file(run: Run, tmp_path: Path) -> None:
    write(tmp_path, services({"name": "a", "external": ["http://${A}/${B}"]}))
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    assert records(run("dm-services", A="environment").stdout)[0]["external"] == ["http://environment/file"]


def test_a_named_env_file_comes_before_the_one_of_the_folder(run: Run, tmp_path: Path) -> None:
    write(tmp_path, services({"name": "a", "external": ["http://${A}/"]}))
    (tmp_path / ".env").write_text("A=wrong\n")
    (tmp_path / "other.env").write_text("A=other\n")
    assert records(run("dm-services", DM_ENV_FILE="other.env").stdout)[0]["external"] == ["http://other/"]
    done = run("dm-services", DM_ENV_FILE="missing.env")
    assert (done.returncode, done.stdout) == (2, "")
    assert "missing.env" in done.stderr


def test_an_env_file_that_cannot_be_read_is_said(run: Run, tmp_path: Path) -> None:
    # Root may read any file, but nobody can read the first page of its own memory.
    (tmp_path / ".env").symlink_to("/proc/self/mem")
    write(tmp_path, services({"name": "${A}"}))
    done = run("dm-services")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dm-services: cannot read '.env'")
    assert "Traceback" not in done.stderr


BAD_MANIFESTS = {
    "not JSON": ("{nope", "not valid JSON"),
    "not UTF-8": ("\udcff", "not valid JSON"),
    "empty file": ("", "not valid JSON"),
    "a list": ("[]", 'no list "services"'),
    "no services": ("{}", 'no list "services"'),
    "services is no list": ('{"services": {"a": {}}}', 'no list "services"'),
    "empty list": ('{"services": []}', "empty"),
    "entry is text": ('{"services": ["a"]}', "services[0]"),
    "no name": ('{"services": [{"name": "a"}, {"internal": []}]}', "services[1]"),
    "name is a number": ('{"services": [{"name": 5}]}', "services[0]"),
    "name is empty": ('{"services": [{"name": ""}]}', "services[0]: the name is empty"),
    "name is a control character": ('{"services": [{"name": "a\\u001b[2J"}]}', "not printable"),
    "URLs are one text": ('{"services": [{"name": "a", "internal": "http://a/"}]}', "internal"),
    "URL is a number": ('{"services": [{"name": "a", "external": [1]}]}', "external"),
    "container is a list": ('{"services": [{"name": "a", "container": []}]}', "container"),
    "duplicate": ('{"services": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}', "services[2]: a second service"),
    "duplicate by variable": ('{"services": [{"name": "a"}, {"name": "${X:-a}"}]}', "services[1]: a second service"),
    "unset variable": ('{"services": [{"name": "a", "internal": ["http://${SHOP_DOMAIN}/"]}]}', "SHOP_DOMAIN"),
    "unset variable in an extra key": ('{"services": [{"name": "a", "x-x": [{"y": "${DEEP}"}]}]}', "DEEP"),
    "a form of Compose that we lack": ('{"services": [{"name": "a", "x-x": "${A:?needed}"}]}', "${A:?needed}"),
    "a variable without an end": ('{"services": [{"name": "a", "x-x": "${A"}]}', "${A"),
    "misspelt": (
        '{"services": [{"name": "a", "extrnal": []}]}',
        "services[0]: unknown key 'extrnal': did you mean 'external'?",
    ),
    "misspelt at the top": ('{"servces": []}', "unknown key 'servces': did you mean 'services'?"),
    "in capitals": ('{"services": [{"name": "a", "External": []}]}', "did you mean 'external'?"),
    "near to nothing": ('{"services": [{"name": "a", "team": 1}]}', "unknown key 'team': there are: name, internal"),
    "a record's own": ('{"services": [{"name": "a", "errors": []}]}', "unknown key 'errors'"),
    "nested 900 deep": ('{"services": [{"name": "a", "x-x": ' + "[" * 900 + "]" * 900 + "}]}", "manifest.json"),
}


@pytest.mark.parametrize("what", BAD_MANIFESTS)
def test_a_manifest_that_cannot_be_used_is_status_3_and_one_line(run: Run, tmp_path: Path, what: str) -> None:
    content, reason = BAD_MANIFESTS[what]
    path = tmp_path / "manifest.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    done = run("dm-services --manifest manifest.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("dm-services: manifest.json: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_manifest_is_named(run: Run, tmp_path: Path) -> None:
    done = run("dm-services")
    assert (done.returncode, done.stdout) == (3, "")
    hint = " (--discover asks Docker instead; dm docs manifest)"
    assert done.stderr == f"dm-services: cannot read the manifest '{MANIFEST}': no such file or directory{hint}\n"
    done = run("dm-services --manifest .")
    assert (done.returncode, done.stdout) == (3, "")
    assert "is a directory" in done.stderr


def test_the_manifests_path_comes_from_flag_then_environment_then_env_file(run: Run, tmp_path: Path) -> None:
    for name in ("flag", "environment", "file"):
        write(tmp_path, services({"name": name}), f"{name}.json")
    write(tmp_path, services({"name": "default"}))
    environment = {"SERVICES_MANIFEST_PATH": "environment.json"}

    def chosen(line: str, **variables: str) -> str:
        return str(records(run(line, **variables).stdout)[0]["service"])

    assert chosen("dm-services") == "default"
    (tmp_path / "own.env").write_text("SERVICES_MANIFEST_PATH=file.json\n")
    own = {"DM_ENV_FILE": "own.env"}
    assert chosen("dm-services", SERVICES_MANIFEST_PATH="", **own) == "file"
    assert chosen("dm-services", **environment, **own) == "environment"
    assert chosen("dm-services --manifest flag.json", **environment, **own) == "flag"


def test_arguments_choose_services(run: Run, tmp_path: Path) -> None:
    write(tmp_path, services({"name": "a"}, {"name": "b"}, {"name": "c"}))
    done = run("dm-services c a", stdin="not read")
    assert [record["service"] for record in records(done.stdout)] == ["a", "c"]


def test_an_unknown_name_is_a_usage_error_that_says_what_there_is(run: Run, tmp_path: Path) -> None:
    write(tmp_path, services({"name": "a"}, {"name": "b"}))
    done = run("dm-services a nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dm-services: no service 'nope'; there are: a, b\n"


def test_no_engine_is_status_5_and_one_line(run: Run) -> None:
    done = run("dm-services --discover")
    assert (done.returncode, done.stdout) == (5, "")
    assert "cannot reach Docker at unix:///nonexistent/docker.sock" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_manifests_engine_needs_not_answer(run: Run, tmp_path: Path) -> None:
    """Reading a manifest asks nobody, so that the URLs of a stack can be probed without Docker."""
    write(tmp_path, services({"name": "a", "docker_host": "tcp://192.0.2.1:1"}))
    assert run("dm-services").returncode == 0
