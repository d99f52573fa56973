"""One conversation of the scoring protocol: a library's configuration and readings in, answers out, in virtual time.

Virtual time is the latest receipt or request. It decides nothing about a reading that has times of its own but how
late it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cli.estimation.answers import answer_fields, fault_fields, stand_at
from cli.estimation.checkpoint import packed
from cli.estimation.events import Reader, said_at
from cli.estimation.lines import Fields, MalformedLine, instant, shown, table
from cli.estimation.seen import Seen, identity_of
from cli.estimation.setup import Setup, read_setup
from shared.domain.estimation.estimator import Estimator, estimator_of
from shared.domain.estimation.gates import GateFault
from shared.domain.estimation.layout import DAY_S, MINUTE_S
from shared.domain.estimation.levels import Stand

BACK_S: Final = 1.0 * DAY_S
AHEAD_S: Final = 60.0 * DAY_S
"""Time that goes back or ahead by more than this begins another recording."""
PLANNED_S: Final = 9.0 * DAY_S
"""How far ahead the estimator is told the opening hours: it looks through all that it has been told."""
PLANNED_LEAST_S: Final = 2.0 * DAY_S
FOLDED_AFTER_S: Final = 1.0 * DAY_S
"""Without a request the minutes since the last one are worked off once a day, so that they take no more memory."""


@dataclass
class Session:
    """What `placelibre estimate` knows; `tells_faults` adds the gates' faults to every answer."""

    tells_faults: bool = False
    setup: Setup | None = None
    estimator: Estimator | None = None
    stand: Stand | None = None
    _reader: Reader | None = None
    _seen: Seen = field(default_factory=Seen)
    _now: float = 0.0
    _may_jump: bool = True
    """Whether no event has come since the last configuration, so that the next one may set another time."""
    _planned_until: float = 0.0
    _folded_at: float = 0.0

    def handle(self, line: Fields) -> Fields | None:
        """Take one object of the protocol; return the answer to a snapshot request, None for all else.

        Raises MalformedLine, having changed nothing that matters, if it makes no sense.
        """
        match line.get("op"):
            case "event":
                event = line.get("event")
                self._take(event if isinstance(event, dict) else table(line, "event"))
            case "snapshot":
                return self._answer(instant(line, "t"))
            case "config":
                self._configure(read_setup(table(line, "config")))
            case None:
                raise MalformedLine("op is missing")
            case other:
                raise MalformedLine(f"there is no op {shown(other)}")
        return None

    def faults(self) -> list[tuple[str, str, float]]:
        """Return the gates that are broken at the latest time known: gate, kind of fault, since when (Unix seconds)."""
        return [(fault.gate, str(fault.kind), fault.since) for fault in self._faults()]

    def state_bytes(self) -> int:
        """Return the size of what a checkpoint keeps of the library; 0 before anything is known."""
        return 0 if self.estimator is None else len(packed(self.estimator))

    def _faults(self) -> list[GateFault]:
        return [] if self.estimator is None else self.estimator.at(self._now).faults(self._now)

    def _configure(self, setup: Setup) -> None:
        before, self.setup = self.setup, setup
        self._reader = Reader(setup, {} if self._reader is None else self._reader.clocks)
        self._may_jump = True
        self._planned_until = 0.0
        if before is None or before.layout != setup.layout:
            self.estimator = None
        if before is None or before.thresholds != setup.thresholds:
            self.stand = None

    def _take(self, event: Fields) -> None:
        setup = self.setup
        if setup is None:
            raise MalformedLine("there is no configuration yet")
        identity = identity_of(event)
        if identity in self._seen:
            return
        is_stamped = event.get("recv") is not None
        received = instant(event, "recv") if is_stamped else max(said_at(event), self._now)
        estimator = self._reach(setup, received, may_jump=self._may_jump)
        assert self._reader is not None  # it came with the configuration
        self._reader.take(event, identity, received, estimator)
        self._may_jump = False
        self._seen.add(identity, self._now)
        if self._now - self._folded_at > FOLDED_AFTER_S:
            estimator.pass_to(self._now)
            self._folded_at = self._now

    def _answer(self, at: float) -> Fields:
        setup = self.setup
        if setup is None:
            raise MalformedLine("there is no configuration yet")
        estimator = self._reach(setup, at, may_jump=True)
        answer = estimator.answer(at)
        self._folded_at = self._now
        self.stand = stand_at(self.stand, answer, setup)
        fields = answer_fields(answer, self.stand, setup, estimator.sessions)
        if self.tells_faults:
            fields["faults"] = [fault_fields(fault) for fault in self._faults()]
        return fields

    def _reach(self, setup: Setup, at: float, *, may_jump: bool) -> Estimator:
        """Let virtual time come to `at` and return the estimator as it is to be asked then."""
        estimator = self.estimator
        if estimator is not None and not self._now - BACK_S <= at <= self._now + AHEAD_S:
            if not may_jump:
                raise MalformedLine(f"{at:.0f} is too far from {self._now:.0f}, the latest time known")
            estimator = None
            self._reader = Reader(setup)
            self._seen = Seen()
            self._now = 0.0
        self._now = max(self._now, at)
        if estimator is None:
            estimator = self.estimator = estimator_of(setup.layout, at)
            self.stand = None
            self._planned_until = 0.0
            self._folded_at = at
        if self._now + PLANNED_LEAST_S > self._planned_until:
            self._planned_until = self._now + PLANNED_S
            earliest = estimator.window.start * MINUTE_S - DAY_S
            estimator.set_sessions(
                [each for each in setup.openings if each.close > earliest and each.open < self._planned_until]
            )
        return estimator
