"""Arguments that are files: they are read, or it is said why not. Never is a file's name taken for a service's."""

import gzip
import json
from pathlib import Path

import pytest

from tests.conftest import Run, records
from tests.making import service

READERS = ("probe", "inspect", "logs", "stats", "screenshot", "condense", "redact", "analyze", "propose", "report")


@pytest.fixture
def incident(tmp_path: Path) -> Path:
    """A file of two records, judged already."""
    verdict = {"analysis": None, "internal": [], "external": ["http://127.0.0.1:1/"]}
    lines = [json.dumps(service(name) | verdict) for name in ("app", "db")]
    path = tmp_path / "incident.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", READERS)
def test_every_command_that_reads_records_reads_a_file(run: Run, incident: Path, name: str) -> None:
    argument, standard = run(f"dm-{name} incident.jsonl", DM_NOW="1"), run(f"dm-{name} < incident.jsonl", DM_NOW="1")
    assert (argument.returncode, argument.stderr) == (standard.returncode, standard.stderr)
    if name == "report":
        assert records(argument.stdout)[0]["summary"]["total"] == 2
    else:
        assert {each["service"] for each in records(argument.stdout)} == {"app", "db"}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("word", ["missing.jsonl", "missing.json", "missing.json.gz", "none/of/them", "./incident"])
def test_a_file_that_is_not_there_is_said_and_nothing_is_written(
    run: Run, tmp_path: Path, name: str, word: str
) -> None:
    done = run(f"dm-{name} app {word}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"dm-{name}: cannot read '{word}': no such file or directory\n"
    assert list(tmp_path.iterdir()) == []


def test_what_an_argument_stands_for(run: Run, incident: Path, tmp_path: Path) -> None:
    def services(words: str, stdin: str = "") -> list[str]:
        return [each["service"] for each in records(run(f"dm-redact {words}", stdin).stdout)]

    (tmp_path / "web").write_bytes(b"\x7fELF")  # a program that is named as its service
    (tmp_path / "kept").write_bytes(incident.read_bytes())
    (tmp_path / "names.txt").write_text("mail\nqueue\n")
    assert services("web") == ["web"]
    assert services("/web shop/web") == ["web", "shop/web"]
    assert services("kept") == ["app", "db"]
    assert services("names.txt") == ["mail", "queue"]
    assert services("<(cat kept)") == ["app", "db"]
    assert services(f"web {incident} - http://x/", "cache") == ["web", "app", "db", "cache", "http://x/"]
    assert services("app.v2") == ["app.v2"]


def test_a_compressed_file_is_told_from_records(run: Run, incident: Path, tmp_path: Path) -> None:
    (tmp_path / "incident.jsonl.gz").write_bytes(gzip.compress(incident.read_bytes()))
    done = run("dm-analyze incident.jsonl.gz")
    assert (done.returncode, done.stdout) == (3, "")
    assert "it is compressed (zcat incident.jsonl.gz | dm-analyze)" in done.stderr


def test_a_folder_is_no_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()
    done = run("dm-analyze x.jsonl")
    assert (done.returncode, done.stderr) == (3, "dm-analyze: cannot read 'x.jsonl': is a directory\n")


@pytest.mark.parametrize(
    "words",
    [
        *("show", "brief", "incidents", "approve", "review", "execute", "learn", "history record"),
        *("notify --config notify.toml", "verify --before", "report --executed", "propose --history"),
    ],
)
@pytest.mark.parametrize("what", ["missing.jsonl", "folder.jsonl"])
def test_whatever_reads_a_file_ends_alike_without_it(run: Run, tmp_path: Path, words: str, what: str) -> None:
    if words.endswith("--history") and what == "folder.jsonl":
        return  # a folder of reports is what --history takes
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "notify.toml").write_text('[target.me]\nwebhook = "http://127.0.0.1:1/"\n[[rule]]\ntell = ["me"]\n')
    done = run(f"dm-{words} {what}", stdin='{"service":"app"}\n', PROOFS_DIR=str(tmp_path / "proofs"))
    why = "no such file or directory" if what == "missing.jsonl" else "is a directory"
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"dm-{words.split()[0]}: cannot read '{what}': {why}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("silence '' --for 2h --why x", "a service without a name"),
        ("silence app '' --for 2h --why x", "a service without a name"),
        ("silence '' --project shop --for 2h --why x", "a service without a name"),
        ("silence --for 2h --why x", "of what?"),
        ("unsilence", "which silence?"),
        ("unsilence ''", "no silence ''"),
    ],
)
def test_a_variable_that_is_not_set_silences_nothing(run: Run, tmp_path: Path, words: str, says: str) -> None:
    done = run(f"dm-incidents {words}", PROOFS_DIR=str(tmp_path / "proofs"))
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr
    assert not (tmp_path / "proofs/incidents/silences.jsonl").exists()


@pytest.mark.parametrize("url", ["http://[::1", "https://[zz]/", "http://x:99999/"])
@pytest.mark.parametrize("name", ["probe", "screenshot"])
def test_an_address_that_is_none_is_said(run: Run, name: str, url: str) -> None:
    done = run(f"dm-{name} '{url}'")
    (record,) = records(done.stdout)
    assert (done.returncode, done.stderr) == (4, "")
    assert [error["code"] for error in record["errors"]] == ["bad_url"]


@pytest.mark.parametrize(
    "line",
    [
        "probe password=Zk77canaryQ9.jsonl",
        'tool http_get \'{"url":"http://u:Zk77canaryQ9@127.0.0.1:9/"}\'',
        "probe -t 1 'http://127.0.0.1:9/#access_token=Zk77canaryQ9'",
        "probe -t 'token=Zk77canaryQ9' http://127.0.0.1:9/",
    ],
)
def test_what_is_quoted_of_an_argument_holds_no_secret(run: Run, line: str) -> None:
    done = run(f"dm-{line}")
    assert done.stderr and "Zk77" not in done.stdout + done.stderr
