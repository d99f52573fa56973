"""A library as schema.org has one: https://schema.org/Library. Pure.

schema.org has no property for how full a place is at this moment; `additionalProperty` is its place for what it has no
word for, and LocationFeatureSpecification the value that says from when until when it holds. Search engines take all
this for now, so a library whose time is simulated or recorded says what it is and gives no figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import Any, Final

from services.api.freshness import ServedStatus
from services.api.profiles import Profile
from services.api.week import Hours, Times, Unusual, hours_of, is_all_day
from shared.contracts.status import Estimate
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind
from shared.domain.messages import level_seen

CONTEXT: Final = "https://schema.org"
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAYS_TOLD: Final = 91
"""A season: so far ahead every day is told whose hours are not those of the usual week."""
LAST_MINUTE: Final = "23:59"
"""How an open day ends that is followed by no closing: from 00:00 to 00:00 would be a closed one."""

Node = dict[str, Any]


def linked_data(
    profile: Profile | None, status: ServedStatus, origin: str, now: datetime | None = None, language: str = ""
) -> Node:
    """Return the JSON-LD of a library as it may be told now; without its profile, what the status alone says.

    `origin` is the address of this site; `now`, the library's own time, is from when its hours are told, and is that of
    the status if it is left out.
    """
    page = f"{origin}/l/{status.library}"
    node: Node = {
        "@context": CONTEXT,
        "@type": "Library",
        "@id": f"{page}#library",
        "name": status.name,
        "url": status.url or page,
        "image": f"{origin}/v1/libraries/{status.library}/card.png",
        "maximumAttendeeCapacity": status.capacity,
    }
    if profile is not None:
        node |= _of_profile(profile, page)
        today = (now or status.as_of).astimezone(profile.zone).date()
        node |= _opening(hours_of(profile, today, DAYS_TOLD))
    if status.clock.kind is not ClockKind.WALL:
        words = CATALOGS.get(language or status.languages[0], CATALOGS["en"]).pages
        is_simulated = status.clock.kind is ClockKind.SIMULATED
        node["description"] = words.simulated_banner if is_simulated else words.recorded_banner
    else:
        figures = list(_figures(status))
        node |= {"additionalProperty": figures} if figures else {}
    return node


def _of_profile(profile: Profile, page: str) -> Node:
    contact, address, location = profile.contact, profile.address, profile.location
    website = contact.website if contact else ""
    others = [each for each in (website, *(account.page for account in profile.accounts)) if each]
    node: Node = {
        "name": profile.name,
        "url": profile.url or website or page,
        "telephone": contact.phone if contact else "",
        "email": contact.email if contact else "",
        "sameAs": list(dict.fromkeys(each for each in others if each != (profile.url or website))),
    }
    if address is not None or profile.country:
        parts = {
            "streetAddress": address.street if address else "",
            "postalCode": address.postal_code if address else "",
            "addressLocality": address.city if address else "",
            "addressCountry": profile.country or "",
        }
        node["address"] = {"@type": "PostalAddress"} | {key: value for key, value in parts.items() if value}
    if location is not None:
        node["geo"] = {"@type": "GeoCoordinates", "latitude": location.lat, "longitude": location.lon}
    return {key: value for key, value in node.items() if value}


def _opening(hours: Hours) -> Node:
    return {
        "openingHoursSpecification": list(_usual(hours.usual)),
        "specialOpeningHoursSpecification": [node for each in hours.other for node in _unusual(each)],
    }


def _usual(week: Sequence[Times]) -> Iterator[Node]:
    """Return the usual week: each span once, with the days that have it."""
    days: dict[tuple[str, str], list[str]] = {}
    for name, times in zip(DAYS, week, strict=True):
        for span in _spans(times):
            days.setdefault(span, []).append(name)
    for (opens, closes), names in days.items():
        yield {"@type": "OpeningHoursSpecification", "dayOfWeek": names, "opens": opens, "closes": closes}


def _unusual(unusual: Unusual) -> Iterator[Node]:
    for opens, closes in _spans(unusual.times) or [("00:00", "00:00")]:  # which is how a closed day is written
        node = {
            "@type": "OpeningHoursSpecification",
            "validFrom": unusual.first.isoformat(),
            "validThrough": unusual.last.isoformat(),
            "opens": opens,
            "closes": closes,
        }
        yield node | ({"description": unusual.reason} if unusual.reason else {})


def _spans(times: Times) -> list[tuple[str, str]]:
    if is_all_day(times):
        return [("00:00", LAST_MINUTE)]
    return [(_clock(opens), _clock(closes)) for opens, closes in times]


def _clock(at: time) -> str:
    return at.isoformat(timespec="minutes")


def _figures(status: ServedStatus) -> Iterator[Node]:
    """Return what is known of this moment; nothing of an expired, unknown or closed library."""
    held = {"validFrom": status.as_of.isoformat(), "validThrough": status.valid_until.isoformat()}
    level = level_seen(status.to_domain())
    if level is not None:
        yield _feature("seats", level, held)
    if status.people is not None:
        yield _feature("people", status.people.value, held) | _between(status.people)
    if status.free_seats is not None:
        yield _feature("free_seats", status.free_seats, held)
    if status.wait is not None:
        # MIN is the minute in the code list that schema.org names for units.
        yield _feature("wait", status.wait.minutes, held) | {
            "unitCode": "MIN",
            "minValue": status.wait.low,
            "maxValue": status.wait.high,
        }


def _feature(name: str, value: str | int, held: Node) -> Node:
    return {"@type": "LocationFeatureSpecification", "propertyID": name, "name": name, "value": value, **held}


def _between(estimate: Estimate) -> Node:
    return {"minValue": estimate.low, "maxValue": estimate.high}
