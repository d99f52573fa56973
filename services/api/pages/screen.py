"""What the address of a screen asks for: which libraries, which parts, which languages; refused where it asks amiss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens.words import ErrorWords

BOARD: Final = "/display"
"""The path of a screen for several libraries, which stand in its query."""
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
ALLOWED: Final[Mapping[str, Sequence[str]]] = {
    "floors": FLOORS,
    "fragment": tuple(CATALOGS),
    "lang": tuple(CATALOGS),
    "languages": tuple(CATALOGS),
    "name": SWITCHES,
    "parts": (*PARTS, *(f"-{each}" for each in PARTS)),
    "rotate": (f"{ROTATE_S_MIN}\u2013{ROTATE_S_MAX}",),
    "theme": THEMES,
    "turn": (f"0\u2013{TURN_MAX - 1}",),
}
"""What each may be, as it is said to those who ask for something else; several with commas between them."""


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

    @classmethod
    def of(cls, path: str, query: QueryParams, library: str = "", zone: str = "") -> Screen:
        """Read an address; `library` and `zone` are those of its path. Raises ScreenRefused."""
        allowed = set(NAMES) - ({"library"} if library else set())
        if set(query) - allowed - set(INNER):
            raise ScreenRefused
        for name in set(query) - {"library"}:
            if len(query.getlist(name)) > 1:
                raise ScreenRefused(name, ALLOWED[name])
        libraries = (library,) if library else tuple(dict.fromkeys(query.getlist("library")))
        if not libraries:
            raise ScreenRefused("library")
        if len(libraries) > LIBRARIES_MAX:
            raise ScreenRefused("library", too_many=True)
        return cls(
            path=path,
            libraries=libraries,
            zone=zone,
            theme=_one(query, "theme"),
            languages=_languages(query),
            rotate_s=_rotate(query),
            parts=_parts(query),
            has_name=_one(query, "name") == "on",
            floors=_one(query, "floors"),
        )

    @property
    def is_board(self) -> bool:
        """Tell whether several libraries stand beside each other."""
        return len(self.libraries) > 1

    def address(self, **more: str) -> str:
        """Return this screen's own address, with something added."""
        query = urlencode([*self._query(), *more.items()])
        return f"{self.path}?{query}" if query else self.path

    def _query(self) -> list[tuple[str, str]]:
        """Return what is not as usual, in one form whatever the address was that asked for it."""
        said = {
            "languages": ",".join(self.languages),
            "parts": _told(self.parts),
            "floors": "" if self.floors == FLOORS[0] else self.floors,
            "name": "" if self.has_name else "off",
            "rotate": "" if self.rotate_s == ROTATE_S else str(self.rotate_s),
            "theme": "" if self.theme == THEMES[0] else self.theme,
        }
        # The library of a screen for one stands in its path.
        libraries = [("library", each) for each in self.libraries if self.path == BOARD]
        return [*libraries, *((name, value) for name, value in said.items() if value)]


def _told(parts: frozenset[str]) -> str:
    """Return parts as an address names them; empty for all of them."""
    if not parts:
        return ","
    missing = sorted(frozenset(PARTS) - parts)
    return ",".join(f"-{each}" for each in missing) if len(missing) < len(parts) else ",".join(sorted(parts))


def _one(query: QueryParams, name: str) -> str:
    allowed = tuple(ALLOWED[name])
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise ScreenRefused(name, allowed)
    return value


def _languages(query: QueryParams) -> tuple[str, ...]:
    asked = query.get("languages", query.get("lang", ""))
    languages = tuple(dict.fromkeys(each.strip().lower() for each in asked.split(",") if each.strip()))
    if any(each not in CATALOGS for each in languages):
        raise ScreenRefused("languages", ALLOWED["languages"])
    return languages


def _rotate(query: QueryParams) -> int:
    value = query.get("rotate", str(ROTATE_S))
    if value.isascii() and value.isdigit() and len(value) < 5 and ROTATE_S_MIN <= int(value) <= ROTATE_S_MAX:
        return int(value)
    raise ScreenRefused("rotate", ALLOWED["rotate"])


def _parts(query: QueryParams) -> frozenset[str]:
    """Return the parts named, or, where each has a minus before it, all but those."""
    if "parts" not in query:
        return frozenset(PARTS)
    named = [each.strip() for each in query["parts"].split(",") if each.strip()]
    left_out = {each[1:] for each in named if each.startswith("-")}
    kept = {each for each in named if not each.startswith("-")}
    if (left_out | kept) - set(PARTS) or (left_out and kept):
        raise ScreenRefused("parts", ALLOWED["parts"])
    return frozenset(PARTS) - left_out if left_out else frozenset(kept)


def turn_of(query: QueryParams) -> int:
    """Return which turn of the languages a page without a script is at."""
    value = query.get("turn", "0")
    return int(value) % TURN_MAX if value.isascii() and value.isdigit() and len(value) < 5 else 0
