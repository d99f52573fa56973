"""Libraries' event calendars: read again and again, and a reminder published for each event whose time has come.

A calendar that cannot be read leaves what was known of it in force; a reminder is decided once, and what was decided
is remembered on the bus before anything is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import icalendar
import recurring_ical_events  # type: ignore[import-untyped]  # publishes no types
from pydantic import ValidationError

from services.publisher import channels
from services.publisher.libraries import Libraries, Speaker
from services.publisher.told import Statuses, Told
from shared.contracts import subjects
from shared.contracts.configuration import EventCalendar
from shared.contracts.posts import PostIntent, PostKind
from shared.contracts.status import PublicStatus, Wire
from shared.domain.events import Event, due
from shared.domain.library import ClockKind, Says
from shared.domain.posting import post_key
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.logs import logger
from shared.runtime.wording import reminder_sentences_for

log = logger(__name__)

LOOK_EVERY_S: Final = 20.0
"""A reminder may be late by that."""
BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one calendar; years of a busy library's events are below one MiB."""
AHEAD: Final = timedelta(days=2)
"""How far ahead occurrences are worked out: beyond the longest lead of a reminder."""
EVENTS_MAX: Final = 500
"""Of one calendar within that; more are no library's."""
FILE: Final = "file:"


class Reminded(Wire):
    """Which events of a library were reminded of on one local day."""

    day: str = ""
    events: tuple[str, ...] = ()


@dataclass(slots=True)
class _Calendar:
    events: list[Event] = field(default_factory=list)
    read_next_s: float = 0.0


class Calendars:
    """Reads the calendars of all libraries and reminds of their events, for ever."""

    def __init__(
        self, bus: Bus, libraries: Libraries, statuses: Statuses, client: httpx.AsyncClient, files: Path
    ) -> None:
        """Read `file:` calendars from the folder `files`; somebody else keeps libraries and statuses up to date."""
        self._bus = bus
        self._libraries = libraries
        self._statuses = statuses
        self._client = client
        self._files = files
        self._calendars: dict[tuple[str, str], _Calendar] = {}

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await wait_s(LOOK_EVERY_S)
            for speaker in tuple(self._libraries.speakers.values()):
                try:
                    await self.look(speaker)
                except (BusUnavailable, Conflict) as error:
                    log.debug("reminders_later", library=speaker.library, reason=str(error))

    async def look(self, speaker: Speaker) -> None:
        """Remind of one library's events that are due now. Raises BusUnavailable, Conflict; then nothing is lost."""
        wanted, told = speaker.config.events, self._statuses.get(speaker.library)
        if wanted is None or told is None or told.public.clock.kind is ClockKind.RECORDED:
            return
        time = told.time(now())
        calendar = self._calendars.setdefault((speaker.library, wanted.url), _Calendar())
        await self._read(calendar, speaker, wanted, time)
        if not calendar.events:
            return
        entry = await self._bus.bucket(subjects.DELIVERIES).get(_key(speaker.library))
        reminded = _reminded(entry.value) if entry else Reminded()
        day = time.astimezone(speaker.time_zone).date().isoformat()
        today = reminded.events if reminded.day == day else ()
        status = told.status if time <= told.status.valid_until else None
        lead = timedelta(minutes=wanted.remind_min)
        left = wanted.daily_budget - len(today)
        found = due(calendar.events, status, time, lead, frozenset(reminded.events), left)
        for event in found:
            for intent in _intents(speaker, event, told, time):
                await self._bus.publish(intent.subject, intent.model_dump_json().encode(), message_id=intent.key)
        if found:
            # Said first and remembered then: a crash in between publishes the same keys again, which say nothing more.
            body = Reminded(day=day, events=(*today, *(each.id for each in found))).model_dump_json().encode()
            revision = entry.revision if entry else 0
            await self._bus.bucket(subjects.DELIVERIES).update(_key(speaker.library), body, revision=revision)

    async def _read(self, calendar: _Calendar, speaker: Speaker, wanted: EventCalendar, time: datetime) -> None:
        at_s = monotonic_s()
        if at_s < calendar.read_next_s:
            return
        calendar.read_next_s = at_s + wanted.refresh_min * 60
        try:
            text = await self._fetched(wanted.url)
            calendar.events = await asyncio.to_thread(events_of, text, time, speaker.time_zone)
        except (httpx.HTTPError, OSError, ValueError) as error:
            # Without the address, which may hold a secret.
            log.warning("calendar_unreadable", library=speaker.library, reason=type(error).__name__)

    async def _fetched(self, url: str) -> bytes:
        """Return a calendar's text. Raises HTTPError, OSError, ValueError."""
        if url.startswith(FILE):
            path = self._files / Path(url.removeprefix(FILE)).name
            if path.stat().st_size > BYTES_MAX:
                raise ValueError("too large")
            return await asyncio.to_thread(path.read_bytes)
        async with self._client.stream("GET", url, headers={"Accept": "text/calendar"}) as response:
            response.raise_for_status()
            if not response.is_success:
                raise ValueError("redirected")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > BYTES_MAX:
                    raise ValueError("too large")
        return bytes(body)


def events_of(text: bytes, time: datetime, zone: ZoneInfo) -> list[Event]:
    """Return the occurrences of a calendar's events around `time`, repetitions and exceptions worked out (RFC 5545).

    Whole-day events are left out: nobody can be reminded of their beginning. Raises ValueError for what is no calendar.
    """
    calendar = icalendar.Calendar.from_ical(text)
    # Cancelled occurrences are kept: that they are cancelled must be known.
    found = recurring_ical_events.of(calendar, skip_bad_series=True).between(time - timedelta(days=1), time + AHEAD)
    return [event for each in found[:EVENTS_MAX] for event in _event(each, zone)]


def _event(component: Any, zone: ZoneInfo) -> Iterator[Event]:
    start = component.start
    if not isinstance(start, datetime):
        return
    starts_at = start if start.tzinfo else start.replace(tzinfo=zone)
    original = component.get("RECURRENCE-ID")
    recurrence = getattr(original, "dt", None) or start
    if not isinstance(recurrence, datetime):
        recurrence = starts_at
    recurrence = recurrence if recurrence.tzinfo else recurrence.replace(tzinfo=zone)
    title = str(component.get("SUMMARY", "")).strip()
    if not title:
        return
    yield Event(
        uid=str(component.get("UID", title)),
        recurrence=recurrence.astimezone(UTC).isoformat(),
        title=title[:200],
        place=str(component.get("LOCATION", ""))[:200],
        starts_at=starts_at,
        is_cancelled=str(component.get("STATUS", "")).upper() == "CANCELLED",
    )


def _intents(speaker: Speaker, event: Event, told: Told, time: datetime) -> Iterator[PostIntent]:
    """Yield the reminder of an event on every channel that announces, one per language."""
    status = told.status if time <= told.status.valid_until else None
    silent = channels.silent()
    for rule in speaker.rules:
        if rule.says is not Says.ANNOUNCEMENTS or rule.channel in silent:
            continue
        if rule.is_night(time.astimezone(speaker.time_zone).time()):
            continue
        for language in rule.languages:
            yield PostIntent(
                key=post_key(f"{speaker.library}.event.{event.id}", rule.name, language),
                kind=PostKind.REMINDER,
                library=speaker.library,
                channel=rule.channel,
                account=rule.account,
                server=rule.server,
                options=dict(rule.options),
                language=language,
                slot=f"event-{event.id}-{language}",
                revision=0,
                at=time.astimezone(speaker.time_zone),
                valid_until=event.starts_at.astimezone(speaker.time_zone),
                clock=told.public.clock,
                texts=reminder_sentences_for(event, status, time, speaker.config, language),
                hashtags=rule.hashtags,
                url=told.public.url,
                needs_approval=rule.needs_approval,
                status=None if status is None else PublicStatus.of(status, {}),
                changed_at=time,
                decided_at=now(),
            )


def _key(library: str) -> str:
    return f"reminders.{library}.day"


def _reminded(value: bytes) -> Reminded:
    try:
        return Reminded.model_validate_json(value)
    except ValidationError:
        return Reminded()
