"""How everything that lies on the bus is read: as whoever runs another version may have written it.

Senders and files are held to the letter, for a word too many there is a mistake that somebody wants to hear of. What
our own services have stored is not: while a house is upgraded or taken back to the version before, old and new read
what the other wrote. So a new version may add fields, each with a default, and an older one passes them over; none is
ever renamed, removed, or given another meaning (tests/contracts/test_golden_samples.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.config import ExtraValues

Stored = TypeVar("Stored", bound=BaseModel)


def read_stored(model: type[Stored], value: bytes | str | Mapping[str, JsonValue]) -> Stored:
    """Return what is stored, as JSON or read from it, whatever a newer version has added to it at any depth.

    What may say anything by any name (a channel's own keys) keeps it, as when it was written.

    Raises pydantic.ValidationError where a field that is known is missing or wrong.
    """
    try:
        return _read(model, value, None)
    except ValidationError:
        # pydantic's "ignore" takes a channel's keys away as well; its "allow" fails at dataclasses with slots.
        made = _read(model, value, "ignore")
        _give_back(made, json.loads(value) if isinstance(value, bytes | str) else value)
        return made


def _read(model: type[Stored], value: bytes | str | Mapping[str, JsonValue], extra: ExtraValues | None) -> Stored:
    if isinstance(value, bytes | str):
        return model.model_validate_json(value, extra=extra)
    return model.model_validate(value, extra=extra)


def _give_back(made: object, said: object) -> None:
    """Give each model that takes any name, at any depth, what it said by others than its fields'."""
    if isinstance(made, BaseModel) and isinstance(said, Mapping):
        fields = type(made).model_fields
        if made.model_config.get("extra") == "allow":
            own = {key: each for key, each in said.items() if key not in fields}
            object.__setattr__(made, "__pydantic_extra__", own)  # though frozen
            made.__pydantic_fields_set__.update(own)
        for name, field in fields.items():
            _give_back(getattr(made, name), said.get(name, said.get(field.alias or name)))
    elif isinstance(made, dict) and isinstance(said, Mapping):
        for key, each in made.items():
            _give_back(each, said.get(key))
    elif isinstance(made, list | tuple) and isinstance(said, list) and len(made) == len(said):
        for each, one in zip(made, said, strict=True):
            _give_back(each, one)
