"""Opening hours as a calendar to subscribe to: iCalendar (RFC 5545), with the names that calendar programs read. Pure.

Each open span is an event of its own, not a repetition with exceptions: programs differ in what they make of those, and
nobody has to see the rule. An event is known by its times, so hours that change are other events, and no number of a
version has to be kept. All of them leave the subscriber's time free.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from icalendar import Calendar, Event, vDuration, vGeo, vText, vUri

from services.api.pages.teller import Teller
from services.api.profiles import Profile
from services.api.telling import marked_name
from services.api.week import Day, Hours, Unusual
from shared.contracts.status import Span
from shared.domain.library import ClockKind

REFRESH: Final = timedelta(hours=6)
"""How often programs should look again: exceptions are made days before, at times on the same morning."""
PRODUCT: Final = "-//Placelibre//Opening hours//EN"


def calendar(profile: Profile, hours: Hours, language: str, origin: str) -> bytes:
    """Return the calendar of these hours, in a language. The same hours give the same bytes all week."""
    teller = Teller.of(language, profile.zone.key)
    name = marked_name(profile.name, profile.clock, language)
    first = hours.days[0].date
    stamp = datetime.combine(first - timedelta(days=first.weekday()), time.min, UTC)
    title = f"{name} \u2013 {teller.catalog.pages.hours}"
    document = Calendar()
    document.add("prodid", PRODUCT)
    document.add("version", "2.0")
    document.add("calscale", "GREGORIAN")
    document["NAME"] = vText(title)
    document["X-WR-CALNAME"] = vText(title)
    document["X-WR-TIMEZONE"] = vText(profile.zone.key)
    document["REFRESH-INTERVAL"] = vDuration(REFRESH, params={"VALUE": "DURATION"})
    document["X-PUBLISHED-TTL"] = vText("PT6H")
    document["URL"] = vUri(f"{origin}/l/{profile.id}")
    frame = _Frame(profile, origin, stamp, teller)
    for day in hours.days:
        for start, end in day.spans:
            document.add_component(frame.opening(name, start, end, hours.unusual_on(day.date)))
    # A season with hours of its own is no news of single days; that a day is closed which usually is not, is.
    for unusual in (each for each in hours.unusual if each.is_declared or not each.times):
        document.add_component(frame.unusual(name, unusual))
    document.add_missing_timezones(first - timedelta(days=1), _end(hours))
    written: bytes = document.to_ical()
    return written


class _Frame:
    """What all events of one calendar have in common."""

    def __init__(self, profile: Profile, origin: str, stamp: datetime, teller: Teller) -> None:
        self._profile = profile
        self._stamp = stamp
        self._teller = teller
        self._page = f"{origin}/l/{profile.id}"
        self._host = urlsplit(origin).hostname or "placelibre.invalid"

    def opening(self, name: str, start: datetime, end: datetime, unusual: Unusual | None) -> Event:
        """Return one open span."""
        formats = self._teller.formats
        told = self._teller.catalog.digest.hours.format(opens=formats.time(start), closes=formats.time(end))
        reason = unusual.reason if unusual else ""
        event = self._event(f"{start:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}", name, self._described(told, reason))
        event.add("dtstart", start)
        event.add("dtend", end)
        return event

    def unusual(self, name: str, unusual: Unusual) -> Event:
        """Return the days of one exception as a whole."""
        catalog = self._teller.catalog
        spans = tuple(Span(start=start, end=end) for start, end in unusual.days[0].spans)
        told = self._teller.hours(spans) if spans else catalog.closed
        reason = f" ({unusual.reason})" if unusual.reason else ""
        summary = f"{name} \u2013 {told}{reason}"
        # Two exceptions of one day, one after the other, are two events.
        digest = blake2b(summary.encode(), digest_size=4).hexdigest()
        event = self._event(f"{unusual.first:%Y%m%d}-{unusual.last:%Y%m%d}-{digest}", summary, self._described())
        event.add("dtstart", unusual.first)
        event.add("dtend", unusual.last + timedelta(days=1))
        return event

    def _described(self, *parts: str) -> str:
        from_where = {
            ClockKind.SIMULATED: self._teller.catalog.pages.simulated_banner,
            ClockKind.RECORDED: self._teller.catalog.pages.recorded_banner,
            ClockKind.WALL: "",
        }[self._profile.clock]
        return "\n".join(part for part in (*parts, from_where, self._page) if part)

    def _event(self, identity: str, summary: str, description: str) -> Event:
        profile = self._profile
        event = Event()
        event.add("uid", f"{profile.id}-{identity}@{self._host}")
        event.add("dtstamp", self._stamp)
        event.add("summary", summary)
        event.add("description", description)
        event.add("transp", "TRANSPARENT")
        event.add("status", "CONFIRMED")
        event["URL"] = vUri(self._page)
        if profile.address and profile.address.line:
            event.add("location", profile.address.line)
        if profile.location:
            event["GEO"] = vGeo((profile.location.lat, profile.location.lon))
        return event


def _end(hours: Hours) -> date:
    """Return a day behind every event."""
    last: list[Day] = [hours.days[-1], *(day for each in hours.unusual for day in each.days[-1:])]
    return max(day.date for day in last) + timedelta(days=2)
