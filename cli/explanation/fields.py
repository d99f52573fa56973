"""An explanation as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from cli.explanation.account import Explanation
from cli.terminal import JsonValue
from shared.contracts.status import PublicStatus

DIGITS: Final = 6
"""What is added up from these is right to a thousandth of a person."""


def as_fields(explanation: Explanation) -> dict[str, JsonValue]:
    """Return everything that is told, under the names that the values have here; times are in the library's zone."""
    zone = explanation.library.time_zone
    told = {each.name: getattr(explanation, each.name) for each in fields(explanation)}
    library, status = told.pop("library"), told.pop("status")
    whole: dict[str, JsonValue] = {
        "library": library.id,
        "status": json.loads(PublicStatus.of(status, {}).model_dump_json(exclude={"sentences"})),
    }
    return whole | {name: _json(value, zone) for name, value in told.items()}


def _json(value: object, zone: ZoneInfo) -> JsonValue:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat()
    if isinstance(value, float):
        return round(value, DIGITS)
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _json(getattr(value, each.name), zone) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _json(each, zone) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_json(each, zone) for each in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")
