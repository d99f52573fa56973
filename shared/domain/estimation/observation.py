"""What was seen besides the gates' counts: by staff, by sensors of the queue, by a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["count", "queue", "queueing_time", "throttle", "evacuation", "ticket", "sensor"]


@dataclass(frozen=True, slots=True, order=True)
class Observation:
    """Something seen at one time (Unix seconds). Sorting by time, then by kind and id, makes the order of arrival moot.

    - `count`: `value` people in `place` ("" for the whole library)
    - `queue`: `value` people waiting, `deviation` people (one standard deviation); there may be `beyond` more of them
    (one standard deviation) where the tail is out of sight or past the last marker
    - `queueing_time`: `value` minutes that somebody who joins now will wait, by a sensor
    - `throttle`: the door lets one in for one out (`value` 1) or everybody (0)
    - `evacuation`: everybody is sent out (`value` 1); reopened (0)
    - `ticket`: somebody who joined at `value` (Unix seconds) has got in at `at`
    - `sensor`: `value` people in `place` ("" for the whole library) by the device `sensor`, which looks all the time
    """

    at: float
    kind: Kind
    id: str
    value: float
    deviation: float = 0.0
    beyond: float = 0.0
    place: str = ""
    sensor: str = ""
