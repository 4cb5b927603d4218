"""Which URLs of a container are worth asking: by what real engines say of one, and labels as proxies want them."""

import json
from pathlib import Path
from typing import Any

import pytest

from dm_tools.collect import discover
from dm_tools.records import Discovered

ENGINES = Path(__file__).parent / "data" / "engines"
LOCAL = "unix:///var/run/docker.sock"
Port = tuple[Any, ...]


def container(image: str, *ports: Port, version: str = "20.10.24", **labels: str) -> dict[str, Any]:
    """A recorded container with another image and these ports: (inner, published), and what it is bound to."""
    listed: dict[str, Any] = json.loads((ENGINES / version / "healthy.json").read_text())["listed"]
    bound = [(each[0], each[1], each[2] if len(each) > 2 else "0.0.0.0") for each in ports]
    return listed | {
        "Image": image,
        "Labels": {key.replace("__", "."): value for key, value in labels.items()},
        "Ports": [
            {"IP": address, "PrivatePort": inner, "PublicPort": outer, "Type": "tcp"} for inner, outer, address in bound
        ],
    }


def checked_by(*test: str) -> dict[str, Any]:
    return {"Config": {"Healthcheck": {"Test": list(test)}}}


def found(
    image: str,
    *ports: Port,
    raw: dict[str, Any] | None = None,
    engine: str = LOCAL,
    routes: list[discover.Route] | None = None,
) -> list[Discovered]:
    return discover.urls(container(image, *ports), raw or {}, engine, routes or [])


def asked(*arguments: Any, **options: Any) -> list[str]:
    return [each.url for each in found(*arguments, **options)]


@pytest.mark.parametrize("version", sorted(path.name for path in ENGINES.iterdir()))
def test_a_published_port_is_asked_where_it_is_published_and_else_at_the_containers_address(version: str) -> None:
    listed = container("edge:2.6", (443, 18443), version=version)
    (only,) = discover.urls(listed, {}, LOCAL, [])
    assert only.url == "https://localhost:18443/"
    assert only.addresses[0] == "127.0.0.1:18443"
    own = [network["IPAddress"] for network in listed["NetworkSettings"]["Networks"].values() if network["IPAddress"]]
    assert only.addresses[1:] == [f"{address}:443" for address in own[:1]]
    assert (only.guessed, only.named) == (True, False)
    assert only.chosen == "port 443 is published as 18443"


@pytest.mark.parametrize(
    ("image", "port", "url", "guessed"),
    [
        ("nginx:1.27", 80, "http://localhost:10000/", True),
        ("grafana/grafana:11", 3000, "http://localhost:10000/", True),
        ("portainer/portainer-ce", 9443, "https://localhost:10000/", True),
        ("acme/own", 7788, "tcp://localhost:10000", True),
        ("php:8-fpm", 9000, "tcp://localhost:10000", False),
        ("minio/minio", 9000, "tcp://localhost:10000", True),
        ("acme/own", 5432, "tcp://localhost:10000", False),
        ("mariadb:10.11", 3306, "tcp://localhost:10000", False),
        ("docker.io/library/redis:7@sha256:00", 7001, "tcp://localhost:10000", False),
        ("bitnami/mongodb:7.0", 27001, "tcp://localhost:10000", False),
        ("mongo-express:1", 8081, "http://localhost:10000/", True),
        ("prom/mysqld-exporter", 9999, "tcp://localhost:10000", True),
        ("mariadb:10.11", 9104, "http://localhost:10000/", True),  # a sidecar in its network
        ("rabbitmq:3-management", 15672, "http://localhost:10000/", True),
        ("rabbitmq:3-management", 5672, "tcp://localhost:10000", False),
        ("mailserver", 25, "tcp://localhost:10000", False),
        ("mailserver", 993, "tls://localhost:10000", False),
    ],
)
def test_what_the_number_and_the_image_say(image: str, port: int, url: str, guessed: bool) -> None:
    (only,) = found(image, (port, 10000))
    assert (only.url, only.guessed) == (url, guessed)


def test_addresses_that_a_port_is_bound_to() -> None:
    assert asked("a", (80, 8080, "0.0.0.0"), (80, 8080, "::")) == ["http://localhost:8080/"]
    assert asked("a", (80, 49153, "0.0.0.0"), (80, 49154, "::")) == ["http://localhost:49153/"]
    assert asked("a", (80, 8080, "0.0.0.0"), (80, 8081, "0.0.0.0")) == [
        "http://localhost:8080/",
        "http://localhost:8081/",
    ]
    assert asked("a", (80, 8080, "192.0.2.7")) == ["http://192.0.2.7:8080/"]
    assert asked("a", (80, 8080, "127.0.0.2")) == ["http://127.0.0.2:8080/"]
    (six,) = found("a", (80, 8080, "::1"))
    assert (six.url, six.addresses[0]) == ("http://localhost:8080/", "[::1]:8080")


def test_a_remote_engines_ports_are_asked_at_its_machine() -> None:
    for engine in ("tcp://10.0.0.1:2375", "ssh://ops@10.0.0.1"):
        (only,) = found("a", (80, 8080), (443, 8443, "127.0.0.1"), engine=engine)
        assert (only.url, only.addresses) == ("http://10.0.0.1:8080/", ["10.0.0.1:8080"])


def test_what_is_not_published_and_what_is_not_tcp_is_not_asked() -> None:
    listed = container("nginx")
    listed["Ports"] = [{"PrivatePort": 7788, "Type": "tcp"}, {"PrivatePort": 443, "PublicPort": 443, "Type": "udp"}]
    assert discover.urls(listed, {}, LOCAL, []) == []


def exposing(image: str, *ports: int) -> dict[str, Any]:
    return container(image) | {"Ports": [{"PrivatePort": port, "Type": "tcp"} for port in ports]}


def test_an_exposed_port_is_asked_where_nobody_else_asks_and_may_be_silent() -> None:
    (only,) = discover.urls(exposing("caddy:2.6", 80, 2020), {}, LOCAL, [])
    assert (only.url, only.optional, only.addresses) == ("http://recorded-healthy:80/", True, [])
    assert discover.urls(exposing("caddy:2.6", 80), checked_by("CMD", "true"), LOCAL, []) == []
    assert discover.urls(exposing("caddy:2.6", 80), {}, "tcp://10.0.0.1:2375", []) == []
    assert discover.urls(exposing("postgres:16", 5432, 8080), {}, LOCAL, []) == []
    published = exposing("caddy:2.6", 80)
    published["Ports"] += container("caddy:2.6", (7788, 17788))["Ports"]
    assert [each.url for each in discover.urls(published, {}, LOCAL, [])] == ["tcp://localhost:17788"]


def test_a_range_of_ports_is_not_asked_through() -> None:
    every = asked("coturn", *((port, port) for port in range(40000, 40200)), (8080, 8080))
    assert len(every) == discover.MAX_URLS
    assert every[0] == "http://localhost:8080/"


@pytest.mark.parametrize(
    ("test", "scheme", "path"),
    [
        (("CMD", "curl", "-fsS", "http://localhost:7788/healthz"), "http", "/healthz"),
        (("CMD-SHELL", "wget -qO- http://127.0.0.1:7788/api/health || exit 1"), "http", "/api/health"),
        (("CMD-SHELL", "curl -kf 'https://localhost:7788/ping'"), "https", "/ping"),
        (("CMD-SHELL", "wget --spider -q localhost:7788/up"), "http", "/up"),
        (
            ("CMD-SHELL", "node -e \"fetch('http://localhost:7788/live').catch(() => process.exit(1))\""),
            "http",
            "/live",
        ),
        (("CMD-SHELL", "curl -f http://[::1]:7788/v6"), "http", "/v6"),
        (("CMD-SHELL", "curl -f http://localhost:7788"), "http", "/"),
        (("CMD-SHELL", "curl -f http://localhost:7788/x?token=hunter2"), None, None),
    ],
)
def test_what_the_healthcheck_asks(test: tuple[str, ...], scheme: str | None, path: str | None) -> None:
    urls = asked("acme/own", (7788, 17788), raw=checked_by(*test))
    own = [f"{scheme}://localhost:17788{path}", f"{scheme}://localhost:17788/"] if scheme else []
    assert urls == (list(dict.fromkeys(own)) or ["tcp://localhost:17788"])


@pytest.mark.parametrize(
    "test",
    [
        ("CMD-SHELL", "nc -z localhost 7788"),
        ("CMD-SHELL", "kafka-topics --bootstrap-server localhost:7788 --list"),
        ("CMD", "pg_isready", "-h", "localhost"),
        ("CMD-SHELL", "curl -f http://other:7788/healthz"),
        ("CMD-SHELL", "curl -f http://localhost:${PORT}/healthz"),
        ("NONE",),
        (),
    ],
)
def test_a_healthcheck_that_says_nothing_of_http(test: tuple[str, ...]) -> None:
    assert asked("acme/own", (7788, 17788), raw=checked_by(*test)) == ["tcp://localhost:17788"]


TRAEFIK = "traefik.http.routers.shop."


def named(labels: dict[str, str], environment: dict[str, str] | None = None) -> list[tuple[str, str, bool | None]]:
    return [(each.name, each.path, each.tls) for each in discover.routes("shop", labels, environment or {})]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({TRAEFIK + "rule": "Host(`shop.test`)"}, [("shop.test", "/", None)]),
        ({TRAEFIK + "rule": "Host(`shop.test`)", TRAEFIK + "tls": "true"}, [("shop.test", "/", True)]),
        ({TRAEFIK + "rule": "Host(`shop.test`)", TRAEFIK + "tls.certresolver": "le"}, [("shop.test", "/", True)]),
        ({TRAEFIK + "rule": "Host(`shop.test`)", TRAEFIK + "tls": "false"}, [("shop.test", "/", None)]),
        ({TRAEFIK + "rule": "Host(`shop.test`)", TRAEFIK + "entrypoints": "websecure"}, [("shop.test", "/", True)]),
        ({TRAEFIK + "rule": "Host(`a.test`) && PathPrefix(`/api`)"}, [("a.test", "/api", None)]),
        ({TRAEFIK + "rule": "Host(`a.test`) || Host(`b.test`)"}, [("a.test", "/", None), ("b.test", "/", None)]),
        ({TRAEFIK + "rule": "Host(`a.test`, `b.test`)"}, [("a.test", "/", None), ("b.test", "/", None)]),
        ({TRAEFIK + "rule": "PathPrefix(`/api`)"}, []),
        ({TRAEFIK + "rule": "HostRegexp(`.+[.]test`)"}, []),
        ({TRAEFIK + "rule": "Host(`shop.test`)", "traefik.enable": "false"}, []),
        ({TRAEFIK + "rule": "Host(`a b`, `$(x)`, `evil.test/@x`)"}, []),
        ({"traefik.tcp.routers.db.rule": "HostSNI(`*`)"}, []),
        ({"caddy": "shop.test", "caddy.reverse_proxy": "{{upstreams 80}}"}, [("shop.test", "/", True)]),
        ({"caddy_0": "http://a.test, b.test"}, [("a.test", "/", False), ("b.test", "/", True)]),
        ({"caddy": ":8080"}, []),
        ({"caddy": "*.shop.test"}, []),
    ],
)
def test_names_that_labels_give(labels: dict[str, str], expected: list[tuple[str, str, bool | None]]) -> None:
    assert named(labels) == expected


def test_names_that_nginx_proxy_is_given() -> None:
    assert named({}, {"VIRTUAL_HOST": "a.test, b.test:8080,*.c.test,~^x", "SECRET": "hunter2"}) == [
        ("a.test", "/", None),
        ("b.test", "/", None),
    ]
    assert named({}, {"VIRTUAL_HOST": "a.test", "LETSENCRYPT_HOST": "a.test"}) == [("a.test", "/", True)]


@pytest.mark.parametrize(
    ("image", "proxy"),
    [
        ("traefik:v3.1", "traefik"),
        ("lucaslorentz/caddy-docker-proxy:2.9-alpine", "caddy-docker-proxy"),
        ("nginxproxy/nginx-proxy:1.6", "nginx-proxy"),
    ],
)
def test_a_proxy_is_asked_for_its_sites(image: str, proxy: str) -> None:
    routes = [
        discover.Route(proxy, "a.test", "/", True, "the label of a names it"),
        discover.Route(proxy, "b.test", "/x", None, "the label of b names it"),
        discover.Route("another", "c.test", "/", None, "the label of c names it"),
    ]
    every = found(image, (80, 8000), (443, 443), (8080, 8080), routes=routes)
    assert [(each.url, each.named, each.chosen) for each in every] == [
        ("https://a.test/", True, "the label of a names it"),
        ("http://b.test:8000/x", True, "the label of b names it"),
        ("http://localhost:8080/", False, "port 8080 is published as 8080"),
    ]
    assert every[0].addresses[0] == "127.0.0.1:443"
    assert asked(image, (443, 8443), routes=routes) == ["https://a.test:8443/", "https://b.test:8443/x"]
    assert asked("nginx:1.27", (80, 80), routes=routes) == ["http://localhost:80/"]


def test_what_is_chosen_holds_no_secret() -> None:
    routes = discover.routes("shop", {}, {"VIRTUAL_HOST": "a.test", "DB_PASSWORD": "hunter2"})
    raw = checked_by("CMD-SHELL", "curl -u admin:hunter2 http://admin:hunter2@localhost:7788/x?key=hunter2")
    assert "hunter2" not in str(found("acme/own", (7788, 1), raw=raw)) + str(routes)
