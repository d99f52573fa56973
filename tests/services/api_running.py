"""A running API for tests: the real application under uvicorn in this process, and statuses to feed it with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import uvicorn

from cli.bus_server import BusServer
from services.api.app import Parts, create_app
from services.api.connection import StreamingProtocol
from services.api.following import watch_expiries
from services.api.main import follow_bus
from services.api.settings import ApiSettings
from shared.contracts.status import DayHistory, Estimate, HistorySample, PublicStatus
from shared.domain import occupancy
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import Wait
from shared.domain.status import State, Status, Trend, ZoneStatus
from shared.runtime.wording import sentences_for
from tests.conftest import free_port

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OPENS, CLOSES = datetime(2026, 3, 2, 8, 0, tzinfo=UTC), datetime(2026, 3, 2, 19, 0, tzinfo=UTC)

USUAL = Status(
    library="tilleuls",
    name="Bibliothèque des Tilleuls",
    time_zone="Europe/Paris",
    languages=("fr", "en", "uk"),
    revision=1,
    state=State.OPEN,
    reason=None,
    level=Level.FEW_SEATS,
    people=occupancy.Estimate(105, 101, 109),
    capacity=120,
    usable_seats=None,
    trend=Trend.RISING,
    queue=occupancy.Estimate(6, 3, 9),
    wait=Wait(17, 10, 25, 20, overflow=False),
    zones=(
        ZoneStatus("ground", "Rez-de-chaussée", 70, Level.FULL, occupancy.Estimate(70, 67, 73)),
        ZoneStatus("first", "Premier étage", 50, Level.MANY_SEATS, occupancy.Estimate(35, 33, 37)),
    ),
    hours_today=((OPENS, CLOSES),),
    next_change=CLOSES,
    notice="",
    notice_until=None,
    muted=False,
    as_of=NOON,
    valid_until=NOON + timedelta(minutes=10),
    last_recount=NOON - timedelta(hours=2),
    entries_today=214,
    exits_today=109,
    clock=ClockKind.WALL,
    speed=1.0,
)
"""Simulated figures."""


def public(**changes: object) -> PublicStatus:
    """Return the usual status with some of its fields changed, with its sentences."""
    status = replace(USUAL, **changes)  # type: ignore[arg-type]  # a test says which fields it means
    return PublicStatus.of(status, sentences_for(status))


def day(library: str, date: str, people: list[int | None]) -> DayHistory:
    """Return a day whose curve begins at the opening, a point every quarter of an hour."""
    start = datetime.fromisoformat(f"{date}T08:00:00+00:00")
    return DayHistory(
        library=library,
        date=date,
        entries=214,
        exits=109,
        samples=tuple(
            HistorySample(
                at=start + number * timedelta(minutes=15),
                state=State.UNKNOWN if each is None else State.OPEN,
                people=None if each is None else Estimate(value=each, low=max(each - 5, 0), high=each + 5),
                queue=0,
                wait_min=0,
            )
            for number, each in enumerate(people)
        ),
    )


@dataclass
class Wall:
    """A wall clock that a test moves."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        """Return what time it is."""
        return self.at


@dataclass
class RunningApi:
    """An API that answers on `url`."""

    url: str
    port: int
    parts: Parts
    server: uvicorn.Server
    serving: asyncio.Task[None]
    work: list[asyncio.Task[None]] = field(default_factory=list)

    async def seen(self, library: str, revision: int | None) -> None:
        """Wait until the API has a library's revision; None is its removal."""
        await eventually(lambda: _revision(self.parts, library) == revision)

    async def stop(self) -> None:
        """Ask it to stop, as a signal does, and wait for its end."""
        self.server.should_exit = True
        await asyncio.wait_for(self.serving, 10)
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)


def _revision(parts: Parts, library: str) -> int | None:
    held = parts.projection.get(library)
    return held.fresh.status.revision if held else None


async def eventually(holds: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait until something holds; TimeoutError if it never does."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_api(
    bus_server: BusServer | None,
    now: Callable[[], datetime],
    *,
    port: int = 0,
    is_plain: bool = False,
    **settings: object,
) -> AsyncIterator[RunningApi]:
    """Run the API; without a bus it waits for one, as it does when the bus is down at its start.

    With `is_plain` the server is uvicorn as it comes, which tells a stream nothing of its connection.
    """
    port = port or free_port()
    parts = Parts.of(ApiSettings(**settings), now)  # type: ignore[arg-type]  # a test says which settings it means
    app = create_app(ApiSettings(**settings), parts)  # type: ignore[arg-type]
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        http="httptools" if is_plain else StreamingProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    api = RunningApi(f"http://127.0.0.1:{port}", port, parts, server, asyncio.create_task(server._serve()))
    if bus_server is not None:
        api.work.append(asyncio.create_task(_follow(bus_server, parts)))
    api.work.append(asyncio.create_task(watch_expiries(parts.projection, parts.broadcaster, now)))
    try:
        await eventually(lambda: server.started)
        if bus_server is not None:
            await eventually(lambda: parts.readiness.is_ready)
        yield api
    finally:
        await api.stop()


async def _follow(bus_server: BusServer, parts: Parts) -> None:
    await follow_bus(ApiSettings(nats_url=bus_server.url, nats_seed_file=bus_server.seed_file("api")), parts)
