"""A library's own words in place of a catalog's: which may be replaced, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from string import Formatter
from typing import Any

from shared.domain.catalog.catalog import Catalog


def with_wording(catalog: Catalog, words: Mapping[str, str]) -> Catalog:
    """Return a catalog with some of its words replaced, by name; names it does not have are left out."""
    known = {name: text for name, text in words.items() if fault_of_words(catalog, name, text) == ""}
    changed: Any = known
    return replace(catalog, **changed) if known else catalog


def fault_of_words(catalog: Catalog, name: str, text: str) -> str:
    """Return why a catalog's words cannot be replaced by a text; empty if they can.

    Only whole sentences and words may be, not those that count: their grammar lies in the catalog.
    """
    own = getattr(catalog, name, None)
    if name in FIXED or not isinstance(own, str) or name not in {each.name for each in fields(catalog)}:
        return "there are no such words, or they count and have a grammar of their own"
    try:
        blanks = _blanks(text)
    except ValueError:
        return "its braces do not match"
    if blanks != _blanks(own):
        wanted = ", ".join(f"{{{each}}}" for each in sorted(_blanks(own))) or "no blanks"
        return f"it must have {wanted}, each in braces, like the words it replaces"
    return ""


FIXED = frozenset({"language", "language_name", "simulated", "recorded", "lead"})
"""What a language is, what is not now, and name and time of every message stay as they are."""


def _blanks(text: str) -> set[str]:
    return {blank for _, blank, _, _ in Formatter().parse(text) if blank is not None}
