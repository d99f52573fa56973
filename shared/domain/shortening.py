"""Words of others made to fit: names and notices as they come, on one line, shortened at a word."""

from __future__ import annotations

import re
from typing import Final

ELLIPSIS: Final = "…"
STOPS: Final = (".", "!", "?", ELLIPSIS)
BREAKS: Final = re.compile(r"[ \t\r\n\v\f\x1c-\x1f\x85\u2028\u2029]+")
"""White space at which a line may break; no-break spaces hold a number or a sign together and stay."""
NUMBER_AT_THE_END: Final = re.compile(r"[\d.,\u00a0\u202f]+$")
LOOSE_ENDS: Final = " ,;:.(-\u2013\u2014\u00a0\u202f"
"""What does not stand before "…": separators, opening brackets, dashes."""


def one_line(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return BREAKS.sub(" ", text).strip()


def stopped(text: str) -> str:
    """Return a text that ends as a sentence does, with a full stop if it has no stop of its own."""
    return text if text.endswith(STOPS) else f"{text}."


def capitalised(text: str) -> str:
    """Return a text with its first letter large and the rest as it is."""
    return text[:1].upper() + text[1:]


def shortened(text: str, limit: int) -> str:
    """Return a text of one line in at most `limit` characters, cut at a word, with "…" if anything is left out.

    A single word longer than the limit is cut inside, but never within a number. `limit` is at least 1.
    """
    if len(text) <= limit:
        return text
    kept, following = text[: limit - 1], text[limit - 1]
    if following != " ":
        words = kept.rpartition(" ")[0]
        if words:
            kept = words
        elif following.isdigit():
            kept = NUMBER_AT_THE_END.sub("", kept)
    return kept.rstrip(LOOSE_ENDS) + ELLIPSIS
