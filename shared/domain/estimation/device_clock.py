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
    """The Unix minutes of receipt that `differences` belong to, one of each: what a gate had kept back while it was
    cut off arrives in one minute and must not outvote the rest."""
    differences: list[float] = field(default_factory=list)
    """The least receipt less report of each of these minutes, in seconds."""

    def hear(self, received_s: float, reported_s: float) -> float:
        """Take in when a report arrived (Unix seconds) and when its gate says that it was made; return the offset."""
        minute, difference = int(received_s // MINUTE_S), received_s - reported_s
        minutes, differences = self.minutes, self.differences
        if minutes and minutes[-1] == minute:
            if difference >= differences[-1]:
                return self.offset_s
            differences[-1] = difference
        else:
            minutes.append(minute)
            differences.append(difference)
            while len(minutes) > KEPT or (len(minutes) > FEWEST and minutes[0] < minute - KEPT_MIN):
                del minutes[0], differences[0]
        least = min(differences)
        if abs(least) <= NEGLIGIBLE_S:
            if self.offset_s and len(differences) >= FEWEST:
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
        count = len(self.differences)
        if count < (FEWEST_BEHIND if 0 < least <= SMALL_S else FEWEST):
            return False
        ordered = sorted(self.differences)
        if ordered[count * 3 // 4] - least <= AGREE_S:
            return True
        if count < KEPT:
            return False
        scatter = ordered[count // 2] - least
        if least < 0:  # no network is faster than time
            return least >= -SMALL_S or scatter <= NEAR_S
        return scatter <= min(NEAR_S, least / 2)
