"""How everything that lies on the bus is read: as whoever runs another version may have written it.

Senders and files are held to the letter, for a word too many there is a mistake that somebody wants to hear of. What
our own services have stored is not: while a house is upgraded or taken back to the version before, old and new read
what the other wrote. So a new version may add fields, each with a default, and an older one passes them over; none is
ever renamed, removed, or given another meaning (tests/contracts/test_golden_samples.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, JsonValue

Stored = TypeVar("Stored", bound=BaseModel)


def read_stored(model: type[Stored], value: bytes | str | Mapping[str, JsonValue]) -> Stored:
    """Return what is stored, as JSON or read from it, whatever a newer version has added to it at any depth.

    What may say anything by any name (a channel's own keys) keeps it, as when it was written.

    Raises pydantic.ValidationError where a field that is known is missing or wrong.
    """
    if isinstance(value, bytes | str):
        return model.model_validate_json(value, extra="ignore")
    return model.model_validate(value, extra="ignore")
