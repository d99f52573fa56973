"""Statuses in the shapes that clients of common occupancy services read: the shapes alone, as such clients need them.

Pure. Members that those services have and we know nothing for are there, and always null; docs/other-systems.md says
what each means here. What is not known is null or an empty list, never 0, also where a client expects a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from html import escape
from typing import Any, Final

from services.api.freshness import ServedStatus
from services.api.profiles import Profile
from services.api.telling import marked_name, sentences_of
from services.api.week import DAYS_A_WEEK, Times, hours_of, is_all_day
from shared.contracts.status import Estimate, ZoneStatus
from shared.domain.catalog import CATALOGS
from shared.domain.messages import headline, level_words, opening_words
from shared.domain.status import State
from shared.runtime.formats import formats_for

Shape = dict[str, Any]

# fillRate


def fill_rate(status: ServedStatus, language: str, page: str) -> Shape:
    """Return a library as a service that answers `progress`, the percentage taken. `page` is its address here."""
    sentences = sentences_of(status, language)
    is_closed = status.state in {State.CLOSED, State.NOT_ADMITTING}
    words = headline(status.to_domain(), CATALOGS[language])
    return {
        "site_id": None,
        "site_uuid": status.library,
        "site_name": marked_name(status.name, status.clock.kind, language),
        "site_slug": status.library,
        "progress": status.percent,
        "api_format": None,
        "previsions": {"value": [], "localized_forecasts": ""},
        "critical_message": None
        if status.notice is None
        else {
            "message_id": None,
            "message": status.notice.text,
            "url": page,
            "expiration": status.notice.until.isoformat(),
        },
        "current_state": {
            "state": _state_word(status),
            "value": status.percent,
            "localized_state": words,
            "localized_closed": words if is_closed else "",
        },
        "localized_strings": {"info": sentences.long, "title": status.name, "app": ""},
    }


def _state_word(status: ServedStatus) -> str:
    """Return `closed_for_the_day` where the library does not open again today, as clients know that word."""
    change = status.next_change
    if status.state is State.CLOSED and (change is None or change.date() > status.as_of.date()):
        return "closed_for_the_day"
    return status.state.value


# getdata.php


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of several in one request: which figures of which locations."""

    locations: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A library with its profile, if that has been read, and its own time."""

    status: ServedStatus
    profile: Profile | None
    now: datetime


ZONE_SEPARATOR: Final = "/"
"""Between a library's id and that of its zone: both together are the name of a location."""


def seat_data(asked: Asked, libraries: Sequence[Known], language: str, origin: str) -> Shape:
    """Return the answer to one question, by kind of figure, then by location; each location has a list of records.

    A location without a figure has an empty list. `libraries` are all that may be answered for, in their order; nothing
    asked for by name is all of them.
    """
    answer: Shape = {}
    for kind in asked.values:
        located = answer.setdefault(kind, {})
        for known in libraries:
            for name, zone in _locations(known.status):
                if not asked.locations or name in asked.locations:
                    located[name] = list(_records(kind, name, zone, known, language, origin))
    return answer


def _locations(status: ServedStatus) -> Iterator[tuple[str, ZoneStatus | None]]:
    yield status.library, None
    for zone in status.zones:
        yield f"{status.library}{ZONE_SEPARATOR}{zone.id}", zone


def _records(
    kind: str, name: str, zone: ZoneStatus | None, known: Known, language: str, origin: str
) -> Iterator[Shape]:
    status = known.status
    people, capacity = (status.people, status.capacity) if zone is None else (zone.people, zone.capacity)
    if kind == "seatestimate" and people is not None:
        yield {
            "timestamp": _php_date(status.as_of, status.time_zone),
            "location_name": name,
            "occupied_seats": min(people.value, capacity),
            "free_seats": max(capacity - people.value, 0),
        }
    if kind == "location":
        yield _location(name, zone, known, language, origin)


def _location(name: str, zone: ZoneStatus | None, known: Known, language: str, origin: str) -> Shape:
    status, profile = known.status, known.profile
    place = profile.location if profile else None
    return {
        "timestamp": _php_date(status.as_of, status.time_zone),
        "name": name,
        "long_name": marked_name(status.name if zone is None else zone.name, status.clock.kind, language),
        "url": f"{origin}/l/{status.library}",
        "building": None,
        "level": None,
        "room": None,
        "geo_coordinates": f"{place.lat};{place.lon}" if place else None,
        "available_seats": status.capacity if zone is None else zone.capacity,
        "opening_hours": _opening_hours(profile, known.now) if profile else None,
        "super_location": None if zone is None else status.library,
        "sub_locations": [each for each, inner in _locations(status) if inner is not None] if zone is None else [],
    }


def _opening_hours(profile: Profile, now: datetime) -> Shape:
    """Return the usual week, dated as the week that `now` lies in; a closing time may lie on the next day."""
    today = now.astimezone(profile.zone).date()
    monday = today - timedelta(days=today.weekday())
    usual = hours_of(profile, monday, DAYS_A_WEEK).usual
    zone = profile.zone.key
    return {
        "base_timestamp": _php_date(datetime.combine(monday, time.min, profile.zone), zone),
        "weekly_opening_hours": [
            [_wall(start, zone), _wall(end, zone)]
            for number, times in enumerate(usual)
            for start, end in _dated(monday + timedelta(days=number), times)
        ],
    }


def _dated(day: date, times: Times) -> Iterator[tuple[datetime, datetime]]:
    for opens, closes in times:
        start = datetime.combine(day, opens)
        if is_all_day(times):
            # Some clients take a day for open throughout only if it ends so.
            yield start, datetime.combine(day, time(23, 59))
        else:
            yield start, datetime.combine(day if closes > opens else day + timedelta(days=1), closes)


def _php_date(at: datetime, time_zone: str) -> Shape:
    """Return an aware time as PHP writes one into JSON."""
    return _wall(at.replace(tzinfo=None), time_zone)


def _wall(at: datetime, time_zone: str) -> Shape:
    return {"date": at.isoformat(" ", "microseconds"), "timezone_type": 3, "timezone": time_zone}


# live


def live(status: ServedStatus, language: str) -> Shape:
    """Return a library as a service of the `live` shape has a location, with its zones as parts of it."""
    known = status.to_domain()
    catalog = CATALOGS[language]
    formats = formats_for(language, status.time_zone)
    hours = opening_words(known, catalog, formats)
    if status.state is State.OPEN and status.next_change is not None:
        hours = catalog.pages.closes_at.format(time=formats.time(status.next_change))
    is_open = None if status.state is State.UNKNOWN else status.state is State.OPEN
    shown = headline(known, catalog)
    parts = [_part(status.library, each, is_open, hours, _zone_words(each, status, language)) for each in status.zones]
    return {
        "name": marked_name(status.name, status.clock.kind, language),
        "id": number_of(status.library),
        "abbreviation": status.library,
        **_crowd(status.people, status.capacity),
        "isAvailable": status.people is not None,
        "isOpen": is_open,
        "hourSummary": hours,
        "bestLabel": None,
        "bestLocations": _best(parts),
        "subLocs": parts or False,
        "locHtml": _html(shown, status.people, status.capacity),
    }


def number_of(name: str) -> int:
    """Return the number of a location: clients of this shape want whole numbers, and ours are made of our names."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest()) >> 1


def _part(library: str, zone: ZoneStatus, is_open: bool | None, hours: str, words: str) -> Shape:  # noqa: FBT001  as it stands in the shape
    return {
        "name": zone.name,
        "id": number_of(f"{library}{ZONE_SEPARATOR}{zone.id}"),
        "abbreviation": zone.id,
        **_crowd(zone.people, zone.capacity),
        "isAvailable": zone.people is not None,
        "isOpen": is_open,
        "hourSummary": hours,
        "subLocHtml": _html(words, zone.people, zone.capacity),
    }


def _zone_words(zone: ZoneStatus, status: ServedStatus, language: str) -> str:
    catalog = CATALOGS[language]
    return level_words(zone.level, catalog) if zone.level else headline(status.to_domain(), catalog)


def _crowd(people: Estimate | None, capacity: int) -> Shape:
    """Return people, and their share as a percentage and as a fraction."""
    share = None if people is None else min(people.value / capacity, 1.0)
    return {
        "busyness": None if share is None else round(100 * share),
        "people": None if people is None else people.value,
        "capacity": capacity,
        "percentage": None if share is None else round(share, 4),
    }


def _best(parts: Sequence[Shape]) -> list[Shape] | None:
    """Return the parts with the most room first; None where that is not known."""
    told = sorted((part for part in parts if part["busyness"] is not None), key=lambda part: part["busyness"])
    return [
        {"abbreviation": part["abbreviation"], "id": part["id"], "value": part["busyness"]} for part in told
    ] or None


def _html(words: str, people: Estimate | None, capacity: int) -> Shape:
    """Return words for a page that puts them in as HTML."""
    share = "" if people is None else f" ({min(round(100 * people.value / capacity), 100)}%)"
    return {"class": None, "initial": None, "summary": escape(f"{words}{share}")}
