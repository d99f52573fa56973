"""The public status as the bus stores it and the API serves it, and the events that carry it.

Wire types: the domain may rename inside; what is published here only ever gains fields.
"""

from __future__ import annotations

from typing import Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.domain import ledger, library_state, occupancy, queue_wait
from shared.domain import status as domain
from shared.domain.balance import Balance
from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.sight import moment
from shared.domain.small_numbers import banded, in_steps
from shared.domain.status import ReasonCode, State, Trend


class Wire(BaseModel):
    """Frozen, and tolerant of fields that a newer writer adds."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Estimate(Wire):
    """A number of people with its 90 % interval."""

    value: int
    low: int
    high: int
    below: int | None = Field(
        default=None,
        description="Fewer than this many, and how many is not told, for so few could be recognised; `value` is then"
        " the most that it can be.",
    )

    @classmethod
    def of(cls, estimate: occupancy.Estimate | None) -> Self | None:
        """Return the wire form, or None for no estimate."""
        if estimate is None:
            return None
        return cls(value=estimate.value, low=estimate.low, high=estimate.high, below=estimate.below)

    def to_domain(self) -> occupancy.Estimate:
        """Return the domain's value."""
        return occupancy.Estimate(self.value, self.low, self.high, self.below)


class Wait(Wire):
    """The expected wait of somebody who joins the queue now, in minutes, with its 90 % interval.

    `bucket` is the wait as people say it (rounded up); `overflow` means more than two hours.
    """

    minutes: int
    low: int
    high: int
    bucket: int
    overflow: bool


class Reason(Wire):
    """Why a status is unknown or closed."""

    code: ReasonCode
    gate: str | None = None
    since: AwareDatetime | None = None
    text: str = ""


class ZoneStatus(Wire):
    """One zone; `level`, `people` and `free_seats` are null when unknown or closed."""

    id: str
    name: str
    capacity: int
    level: Level | None
    people: Estimate | None
    free_seats: int | None


class GateFault(Wire):
    """A gate whose counts cannot be believed as they come, what is wrong with it, and since when."""

    gate: str
    kind: FaultKind
    since: AwareDatetime
    name: str = Field(default="", description="The gate as people call it; empty where nobody said.")


class WaitIfLeaving(Wire):
    """The wait that somebody finds who leaves now and is `travel_min` on the way: minutes with a 90 % interval."""

    travel_min: int
    minutes: int
    low: int
    high: int


class Span(Wire):
    """An open span of today, in the library's own time."""

    start: AwareDatetime
    end: AwareDatetime


class Notice(Wire):
    """Words from staff to the public."""

    text: str
    until: AwareDatetime


class Clock(Wire):
    """Whose time this is: `wall` is now; `simulated` and `recorded` are not."""

    kind: ClockKind
    speed: float


class Sentences(Wire):
    """The status in one language: one line to say it all, and shorter ones."""

    long: str
    short: str
    shortest: str


class PublicStatus(Wire):
    """Everything the public is told of one library at one moment.

    Unknown and closed are states; numbers are null then, never 0. Nothing here may be shown after `valid_until`
    without saying so.
    """

    library: str
    name: str
    time_zone: str
    languages: tuple[str, ...]
    revision: int = Field(description="Counts the changes of situation.")
    state: State
    reason: Reason | None
    level: Level | None
    people: Estimate | None
    capacity: int
    free_seats: int | None
    usable_seats: int | None = Field(description="Free seats less those held by bags, where staff counted them.")
    percent: int | None
    trend: Trend | None
    queue: Estimate | None
    wait: Wait | None
    zones: tuple[ZoneStatus, ...]
    hours_today: tuple[Span, ...]
    next_change: AwareDatetime | None = Field(description="When the library next opens or closes.")
    notice: Notice | None
    muted: bool
    as_of: AwareDatetime
    valid_until: AwareDatetime
    last_recount: AwareDatetime | None
    entries_today: int
    exits_today: int
    clock: Clock
    url: str
    gate_faults: tuple[GateFault, ...] = Field(
        default=(), description="Gates that cannot be believed just now; what they miss is put in as well as can be."
    )
    wait_if_leaving: tuple[WaitIfLeaving, ...] = Field(
        default=(), description="By how long one is on the way; empty where nobody would wait or is let in any more."
    )
    last_useful_arrival: AwareDatetime | None = Field(
        default=None, description="Who joins the queue later does not get in before the last entry; null without one."
    )
    wait_error_min: float | None = Field(
        default=None, description="By how much the waits told in the last thirty days were off, on average."
    )
    waits_checked: int = Field(default=0, description="How many of those waits could be checked.")
    corrected_entries_today: int | None = Field(
        default=None, description="Entries with what the gates miss put right; `entries_today` is as counted."
    )
    corrected_exits_today: int | None = None
    rule_version: str = Field(default="", description="The version of the rules by which counts were corrected.")
    sentences: dict[str, Sentences] = Field(default_factory=dict, description="Ready-made, by language.")

    @property
    def seats_left(self) -> int | None:
        """The free seats that people are told of: without those held by bags; None when unknown."""
        return self.free_seats if self.usable_seats is None else self.usable_seats

    @classmethod
    def of(cls, status: domain.Status, sentences: dict[str, Sentences]) -> Self:
        """Return the wire form of a status, in the library's own time zone."""
        zone = ZoneInfo(status.time_zone)
        reason = status.reason
        return cls(
            library=status.library,
            name=status.name,
            time_zone=status.time_zone,
            languages=status.languages,
            revision=status.revision,
            state=status.state,
            reason=None
            if reason is None
            else Reason(
                code=reason.code,
                gate=reason.gate,
                since=reason.since.astimezone(zone) if reason.since else None,
                text=reason.text,
            ),
            level=status.level,
            people=Estimate.of(status.people),
            capacity=status.capacity,
            free_seats=status.free_seats,
            usable_seats=status.usable_seats,
            percent=status.percent,
            trend=status.trend,
            queue=Estimate.of(status.queue),
            wait=None
            if status.wait is None
            else Wait(
                minutes=status.wait.minutes,
                low=status.wait.low,
                high=status.wait.high,
                bucket=status.wait.bucket,
                overflow=status.wait.overflow,
            ),
            zones=tuple(
                ZoneStatus(
                    id=each.id,
                    name=each.name,
                    capacity=each.capacity,
                    level=each.level,
                    people=Estimate.of(each.people),
                    free_seats=None if each.people is None else max(each.capacity - each.people.value, 0),
                )
                for each in status.zones
            ),
            hours_today=tuple(
                Span(start=start.astimezone(zone), end=end.astimezone(zone)) for start, end in status.hours_today
            ),
            next_change=status.next_change.astimezone(zone) if status.next_change else None,
            notice=Notice(text=status.notice, until=status.notice_until.astimezone(zone))
            if status.notice and status.notice_until
            else None,
            muted=status.muted,
            as_of=status.as_of.astimezone(zone),
            valid_until=status.valid_until.astimezone(zone),
            last_recount=status.last_recount.astimezone(zone) if status.last_recount else None,
            entries_today=status.entries_today,
            exits_today=status.exits_today,
            clock=Clock(kind=status.clock, speed=status.speed),
            url=status.url,
            gate_faults=tuple(
                GateFault(gate=each.gate, kind=each.kind, since=each.since.astimezone(zone), name=each.name)
                for each in status.gate_faults
            ),
            wait_if_leaving=tuple(
                WaitIfLeaving(travel_min=each.travel_min, minutes=each.minutes, low=each.low, high=each.high)
                for each in status.wait_if_leaving
            ),
            last_useful_arrival=status.last_useful_arrival.astimezone(zone) if status.last_useful_arrival else None,
            wait_error_min=status.wait_error_min,
            waits_checked=status.waits_checked,
            corrected_entries_today=status.corrected_entries_today,
            corrected_exits_today=status.corrected_exits_today,
            rule_version=status.rule_version,
            sentences=sentences,
        )

    def to_domain(self) -> domain.Status:
        """Return the domain's status, for composing words and deciding on posts."""
        reason = self.reason
        wait = self.wait
        return domain.Status(
            library=self.library,
            name=self.name,
            time_zone=self.time_zone,
            languages=self.languages,
            revision=self.revision,
            state=self.state,
            reason=None
            if reason is None
            else domain.Reason(reason.code, gate=reason.gate, since=reason.since, text=reason.text),
            level=self.level,
            people=self.people.to_domain() if self.people else None,
            capacity=self.capacity,
            usable_seats=self.usable_seats,
            trend=self.trend,
            queue=self.queue.to_domain() if self.queue else None,
            wait=None
            if wait is None
            else queue_wait.Wait(wait.minutes, wait.low, wait.high, wait.bucket, wait.overflow),
            zones=tuple(
                domain.ZoneStatus(
                    each.id,
                    each.name,
                    each.capacity,
                    each.level,
                    each.people.to_domain() if each.people else None,
                )
                for each in self.zones
            ),
            hours_today=tuple((span.start, span.end) for span in self.hours_today),
            next_change=self.next_change,
            notice=self.notice.text if self.notice else "",
            notice_until=self.notice.until if self.notice else None,
            muted=self.muted,
            as_of=self.as_of,
            valid_until=self.valid_until,
            last_recount=self.last_recount,
            entries_today=self.entries_today,
            exits_today=self.exits_today,
            clock=self.clock.kind,
            speed=self.clock.speed,
            url=self.url,
            gate_faults=tuple(
                domain.GateFault(each.gate, each.kind, each.since, each.name) for each in self.gate_faults
            ),
            wait_if_leaving=tuple(
                domain.WaitIfLeaving(each.travel_min, each.minutes, each.low, each.high)
                for each in self.wait_if_leaving
            ),
            last_useful_arrival=self.last_useful_arrival,
            wait_error_min=self.wait_error_min,
            waits_checked=self.waits_checked,
            corrected_entries_today=self.corrected_entries_today,
            corrected_exits_today=self.corrected_exits_today,
            rule_version=self.rule_version,
        )


class Situation(Wire):
    """The part of a status that is worth telling when it changes."""

    state: State
    level: Level | None
    wait_bucket: int | None
    wait_overflow: bool
    notice: str
    reason: ReasonCode | None
    muted: bool = False

    @classmethod
    def of(cls, situation: domain.Situation) -> Self:
        """Return the wire form."""
        return cls(
            state=situation.state,
            level=situation.level,
            wait_bucket=situation.wait_bucket,
            wait_overflow=situation.wait_overflow,
            notice=situation.notice,
            reason=situation.reason,
            muted=situation.muted,
        )

    def to_domain(self) -> domain.Situation:
        """Return the domain's value."""
        return domain.Situation(
            state=self.state,
            level=self.level,
            wait_bucket=self.wait_bucket,
            wait_overflow=self.wait_overflow,
            notice=self.notice,
            reason=self.reason,
            muted=self.muted,
        )


class StatusChanged(Wire):
    """One change of situation; `status.revision` numbers it, and a replay gives it the same number."""

    id: str
    library: str
    at: AwareDatetime
    before: Situation | None
    status: PublicStatus

    @classmethod
    def of(cls, change: domain.Change, sentences: dict[str, Sentences]) -> Self:
        """Return the wire form of a change."""
        status = PublicStatus.of(change.status, sentences)
        return cls(
            id=change.id,
            library=change.library,
            at=change.at.astimezone(ZoneInfo(change.status.time_zone)),
            before=Situation.of(change.before) if change.before else None,
            status=status,
        )

    def to_domain(self) -> domain.Change:
        """Return the domain's change."""
        return domain.Change(
            self.library,
            self.at,
            self.before.to_domain() if self.before else None,
            self.status.to_domain(),
        )


class HistorySample(Wire):
    """One point of a day's curve, on a grid of 15 minutes; null where there was no honest answer."""

    at: AwareDatetime
    state: State
    people: Estimate | None
    queue: int | None
    wait_min: int | None


class Correction(Wire):
    """One correction of a day: what moved the estimate beside the gates' counts, and the people before and after.

    `source` is the reading behind it, or the gate that was put right. The reading is for staff alone. `who` and `why`
    are empty: days are kept for years, and who said what for no longer than the log has it.
    """

    at: AwareDatetime
    kind: CorrectionKind
    source: str = ""
    before: float
    after: float
    said: float | None = Field(default=None, description="The figure that was given, where one was.")
    place: str = ""
    who: str = ""
    why: str = ""
    taken_back: AwareDatetime | None = Field(
        default=None, description="When staff took it back, too late to undo what had followed from it."
    )

    @classmethod
    def of(cls, entry: ledger.Entry, zone: ZoneInfo) -> Self:
        """Return the wire form of an entry of the ledger, in the library's own time zone, without names and notes."""
        return cls(
            at=moment(entry.at).astimezone(zone),
            kind=entry.kind,
            source=entry.source,
            before=entry.before,
            after=entry.after,
            said=entry.said,
            place=entry.place,
            taken_back=entry.taken_back.astimezone(zone) if entry.taken_back else None,
        )

    def in_public(self) -> Self:
        """Return what anybody may see of it: neither who made it nor their words."""
        is_gate = self.kind is CorrectionKind.SWAPPED
        return self.model_copy(update={"source": self.source if is_gate else "", "who": "", "why": ""})


class DayHistory(Wire):
    """A local day of one library: entries and exits at its outer gates, as counted and corrected, and its curve."""

    library: str
    date: str
    entries: int
    exits: int
    corrected_entries: int | None = Field(
        default=None, description="With what the gates miss put right; null where nobody has worked it out."
    )
    corrected_exits: int | None = None
    entries_in_gaps: int = Field(
        default=0,
        description="People of whom a register tells that they came since it was heard last, on this day or an earlier"
        " one; they are in no other figure.",
    )
    exits_in_gaps: int = 0
    corrections: tuple[Correction, ...] = ()
    samples: tuple[HistorySample, ...]

    def in_public(self) -> Self:
        """Return what anybody may see of it; who corrected a figure, and their words, are for staff alone."""
        return self.model_copy(update={"corrections": tuple(each.in_public() for each in self.corrections)})

    def in_bands(self, capacity: int, below: int, balance: Balance) -> Self:
        """Return what the public is told of it where few people are not counted out; 0 for everything as it is.

        Once a day is over its entries are told as they are: they say how many came, not who is there. Its exits are,
        too, unless few were inside at its end.
        """
        if below == 0:
            return self

        def told(people: Estimate | None) -> Estimate | None:
            return None if people is None else Estimate.of(banded(people.to_domain(), capacity, below))

        samples = tuple(each.model_copy(update={"people": told(each.people)}) for each in self.samples)
        most = float(min(below, capacity) - 1)
        corrections = tuple(
            each.model_copy(
                update={
                    name: most
                    for name, figure in (("before", each.before), ("after", each.after), ("said", each.said))
                    if figure is not None and figure < most + 1
                }
            )
            for each in self.corrections
        )
        counts = {} if balance.is_told else self._counts_told(below, balance)
        return self.model_copy(update={"samples": samples, "corrections": corrections, **counts})

    def _counts_told(self, below: int, balance: Balance) -> dict[str, int]:
        """Return entries and exits as they are told where the people inside are not."""
        step = 1 if balance.is_over else below
        entries, exits = in_steps(self.entries, balance.off, step)
        in_gaps = self.entries_in_gaps - self.exits_in_gaps
        gap_entries, gap_exits = in_steps(self.entries_in_gaps, in_gaps - in_gaps % below, step)
        told = {"entries": entries, "exits": exits, "entries_in_gaps": gap_entries, "exits_in_gaps": gap_exits}
        if self.corrected_entries is not None:
            step = 1 if balance.is_closed else below
            entries, exits = in_steps(self.corrected_entries, balance.corrected_off, step)
            told |= {"corrected_entries": entries, "corrected_exits": exits}
        return told

    @classmethod
    def of(cls, library: str, date: str, day: library_state.Day, zone: ZoneInfo) -> Self:
        """Return the wire form of a day, in the library's own time zone."""
        return cls(
            library=library,
            date=date,
            entries=day.entries,
            exits=day.exits,
            corrected_entries=round(day.corrected_entries),
            corrected_exits=round(day.corrected_exits),
            entries_in_gaps=day.entries_in_gaps,
            exits_in_gaps=day.exits_in_gaps,
            corrections=tuple(Correction.of(each, zone) for each in day.ledger.entries),
            samples=tuple(
                HistorySample(
                    at=sample.at.astimezone(zone),
                    state=sample.state,
                    people=Estimate.of(sample.people),
                    queue=sample.queue,
                    wait_min=sample.wait_min,
                )
                for sample in day.samples
            ),
        )
