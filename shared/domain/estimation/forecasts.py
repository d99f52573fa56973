"""How good the foretold waits were: each is compared with what later became known.

A measured wait (a ticket) is compared with what was said when its bearer joined. Of the others it is known who is still
before them, from the people let in and from later looks at the queue, so it is known when they got in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

from shared.domain.estimation.demand import PRIORITY_SHARE
from shared.domain.estimation.waiting import RENEGING_PER_MIN

CHECK_EVERY_MIN: Final = 20
LEAST_CHECKED_MIN: Final = 2.0
DAYS_KEPT: Final = 30
LEAST_TICKET_MIN: Final = 3.0
TICKET_SD: Final = 0.6
"""In logs. Tickets of one hour share their errors, so each counts little."""
BIAS_SD: Final = 0.03
BIAS_DRIFT_PER_MIN: Final = 0.00002
SAID_EVERY_MIN: Final = 10
SAID_KEPT: Final = 24
"""Four hours of forecasts: no measured wait is compared that is longer."""
DAY_MIN: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Check:
    """A wait that was foretold, to be compared with what becomes of it: when, how long, people still before it."""

    minute: int
    foretold: float
    ahead: float


@dataclass(slots=True)
class Forecasts:
    """What was foretold lately, and how far off it was. Minutes are Unix minutes or lengths of time, by their names."""

    bias: float = 0.0
    """Log of measured waits over foretold ones."""
    bias_variance: float = BIAS_SD**2
    checks: tuple[Check, ...] = ()
    days: tuple[tuple[int, int, float], ...] = ()
    """(day since 1970, waits checked, sum of their absolute errors in minutes), the latest thirty days, in order."""
    said: tuple[tuple[int, float], ...] = ()
    """(Unix minute, minutes): what the wait of somebody who joins then was thought to be, before the bias."""

    def foretell(self, minute: int, waiting: float, queue: float) -> None:
        """Remember a wait that is foretold with so many people before; called every `SAID_EVERY_MIN` minutes."""
        if minute % CHECK_EVERY_MIN == 0 and queue > 0 and waiting >= LEAST_CHECKED_MIN:
            self.checks = (*self.checks, Check(minute, waiting, queue))
        self.said = (*self.said[-SAID_KEPT + 1 :], (minute, round(waiting / exp(self.bias), 1)))
        self.bias_variance = min(self.bias_variance + BIAS_DRIFT_PER_MIN * SAID_EVERY_MIN, BIAS_SD**2)

    def measure(self, minute_joined: int, waited: float) -> None:
        """Take in a wait that was measured (minutes)."""
        foretold = next((wait for minute, wait in reversed(self.said) if minute <= minute_joined), 0.0)
        if foretold < LEAST_TICKET_MIN or waited < 1.0:
            return
        self._note(minute_joined, abs(waited - foretold * exp(self.bias)))
        error = max(min(log(waited / foretold), 1.0), -1.0) - self.bias
        gain = self.bias_variance / (self.bias_variance + TICKET_SD**2)
        self.bias += gain * error
        self.bias_variance *= 1 - gain

    def move_up(self, minute: int, length: float, entered: float) -> None:
        """Let those who are waited for move up by those who entered in a minute, and compare who is in now."""
        waiting = []
        for each in self.checks:
            ahead = each.ahead * (1 - RENEGING_PER_MIN * length) - entered * (1 - PRIORITY_SHARE)
            if ahead > 0:
                waiting.append(replace(each, ahead=ahead))
            else:
                self._note(minute, abs(minute + length - each.minute - each.foretold))
        self.checks = tuple(waiting)

    def scale(self, factor: float) -> None:
        """Take in that the queue is this many times as long as was thought, and so is the way of everybody in it."""
        self.checks = tuple(replace(each, ahead=each.ahead * factor) for each in self.checks)

    def drop(self) -> None:
        """Give up those who are waited for: the queue is gone, and nobody knows when they got in."""
        self.checks = ()

    def mean_error_min(self) -> tuple[float, int] | None:
        """Return the mean absolute error of the waits foretold in the last thirty days, and how many were checked."""
        count = sum(each[1] for each in self.days)
        return (sum(each[2] for each in self.days) / count, count) if count else None

    def _note(self, minute: int, error_min: float) -> None:
        day = minute // DAY_MIN
        if self.days and self.days[-1][0] >= day:
            last, count, total = self.days[-1]
            self.days = (*self.days[:-1], (last, count + 1, round(total + error_min, 1)))
        else:
            self.days = (*(each for each in self.days if each[0] > day - DAYS_KEPT), (day, 1, round(error_min, 1)))
