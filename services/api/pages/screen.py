"""What the address of a screen asks for: which libraries, which parts, which languages; refused where it asks amiss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens.words import ErrorWords

LIBRARIES_MAX: Final = 12
"""More on one board nobody reads from a distance."""
THEMES: Final = ("auto", "light", "dark")
FLOORS: Final = ("aside", "up", "down")
"""How the order of a library's zones is to be taken: rooms beside each other, or floors from below or from above."""
PARTS: Final = ("clock", "hours", "notice", "qr", "range", "wait", "zones")
"""What may be left out; the state, the seats and the time they are of may not."""
SWITCHES: Final = ("on", "off")
ROTATE_S: Final = 12
ROTATE_S_MIN: Final = 5
ROTATE_S_MAX: Final = 600
TURN_MAX: Final = 1000
"""Turns are counted by pages without a script; they begin again behind this."""
NAMES: Final = ("floors", "languages", "lang", "library", "name", "parts", "rotate", "theme")
INNER: Final = ("fragment", "turn")
"""What a screen adds to its own address."""


class ScreenRefused(ValueError):  # noqa: N818  the answer, on its way out
    """The address cannot be used; `name` is the parameter that is amiss, `allowed` what it can be."""

    def __init__(self, name: str = "", allowed: Sequence[str] = (), *, too_many: bool = False) -> None:
        """Say what is amiss; without a name there is a parameter that does not exist."""
        super().__init__(name)
        self.name = name
        self.allowed = tuple(allowed)
        self.too_many = too_many

    def sentence(self, words: ErrorWords) -> str:
        """Return the reason in words; never what came in the address."""
        if self.too_many:
            return words.too_many(LIBRARIES_MAX).format(count=LIBRARIES_MAX)
        if not self.name:
            return words.unknown_parameter.format(names=", ".join(NAMES))
        if not self.allowed:
            return words.no_library
        return words.bad_value.format(name=self.name, allowed=", ".join(self.allowed))


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen as its address describes it. `languages` may be empty: the library's own."""

    path: str
    libraries: tuple[str, ...]
    zone: str
    theme: str
    languages: tuple[str, ...]
    rotate_s: int
    parts: frozenset[str]
    has_name: bool
    floors: str
    query: tuple[tuple[str, str], ...]
    """As it came, without what a screen adds itself."""

    @classmethod
    def of(cls, path: str, query: QueryParams, library: str = "", zone: str = "") -> Screen:
        """Read an address; `library` and `zone` are those of its path. Raises ScreenRefused."""
        allowed = set(NAMES) - ({"library"} if library else set())
        if set(query) - allowed - set(INNER):
            raise ScreenRefused
        libraries = (library,) if library else tuple(dict.fromkeys(query.getlist("library")))
        if not libraries:
            raise ScreenRefused("library")
        if len(libraries) > LIBRARIES_MAX:
            raise ScreenRefused("library", too_many=True)
        return cls(
            path=path,
            libraries=libraries,
            zone=zone,
            theme=_one(query, "theme", THEMES),
            languages=_languages(query),
            rotate_s=_rotate(query),
            parts=_parts(query),
            has_name=_one(query, "name", SWITCHES) == "on",
            floors=_one(query, "floors", FLOORS),
            query=tuple((key, value) for key, value in query.multi_items() if key not in INNER),
        )

    @property
    def is_board(self) -> bool:
        """Tell whether several libraries stand beside each other."""
        return len(self.libraries) > 1

    def address(self, **more: str) -> str:
        """Return this screen's own address, with something added."""
        query = urlencode([*self.query, *more.items()])
        return f"{self.path}?{query}" if query else self.path


def _one(query: QueryParams, name: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise ScreenRefused(name, allowed)
    return value


def _languages(query: QueryParams) -> tuple[str, ...]:
    asked = query.get("languages", query.get("lang", ""))
    languages = tuple(dict.fromkeys(each.strip().lower() for each in asked.split(",") if each.strip()))
    if any(each not in CATALOGS for each in languages):
        raise ScreenRefused("languages", tuple(CATALOGS))
    return languages


def _rotate(query: QueryParams) -> int:
    value = query.get("rotate", str(ROTATE_S))
    if value.isascii() and value.isdigit() and len(value) < 5 and ROTATE_S_MIN <= int(value) <= ROTATE_S_MAX:
        return int(value)
    raise ScreenRefused("rotate", (f"{ROTATE_S_MIN}\u2013{ROTATE_S_MAX}",))


def _parts(query: QueryParams) -> frozenset[str]:
    """Return the parts named, or, where each has a minus before it, all but those."""
    if "parts" not in query:
        return frozenset(PARTS)
    named = [each.strip() for each in query["parts"].split(",") if each.strip()]
    left_out = {each[1:] for each in named if each.startswith("-")}
    kept = {each for each in named if not each.startswith("-")}
    if (left_out | kept) - set(PARTS) or (left_out and kept):
        raise ScreenRefused("parts", (*PARTS, *(f"-{each}" for each in PARTS)))
    return frozenset(PARTS) - left_out if left_out else frozenset(kept)


def turn_of(query: QueryParams) -> int:
    """Return which turn of the languages a page without a script is at."""
    value = query.get("turn", "0")
    return int(value) % TURN_MAX if value.isascii() and value.isdigit() and len(value) < 5 else 0
