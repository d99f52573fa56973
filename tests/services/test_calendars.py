"""Event calendars on the real bus: each event is reminded of once on every channel, whatever the calendar does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.publisher import calendars as module
from services.publisher.calendar_file import events_of
from services.publisher.calendars import Calendars
from services.publisher.libraries import Libraries, Speaker
from services.publisher.told import Statuses
from shared.contracts import subjects
from shared.contracts.configuration import Channel, EventCalendar, LibraryConfig
from shared.contracts.posts import PostIntent, PostKind
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus
from tests.fakes.announcements import OPEN, configuration, new_library, status_of
from tests.fakes.http_server import FakeServer, Request, Response, listening

PARIS = ZoneInfo("Europe/Paris")


def event(uid: str, starts: datetime, *more: str) -> str:
    lines = [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTART:{starts.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{uid} talk",
        *more,
    ]
    return "\r\n".join([*lines, "END:VEVENT"])


def calendar(*events: str) -> bytes:
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tests//EN\r\n"
    return (head + "\r\n".join(events) + "\r\nEND:VCALENDAR\r\n").encode()


@dataclass
class CalendarServer(FakeServer):
    """Serves one calendar, or fails."""

    content: bytes = calendar()
    status: int = 200

    def is_change(self, request: Request) -> bool:
        del request
        return False

    def answer(self, request: Request) -> Response:
        del request
        return Response(self.status, self.content, {"Content-Type": "text/calendar"})


@dataclass
class Scene:
    bus: Bus
    server: CalendarServer
    client: httpx.AsyncClient
    files: Path
    library: str = field(default_factory=new_library)
    statuses: Statuses = field(default_factory=Statuses)
    calendars: Calendars | None = None

    def config(self) -> LibraryConfig:
        channels = [
            Channel(type="console", languages=("fr", "en")),
            Channel.model_validate({"type": "email", "account": "a"}),
        ]
        events = EventCalendar(url=f"{self.server.base}/events.ics", remind_min=60, refresh_min=1)
        return configuration(self.library, *channels).model_copy(update={"events": events})

    async def look(self, *, is_new_process: bool = False) -> None:
        libraries = Libraries()
        libraries.put(self.config())
        if self.calendars is None or is_new_process:
            self.calendars = Calendars(self.bus, libraries, self.statuses, self.client, self.files)
        speaker = libraries.get(self.library)
        assert isinstance(speaker, Speaker)
        await self.calendars.look(speaker)

    async def show(self) -> None:
        """Publish a status, and wait until it is heard."""
        status = status_of(self.library, 2, OPEN, datetime.now(UTC))
        await self.bus.bucket(subjects.STATUS).put(self.library, PublicStatus.of(status, {}).model_dump_json().encode())
        following = asyncio.create_task(self.statuses.follow(self.bus))
        async with asyncio.timeout(10):
            while self.statuses.get(self.library) is None:
                await asyncio.sleep(0.02)
        following.cancel()

    async def published(self) -> list[PostIntent]:
        # A work queue takes no second reader; its messages are fetched one by one.
        last = await self.bus.last_sequence(subjects.POSTS)
        messages = [await self.bus.jetstream.get_msg(subjects.POSTS, each) for each in range(1, last + 1)]
        return [PostIntent.model_validate_json(each.data or b"") for each in messages]


@pytest.fixture
async def scene(operator: Bus, tmp_path: Path) -> AsyncIterator[Scene]:
    async with listening(CalendarServer()) as server, httpx.AsyncClient(timeout=2) as client:
        scene = Scene(operator, server, client, tmp_path)
        await scene.show()
        yield scene


async def test_an_event_is_reminded_of_on_the_channels_that_announce_in_each_language(scene: Scene) -> None:
    scene.server.content = calendar(event("poetry", datetime.now(UTC) + timedelta(minutes=55), "LOCATION:Hall"))
    await scene.look()
    intents = await scene.published()
    assert [(each.channel, each.language, each.kind) for each in intents] == [
        ("console", "fr", PostKind.REMINDER),
        ("console", "en", PostKind.REMINDER),
    ]
    assert "poetry talk" in intents[1].texts.long
    assert "Where: Hall." in intents[1].texts.long


async def test_it_is_reminded_of_once_also_by_another_process(scene: Scene) -> None:
    scene.server.content = calendar(event("poetry", datetime.now(UTC) + timedelta(minutes=55)))
    await scene.look()
    await scene.look()
    await scene.look(is_new_process=True)
    assert len(await scene.published()) == 2


async def test_a_cancelled_event_is_dropped(scene: Scene) -> None:
    starts = datetime.now(UTC) + timedelta(minutes=55)
    scene.server.content = calendar(event("poetry", starts, "STATUS:CANCELLED"), event("film", starts))
    await scene.look()
    published = await scene.published()
    assert len(published) == 2
    assert all("film" in each.texts.long for each in published)


async def test_a_calendar_that_fails_leaves_what_was_known(scene: Scene) -> None:
    scene.server.content = calendar(event("poetry", datetime.now(UTC) + timedelta(minutes=90)))
    await scene.look()
    scene.server.status = 500
    await scene.look()
    assert await scene.published() == []
    scene.server.content, scene.server.status = b"<html>not a calendar</html>", 200
    await scene.look(is_new_process=True)
    assert await scene.published() == []


STRANGE = {
    "without a start": "BEGIN:VEVENT\r\nUID:s\r\nSUMMARY:s\r\nEND:VEVENT",
    "with two starts": event("s", datetime(2026, 9, 28, 12, tzinfo=UTC), "DTSTART:20260928T130000Z"),
    "with a sequence that is no number": event("s", datetime(2026, 9, 28, 12, tzinfo=UTC), "SEQUENCE:abc"),
    "of endless length": event("s", datetime(2026, 9, 28, 12, tzinfo=UTC), "DURATION:P99999999999D"),
    "repeated every nothing": event("s", datetime(2026, 9, 28, 12, tzinfo=UTC), "RRULE:FREQ=DAILY;INTERVAL=0"),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
async def test_a_strange_calendar_harms_nobody(scene: Scene, strange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_S", 3.0)
    scene.server.content = calendar(strange)
    await scene.look()
    assert await scene.published() == []


async def test_a_calendar_may_be_a_file_beside_the_secrets(scene: Scene) -> None:
    (scene.files / "events.ics").write_bytes(calendar(event("poetry", datetime.now(UTC) + timedelta(minutes=55))))
    config = scene.config()
    libraries = Libraries()
    libraries.put(config.model_copy(update={"events": EventCalendar(url="file:events.ics")}))
    speaker = libraries.get(scene.library)
    assert speaker is not None
    await Calendars(scene.bus, libraries, scene.statuses, scene.client, scene.files).look(speaker)
    assert len(await scene.published()) == 2


def test_repetitions_exceptions_and_moves_are_worked_out() -> None:
    now = datetime(2026, 9, 28, 12, 0, tzinfo=UTC)
    weekly = event(
        "club", datetime(2026, 9, 14, 16, tzinfo=UTC), "RRULE:FREQ=WEEKLY;COUNT=5", "EXDATE:20260921T160000Z"
    )
    moved = event("club", datetime(2026, 9, 29, 15, tzinfo=UTC), "RECURRENCE-ID:20260928T160000Z")
    (found,) = events_of(calendar(weekly, moved), now, PARIS)
    assert found.starts_at.astimezone(UTC) == datetime(2026, 9, 29, 15, tzinfo=UTC)
    assert found.recurrence == "2026-09-28T16:00:00+00:00"


def test_whole_days_and_events_without_a_title_are_left_out() -> None:
    now = datetime(2026, 9, 28, 12, 0, tzinfo=UTC)
    whole = "BEGIN:VEVENT\r\nUID:w\r\nDTSTART;VALUE=DATE:20260928\r\nSUMMARY:Open day\r\nEND:VEVENT"
    nameless = "BEGIN:VEVENT\r\nUID:n\r\nDTSTART:20260928T150000Z\r\nEND:VEVENT"
    assert events_of(calendar(whole, nameless), now, PARIS) == []


def test_a_time_without_a_zone_is_the_librarys() -> None:
    now = datetime(2026, 9, 28, 12, 0, tzinfo=UTC)
    local = "BEGIN:VEVENT\r\nUID:l\r\nDTSTART:20260928T180000\r\nSUMMARY:Local\r\nEND:VEVENT"
    (found,) = events_of(calendar(local), now, PARIS)
    assert found.starts_at == datetime(2026, 9, 28, 18, tzinfo=PARIS)
