"""The log against what has been applied, again and again, each time at the places that the checkpoints name.

Only the log tells what should have been applied. Where it no longer does, because messages were gone before they were
counted here, what has been applied is taken for it; what differed before goes on to differ until somebody knows of it.

A sequence without a message does not say of which partition it was. A purge's note does, and then its partitions alone
are taken over; else all are that have such a sequence among what was to be counted. What was lost or doubled in one of
them since the look before is taken for right with the rest. So each that is taken over with a difference is reported
and counted, and one that neither a purge nor the age of what is gone explains is an alert.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import nats.errors
from nats.js.api import StreamInfo
from nats.js.errors import APIError
from pydantic import AwareDatetime, TypeAdapter

from services.auditor.applied import Applied, Figured, Unreadable, applied, figured, manifest_of
from services.auditor.direct import read
from services.auditor.recount import Figures, Gone, Missing, Part, Purge, Recount, Tally, adopted
from services.auditor.report import (
    ACCEPTED,
    Compared,
    LeftOut,
    MissingReadings,
    Reconciliation,
    TakenOver,
    read_accepted,
)
from shared.contracts import subjects
from shared.domain.library_state import Totals
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.logs import logger
from shared.runtime.opening_hours import OsmOpeningHours

log = logger(__name__)

DEVICES_TOLD: Final = 100
"""Devices named in the report; of more the worst."""
SURE_FROM: Final = 20
"""A share of fewer numbered readings says nothing."""
WENT_BACK: Final = "its checkpoint goes less far than before; if it still does at the next look, it is counted anew"


@dataclass(slots=True)
class Kept:
    """What is kept over a restart: this on the first line of the file, and each partition on a line of its own."""

    log_created: str
    since: AwareDatetime
    is_adopting: bool = False
    parts: dict[int, Part] = field(default_factory=dict)


_KEPT: Final[TypeAdapter[Kept]] = TypeAdapter(Kept)
_PARTS: Final[TypeAdapter[dict[int, Part]]] = TypeAdapter(dict[int, Part])


class Reconciler:
    """Counts on from where it was, and compares."""

    def __init__(self, bus: Bus, file: Path) -> None:
        """Keep in `file` what was counted; one that cannot be read is begun anew."""
        self._bus = bus
        self._file = file
        self._is_loaded = False
        self._log_created = ""
        self._since: datetime | None = None
        self._recount = Recount(OsmOpeningHours)
        self._is_adopting = False
        """Whether what has been applied is the beginning, for somebody knows of what was different before."""
        self._compared: dict[str, Compared] = {}
        self._looked_at: set[int] = set()
        """Partitions compared since this process began: of the others nothing is told yet, be it of long standing."""
        self._well_at: dict[int, datetime] = {}
        """When each partition was last compared, or had nothing new to compare."""
        self._left_out: dict[int, LeftOut] = {}
        self._went_back: set[int] = set()
        """Partitions that went less far at the last look than what has been counted of them."""

    async def compare(self, now: datetime, *, anew_since: datetime | None = None) -> Reconciliation:
        """Count up to the newest checkpoints and compare there; what was counted before `anew_since` is forgotten.

        Raises BusUnavailable: what has been counted until then is kept, and it goes on from there.
        """
        if not self._is_loaded:
            await asyncio.to_thread(self._load)
            self._is_loaded = True
        created = str((await self._log()).created)
        # Asked for, or a log that was replaced: what was counted is of another past.
        is_asked = anew_since is not None and (self._since is None or self._since < anew_since)
        if is_asked or created != self._log_created:
            why = "accepted" if is_asked else "another log"
            self._begin_anew(created, now, why=why, is_adopting=is_asked)
        why_not: dict[int, str] = {}
        found = {
            number: each
            for number in range(subjects.PARTITIONS)
            if (each := await self._found(number, why_not)) is not None
        }
        info = await self._log()  # after the checkpoints: it goes as far as each of them
        if str(info.created) != created:
            raise BusUnavailable("the log has been replaced meanwhile")
        is_log_whole = _is_whole(info) and not self._is_adopting
        upto: dict[int, int] = {}
        for number, each in found.items():
            if each.covered > info.state.last_seq:
                why_not[number] = f"its checkpoint covers {each.covered}, and the log ends at {info.state.last_seq}"
            elif await self._is_ready(each, now, why_not, is_log_whole=is_log_whole):
                upto[number] = each.covered
        await self._count(upto, now)
        for number in upto:
            await self._judge(found[number], now, why_not)
        self._note(now, why_not)
        await asyncio.to_thread(self._save)
        return self._report(now)

    async def _found(self, number: int, why_not: dict[int, str]) -> Figured | None:
        """Return what is applied of a partition; None where there is nothing (new) or, with the reason, unreadable."""
        part = self._recount.parts.get(number)
        try:
            manifest = await manifest_of(self._bus, number)
            if part is not None and (manifest is None or manifest.covered < part.covered):
                manifest = await manifest_of(self._bus, number, is_of_leader=True)
            if manifest is None:
                if part is not None:
                    self._miss(number, why_not)
                return None
            is_told = number in self._looked_at
            if is_told and part is not None and part.covered == manifest.covered and not part.missing:
                self._went_back.discard(number)
                return None
            return await figured(self._bus, number)
        except Unreadable as fault:
            why_not[number] = str(fault)
            return None

    def _miss(self, number: int, why_not: dict[int, str]) -> None:
        """Forget a partition that has no checkpoint any more, the second time that there is none."""
        if number in self._went_back:
            self._went_back.discard(number)
            del self._recount.parts[number]
            self._drop_compared(number)
        else:
            self._went_back.add(number)
            why_not[number] = WENT_BACK

    def _drop_compared(self, number: int) -> None:
        for name in [each for each in self._compared if subjects.partition_of(each) == number]:
            del self._compared[name]

    async def _log(self) -> StreamInfo:
        try:
            return await self._bus.jetstream.stream_info(subjects.READINGS)
        except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no word of {subjects.READINGS}: {type(error).__name__}") from error

    def _begin_anew(self, created: str, now: datetime, *, why: str, is_adopting: bool) -> None:
        if self._log_created:
            log.warning("recount_begins_anew", reason=why)
        self._log_created, self._since, self._is_adopting = created, now, is_adopting
        self._recount = Recount(OsmOpeningHours)
        self._compared = {}
        self._went_back.clear()

    async def _is_ready(self, each: Figured, now: datetime, why_not: dict[int, str], *, is_log_whole: bool) -> bool:
        """Tell whether a partition is to be counted on; one that is new here begins, and one that has gone back, anew.

        With the beginning of the log, if all of that is there, else with what has been applied.
        """
        part = self._recount.parts.get(each.number)
        if part is not None and each.covered < part.covered:
            # A replica that is behind tells of an older checkpoint, too: believed the second time in a row.
            if each.number not in self._went_back:
                self._went_back.add(each.number)
                why_not[each.number] = WENT_BACK
                return False
            if not is_log_whole:
                await self._take_over(each, now, "its checkpoints begin anew", why_not)
                return False
            log.warning("recount_begins_anew", reason="its checkpoints begin anew", partition=each.number)
        elif part is not None:
            self._went_back.discard(each.number)
            return True
        self._went_back.discard(each.number)
        self._recount.parts[each.number] = Part()
        if is_log_whole:
            return True
        await self._take_over(each, now, "", why_not)
        return False

    async def _count(self, upto: dict[int, int], now: datetime) -> None:
        if not upto:
            return
        start, end = min(self._recount.parts[number].covered for number in upto), max(upto.values())
        async for messages in read(self._bus, subjects.READINGS, after=start, until=end, are_gaps_asked=True):
            for message in messages:
                self._recount.take(message.subject, message.data, message.sequence, upto)
            await self._reach([each.sequence for each in messages], messages[-1].sequence, upto, now)
        await self._reach([], end, upto, now)

    async def _reach(self, came: list[int], until: int, upto: dict[int, int], now: datetime) -> None:
        """Note how far the log was read. Why something was gone is asked after that: a note comes before its purge."""
        gone = await self._gone(now) if self._recount.is_any_gone(came, until, upto) else Gone(first=0)
        self._recount.reach(came, until, upto, gone)

    async def _gone(self, now: datetime) -> Gone:
        """Return why messages may be gone from the log. Raises BusUnavailable."""
        info = await self._log()
        accepted = read_accepted(await self._bus.bucket(subjects.AUDITOR).get(ACCEPTED))
        purges = []
        for note in () if accepted is None else accepted.all_of_them:
            is_at_work = note.until is not None and now <= note.until
            up_to = info.state.last_seq if is_at_work else note.up_to
            if note.since is not None and up_to is not None:
                purges.append(Purge(up_to, None if note.partitions is None else frozenset(note.partitions)))
        return Gone(info.state.first_seq, tuple(purges))

    async def _judge(self, each: Figured, now: datetime, why_not: dict[int, str]) -> None:
        """Compare a partition, where the log has told all that was to be counted."""
        part = self._recount.parts[each.number]
        if not part.missing:
            self._compare(each.number, each.covered, each.totals)
            return
        # The log cannot say any more what should have been applied.
        before = self._differences(each)
        changed = {name: less for name, less in before.items() if less != part.differing.get(name, Figures())}
        gone = "1 message of the log was" if part.missing == 1 else f"{part.missing} messages of the log were"
        why = f"{gone} gone before it could be counted" if changed else ""
        await self._take_over(each, now, why, why_not, is_explained=not part.unexplained)

    async def _take_over(
        self, found: Figured, now: datetime, why: str, why_not: dict[int, str], *, is_explained: bool = False
    ) -> None:
        """Go on from what has been applied, with what differed before; say so, where there is a reason to."""
        number = found.number
        state = await applied(self._bus, number)
        old = self._recount.parts[number]
        if state is None or state.covered < found.covered:  # it will be looked at again
            if not old.tallies and not old.covered:
                del self._recount.parts[number]
            why_not[number] = "its checkpoint could not be read a second time"
            return
        self._went_back.discard(number)
        part = Part(state.covered, _adopted(state, old), state.waiting)
        part.taken_over_at, part.taken_over_why, part.is_explained = (
            old.taken_over_at,
            old.taken_over_why,
            old.is_explained,
        )
        if why and state.libraries:
            libraries = sorted(state.libraries)
            log.warning(
                "recount_takes_over", partition=number, reason=why, is_explained=is_explained, libraries=libraries
            )
            if old.is_explained or not is_explained:  # what nobody has explained stays until somebody knows of it
                part.taken_over_at, part.taken_over_why, part.is_explained = now, why, is_explained
        self._recount.parts[number] = part
        self._compare(number, state.covered, {name: each[2].totals for name, each in state.libraries.items()})

    def _differences(self, each: Figured) -> dict[str, Figures]:
        tallies = self._recount.parts[each.number].tallies
        return {
            name: _counted(tallies, name).less(_has(each.totals.get(name))) for name in sorted({*tallies, *each.totals})
        }

    def _compare(self, number: int, sequence: int, totals: dict[str, Totals]) -> None:
        part = self._recount.parts[number]
        self._looked_at.add(number)
        self._drop_compared(number)
        part.differing = {}
        for name in sorted({*part.tallies, *totals}):
            tally = part.tallies.get(name)
            counted, has = _counted(part.tallies, name), _has(totals.get(name))
            less = counted.less(has)
            gates = {} if tally is None else {gate: (each.entries, each.exits) for gate, each in tally.by_gate.items()}
            self._compared[name] = Compared(
                library=name,
                sequence=sequence,
                readings=less.readings,
                entries=less.entries,
                exits=less.exits,
                in_gaps=less.in_gaps,
                log_entries=counted.entries,
                log_exits=counted.exits,
                gates=gates,
            )
            if not less.is_nothing:
                part.differing[name] = less
                log.error(
                    "reconciliation_differs",
                    library=name,
                    sequence=sequence,
                    readings=less.readings,
                    entries=less.entries,
                    exits=less.exits,
                )

    def _note(self, now: datetime, why_not: dict[int, str]) -> None:
        """Note which partitions could not be compared, and since when."""
        for number in range(subjects.PARTITIONS):
            if number not in why_not:
                self._well_at[number] = now
        self._left_out = {
            number: LeftOut(
                partition=number,
                since=self._left_out[number].since if number in self._left_out else self._well_at.get(number, now),
                why=why,
            )
            for number, why in sorted(why_not.items())
        }

    def _report(self, now: datetime) -> Reconciliation:
        libraries = tuple(self._compared[name] for name in sorted(self._compared))
        for what in ("readings", "entries", "exits", "in_gaps"):
            metrics.RECONCILIATION_DIFFERENCE.labels(what).set(sum(abs(getattr(each, what)) for each in libraries))
        taken_over = [part.is_explained for part in self._recount.parts.values() if part.taken_over_at is not None]
        for why, is_explained in (("explained", True), ("unexplained", False)):
            metrics.RECONCILIATION_TAKEN_OVER.labels(why).set(taken_over.count(is_explained))
        missing = self._recount.missing()
        shares = [each.missing / each.numbered for each in missing if each.numbered >= SURE_FROM]
        metrics.DEVICE_MISSING_SHARE.set(max(shares, default=0.0))
        # The worst partition's: of one that cannot be read for a day a loss would not be noticed for a day.
        oldest = min((each.since for each in self._left_out.values()), default=now)
        metrics.RECONCILED_AT.set(oldest.timestamp())
        return Reconciliation(
            at=now,
            since=self._since or now,
            libraries=libraries,
            devices=tuple(map(_told, missing[:DEVICES_TOLD])),
            taken_over=tuple(
                TakenOver(
                    partition=number,
                    at=part.taken_over_at,
                    why=part.taken_over_why,
                    is_explained=part.is_explained,
                    libraries=tuple(part.tallies),
                )
                for number, part in sorted(self._recount.parts.items())
                if part.taken_over_at is not None
            ),
            left_out=tuple(self._left_out.values()),
        )

    def _load(self) -> None:
        try:
            with gzip.open(self._file, "rb") as file:
                kept = _KEPT.validate_json(file.readline(), extra="ignore")
                for line in file:
                    kept.parts |= _PARTS.validate_json(line, extra="ignore")
        except FileNotFoundError:
            return
        # Which of them a damaged byte raises is chance; pydantic's errors are ValueErrors, and zlib's are none.
        except (OSError, EOFError, ValueError, zlib.error) as error:
            log.warning("recount_unreadable", error=type(error).__name__, consequence="it begins anew")
            return
        self._log_created, self._since, self._is_adopting = kept.log_created, kept.since, kept.is_adopting
        self._recount = Recount(OsmOpeningHours, kept.parts)

    def _save(self) -> None:
        """Write down what was counted, in a thread: line by line, so that the others come to their turn between."""
        assert self._since is not None
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
                    file.write(_KEPT.dump_json(Kept(self._log_created, self._since, self._is_adopting)) + b"\n")
                    for number, part in self._recount.parts.items():
                        file.write(_PARTS.dump_json({number: part}, by_alias=True) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            new.replace(self._file)
        except OSError as error:  # after a restart it begins anew, from the checkpoints
            log.warning("recount_not_kept", reason=error.strerror)


def _is_whole(info: StreamInfo) -> bool:
    """Tell whether the log begins with its first message and nothing was taken out of it since."""
    state = info.state
    return state.first_seq <= 1 and state.messages == max(state.last_seq - state.first_seq + 1, 0)


def _adopted(state: Applied, old: Part) -> dict[str, Tally]:
    """Return the libraries as the aggregator has them, each with what differed, and with its gates, as before."""
    tallies = {name: adopted(*each) for name, each in state.libraries.items()}
    for name, tally in tallies.items():
        tally.figures = tally.figures.plus(old.differing.get(name, Figures()))
        if name in old.tallies:
            tally.by_gate = old.tallies[name].by_gate
    return tallies


def _counted(tallies: dict[str, Tally], name: str) -> Figures:
    return tallies[name].figures if name in tallies else Figures()


def _has(totals: Totals | None) -> Figures:
    return Figures() if totals is None else Figures(totals.applied, totals.entries, totals.exits, totals.in_gaps)


def _told(each: Missing) -> MissingReadings:
    return MissingReadings(library=each.library, device=each.device, missing=each.missing, numbered=each.numbered)
