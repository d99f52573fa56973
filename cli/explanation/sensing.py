"""Sensors of occupancy: what each said last, and by how much it is taken to be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.estimation.core import Core
from shared.domain.sight import moment


@dataclass(frozen=True, slots=True)
class SensorAccount:
    """One device that says how many people it sees, by the time of the status."""

    device: str
    place: str
    """The zone that it sees; empty for the whole library."""
    at: datetime
    """When it was last listened to."""
    people: float
    """What it said last."""
    too_many: float
    """The share by which it is taken to see too many (below 0: too few), as learned by then."""
    deviation: float
    """How sure that share is: its standard deviation."""


def sensors_of(core: Core, since: datetime) -> tuple[SensorAccount, ...]:
    """Return the account of each sensor that was listened to since a time."""
    state = core.crowd.state
    return tuple(
        SensorAccount(
            device=each.name,
            place=each.place,
            at=moment(each.heard),
            people=each.value,
            too_many=state.mean[core.crowd.bias_index(number)],
            deviation=state.covariance[core.crowd.bias_index(number)][core.crowd.bias_index(number)] ** 0.5,
        )
        for number, each in enumerate(core.crowd.sensors)
        if moment(each.heard) >= since
    )
