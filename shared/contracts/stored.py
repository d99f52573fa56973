"""How everything that lies on the bus is read: as whoever runs another version may have written it.

Senders and files are held to the letter, for a word too many there is a mistake that somebody wants to hear of. What
our own services have stored is not: while a house is upgraded or taken back to the version before, old and new read
what the other wrote. So a new version may add fields, each with a default, and an older one passes them over; none is
ever renamed, removed, or given another meaning (tests/contracts/test_golden_samples.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Stored = TypeVar("Stored", bound=BaseModel)


def read_stored(model: type[Stored], value: bytes | str) -> Stored:
    """Return what is stored, whatever a newer version has added to it at any depth.

    What may say anything by any name (a channel's own keys) keeps it, as when it was written.

    Raises pydantic.ValidationError where a field that is known is missing or wrong.
    """
    try:
        return model.model_validate_json(value)
    except ValidationError:
        # pydantic's own `extra="ignore"` would take a channel's keys away as well.
        made = model.model_validate_json(value, extra="allow")
        _forget_unknown(made)
        return made


def _forget_unknown(value: object) -> None:
    """Take out of a model, at any depth, what its fields do not name; `value` is nobody's yet."""
    if isinstance(value, BaseModel):
        if value.model_extra and value.model_config.get("extra") != "allow":
            value.__pydantic_fields_set__.difference_update(value.model_extra)
            object.__setattr__(value, "__pydantic_extra__", None)  # though frozen
        for name in type(value).model_fields:
            _forget_unknown(getattr(value, name))
    elif isinstance(value, dict):
        _each_forget_unknown(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        _each_forget_unknown(value)


def _each_forget_unknown(values: Iterable[object]) -> None:
    for each in values:
        _forget_unknown(each)
