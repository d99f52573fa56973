"""The log against what has been applied, again and again, each time at the places that the checkpoints name."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, TypeAdapter

from services.auditor.applied import Applied, applied, covered
from services.auditor.direct import read
from services.auditor.recount import Figures, Missing, Part, Recount, adopted
from services.auditor.report import Compared, MissingReadings, Reconciliation
from shared.contracts import subjects
from shared.runtime import metrics
from shared.runtime.bus import Bus
from shared.runtime.logs import logger
from shared.runtime.opening_hours import OsmOpeningHours

log = logger(__name__)

DEVICES_TOLD: Final = 100
"""Devices named in the report; of more the worst."""
SURE_FROM: Final = 20
"""A share of fewer numbered readings says nothing."""


@dataclass(slots=True)
class Kept:
    """What is kept over a restart."""

    log_created: str
    since: AwareDatetime
    is_adopting: bool = False
    parts: dict[int, Part] = field(default_factory=dict)


_KEPT: Final[TypeAdapter[Kept]] = TypeAdapter(Kept)


class Reconciler:
    """Counts on from where it was, and compares."""

    def __init__(self, bus: Bus, file: Path) -> None:
        """Keep in `file` what was counted; one that cannot be read is begun anew."""
        self._bus = bus
        self._file = file
        self._log_created = ""
        self._since: datetime | None = None
        self._recount = Recount(OsmOpeningHours)
        self._is_adopting = False
        """Whether what has been applied is the beginning, for somebody knows of what was different before."""
        self._differences: dict[str, Compared] = {}
        self._load()

    async def compare(self, now: datetime, *, anew_since: datetime | None = None) -> Reconciliation:
        """Count up to the newest checkpoints and compare there; what was counted before `anew_since` is forgotten.

        Raises BusUnavailable.
        """
        info = await self._bus.jetstream.stream_info(subjects.READINGS)
        created = str(info.created)
        ends = await covered(self._bus)
        last = info.state.last_seq
        # Asked for, a log that was replaced, or checkpoints that begin anew: what was counted is of another past.
        is_asked = anew_since is not None and (self._since is None or self._since < anew_since)
        has_gone_back = any(
            ends.get(number, part.covered) < part.covered for number, part in self._recount.parts.items()
        )
        if is_asked or created != self._log_created or has_gone_back:
            why = "accepted" if is_asked else "another log, or other checkpoints"
            self._begin_anew(created, now, why=why, is_adopting=is_asked)
        await self._meet(ends, last, is_log_whole=info.state.first_seq <= 1 and not self._is_adopting)
        found = {number: each for number in self._due(ends, last) if (each := await applied(self._bus, number))}
        upto = {number: each.covered for number, each in found.items() if each.covered <= last}
        if upto:
            start = min(self._recount.parts[number].covered for number in upto)
            async for messages in read(self._bus, subjects.READINGS, after=start, until=max(upto.values())):
                for message in messages:
                    self._recount.take(message.subject, message.data, message.sequence, upto)
        for number, end in upto.items():
            self._recount.parts[number].covered = end
            self._compare(found[number])
        self._save()
        return self._report(now)

    def _begin_anew(self, created: str, now: datetime, *, why: str, is_adopting: bool) -> None:
        if self._log_created:
            log.warning("recount_begins_anew", reason=why)
        self._log_created, self._since, self._is_adopting = created, now, is_adopting
        self._recount = Recount(OsmOpeningHours)
        self._differences = {}

    async def _meet(self, ends: dict[int, int], last: int, *, is_log_whole: bool) -> None:
        """Begin with partitions that are new here: from the beginning of the log, if it is there, else as they are."""
        for number, end in ends.items():
            if number in self._recount.parts or end > last:
                continue
            part = self._recount.parts[number] = Part()
            if is_log_whole:
                continue
            state = await applied(self._bus, number)
            if state is None:
                del self._recount.parts[number]
                continue
            part.covered, part.waiting = state.covered, state.waiting
            part.tallies = {name: adopted(*each) for name, each in state.libraries.items()}

    def _due(self, ends: dict[int, int], last: int) -> list[int]:
        parts = self._recount.parts
        return [number for number, end in ends.items() if number in parts and parts[number].covered < end <= last]

    def _compare(self, state: Applied) -> None:
        tallies = self._recount.parts[state.number].tallies
        for name in [each for each in self._differences if subjects.partition_of(each) == state.number]:
            del self._differences[name]
        for name in sorted({*tallies, *state.libraries}):
            tally = tallies.get(name)
            theirs = state.libraries.get(name)
            totals = theirs[2].totals if theirs is not None else None
            counted = tally.figures if tally is not None else Figures()
            has = Figures() if totals is None else Figures(totals.applied, totals.entries, totals.exits, totals.in_gaps)
            less = counted.less(has)
            gates = {} if tally is None else {gate: (each.entries, each.exits) for gate, each in tally.by_gate.items()}
            known = Compared(
                library=name,
                sequence=state.covered,
                readings=less.readings,
                entries=less.entries,
                exits=less.exits,
                in_gaps=less.in_gaps,
                log_entries=counted.entries,
                log_exits=counted.exits,
                gates=gates,
            )
            self._differences[name] = known
            if not known.is_right:
                log.error(
                    "reconciliation_differs",
                    library=name,
                    sequence=state.covered,
                    readings=less.readings,
                    entries=less.entries,
                    exits=less.exits,
                )

    def _report(self, now: datetime) -> Reconciliation:
        libraries = tuple(self._differences[name] for name in sorted(self._differences))
        for what in ("readings", "entries", "exits", "in_gaps"):
            metrics.RECONCILIATION_DIFFERENCE.labels(what).set(sum(abs(getattr(each, what)) for each in libraries))
        missing = self._recount.missing()
        shares = [each.missing / each.numbered for each in missing if each.numbered >= SURE_FROM]
        metrics.DEVICE_MISSING_SHARE.set(max(shares, default=0.0))
        metrics.RECONCILED_AT.set(now.timestamp())
        return Reconciliation(
            at=now,
            since=self._since or now,
            libraries=libraries,
            devices=tuple(map(_told, missing[:DEVICES_TOLD])),
        )

    def _load(self) -> None:
        try:
            kept = _KEPT.validate_json(gzip.decompress(self._file.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, EOFError, ValueError) as error:  # pydantic's errors are ValueErrors, too
            log.warning("recount_unreadable", error=type(error).__name__, consequence="it begins anew")
            return
        self._log_created, self._since, self._is_adopting = kept.log_created, kept.since, kept.is_adopting
        self._recount = Recount(OsmOpeningHours, kept.parts)

    def _save(self) -> None:
        assert self._since is not None
        kept = Kept(self._log_created, self._since, self._is_adopting, self._recount.parts)
        body = gzip.compress(_KEPT.dump_json(kept, by_alias=True), compresslevel=1)
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        except OSError as error:  # after a restart it begins anew, from the checkpoints
            log.warning("recount_not_kept", reason=error.strerror)


def _told(each: Missing) -> MissingReadings:
    return MissingReadings(library=each.library, device=each.device, missing=each.missing, numbered=each.numbered)
