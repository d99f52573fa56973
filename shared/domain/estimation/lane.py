"""One direction of one gate: how fast people go through it, and whether its zeros can be believed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import log1p
from operator import attrgetter
from typing import Final

PACE_MEMORY_MIN: Final = 30.0
PACE_KNOWN_MIN: Final = 20.0
"""A gate's pace is known once it was watched so long."""
USUAL_WEIGHT: Final = 6.0
"""People for which the usual day counts when today's pace is worked out."""
INCREDIBLE: Final = 12.0
"""Zeros with less than this chance, exp(-12), are not believed."""
KNOWN_WEIGHT: Final = 2.0
"""People for which the usual day counts when today's pace is judged."""
MOST_BUSY: Final = 1.5
"""A broken gate is put in for as the others are busy today, up to this factor of a usual day."""
SILENT_ALONE: Final = 25.0
"""The same where no other gate or direction bears witness and only the usual day speaks against the zeros."""
USUAL_PACE: Final = 0.4
WITNESSES: Final = 10.0
WITNESS_SHARE: Final = 0.4
"""Others go on if they count this many people and this share of what they should."""
IMPUTED_SD_SHARE: Final = 0.3


@dataclass(slots=True)
class Lane:
    """One direction of one gate: its pace, and a run of zeros if there is one."""

    counted: float = 0.0
    """People lately, fading."""
    usual: float = 0.0
    """What the usual day has for the same minutes; minutes themselves as long as no day is known."""
    minutes: float = 0.0
    zeros_since: int = 0
    """Unix minute, 0 for none."""
    missing: float = 0.0
    """People that should have come since the zeros began."""
    pace_before: float = 0.0
    counted_before: float = 0.0
    usual_before: float = 0.0
    """People counted, and usual, in the time before the zeros."""
    ahead: float = 0.0
    """What is usual for the time of the zeros."""
    others_seen: float = 0.0
    others_due: float = 0.0
    is_dead: bool = False
    imputed: float = 0.0
    """People put in for those not counted, in the present hole."""
    today: float = 0.0
    share: float = 0.0
    """Its part of all people that go this way through outer gates, on a usual day."""

    def copy(self) -> Lane:
        """Return an independent copy."""
        return Lane(*_FIELDS_OF(self))

    def pace(self) -> float:
        """Return people per unit of the usual day (per minute, as long as no day is known)."""
        if self.share > 0:
            return (self.counted + USUAL_WEIGHT) / (self.usual + USUAL_WEIGHT)
        return self.counted / self.usual if self.minutes >= PACE_KNOWN_MIN and self.usual > 0 else 0.0

    def watch(self, people: float, usual: float, covered: float) -> None:
        """Take in a covered part of a minute."""
        keep = 1.0 - covered / PACE_MEMORY_MIN
        self.counted = self.counted * keep + people
        self.usual = self.usual * keep + usual
        self.minutes = min(self.minutes + covered, 2 * PACE_MEMORY_MIN)
        self.today += people

    def pace_now(self) -> float:
        """Return the pace to expect, which a run of zeros does not slow down."""
        return self.pace_before if self.zeros_since else self.pace()

    def zeros(self, minute: int, usual: float, due: float, *, is_alone: bool) -> float:
        """Take in a minute of zeros where `due` people should have come; return how many to put in for those missing.

        Nothing as long as zeros can be chance; once they cannot, all that were missed since the first. The pace is
        known from people counted, so zeros have the chance of a negative binomial: (1 + ahead / seen) ^ -counted,
        with what is usual of the time ahead and of the time seen (Gamma-Poisson, Gelman et al., Bayesian Data
        Analysis, 2.6).
        """
        if not self.zeros_since:
            self.zeros_since, self.pace_before = minute, self.pace()
            weight = KNOWN_WEIGHT if self.share > 0 else 0.0
            self.counted_before, self.usual_before = self.counted + weight, self.usual + weight
            self.others_seen = self.others_due = self.missing = self.ahead = 0.0
        busy = min((self.others_seen + 1) / (self.others_due + 1), MOST_BUSY)
        if self.is_dead:
            return due * busy
        self.missing += due
        self.ahead += usual
        if self.usual_before <= 0 or self.counted_before * log1p(self.ahead / self.usual_before) < INCREDIBLE:
            return 0.0
        has_witness = self.others_seen >= WITNESSES and self.others_seen >= WITNESS_SHARE * self.others_due
        # A day without people is no fault: where nobody bears witness, the day must have begun like others.
        is_usual_day = self.today > SILENT_ALONE and self.pace_before > USUAL_PACE
        is_against_the_usual = is_alone and self.share > 0 and is_usual_day and self.missing > SILENT_ALONE
        self.is_dead = has_witness or is_against_the_usual
        return self.missing * (busy if has_witness else 1.0) if self.is_dead else 0.0

    def impute(self, people: float) -> float:
        """Put in people not counted; return the variance that comes with them.

        Errors within one hole go the same way, so its deviation, not its variance, grows with the people put in.
        """
        before = self.imputed
        self.imputed += people
        return IMPUTED_SD_SHARE**2 * (self.imputed**2 - before**2) + people

    def rest(self) -> None:
        """Pass a time in which zeros mean nothing; a lane found dead stays so until it counts again."""
        if self.is_dead:
            self.imputed = self.others_seen = self.others_due = 0.0
        else:
            self.end_hole()

    def end_hole(self) -> None:
        """Forget the hole: people are counted again."""
        self.zeros_since, self.missing, self.is_dead, self.imputed = 0, 0.0, False, 0.0
        self.others_seen = self.others_due = 0.0


_FIELDS_OF: Final = attrgetter(*(each.name for each in fields(Lane)))
"""`dataclasses.replace` does the same at several times the price, and lanes are copied with every answer."""
