"""What an embedded status says: a part of what the library's page says, as a template or a script places it.

Times are absolute, so that a rendering stays the same for as long as its status does, and who asks again is told that
it has it already. Whoever shows it learns from the answer's Date what time it is here: a reader's clock may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.api.freshness import library_now
from services.api.pages.embed_choice import Choice, Part, Size
from services.api.pages.teller import Fact, Seats, Teller
from services.api.pages.view import last_entry_at, library_view
from services.api.pages.waiting import Waiting
from services.api.projection import Held
from shared.domain.catalog.embeds import EMBED_WORDS
from shared.domain.library import ClockKind
from shared.domain.shortening import capitalised
from shared.domain.status import State

FAST_CLOCK_S: Final = 5
"""A simulation at great speed is valid for less than anybody needs to hear of its next status."""


@dataclass(frozen=True, slots=True)
class EmbeddedZone:
    """One zone: its name, the tone of its level, the level in words, and how many seats are free, where known."""

    name: str
    kind: str
    words: str
    seats: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """One library's status on somebody else's page; parts that were not chosen, or not known, are empty."""

    library: str
    language: str
    version: str
    """Changes with every status and with its expiry."""
    page: str
    """The path of the library's page."""
    title: str
    """The name, whether it is shown or not."""
    name: str
    link_note: str
    kind: str
    headline: str
    explanation: str
    banner: str
    seats_label: str
    seats: Seats | None
    seats_for: str
    has_meter: bool
    is_wait_first: bool
    """One has to wait for the free seats: so that is said before them."""
    wait: Waiting | None
    hours: Fact | None
    zones_label: str
    zones: tuple[EmbeddedZone, ...]
    notice_label: str
    notice: str
    unknown: str
    stale: str
    as_of: str
    as_of_iso: str
    since: str
    """When its age was nothing: an instant of the wall clock."""
    speed: float
    """How fast it ages: 0 where time does not pass by itself."""
    until: str
    """The last instant of the wall clock at which it holds; empty if it always does."""


def embedded(
    held: Held, language: str, now: datetime, choice: Choice, last_entry: timedelta = timedelta(0)
) -> Embedded:
    """Return what is shown of a library at `now`, the wall's time; so long before it closes, nobody is let in."""
    view = library_view(held, language, now, last_entry=last_entry)
    status = held.served(now).status
    teller = Teller.of(language, status.time_zone)
    words, parts = teller.catalog.pages, choice.parts
    shows_wait = Part.WAIT in parts and status.state in {State.OPEN, State.NOT_ADMITTING}
    # What is left of an old status may be of another day.
    has_hours = Part.HOURS in parts and bool(status.hours_today or not status.expired)
    entry_ends = last_entry_at(status, last_entry)
    last = words.last_entry.format(time=teller.formats.time(entry_ends)) if entry_ends else ""
    hours = Fact(
        words.hours_today, ", ".join(each for each in (capitalised(teller.hours(status.hours_today)), last) if each)
    )
    notice = status.notice if Part.NOTICE in parts else None
    present = library_now(status, held.stored_at, now)
    until_words = words.notice_until.format(time=teller.moment(notice.until, present)) if notice else ""
    return Embedded(
        library=status.library,
        language=language,
        version=view.version,
        page=f"/l/{status.library}?lang={language}",
        title=status.name,
        name=status.name if Part.NAME in parts else "",
        link_note=EMBED_WORDS[language].in_new_tab,
        kind=view.kind,
        headline=view.headline,
        explanation=(view.stale if status.expired else view.explanation) if choice.size is not Size.LINE else "",
        banner=teller.catalog.pages.simulated_banner
        if status.clock.kind is ClockKind.SIMULATED
        else teller.catalog.pages.recorded_banner
        if status.clock.kind is ClockKind.RECORDED
        else "",
        seats_label=words.seats_free,
        seats=view.seats if Part.SEATS in parts else None,
        seats_for=view.seats_for if Part.SEATS in parts and choice.size is not Size.LINE else "",
        is_wait_first=bool(view.seats_for),
        has_meter=choice.size is Size.CARD,
        wait=view.wait if shows_wait else None,
        hours=hours if has_hours else None,
        zones_label=words.zones,
        zones=tuple(EmbeddedZone(each.name, each.kind, each.words, _zone_seats(each.seats)) for each in view.zones)
        if Part.ZONES in parts
        else (),
        notice_label=words.notice,
        notice=f"{notice.text} ({until_words})" if notice else "",
        unknown=view.unknown,
        stale=view.stale,
        as_of=view.as_of.words,
        as_of_iso=view.as_of.iso,
        since=_since(held).isoformat(),
        speed=_speed(held),
        until=_until(held, now),
    )


def is_entry_over(held: Held, now: datetime, last_entry: timedelta) -> bool:
    """Tell whether nobody is let in any more today: renderings of before and after differ."""
    status = held.served(now).status
    ends = last_entry_at(status, last_entry)
    return ends is not None and ends <= library_now(status, held.stored_at, now)


def _zone_seats(seats: Seats | None) -> str:
    return "" if seats is None else f"{seats.free} {seats.of}"


def _since(held: Held) -> datetime:
    status = held.fresh.status
    at = status.as_of if status.clock.kind is ClockKind.WALL else held.stored_at
    return at.astimezone(UTC)


def _speed(held: Held) -> float:
    clock = held.fresh.status.clock
    if clock.kind is ClockKind.WALL:
        return 1.0
    return clock.speed if clock.kind is ClockKind.SIMULATED else 0.0


def _until(held: Held, now: datetime) -> str:
    if held.expires_at is None:
        return ""
    is_fast = held.fresh.status.clock.kind is not ClockKind.WALL and not held.is_expired(now)
    until = held.expires_at + timedelta(seconds=FAST_CLOCK_S if is_fast else 0)
    return until.astimezone(UTC).isoformat()
