"""What services are called, and which container a name means: by the labels that Compose gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dm_tools import records
from dm_tools.engine import finding


def container(name: str, project: str = "", service: str = "", folder: str = "/srv") -> dict[str, Any]:
    """A container as the engine lists it."""
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.project.working_dir": f"{folder}/{project}",
        "com.docker.compose.project.config_files": f"{folder}/{project}/compose.yaml,{folder}/{project}/prod.yaml",
    }
    return {"Id": name, "Names": [f"/{name}"], "Labels": labels if project else {}, "State": "running"}


SHOP = [container("shop-db-1", "shop", "db"), container("shop-web-1", "shop", "web")]
BLOG = [container("blog-db-1", "blog", "db"), container("blog-cache-1", "blog", "cache")]
TWICE = [container("shop-worker-1", "shop", "worker"), container("shop-worker-2", "shop", "worker")]
NAMED = [container("web"), container("db", "lab", "store")]


@pytest.mark.parametrize(
    ("listing", "near", "names"),
    [
        (SHOP, None, ["db", "web"]),
        (SHOP + TWICE, None, ["db", "shop-worker-1", "shop-worker-2", "web"]),
        (SHOP + BLOG, None, ["blog/db", "cache", "shop/db", "web"]),
        (SHOP + BLOG, "shop", ["blog/db", "cache", "db", "web"]),
        (SHOP + NAMED, None, ["shop/db", "shop/web", "store", "web"]),
        (SHOP + NAMED, "shop", ["shop/db", "shop/web", "store", "web"]),
        ([container("db", "shop", "db")], None, ["db"]),
    ],
)
def test_a_service_is_called_as_in_its_file_unless_another_is(listing: Any, near: str | None, names: list[str]) -> None:
    told = finding.told_apart(listing, near)
    assert [name for name, _, _ in told] == names
    assert all(own == each["Names"][0][1:] for _, own, each in told)
    for name, own, _ in told:  # and by that name it is found again
        found = finding.of_service(listing, name, near=near)
        assert found is not None and found["Names"] == [f"/{own}"]


def test_which_of_two_projects_is_meant() -> None:
    both = SHOP + BLOG
    with pytest.raises(records.Problem, match="say blog/db or shop/db, or set COMPOSE_PROJECT_NAME"):
        finding.of_service(both, "db")
    assert finding.of_service(both, "db", project="blog") == BLOG[0]
    assert finding.of_service(both, "db", near="shop") == SHOP[0]
    assert finding.of_service(both, "blog/db", project="shop", near="shop") == BLOG[0]
    assert finding.of_service(both, "host/blog/db") == BLOG[0]
    assert finding.of_service(both, "cache", near="shop") == BLOG[1]
    assert finding.of_service(both, "shop/cache") is None


@pytest.mark.parametrize(
    ("folder", "project"),
    [("/srv/shop", "shop"), ("/srv/shop/src/deep", "shop"), ("/srv/blog", "blog"), ("/srv", None), ("/", None)],
)
def test_the_project_of_a_folder(folder: str, project: str | None) -> None:
    assert finding.of_folder(SHOP + BLOG, Path(folder)) == project


def test_a_folder_of_two_projects_means_none() -> None:
    staging = container("staging-db-1", "staging", "db")
    staging["Labels"]["com.docker.compose.project.working_dir"] = "/srv/shop"
    assert finding.of_folder([*SHOP, staging], Path("/srv/shop")) is None


def test_the_project_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = container("own-db-1", tmp_path.name, "db", folder=str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    for name in ("compose.yaml", "prod.yaml"):
        assert finding.of_file([*SHOP, mine], Path(name)) == tmp_path.name
    assert finding.of_file(SHOP, Path("compose.yaml")) is None
    again = mine | {"Labels": mine["Labels"] | {"com.docker.compose.project": "again"}}
    with pytest.raises(records.Problem, match="several projects"):
        finding.of_file([mine, again], Path("compose.yaml"))
