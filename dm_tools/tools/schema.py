"""Arguments of a tool: words of a shell as JSON, and what JSON Schema says of them.

The only module that imports `fastjsonschema`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import orjson


def of_words(words: Iterable[str]) -> dict[str, Any]:
    """KEY=VALUE words as arguments; a value that is JSON is taken as such. Raises ValueError for another word."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is no KEY=VALUE")
        try:
            found[key] = orjson.loads(value)
        except ValueError:
            found[key] = value
    return found


def wrong(schema: dict[str, Any], value: Any) -> str | None:
    """What of a value does not fit a schema, in words; None if all does. Raises ValueError for what is no schema."""
    import fastjsonschema

    try:
        _compiled(orjson.dumps(schema))(value)
    except fastjsonschema.JsonSchemaValueException as failure:
        return str(failure.message).replace("data.", "", 1)[:300]
    return None


@functools.cache
def _compiled(schema: bytes) -> Any:
    import fastjsonschema

    try:
        return fastjsonschema.compile(orjson.loads(schema), use_default=False)
    except (fastjsonschema.JsonSchemaDefinitionException, KeyError, TypeError, AttributeError) as failure:
        raise ValueError(f"no JSON Schema: {failure}") from None
