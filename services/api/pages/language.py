"""Which language a page speaks: the one asked for, else one the reader knows, else the library's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.domain.catalog import CATALOGS

USUAL: Final = "en"
RELATED: Final = {"no": "nb", "nn": "nb"}
"""Languages whose readers are served by one that there is."""
PREFERENCES_MAX: Final = 20
"""Nobody names more; a header of thousands is not read to its end."""


def offered_by(languages: Sequence[str]) -> tuple[str, ...]:
    """Return those of a library's languages that this project speaks; never none."""
    return tuple(each for each in languages if each in CATALOGS) or (USUAL,)


def with_spoken(offered: Sequence[str], language: str) -> tuple[str, ...]:
    """Return the languages that a page links to: those offered, and the one it speaks."""
    return tuple(dict.fromkeys((*offered, language)))


def choose(asked: str, accept_language: str, offered: Sequence[str]) -> str:
    """Return `asked` if there is such a language, else one of `offered`: by the header, or the first.

    A language that is asked for by its name is spoken even where it is not offered: a reader who chose it keeps it from
    page to page.
    """
    if (language := _known(asked)) in CATALOGS:
        return language
    for wanted in _preferences(accept_language):
        language = _known(wanted)
        if language in offered:
            return language
    return offered[0]


def _known(tag: str) -> str:
    primary = tag.strip().lower().partition("-")[0]
    return RELATED.get(primary, primary)


def _preferences(header: str) -> list[str]:
    """Return an Accept-Language header's tags, the most wanted first, refused ones left out."""
    wanted = []
    for part in header.split(",")[:PREFERENCES_MAX]:
        tag, _, parameter = part.partition(";")
        weight = _weight(parameter)
        if weight > 0:
            wanted.append((weight, tag))
    return [tag for _, tag in sorted(wanted, key=lambda each: -each[0])]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
