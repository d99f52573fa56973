"""How wrong a gate's own clock is, judged by when its reports arrive.

A report cannot arrive before it was made, and usually arrives soon after. So the least of the last differences
between receipt and report is the clock's error plus the shortest delay: the running minimum, as in clock filters of
network time (RFC 5905, section 10). It is only applied where it is more likely to be a clock than a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from shared.domain.estimation.layout import MINUTE_S

KEPT: Final = 20
KEPT_MIN: Final = 120
"""Older differences are forgotten but for the last few: clocks are set right, and drift."""
FEWEST: Final = 5
"""Kept whatever their age, so that a gate that slept through the night is known in the morning."""
FEWEST_BEHIND: Final = 10
"""A clock a little behind looks like a slow network: it takes more differences to tell."""
NEGLIGIBLE_S: Final = 20.0
SMALL_S: Final = 300.0
STEP_S: Final = 10.0
"""The offset moves in such steps, so that it does not follow every delay."""
AGREE_S: Final = 30.0
"""Three quarters of the differences so near to the least are a clock, however few there are, whatever it shows."""
NEAR_S: Final = 120.0
"""Of as many differences as are kept, half so near are one too. Deliveries in disorder do not come so near."""


@dataclass(slots=True)
class DeviceClock:
    """One gate's clock. Adding `offset_s` to its times (seconds) gives the times of whoever receives them."""

    offset_s: float = 0.0
    minutes: list[int] = field(default_factory=list)
    """The Unix minutes of receipt that the differences belong to, one of each: what a gate had kept back while it was
    cut off arrives in one minute and must not outvote the rest."""
    least: list[float] = field(default_factory=list)
    """The least receipt less report of each of these minutes, in seconds: the one with the shortest delay."""
    latest: list[float] = field(default_factory=list)
    """That of the report that arrived last in each: of a hundred in disorder one always seems to come from the future,
    so only these tell how far they scatter."""

    def hear(self, received_s: float, reported_s: float) -> float:
        """Take in when a report arrived (Unix seconds) and when its gate says that it was made; return the offset."""
        minute, difference = int(received_s // MINUTE_S), received_s - reported_s
        minutes = self.minutes
        if minutes and minutes[-1] == minute:
            self.latest[-1] = difference
            if difference >= self.least[-1]:
                return self.offset_s
            self.least[-1] = difference
        else:
            minutes.append(minute)
            self.least.append(difference)
            self.latest.append(difference)
            while len(minutes) > KEPT or (len(minutes) > FEWEST and minutes[0] < minute - KEPT_MIN):
                del minutes[0], self.least[0], self.latest[0]
        least = min(self.least)
        if abs(least) <= NEGLIGIBLE_S:
            if self.offset_s and len(minutes) >= FEWEST:
                self.offset_s = 0.0
        elif not 0 <= least - self.offset_s < 2 * STEP_S or not self.offset_s:
            self._judge(least)
        return self.offset_s

    def _judge(self, least: float) -> None:
        if self._is_credible(least):
            self.offset_s = least // STEP_S * STEP_S
        elif least < self.offset_s:  # reports arrive before they were made: the offset is wrong, and no other is sure
            self.offset_s = 0.0

    def _is_credible(self, least: float) -> bool:
        count = len(self.minutes)
        if count < (FEWEST_BEHIND if 0 < least <= SMALL_S else FEWEST):
            return False
        ordered = sorted(self.latest if least < 0 else self.least)
        if ordered[count * 3 // 4] - least <= AGREE_S:
            return True
        if count < KEPT:
            return False
        scatter = ordered[count // 2] - least
        if least < 0:  # no network is faster than time
            return scatter <= (SMALL_S if least >= -SMALL_S else NEAR_S)
        return scatter <= min(NEAR_S, least / 2)
