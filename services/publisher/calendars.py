"""Libraries' event calendars: read again and again, and a reminder published for each event whose time has come.

A calendar that cannot be read leaves what was known of it in force; a reminder is decided once, and what was decided
is remembered on the bus before anything is said.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx
from pydantic import TypeAdapter, ValidationError

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
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.logs import logger
from shared.runtime.pulse import Work, turned
from shared.runtime.wording import reminder_sentences_for

log = logger(__name__)

LOOK_EVERY_S: Final = 20.0
"""A reminder may be late by that."""
BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one calendar; years of a busy library's events are below one MiB."""
READ_S: Final = 30.0
"""To fetch a calendar, and again to work it out."""
AT_ONCE: Final = 4
"""Calendars in hand at once."""
EVENTS: Final = TypeAdapter(list[Event])
FILE: Final = "file:"


class Reminded(Wire):
    """Which events of a library were reminded of on one local day."""

    day: str = ""
    events: tuple[str, ...] = ()


@dataclass(slots=True)
class _Calendar:
    events: list[Event] = field(default_factory=list)
    read_next_s: float = 0.0
    is_readable: bool | None = None
    """Whether it could be read the last time; None before the first."""


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
            turned(Work.CALENDARS)
            gate = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(self._look(each, gate) for each in tuple(self._libraries.speakers.values())))
            self._count()

    def _count(self) -> None:
        wanted = {
            (each.library, each.config.events.url)
            for each in self._libraries.speakers.values()
            if each.config.events is not None
        }
        self._calendars = {key: each for key, each in self._calendars.items() if key in wanted}
        for state, is_readable in (("read", True), ("unreadable", False)):
            count = sum(each.is_readable is is_readable for each in self._calendars.values())
            metrics.CALENDARS.labels(state).set(count)

    async def _look(self, speaker: Speaker, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self.look(speaker)
            except (BusUnavailable, Conflict) as error:
                log.debug("reminders_later", library=speaker.library, reason=str(error))
            except Exception as error:  # noqa: BLE001  one library's calendar must not keep others from theirs
                log.error("reminders_failed", library=speaker.library, error=type(error).__name__)  # noqa: TRY400

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
            async with asyncio.timeout(READ_S):
                text = await self._fetched(wanted.url)
            calendar.events = await _worked_out(text, time, speaker.time_zone)
            calendar.is_readable = True
        except (httpx.HTTPError, OSError, ValueError, TimeoutError) as error:
            calendar.is_readable = False
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


async def _worked_out(text: bytes, time: datetime, zone: ZoneInfo) -> list[Event]:
    """Return the events of a calendar around `time`, worked out in a process of its own.

    Calendars come from elsewhere: one that repeats without end, or trips the library, must not take the publisher with
    it. Raises ValueError for one that cannot be read, or not in time.
    """
    command = (sys.executable, "-m", "services.publisher.calendar_file", time.isoformat(), zone.key)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(READ_S):
            answer, _ = await process.communicate(text)
    except TimeoutError as error:
        raise ValueError("it takes too long to be worked out") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ValueError("it is no calendar, or one with a mistake in it")
    return EVENTS.validate_json(answer)


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
