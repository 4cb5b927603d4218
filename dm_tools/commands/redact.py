"""dm-redact: mask secrets, in records or in plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import click

from dm_tools.pipe import command, exits, stream

MAX_LINE_BYTES = 1024 * 1024  # a longer line is masked in pieces


@command.define("dm-redact")
@click.option("--text", is_flag=True, help="Read and write plain text instead of records.")
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, text: bool) -> int:
    """Mask passwords, tokens, keys, cookies and the names in e-mail addresses: <secret:1> in place of each.

    In the lines of mail servers addresses stay: they are what is spoken of.

    Every text in a record is masked; keys, numbers and the structure stay, and so do hosts, ports, users, paths and
    ids. The same secret has the same number in the whole stream; a number is counted and tells nothing of the secret.
    What was masked before is numbered anew: a collector's number means something within one service's record only.

    The collectors (dm-logs, dm-inspect, dm-probe) mask what they collect themselves. This is for what comes from
    elsewhere: a log, a configuration, a report, records of another making.

    Network: none.

    \b
    Examples:
      dm-redact < incident.jsonl > incident-to-share.jsonl
      dm-redact --text < app.log
    """
    from dm_tools import redact

    redactor = redact.Redactor()
    if not text:
        found = (redactor.record(record) for record in command.source(services, on_bad))
        return stream.write(stream.one_by_one(found), "redact")
    if services:
        raise exits.Stop(exits.USAGE, "--text reads standard input; give no names")
    writer, lines = stream.Writer(), redact.Lines(redactor)
    for piece in pieces(command.standard_input("text on it")):
        masked = "\n".join(map(lines.redact, piece.split("\n")))
        writer.write(masked.encode("utf-8", "surrogateescape"), flush=True)
    return exits.DONE


def pieces(source: BinaryIO) -> Iterator[str]:
    """Whole lines, as many as there are right now; bytes that are no UTF-8 survive as surrogates."""
    from dm_tools import redact

    rest = b""
    while chunk := source.read1(MAX_LINE_BYTES):  # type: ignore[attr-defined] # standard input is a BufferedReader
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield (whole + newline).decode("utf-8", "surrogateescape")
        if len(rest) >= MAX_LINE_BYTES:
            line = rest.decode("utf-8", "surrogateescape")
            at = redact.cut(line)
            yield line[:at]
            rest = line[at:].encode("utf-8", "surrogateescape")
    if rest:
        yield rest.decode("utf-8", "surrogateescape")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
