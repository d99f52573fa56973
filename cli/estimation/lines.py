"""Values out of the protocol's lines, narrowed to what they must be.

By hand, for there are a hundred thousand lines a second. Keys that nobody knows do no harm, and null is the same as
a key left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cli.terminal import JsonValue

Fields = dict[str, JsonValue]
"""One object of the protocol."""

LATEST_S: Final = 1e11
"""The year 5138; what is larger is not in seconds."""
LARGEST: Final = 1e7
"""People, minutes or seconds; no library has more."""
SHOWN: Final = 40
"""Characters of a line that an error repeats."""


class MalformedLine(ValueError):  # noqa: N818  named for what it is; the same line will never be right
    """A line that cannot be used; the message says why."""


def shown(value: object) -> str:
    """Return a value for an error's sentence: on one line, short, nothing that a terminal would obey."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def optional_number(fields: Fields, name: str, largest: float = LARGEST) -> float | None:
    """Return a number from 0 to `largest`, None if it is missing. Raises MalformedLine for anything else."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise MalformedLine(f"{name} is no number but {shown(value)}")
    if not 0 <= value <= largest:  # nor is anything that is not a number
        wrong = "is negative" if value < 0 else "is no finite number" if value != value else "is too large"  # noqa: PLR0124
        raise MalformedLine(f"{name} {wrong}: {shown(value)}")
    return float(value)


def number(fields: Fields, name: str, largest: float = LARGEST) -> float:
    """Return a number from 0 to `largest`. Raises MalformedLine for anything else."""
    value = optional_number(fields, name, largest)
    if value is None:
        raise MalformedLine(f"{name} is missing")
    return value


def instant(fields: Fields, name: str) -> float:
    """Return a time in Unix seconds. Raises MalformedLine for anything else."""
    value = fields.get(name)
    if type(value) is float and 0 <= value <= LATEST_S:  # nearly every time
        return value
    return number(fields, name, LATEST_S)


def whole(fields: Fields, name: str) -> int:
    """Return a whole number, 0 if it is missing. Raises MalformedLine for anything else."""
    value = fields.get(name)
    if type(value) is int and 0 <= value <= LARGEST:  # nearly every count
        return value
    narrowed = optional_number(fields, name) or 0.0
    if not narrowed.is_integer():
        raise MalformedLine(f"{name} is no whole number: {shown(narrowed)}")
    return int(narrowed)


def positive(fields: Fields, name: str) -> float | None:
    """Return a number above 0, None if it is missing or 0. Raises MalformedLine for anything else."""
    return optional_number(fields, name) or None


def flag(fields: Fields, name: str, *, default: bool | None = None) -> bool:
    """Return a truth value, which 0 and 1 are too. Raises MalformedLine for anything else."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if value in (0, 1):
        return bool(value)
    raise MalformedLine(f"{name} is neither true nor false" + ("" if value is None else f" but {shown(value)}"))


def text(fields: Fields, name: str) -> str:
    """Return a text; a number is taken for one. Raises MalformedLine if it is missing or anything else."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise MalformedLine(f"{name} is missing" if value is None else f"{name} is no text but {shown(value)}")


def table(fields: Fields, name: str) -> Fields:
    """Return an object. Raises MalformedLine if it is missing or anything else."""
    value = fields.get(name)
    if isinstance(value, dict):
        return value
    raise MalformedLine(f"{name} is missing" if value is None else f"{name} is no object but {shown(value)}")


def sequence(fields: Fields, name: str) -> Sequence[JsonValue]:
    """Return a list, an empty one if it is missing. Raises MalformedLine for anything else."""
    value = fields.get(name)
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise MalformedLine(f"{name} is no list but {shown(value)}")


def tables(fields: Fields, name: str) -> list[Fields]:
    """Return a list of objects, an empty one if it is missing. Raises MalformedLine for anything else."""
    found: list[Fields] = []
    for each in sequence(fields, name):
        if not isinstance(each, dict):
            raise MalformedLine(f"{name} holds {shown(each)}, which is no object")
        found.append(each)
    return found
