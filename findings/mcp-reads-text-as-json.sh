#!/usr/bin/env bash
# mcp 2.3.0 (the Python SDK): a tool's parameter `str | None` that is sent a text which happens to be JSON does not get that text: "null"
# becomes None, and an object or a list is parsed and then refused as "not a string", though the tool's own schema allows each text.
# A parameter `str` gets all of them as they are.
# Expected before it was run: each text arrives as it was sent, in the one as in the other.
# Output: a line for each text: the text, what `str` got, what `str | None` got.
# Seen as modelcontextprotocol/python-sdk#1873.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check mcp==2.3.0 2>/dev/null
"$folder/venv/bin/python" - <<'PY' | tee "$folder/out"
import asyncio, logging
from mcp import Client
from mcp.server import MCPServer

server = MCPServer("notes")

@server.tool()
def plain(note: str) -> str:
    return repr(note)

@server.tool()
def optional(note: str | None = None) -> str:
    return repr(note)

async def main():
    async with Client(server) as client:
        for text in ("hello", "7", "null", '{"k": 1}', "[]"):
            got = [await client.call_tool(name, {"note": text}) for name in ("plain", "optional")]
            print(text, *("refused" if each.is_error else each.content[0].text for each in got))

logging.disable(logging.CRITICAL)
asyncio.run(main())
PY
diff - "$folder/out" <<'OUT'
hello 'hello' 'hello'
7 '7' '7'
null 'null' None
{"k": 1} '{"k": 1}' refused
[] '[]' refused
OUT
