"""dm-schema: print the contract, a service record as JSON Schema."""

from __future__ import annotations

import msgspec

from dm_tools import records
from dm_tools.pipe import command, exits, stream


@command.define("dm-schema", reads=False, errors=False)
def cli() -> int:
    """Print the JSON Schema (2020-12) of a service record: every section, key, type and closed list.

    The contract only grows; `v` changes only when the meaning of a key does.

    \b
    Examples:
      dm-schema | jq -r '."$defs".Cause.enum[]'
      dm-schema | jq '."$defs".Check.properties | keys'
    """
    data = msgspec.json.format(msgspec.json.encode(records.schema()), indent=2)
    stream.Writer().write(data + b"\n", flush=True)
    return exits.DONE


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
