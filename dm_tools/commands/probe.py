"""dm-probe: ask every URL of a service whether it answers."""

from __future__ import annotations

from typing import Any

from dm_tools.collect import asking
from dm_tools.pipe import command, stream


@command.define("dm-probe", unreachable=True, fail_on=True)
@asking.options
@command.fail_on_option
@command.stream_options(jobs=16, timeout=5, envvar="HTTP_TIMEOUT")
def cli(
    services: tuple[str, ...],
    jobs: int,
    timeout: float,
    keep_order: bool,
    on_bad: str,
    fail_on: str | None,
    headers: tuple[list[tuple[str, str]], ...],
    method: str,
    insecure: bool,
    expect: tuple[dict[str, Any], ...],
    retries: int,
) -> int:
    """Add `probe`: a check per URL (http, https, tcp, tls), and the status healthy, degraded, failed or unknown.

    A check has its error from a closed list (dns, refused, timeout, tls_expired, http_5xx, ...), its latency split
    into connection, TLS and first byte, the certificate and the beginning of the body. The names in `internal`
    URLs are looked up in Docker first, so they work from the host, too; Host header and SNI stay as written.
    A service without URLs is judged by its container. 401 counts as alive. At most 5 redirects are followed, and
    only on the same host and port. tcp:// only connects, tls:// also reads the certificate. What dm-services discovered
    is asked in the protocol that its port speaks: a server that speaks first is not spoken to, a certificate must be in
    date, and for the name that a proxy's label gave, a status below 500 is fine.

    What the manifest wants of a URL (`wanted`: status, text, JSON, days of the certificate) is held against the answer;
    -H, -X, --insecure and --expect say the same for all URLs of which it says nothing. HOST:PORT is tcp://HOST:PORT.

    Network: the given URLs; for internal names and containers the Docker Engine.

    \b
    Examples:
      dm-probe https://example.org/health
      dm-probe --expect text=Example --insecure https://example.org/
      dm-services | dm-probe -j 32 | jq -c 'select(.probe.status != "healthy")'
      dm-probe --fail-on unhealthy 127.0.0.1:5432 || echo "the database is down"
    """
    from dm_tools.collect import http, probe
    from dm_tools.engine import transport
    from dm_tools.engine.connection import Engines

    def meanwhile() -> None:
        http.trust()
        transport.load()

    http.warm_up()
    engines = Engines(timeout, load=False)
    way = asking.way(headers, method, insecure, expect, retries)
    source = command.source(map(asking.as_url, services), on_bad, meanwhile)
    results = stream.pmap(
        lambda record: probe.probe(record, engines, timeout, way), source, "probe", jobs, keep_order, engines.forget
    )
    return stream.write(results, "probe", command.matched(fail_on, "probe"))


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
