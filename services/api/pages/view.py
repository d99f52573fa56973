"""What a page says of one library: every word and number chosen here, so that a template only places them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from babel.dates import format_timedelta

from services.api.freshness import ServedStatus, library_now
from services.api.pages.chart import Chart
from services.api.pages.teller import Fact, Moment, People, Seats, Teller
from services.api.pages.waiting import Waiting, leaving, waiting
from services.api.projection import Held
from shared.contracts.status import GateFault, ZoneStatus
from shared.domain.catalog.catalog import Catalog
from shared.domain.estimation.gates import FaultKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import (
    headline,
    level_seen,
    level_words,
    opening_words,
    reason_words,
    trend_words,
    wait_words,
)
from shared.domain.shortening import capitalised, stopped
from shared.domain.status import State

VALID_GRID_S: Final = 15
"""Remaining validity is given out in whole steps of this, rounded down, so that a page can be kept in between."""
VALID_S_MAX: Final = 24 * 3600
FAST_CLOCK_S_MIN: Final = 5
"""A simulation at great speed is valid for less than a page needs to hear of the next status."""
SAME_DAY: Final = timedelta(hours=18)
"""An end that is further away than this is said with its date: before then nobody takes one night for another."""
KINDS: Final = {Level.MANY_SEATS: "many", Level.FEW_SEATS: "few", Level.FULL: "full"}


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone."""

    name: str
    kind: str
    words: str
    seats: Seats | None


@dataclass(frozen=True, slots=True)
class Direction:
    """Where the number of people goes: the mark's name, and its words."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the script needs to keep the age true by itself, in seconds of real time."""

    age_s: int
    speed: float
    valid_s: int
    """-1 for ever."""
    age: str


@dataclass(frozen=True, slots=True)
class LibraryView:
    """One library's page in one language."""

    id: str
    name: str
    version: str
    """Changes with every status and with its expiry; the stream's events carry the same."""
    kind: str
    headline: str
    opening: str
    """Until when it is open; empty where that is no question, or where the explanation says when it opens."""
    explanation: str
    announcement: str
    """Said to readers of the screen when it changes: no number that moves all the time."""
    seats: Seats | None
    seats_for: str
    """Who the free seats are for while there is a queue: the wait comes first then. Empty otherwise."""
    people: People | None
    trend: Direction | None
    wait: Waiting | None
    leaving: tuple[Fact, ...]
    as_of: Moment
    freshness: Freshness
    is_expired: bool
    is_entry_over: bool
    """It is open, and so close to its closing that nobody is let in any more."""
    unknown: str
    stale: str
    banner: str
    notice: str
    notice_until: str
    hours_today: Fact | None
    facts: tuple[Fact, ...]
    zones: tuple[Zone, ...]
    zones_note: str
    """Why the zones' free seats are more than the library's; empty where they are not."""
    faults: tuple[str, ...]
    """Sentences on gates that cannot be believed, where there are figures that depend on them."""
    chart: Chart | None


def library_view(
    held: Held,
    language: str,
    wall_now: datetime,
    chart: Chart | None = None,
    *,
    last_entry: timedelta = timedelta(0),
) -> LibraryView:
    """Return what a page says of a library at `wall_now`; `last_entry` before it closes, nobody is let in any more."""
    status = held.served(wall_now).status
    now = library_now(status, held.stored_at, wall_now)
    teller = Teller.of(language, status.time_zone)
    catalog, words = teller.catalog, teller.catalog.pages
    known = status.to_domain()
    entry_ends = last_entry_at(status, last_entry)
    is_entry_over = entry_ends is not None and entry_ends <= now
    wait = None if is_entry_over else waiting(status, teller, now)
    has_figures = status.people is not None and status.state is State.OPEN and not is_entry_over
    has_queue = status.wait is not None and (status.wait.bucket > 0 or status.wait.overflow)
    title = catalog.headline_not_admitting if is_entry_over else headline(known, catalog)
    is_less = status.usable_seats is not None and status.usable_seats != status.free_seats
    return LibraryView(
        id=status.library,
        name=status.name,
        version=f"{held.sequence}{'x' if status.expired else ''}",
        kind="full" if is_entry_over else _kind(status, level_seen(known)),
        headline=title,
        opening=_opening(status, teller, now, None if is_entry_over else entry_ends),
        explanation=_entry_over(status, teller, now) if is_entry_over else _explanation(status, teller),
        announcement=f"{title}. {wait.label}, {wait_words(known.wait, catalog, teller.formats)}."
        if wait and has_figures
        else f"{title}.",
        seats=teller.seats(status.people, status.capacity, status.usable_seats)
        if status.people and has_figures
        else None,
        seats_for=words.seats_for_queue if has_queue and has_figures and known.seats_left else "",
        people=teller.people(status.people, status.last_recount, now) if status.people else None,
        trend=Direction(status.trend.value, capitalised(trend_words(status.trend, catalog))) if status.trend else None,
        wait=wait,
        leaving=() if is_entry_over else leaving(status, teller),
        as_of=teller.as_of(status.as_of, now),
        freshness=freshness(held, language, wall_now),
        is_expired=status.expired,
        is_entry_over=is_entry_over,
        unknown=catalog.headline_unknown,
        stale=stopped(capitalised(words.no_figures.format(time=teller.since(status.as_of, now)))),
        banner=_banner(status, catalog),
        notice=status.notice.text if status.notice else "",
        notice_until=words.notice_until.format(time=teller.moment(status.notice.until, now)) if status.notice else "",
        hours_today=_hours_today(status, teller, now),
        facts=_facts(status, teller, now),
        zones=tuple(_zone(each, teller) for each in status.zones) if status.people and not is_entry_over else (),
        zones_note=words.zones_with_bags if is_less else "",
        faults=tuple(_fault(each, teller, now) for each in status.gate_faults) if status.people else (),
        chart=chart,
    )


def last_entry_at(status: ServedStatus, last_entry: timedelta) -> datetime | None:
    """Return when the door closes to those who come; None where that is not before the closing, or not known."""
    if not last_entry or status.expired or status.state is State.CLOSED or status.next_change is None:
        return None
    return status.next_change - last_entry


def freshness(held: Held, language: str, wall_now: datetime) -> Freshness:
    """Return how old a status is and for how long it holds, both in real time."""
    status = held.fresh.status
    age = max(library_now(status, held.stored_at, wall_now) - status.as_of, timedelta(0))
    remaining_s = held.remaining_s(wall_now)
    speed = status.clock.speed if status.clock.kind is ClockKind.SIMULATED else 1.0
    valid_s = -1
    if remaining_s is not None:
        # Coarse while there is time, to be the same for all who ask; exact when it runs out.
        grid_s = VALID_GRID_S if remaining_s > 4 * VALID_GRID_S else 1
        valid_s = min(int(remaining_s // grid_s * grid_s), VALID_S_MAX)
        if status.clock.kind is not ClockKind.WALL and not held.is_expired(wall_now):
            valid_s = max(valid_s, FAST_CLOCK_S_MIN)
    return Freshness(
        age_s=int(age.total_seconds()) // 60 * 60,
        speed=0.0 if remaining_s is None else speed,
        valid_s=valid_s,
        age=_age(age, language),
    )


def _kind(status: ServedStatus, level: Level | None) -> str:
    if status.expired:
        return "expired"
    if status.state is State.OPEN and level is not None:
        return KINDS[level]
    return {State.CLOSED: "closed", State.NOT_ADMITTING: "full"}.get(status.state, "unknown")


def _explanation(status: ServedStatus, teller: Teller) -> str:
    known = status.to_domain()
    catalog = teller.catalog
    if status.state is State.NOT_ADMITTING:
        return stopped(capitalised(catalog.not_admitting))
    if status.state is State.OPEN:
        is_less = status.usable_seats is not None and status.usable_seats != status.free_seats
        return catalog.held_seats if is_less else ""
    parts = (reason_words(known, catalog, teller.formats), opening_words(known, catalog, teller.formats))
    return " ".join(part for part in parts if part)


def _banner(status: ServedStatus, catalog: Catalog) -> str:
    banners = {
        ClockKind.SIMULATED: catalog.pages.simulated_banner,
        ClockKind.RECORDED: catalog.pages.recorded_banner,
        ClockKind.WALL: "",
    }
    return banners[status.clock.kind]


def _entry_over(status: ServedStatus, teller: Teller, now: datetime) -> str:
    """Return that nobody is let in any more: today, or, where it opens again today, at the moment."""
    is_last = all(span.start <= now for span in status.hours_today)
    return teller.catalog.pages.entry_over if is_last else stopped(capitalised(teller.catalog.not_admitting))


def _opening(status: ServedStatus, teller: Teller, now: datetime, entry_ends: datetime | None) -> str:
    """Return until when a library is open; one that is unknown is open by its hours. Expired, nobody can say."""
    if status.expired or status.state is State.CLOSED:
        return ""
    change, words, formats = status.next_change, teller.catalog.pages, teller.formats
    if change is None:
        return capitalised(words.open_all_day)
    if change <= now:
        return ""
    if change - now < SAME_DAY:
        until = words.open_until.format(time=formats.time(change))
        return f"{until} · {words.last_entry.format(time=formats.time(entry_ends))}" if entry_ends else until
    return words.open_until_other_day.format(date=formats.date(change), time=formats.time(change))


def _hours_today(status: ServedStatus, teller: Teller, now: datetime) -> Fact | None:
    """Return today's hours, for a page that has no others; of what is left of an old status only where it has them."""
    if status.expired and not status.hours_today:
        return None
    hours = capitalised(teller.hours(status.hours_today))
    return Fact(teller.catalog.pages.hours_today, hours, _next_change(status, teller, now))


def _facts(status: ServedStatus, teller: Teller, now: datetime) -> tuple[Fact, ...]:
    # Beside the people inside, where they are known.
    if status.last_recount is None or status.people is not None or status.state is State.CLOSED:
        return ()
    return (Fact(teller.catalog.pages.last_recount, teller.moment(status.last_recount, now)),)


def _next_change(status: ServedStatus, teller: Teller, now: datetime) -> str:
    """Return when an open library closes; a closed one has that in its explanation already."""
    change = status.next_change
    if change is None or status.state is State.CLOSED:
        return ""
    catalog, formats = teller.catalog, teller.formats
    if any(span.start <= status.as_of < span.end for span in status.hours_today):
        return capitalised(catalog.pages.closes_at.format(time=teller.moment(change, now)))
    if formats.date(change) == formats.date(now):
        return catalog.opens_today.format(time=formats.time(change))
    return catalog.opens_other_day.format(date=formats.date(change), time=formats.time(change))


def _zone(zone: ZoneStatus, teller: Teller) -> Zone:
    catalog = teller.catalog
    level = Level.FULL if zone.level is not None and zone.free_seats == 0 else zone.level
    return Zone(
        name=zone.name,
        kind=KINDS[level] if level else "unknown",
        words=catalog.headline_almost_full if level is Level.FULL and zone.free_seats else level_words(level, catalog),
        seats=teller.seats(zone.people, zone.capacity, None) if zone.people else None,
    )


def _fault(fault: GateFault, teller: Teller, now: datetime) -> str:
    words = teller.catalog.pages
    sentences = {
        FaultKind.SILENT: words.gate_silent,
        FaultKind.STUCK: words.gate_stuck,
        FaultKind.NO_ENTRIES: words.gate_no_entries,
        FaultKind.NO_EXITS: words.gate_no_exits,
        FaultKind.SWAPPED: words.gate_swapped,
    }
    gate = fault.name or words.gate.format(gate=fault.gate)
    return capitalised(sentences[fault.kind].format(gate=gate, moment=teller.since(fault.since, now)))


def _age(age: timedelta, language: str) -> str:
    """Return "2 minutes ago" in a language; nothing for less than a minute, the time itself says that."""
    if age < timedelta(minutes=1):
        return ""
    return format_timedelta(-age, granularity="minute", add_direction=True, locale=language)
