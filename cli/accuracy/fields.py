"""Values out of the protocol's objects, narrowed to what they must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.accuracy.run import Fields
from cli.terminal import JsonValue


def number(fields: Mapping[str, JsonValue], name: str) -> float:
    """Return a number. Raises ValueError if it is missing, TypeError for anything else."""
    value = optional_number(fields, name)
    if value is None:
        raise ValueError(f"{name!r} is missing in {dict(fields)!r}")
    return value


def optional_number(fields: Mapping[str, JsonValue], name: str) -> float | None:
    """Return a number, None if it is null or missing. Raises TypeError for anything else."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name!r} is no number but {value!r}")
    return float(value)


def text(fields: Mapping[str, JsonValue], name: str) -> str:
    """Return a text. Raises TypeError if there is none."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise TypeError(f"{name!r} is no text but {value!r}")
    return value


def table(fields: Mapping[str, JsonValue], name: str) -> Fields:
    """Return an object, an empty one if it is missing. Raises TypeError for anything else."""
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name!r} is no object but {value!r}")
    return dict(value)


def tables(fields: Mapping[str, JsonValue], name: str) -> list[Fields]:
    """Return a list of objects, an empty one if it is missing. Raises TypeError for anything else."""
    return [table({name: each}, name) for each in sequence(fields, name)]


def sequence(fields: Mapping[str, JsonValue], name: str) -> Sequence[JsonValue]:
    """Return a list, an empty one if it is missing. Raises TypeError for anything else."""
    value = fields.get(name)
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name!r} is no list but {value!r}")
    return value
