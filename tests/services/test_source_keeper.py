"""The keeper of sources: each runs by itself, is begun again when it fails, and two processes share them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY

from services.ingest.body import Body, Taken
from services.ingest.positions import Positions, TurnLost
from services.ingest.secrets import NoCredentials, Secrets
from services.ingest.sources import runners
from services.ingest.sources.keeper import SourceKeeper
from services.ingest.sources.means import Backoff, Means, Runner, SourceFailed, pause
from shared.contracts.devices import FolderSource, PollSource
from shared.runtime.bus import Bus, BusUnavailable
from tests.fakes.http_server import FakeServer, Request, Response, listening

PARIS, ATHENS = ZoneInfo("Europe/Paris"), ZoneInfo("Europe/Athens")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@dataclass
class Basket:
    """Takes whatever comes."""

    bodies: list[Body] = field(default_factory=list)

    async def take(self, body: Body) -> Taken:
        self.bodies.append(body)
        return Taken(1)


@dataclass
class Stage:
    """A type of source whose runs a test directs."""

    runs: list[tuple[PollSource, Means]] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    """By source: what its next runs end by; then it works."""
    running: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    begun: asyncio.Condition = field(default_factory=asyncio.Condition)
    end_s: float = 0.0
    """How long a run takes to end."""
    look: Callable[[], str] = str
    """What is looked at when a run begins; what was seen then is kept."""
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, source: PollSource, means: Means) -> None:
        self.running[source.id] += 1
        self.seen.append((source.id, self.look()))
        self.most_at_once[source.id] = max(self.most_at_once[source.id], self.running[source.id])
        try:
            async with self.begun:
                self.runs.append((source, means))
                self.begun.notify_all()
            coming = self.failures.get(source.id, [])
            if coming:
                raise coming.pop(0)
            means.works()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.end_s)
            self.running[source.id] -= 1

    async def wait(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.begun:
            await self.begun.wait_for(is_so)

    def runs_of(self, name: str) -> int:
        return sum(source.id == name for source, _ in self.runs)


def source(name: str = "a", **other: Any) -> PollSource:
    fields = {"id": name, "type": "poll", "url": "https://a.example", "every_s": 1.0}
    return PollSource.model_validate(fields | other)


def keeper_of(bus: Bus, folder: Path, stage: Stage | None = None, **other: Any) -> SourceKeeper:
    fields: dict[str, Any] = {
        "intake": Basket(),
        "positions": Positions(bus, token_hex(4), lease_s=20, look_every_s=0.02),
        "secrets": Secrets(folder),
        "library_zone": lambda _: PARIS,
        "random": lambda: 0.0,
        "now": lambda: NOW,
        "shortest_pause_s": 0.01,
        "longest_pause_s": 0.02,
    }
    if stage is not None:
        fields["runners"] = lambda: {"poll": Runner("poll", stage.run)}
    return SourceKeeper(**(fields | other))


@asynccontextmanager
async def running(keeper: SourceKeeper) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_sources_are_started_left_alone_started_anew_when_changed_and_stopped(
    standing: Bus, tmp_path: Path
) -> None:
    stage = Stage(end_s=0.05)
    keeper = keeper_of(standing, tmp_path, stage)
    async with running(keeper):
        keeper.follow({"a": source("a"), "b": source("b")})
        await stage.wait(lambda: len(stage.runs) == 2)
        changed = source("b", every_s=2.0)
        keeper.follow({"a": source("a"), "b": changed, "c": source("c")})
        await stage.wait(lambda: len(stage.runs) == 4)
        assert [stage.runs_of(each) for each in "abc"] == [1, 2, 1]
        assert stage.most_at_once == Counter(a=1, b=1, c=1)
        assert [each for each, _ in stage.runs if each.id == "b"][-1] == changed
        keeper.follow({"a": source("a")})
        await _until(lambda: stage.running["b"] == stage.running["c"] == 0)
        assert stage.running["a"] == 1
    assert not +stage.running


async def test_a_library_that_moves_to_another_time_zone_has_its_sources_begun_anew(
    standing: Bus, tmp_path: Path
) -> None:
    stage, zones = Stage(), {"a": PARIS, "b": PARIS}
    keeper = keeper_of(standing, tmp_path, stage, library_zone=zones.__getitem__)
    own = {"a": source("a"), "b": source("b", time_zone="Europe/Rome")}
    async with running(keeper):
        keeper.follow(own)
        await stage.wait(lambda: len(stage.runs) == 2)
        zones.update(a=ATHENS, b=ATHENS)
        keeper.follow(own)
        await stage.wait(lambda: len(stage.runs) == 3)
    found = [(each.id, means.time_zone.key) for each, means in stage.runs]
    assert sorted(found) == [("a", "Europe/Athens"), ("a", "Europe/Paris"), ("b", "Europe/Rome")]


async def test_one_that_fails_harms_no_other_and_is_said_once_until_it_works(standing: Bus, tmp_path: Path) -> None:
    stage = Stage(failures={"a": [SourceFailed("it is down"), ValueError("secret words"), NoCredentials("no file")]})
    keeper = keeper_of(standing, tmp_path, stage)
    stage.look = lambda: keeper.troubles["a"].reason if "a" in keeper.troubles else "none"
    before = _metric("placelibre_source_failures_total")
    async with running(keeper):
        keeper.follow({"a": source("a"), "b": source("b")})
        await stage.wait(lambda: stage.runs_of("a") == 4)
        assert not keeper.troubles
    assert stage.runs_of("b") == 1
    assert [told for name, told in stage.seen if name == "a"] == [
        "none",
        "it is down",
        "it fails in a way that it should not: ValueError",
        "no file",
    ]
    assert _metric("placelibre_source_failures_total") == before + 3


async def test_since_when_it_fails_is_kept_and_the_metrics_count_it(standing: Bus, tmp_path: Path) -> None:
    times = iter(NOW + timedelta(minutes=number) for number in range(10))
    endless: list[Exception] = [SourceFailed("first"), *[SourceFailed("later")] * 1000]
    stage = Stage(failures={"a": endless})
    keeper = keeper_of(standing, tmp_path, stage, now=lambda: next(times))
    async with running(keeper):
        keeper.follow({"a": source("a"), "b": source("b")})
        await stage.wait(lambda: stage.runs_of("a") > 2)
        trouble = keeper.troubles["a"]
        assert (trouble.reason, trouble.since, trouble.type) == ("later", NOW, "poll")
        assert _metric("placelibre_sources_failing") == 1
        assert _metric("placelibre_sources") == 2
        keeper.follow({"b": source("b")})
        assert not keeper.troubles
        assert _metric("placelibre_sources_failing") == 0


async def test_a_bus_that_is_away_and_a_lost_turn_are_held_against_no_source(standing: Bus, tmp_path: Path) -> None:
    stage = Stage(failures={"a": [BusUnavailable("away"), TurnLost("a")]})
    keeper = keeper_of(standing, tmp_path, stage, lost_s=0.01)
    before = _metric("placelibre_source_failures_total")
    async with running(keeper):
        keeper.follow({"a": source("a")})
        await stage.wait(lambda: stage.runs_of("a") == 3)
        assert not keeper.troubles
    assert _metric("placelibre_source_failures_total") == before


async def test_a_source_that_was_put_right_is_not_blamed_for_what_was_before(standing: Bus, tmp_path: Path) -> None:
    stage = Stage(failures={"a": [SourceFailed("wrong address")]})
    keeper = keeper_of(standing, tmp_path, stage, shortest_pause_s=60, longest_pause_s=60)
    async with running(keeper):
        keeper.follow({"a": source("a")})
        await _until(lambda: "a" in keeper.troubles)
        keeper.follow({"a": source("a", url="https://b.example")})
        assert not keeper.troubles
        await stage.wait(lambda: stage.runs_of("a") == 2)


async def test_a_task_that_does_not_stop_holds_up_nobody(standing: Bus, tmp_path: Path) -> None:
    free = asyncio.Event()

    async def stubborn(_: PollSource, means: Means) -> None:
        means.works()
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:  # as a library might swallow it
                continue

    stage = Stage()

    async def run(of: PollSource, means: Means) -> None:
        await (stubborn(of, means) if of.url.endswith("stubborn") else stage.run(of, means))

    keeper = keeper_of(standing, tmp_path, stop_s=0.05, runners=lambda: {"poll": Runner("poll", run)})
    async with running(keeper):
        keeper.follow({"a": source("a", url="https://a.example/stubborn"), "b": source("b")})
        await stage.wait(lambda: stage.runs_of("b") == 1)
        keeper.follow({"a": source("a"), "b": source("b")})
        await stage.wait(lambda: stage.runs_of("a") == 1)
        free.set()


async def test_more_sources_than_one_process_runs_are_named(standing: Bus, tmp_path: Path) -> None:
    stage = Stage()
    keeper = keeper_of(standing, tmp_path, stage, max_sources=3)
    async with running(keeper):
        keeper.follow({name: source(name) for name in "edcba"})
        await stage.wait(lambda: len(stage.runs) == 3)
        assert sorted(keeper.troubles) == ["d", "e"]
        assert "3 sources at most" in keeper.troubles["d"].reason
        keeper.follow({name: source(name) for name in "dcb"})
        await stage.wait(lambda: stage.runs_of("d") == 1)
        assert not keeper.troubles


async def test_sources_of_a_type_that_comes_to_us_are_not_run(standing: Bus, tmp_path: Path) -> None:
    stage = Stage()
    keeper = keeper_of(standing, tmp_path, stage)
    async with running(keeper):
        keeper.follow({"f": FolderSource(id="f", type="folder", path="/srv"), "a": source("a")})
        await stage.wait(lambda: len(stage.runs) == 1)
        assert not keeper.troubles


async def test_a_secret_that_is_put_right_ends_the_pause(standing: Bus, tmp_path: Path) -> None:
    del standing
    secrets = Secrets(tmp_path)
    waiting = asyncio.create_task(pause(3600, secrets, "door", look_every_s=0.01))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    (tmp_path / "source-door").write_text("right")
    async with asyncio.timeout(10):
        await waiting


def test_pauses_double_up_to_the_longest_and_are_never_shorter_than_asked_for() -> None:
    backoff = Backoff(lambda: 1.0, 2.0, 300.0)
    assert [backoff.failed() for _ in range(9)] == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert backoff.failed(1000.0) == 1000
    backoff.succeeded()
    assert backoff.failed() == 2
    assert Backoff(lambda: 0.0, 2.0).failed() == 1
    assert all(Backoff(lambda: 0.5, 2.0, failures=30).failed() <= 300 for _ in range(3))


def test_the_types_of_sources_are_found() -> None:
    assert "poll" in runners()
    assert {"url", "listener"}.isdisjoint(runners())


def test_secrets_are_read_anew_and_never_told(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    assert secrets.version("door") == (0, 0)
    for words, name in (("", "empty"), ("x" * 100_000, "large"), (b"\xff\xfe", "binary")):
        (tmp_path / f"source-{name}").write_bytes(words if isinstance(words, bytes) else words.encode())
        with pytest.raises(NoCredentials, match=f"source-{name}"):
            secrets.read(name)
    with pytest.raises(NoCredentials, match="source-door"):
        secrets.read("door")
    (tmp_path / "source-door").write_text("anna:pass\n")
    assert secrets.read("door").get_secret_value() == "anna:pass"
    assert "pass" not in repr(secrets.read("door"))
    user, password = secrets.pair("door")
    assert (user, password.get_secret_value()) == ("anna", "pass")
    before = secrets.version("door")
    (tmp_path / "source-door").write_text("hunter2!")
    assert secrets.version("door") != before
    with pytest.raises(NoCredentials) as failed:
        secrets.pair("door")
    assert "hunter2" not in str(failed.value)


@dataclass
class Counted(FakeServer):
    """Says how often it was asked."""

    def is_change(self, request: Request) -> bool:
        return bool(request.path)

    def answer(self, request: Request) -> Response:
        return Response(200, {"asked": request.path})


async def test_two_processes_share_sources_and_one_takes_over_when_the_other_ends(
    standing: Bus, tmp_path: Path
) -> None:
    names = [f"shared-{token_hex(4)}" for _ in range(3)]
    async with listening(Counted()) as server:
        sources = {
            name: source(name, url=f"{server.base}/{name}").model_copy(update={"every_s": 0.02}) for name in names
        }
        one, two = (keeper_of(standing, tmp_path) for _ in range(2))
        baskets: list[Basket] = [one.intake, two.intake]  # type: ignore[list-item]
        for keeper in (one, two):
            keeper.follow(sources)
        async with running(two):
            async with running(one):
                async with asyncio.timeout(10):
                    while len(server.requests) < 30:
                        await asyncio.sleep(0.01)
                by_source = [{each.source.id for each in basket.bodies} for basket in baskets]
                assert by_source[0] | by_source[1] == set(names)
                assert not by_source[0] & by_source[1]
            async with asyncio.timeout(10):
                while {each.source.id for each in baskets[1].bodies} != set(names):
                    await asyncio.sleep(0.01)
        assert not one.troubles
        assert not two.troubles


def _metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"type": "poll"}) or 0.0


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)
