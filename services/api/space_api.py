"""A library as SpaceAPI 14 and 15 have a space: one document that holds to both. Pure.

https://spaceapi.io/docs/. Its `open` says whether somebody who comes now gets in; where nobody can say, the member is
left out, for 15 knows no null there. Figures for which SpaceAPI has no place stand under `ext_placelibre`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from services.api.freshness import ServedStatus
from services.api.profiles import Account, Profile
from services.api.telling import marked_name, sentences_of
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.status import ReasonCode, State

VERSIONS: Final = ("14", "15")
MASTODON_PAGE: Final = re.compile(r"https?://([^/\s]+)/(@[^/@\s]+)/?")


def missing_keys(profile: Profile) -> list[str]:
    """Return the keys of libraries.toml without which there can be no valid document."""
    missing = [] if profile.location else ["location"]
    return missing if _contact(profile) else [*missing, "contact"]


def space(profile: Profile, status: ServedStatus, language: str, origin: str, logo: str) -> dict[str, Any]:
    """Return the document, with messages in a language; `logo` is an address. ValueError if `missing_keys` has any."""
    if missing_keys(profile):
        raise ValueError(f"{profile.id}: SpaceAPI wants more than the profile has")
    page = f"{origin}/l/{profile.id}"
    views = f"{origin}/v1/libraries/{profile.id}"
    feeds = {"calendar": {"type": "ical", "url": f"{views}/hours.ics?lang={language}"}}
    if any(each.type == "feed" for each in profile.accounts):
        feeds["blog"] = {"type": "atom", "url": f"{views}/feed.atom?lang={language}"}
    catalog = CATALOGS[language]
    document: dict[str, Any] = {
        "api_compatibility": list(VERSIONS),
        "space": marked_name(profile.name, profile.clock, language),
        "logo": logo,
        "url": profile.url or (profile.contact.website if profile.contact else "") or page,
        "location": _location(profile),
        "contact": _contact(profile),
        "state": _state(status, language),
        "feeds": feeds,
        "links": [{"name": catalog.pages.title, "url": page}],
        "ext_placelibre": _own(status),
    }
    sensors = _sensors(status, catalog)
    return document | ({"sensors": sensors} if sensors else {})


def _location(profile: Profile) -> dict[str, Any]:
    assert profile.location is not None
    location: dict[str, Any] = {"lat": profile.location.lat, "lon": profile.location.lon, "timezone": profile.zone.key}
    if profile.address and profile.address.line:
        location["address"] = profile.address.line
    if profile.country:
        location["country_code"] = profile.country
    return location


def _contact(profile: Profile) -> dict[str, str]:
    told = profile.contact
    ways = {"email": told.email, "phone": told.phone} if told else {}
    for account in profile.accounts:
        ways |= _of_account(account)
    return {kind: value for kind, value in ways.items() if value}


def _of_account(account: Account) -> dict[str, str]:
    mastodon = MASTODON_PAGE.fullmatch(account.page) if account.type == "mastodon" else None
    if mastodon is not None:
        return {"mastodon": f"{mastodon[2]}@{mastodon[1]}"}
    return {"facebook": account.page} if account.type == "facebook" else {}


def _state(status: ServedStatus, language: str) -> dict[str, Any]:
    state: dict[str, Any] = {"message": sentences_of(status, language).long}
    if status.state is not State.UNKNOWN:
        state["open"] = status.state is State.OPEN
    since = _since(status)
    if since is not None:
        state["lastchange"] = int(since.timestamp())
    return state


def _since(status: ServedStatus) -> datetime | None:
    """Return since when a library is as it is, where that is known: from staff or a fault, or from the hours."""
    reason = status.reason
    if reason is not None and reason.since is not None:
        return reason.since
    if status.state is State.OPEN:
        return next((span.start for span in status.hours_today if span.start <= status.as_of < span.end), None)
    if reason is not None and reason.code is ReasonCode.CLOSED_BY_HOURS:
        return max((span.end for span in status.hours_today if span.end <= status.as_of), default=None)
    return None


def _sensors(status: ServedStatus, catalog: Catalog) -> dict[str, Any]:
    """Return the people inside: those of the zones are in them, and stand under `ext_placelibre`."""
    if status.people is None:
        return {}
    words = catalog.pages
    between = words.between.format(low=status.people.low, high=status.people.high)
    return {
        "people_now_present": [
            {"value": status.people.value, "description": between, "lastchange": int(status.as_of.timestamp())}
        ]
    }


def _own(status: ServedStatus) -> dict[str, Any]:
    """Return what SpaceAPI has no place for, named as in `/v1/libraries/{id}`; null is not known."""
    return {
        "library": status.library,
        "state": status.state,
        "level": status.level,
        "expired": status.expired,
        "capacity": status.capacity,
        "free_seats": status.free_seats,
        "queue": status.queue.value if status.queue else None,
        "wait_min": status.wait.minutes if status.wait else None,
        "zones": [
            {
                "id": each.id,
                "name": each.name,
                "people": each.people.value if each.people else None,
                "people_low": each.people.low if each.people else None,
                "people_high": each.people.high if each.people else None,
                "people_below": each.people.below if each.people else None,
            }
            for each in status.zones
        ],
        "as_of": status.as_of.isoformat(),
        "valid_until": status.valid_until.isoformat(),
    }
