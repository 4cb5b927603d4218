"""About how many tokens a text or a record has, without a tokenizer."""

from __future__ import annotations

from typing import Any

import msgspec

from dm_tools.text.late import late

CHARACTERS_PER_TOKEN = 4  # of English, by OpenAI's documentation; logs have more tokens
_COLLECTED = ("probe", "inspect", "logs", "stats", "screenshot")


def evidence_tokens(record: dict[str, Any]) -> int:
    """About how many tokens everything that was collected of a service has: what reading it in full would take.

    Rather too few, so that what is saved is not overstated.
    """
    return len(msgspec.json.encode({key: record.get(key) for key in _COLLECTED})) // CHARACTERS_PER_TOKEN


def tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few.

    Tokenizers of today's models split numbers into digits or groups of them, and words that they have not often seen
    (ids, paths) into pieces of three or four letters: one token for every digit and every mark, one for every four
    letters of a word. tests/test_llm.py compares this with a real tokenizer.
    """
    return sum(
        (len(word) + 3) // 4 if word[0].isalpha() and word.isascii() else len(word) for word in _PARTS.findall(text)
    )


_PARTS = late(r"[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]|\n")
