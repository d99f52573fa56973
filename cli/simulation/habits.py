"""What people of one day do and want: how long they stay, what puts them off, when they are sent home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Final

MINUTE_S: Final = 60
HOUR_S: Final = 3600
LEAVING_S: Final = (-12 * 60.0, 3 * 60.0)
"""When those who stay to the end go, from closing time: the loudspeaker sends them off, the last ones dawdle."""
LUNCH_SPREAD_S: Final = 20 * 60.0
LUNCH_LENGTH_S: Final = (30 * 60.0, 70 * 60.0)


@dataclass(frozen=True, slots=True)
class Lunch:
    """The hour at which a share of those inside go out and come back. `at_s` counts from the beginning of the watch."""

    at_s: float
    share: float

    def draw_s(self, rng: Random) -> float:
        """Return when somebody goes."""
        return rng.gauss(self.at_s, LUNCH_SPREAD_S)

    def draw_length_s(self, rng: Random) -> float:
        """Return how long they are away."""
        return rng.uniform(*LUNCH_LENGTH_S)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Everybody has to leave, some by a door without a gate; later a share of them come back."""

    at_s: float
    reopen_s: float
    back_share: float
    unwatched_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How people behave on one day, in minutes as people think of them."""

    mean_stay_min: float
    stay_spread: float
    """Sigma of the lognormal stay."""
    door_rate_per_min: float
    put_off_min: float
    """Of those facing a wait this long, 1/e join the queue."""
    mean_patience_min: float
    zone_shares: dict[str, float] = field(default_factory=dict)
    move_every_min: float | None = None
    priority_share: float = 0.0
    """Who go past the queue: parents with prams, readers with an appointment."""
    leaving_s: tuple[float, float] = LEAVING_S
    leaving_mode_s: float | None = None
    """When most of them go; without, evenly between the two."""
    lunch: Lunch | None = None
    seatless_stay_min: tuple[float, float] | None = None
    """How long those look for a seat who come in though the house is full, for nobody stands at the door."""
    paces: Sequence[float] = ()
    """By hour of the watch, how fast time passes for those inside: above 1 where people tend to leave."""

    def draw_stay_s(self, rng: Random) -> float:
        """Return how long somebody wants to stay."""
        # The lognormal's median, so that its mean is the mean stay.
        median_s = log(self.mean_stay_min * MINUTE_S) - self.stay_spread**2 / 2
        return rng.lognormvariate(median_s, self.stay_spread)

    def lasts_s(self, now_s: float, stay_s: float) -> float:
        """Return how long a stay really takes that begins at this second of the watch."""
        if not self.paces:
            return stay_s
        at_s = now_s
        for hour in range(int(now_s // HOUR_S), len(self.paces)):
            until_s = (hour + 1) * HOUR_S
            spent_s = (until_s - at_s) * self.paces[hour]
            if spent_s >= stay_s:
                return at_s + stay_s / self.paces[hour] - now_s
            stay_s -= spent_s
            at_s = until_s
        return at_s + stay_s - now_s

    def draw_sent_off_s(self, rng: Random) -> float:
        """Return when somebody who stays to the end goes, in seconds from closing time."""
        if self.leaving_mode_s is None:
            return rng.uniform(*self.leaving_s)
        return rng.triangular(*self.leaving_s, self.leaving_mode_s)
