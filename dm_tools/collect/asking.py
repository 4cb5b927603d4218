"""How URLs are asked that the manifest says nothing of: options as curl has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dm_tools.collect.probe import Way

Function = TypeVar("Function", bound=Callable[..., Any])
_PLACE = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
MAX_FILE = 64 * 1024  # bytes of a file of headers


class Header(click.ParamType):  # type: ignore[type-arg] # generic only in the newest stubs
    """`Name: value`, or @FILE with one a line: what is secret need not stand in the list of processes."""

    name = "header"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> list[tuple[str, str]]:
        """Names and values."""
        if isinstance(value, list):
            return value
        lines = [value]
        if value.startswith("@"):
            try:
                with Path(value[1:]).open(encoding="utf-8") as file:
                    lines = [line for line in file.read(MAX_FILE).splitlines() if line.strip()]
            except (OSError, UnicodeDecodeError) as failure:
                reason = (getattr(failure, "strerror", None) or "no text").lower()
                self.fail(f"cannot read {value[1:]!r}: {reason}", parameter, context)
        parts = [line.partition(":") for line in lines]
        found = [(name.strip(), text.strip()) for name, _, text in parts]
        for name, text in found:
            if (
                not all(colon for _, colon, _ in parts)
                or not _HEADER.fullmatch(name)
                or not (text.isascii() and text.isprintable())
            ):
                self.fail("give 'NAME: VALUE' or @FILE", parameter, context)
        return found


class Expectation(click.ParamType):  # type: ignore[type-arg]
    """What is wanted of an answer: 204, status=200,401, text=ok, json:db.status=up, days=14."""

    name = "wish"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> dict[str, Any]:
        """As keys of the manifest."""
        from dm_tools.collect import expecting

        try:
            return value if isinstance(value, dict) else expecting.told(value)
        except ValueError as wrong:
            self.fail(str(wrong), parameter, context)


def options(function: Function) -> Function:
    """-H, -X, --insecure, --expect and --retries."""
    function = click.option(
        "--retries",
        type=click.IntRange(0, 100),
        default=0,
        show_default=True,
        help="Ask a URL that fails again, 1 s later.",
    )(function)
    function = click.option(
        "--expect",
        type=Expectation(),
        multiple=True,
        help="What is wanted of the answer: 204, status=200,401, text=ok, json:db.status=up, days=14 (certificate).",
    )(function)
    function = click.option("--insecure", is_flag=True, help="Any certificate will do.")(function)
    function = click.option(
        "-X",
        "--request",
        "method",
        type=click.Choice(["GET", "HEAD", "OPTIONS"], case_sensitive=False),
        default="GET",
        show_default=True,
        help="How URLs are asked: by what only looks.",
    )(function)
    return click.option(
        "-H", "--header", "headers", type=Header(), multiple=True, help="Sent to all URLs: 'NAME: VALUE', or @FILE."
    )(function)


def way(
    headers: tuple[list[tuple[str, str]], ...],
    method: str,
    insecure: bool,
    expect: tuple[dict[str, Any], ...],
    retries: int,
) -> Way:
    """The same as the probe takes it. Raises click.UsageError: they do not fit together."""
    from dm_tools.collect import expecting, http
    from dm_tools.collect.probe import Way

    keys: dict[str, Any] = {"json": {}, "method": method}
    for each in expect:
        keys |= each | {"json": keys["json"] | each.get("json", {})}
    try:
        wanted = expecting.wanted(expecting.Url(url="", **keys), None)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    flat = tuple(header for each in headers for header in each)
    return Way(http.Manner(verify=not insecure, headers=flat, method=method), wanted, retries)


def as_url(word: str) -> str:
    """HOST:PORT as a URL that is connected to; any other word as it is."""
    return f"tcp://{word}" if _PLACE.fullmatch(word) else word
