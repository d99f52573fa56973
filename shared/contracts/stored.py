"""How everything that lies on the bus is read: as whoever runs another version may have written it.

Senders and files are held to the letter, for a word too many there is a mistake that somebody wants to hear of. What
our own services have stored is not: while a house is upgraded or taken back to the version before, old and new read
what the other wrote. So a new version may add fields, each with a default, and an older one passes them over; none is
ever renamed, removed, or given another meaning (tests/contracts/test_golden_samples.py).
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

Stored = TypeVar("Stored", bound=BaseModel)


def read_stored(model: type[Stored], value: bytes | str) -> Stored:
    """Return what is stored, whatever a newer version has added to it at any depth.

    Raises pydantic.ValidationError where a field that is known is missing or wrong.
    """
    return model.model_validate_json(value, extra="ignore")
