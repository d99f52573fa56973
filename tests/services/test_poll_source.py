"""Sources that are polled: nothing is lost and nothing counts twice, whatever the server, the bus or we go through."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64encode
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.ingest import devices
from services.ingest.body import Body, Taken
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, Unreadable
from services.ingest.positions import Positions, TurnLost
from services.ingest.secrets import NoCredentials, Secrets
from services.ingest.sources.means import Backoff, Means, SourceFailed
from services.ingest.sources.poll import Poll, run
from services.ingest.sources.polled import api_of, apis, faults
from services.ingest.sources.polled.api import MAX_ANSWER_BYTES, Answer
from services.ingest.sources.polled.exchange import MAX_RETRY_AFTER_S, client, retry_after_s
from shared.contracts.devices import PollSource
from shared.runtime.bus import Bus, BusUnavailable
from tests.fakes.axis_camera import AxisCamera
from tests.fakes.http_server import FAULTS, FakeServer, Fault, Request, Response, listening
from tests.fakes.moody_bus import Moody
from tests.fakes.openplus import OpenPlusServer
from tests.fakes.trafsys import TrafsysServer, hour
from tests.fakes.vea import VeaServer

PARIS = ZoneInfo("Europe/Paris")
OPENING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SECRET = "s3cret"


@dataclass
class Ledger:
    """Takes bodies in, reads them, and counts each figure once by what makes it itself, as the log does."""

    figures: dict[object, tuple[int, int]] = field(default_factory=dict)
    bodies: list[Body] = field(default_factory=list)
    unreadable: list[Body] = field(default_factory=list)
    refusals: deque[Exception] = field(default_factory=deque)
    """To be raised by the next bodies, one each, before anything is kept."""
    is_away: bool = False
    dies: int = 0
    """So many of the next bodies are kept, and then the process dies."""

    async def take(self, body: Body) -> Taken:
        if self.is_away:
            raise BusUnavailable("away")
        if self.refusals:
            raise self.refusals.popleft()
        self.bodies.append(body)
        try:
            read = devices.read(
                document_of(body.data, body.media_type, body.topic),
                Context(PARIS, body.received_at),
                body.source.format,
            )
        except Unreadable as error:
            self.unreadable.append(body)
            return Taken(0, 1, (str(error),))
        for report in read.reports:
            for each in report.measurements:
                name = (report.serial, each.line, each.start, each.end, each.key, each.forward, each.backward)
                self.figures[name] = (each.forward or 0, each.backward or 0)
        if self.dies:
            self.dies -= 1
            raise Died
        return Taken(len(self.figures))

    @property
    def totals(self) -> tuple[int, int]:
        """All that has counted, in and out."""
        return sum(each[0] for each in self.figures.values()), sum(each[1] for each in self.figures.values())


class Died(Exception):  # noqa: N818  what happens to the process
    """The process is gone between one step and the next."""


class Clock:
    """A time that a test sets."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@dataclass
class World:
    """One source, with everything that it is read with."""

    bus: Bus
    folder: Path
    clock: Clock
    ledger: Ledger = field(default_factory=Ledger)
    troubles: list[str] = field(default_factory=list)
    worked: int = 0
    source_id: str = field(default_factory=lambda: f"poll-{token_hex(4)}")

    def source(self, api: str, url: str, **other: Any) -> PollSource:
        fields = {"id": self.source_id, "type": "poll", "url": url, "api": api, "every_s": 1.0} | other
        return PollSource.model_validate(fields)

    def secret(self, name: str, words: str) -> None:
        (self.folder / f"source-{name}").write_text(words)

    def means(self, holder: str = "one") -> Means:
        def works() -> None:
            self.worked += 1

        positions = Positions(self.bus, holder, lease_s=20, look_every_s=0.02)
        secrets = Secrets(self.folder)
        return Means(self.ledger, positions, secrets, lambda: 0.0, PARIS, self.clock, works, self.troubles.append)

    @asynccontextmanager
    async def polling(self, source: PollSource, holder: str = "one", read_s: float = 5.0) -> AsyncIterator[Poll]:
        """Hold the turn of a source, as `run` does, and ask it step by step."""
        means, api = self.means(holder), api_of(source)
        way, authority = api.make(source, PARIS), api.authority(source, means.secrets)
        async with means.positions.turn(source.id) as turn, client() as asking:
            asking.timeout = httpx.Timeout(read_s)
            yield Poll(source, means, turn, asking, way, authority, Backoff(means.random, 0.01, 0.02))

    async def place(self) -> Any:
        return await Positions(self.bus, "looker").place(self.source_id)


@pytest.fixture
def world(standing: Bus, tmp_path: Path) -> World:
    return World(standing, tmp_path, Clock(OPENING + timedelta(hours=2)))


def fill(server: VeaServer, quarters: int, *, first: int = 0, zone: str = "z1") -> tuple[int, int]:
    """Let people pass at a zone: each quarter another number; return the sums."""
    passed = {first + number: (10 + number, 3 * (number % 4)) for number in range(quarters)}
    for number, counts in passed.items():
        server.counts[zone, OPENING + number * timedelta(minutes=15)] = counts
    return sum(ins for ins, _ in passed.values()), sum(outs for _, outs in passed.values())


def vea_source(world: World, server: VeaServer, **options: Any) -> PollSource:
    world.secret("vea", f"{server.client}:{server.secret}")
    options = {"token_url": f"{server.base}/oauth/token"} | options
    return world.source("vea", server.base, credentials="vea", options=options)


class TestVea:
    async def test_every_quarter_of_every_zone_counts_once_however_often_it_is_asked(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            sums = Counter(fill(server, 6)), Counter(fill(server, 3, zone="z2"))
            async with world.polling(vea_source(world, server)) as poll:
                for _ in range(5):
                    await poll.once()
            assert len(world.ledger.bodies) == 1
            assert sum(world.ledger.totals) == sum(sum(each.elements()) for each in sums)
            assert len(server.token_requests) == 1

    async def test_a_counter_that_sends_late_is_made_up_for_by_the_difference(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            fill(server, 4)
            async with world.polling(vea_source(world, server)) as poll:
                await poll.once()
                before = world.ledger.totals
                server.counts["z1", OPENING] = (25, 7)
                world.clock.at += timedelta(minutes=5)
                await poll.once()
            assert world.ledger.totals == (before[0] + 15, before[1] + 7)

    async def test_reading_goes_on_where_it_stood_after_a_restart(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            first = fill(server, 4)
            async with world.polling(vea_source(world, server)) as poll:
                await poll.once()
            world.clock.at += timedelta(hours=30)
            second = fill(server, 80, first=8)
            async with world.polling(vea_source(world, server), holder="two") as poll:
                await poll.once()
            assert world.ledger.totals == (first[0] + second[0], first[1] + second[1])
            assert len(world.ledger.figures) == 84

    async def test_a_process_that_dies_before_it_saves_counts_nothing_twice(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            sums = fill(server, 6)
            source = vea_source(world, server)
            world.ledger.dies = 1
            with pytest.raises(Died):
                await self._once(world, source)
            assert await world.place() is None
            await self._once(world, source)
            assert world.ledger.totals == sums
            assert len(world.ledger.bodies) == 2

    async def test_a_token_that_was_ended_is_replaced_and_nothing_is_missed(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            sums = fill(server, 6)
            async with world.polling(vea_source(world, server)) as poll:
                await poll.once()
                server.tokens_given += 1  # another program has had one
                poll.authority._minted_s = -1e9  # type: ignore[attr-defined]
                fill(server, 1, first=-1)
                await poll.once()
            assert not world.troubles
            assert world.ledger.totals == (sums[0] + 10, sums[1])

    async def test_a_client_that_is_replaced_has_a_token_of_its_own_at_once(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            fill(server, 6)
            async with world.polling(vea_source(world, server)) as poll:
                await poll.once()
                server.client, server.secret = "client-2", "another"
                world.secret("vea", "client-2:another")
                await poll.once()
            assert len(server.token_requests) == 2
            assert b"client-2" in server.token_requests[1].body

    async def test_a_new_token_that_is_refused_is_no_reason_for_a_storm_of_them(self, world: World) -> None:
        async with listening(VeaServer(refuses_tokens=True)) as server:
            async with world.polling(vea_source(world, server)) as poll:
                for _ in range(5):
                    with pytest.raises(SourceFailed):
                        await poll.once()
            assert len(server.token_requests) == 1

    async def test_a_token_is_renewed_before_it_ends(self, world: World) -> None:
        async with listening(VeaServer(life_s=1)) as server:
            fill(server, 6)
            async with world.polling(vea_source(world, server)) as poll:
                await poll.once()
                poll.authority._ends_s = poll.authority._minted_s = -1e9  # type: ignore[attr-defined]
                await poll.once()
            assert len(server.token_requests) == 2
            assert all(each.headers["authorization"].startswith("Bearer token-") for each in server.reports)

    async def test_wrong_credentials_are_said_without_them_and_right_ones_are_noticed(self, world: World) -> None:
        async with listening(VeaServer()) as server:
            sums = fill(server, 6)
            source = vea_source(world, server)
            world.secret("vea", "client-1:hunter2")
            async with world.polling(source) as poll:
                with pytest.raises(SourceFailed, match="refuse") as failed:
                    await poll.once()
                assert "hunter2" not in str(failed.value)
                assert server.base not in str(failed.value)
                world.secret("vea", f"client-1:{SECRET}")
                await poll.once()
            assert world.ledger.totals == sums

    @pytest.mark.parametrize("seed", range(8))
    async def test_whatever_the_server_does_in_between_the_totals_are_right(self, world: World, seed: int) -> None:
        generator = random.Random(seed)
        faults_to_come: list[Fault] = [each for each in FAULTS if each != "hang"]
        sums = [0, 0]
        async with listening(VeaServer()) as server:
            source = vea_source(world, server)
            for step in range(12):
                more = fill(server, 1, first=step)
                sums = [sums[0] + more[0], sums[1] + more[1]]
                world.clock.at = OPENING + timedelta(minutes=15 * step + 20)
                server.faults.extend(generator.choices(faults_to_come, k=generator.randint(0, 2)))
                world.ledger.dies = generator.randint(0, 1)
                async with world.polling(source, holder=f"process {step}") as poll:
                    await self._until_it_works(poll, server)
            assert world.ledger.totals == tuple(sums)

    async def test_a_server_that_hangs_is_left_and_asked_again(self, world: World) -> None:
        async with listening(VeaServer(faults=deque(["hang"]))) as server:
            sums = fill(server, 6)
            async with world.polling(vea_source(world, server), read_s=0.1) as poll:
                with pytest.raises(SourceFailed, match="in time"):
                    await poll.once()
                await poll.once()
            assert world.ledger.totals == sums

    @staticmethod
    async def _once(world: World, source: PollSource) -> None:
        async with world.polling(source) as poll:
            await poll.once()

    @staticmethod
    async def _until_it_works(poll: Poll, server: VeaServer) -> None:
        for _ in range(10):
            try:
                await poll.once()
            except (SourceFailed, Died):
                continue
            if not server.faults:
                return
        raise AssertionError("it never worked")


class TestTrafsys:
    async def test_hours_of_local_time_count_once(self, world: World) -> None:
        async with listening(TrafsysServer()) as server:
            server.rows = [
                hour("2026-11-23T10:00:00", 5, 2),
                hour("2026-11-23T11:00:00", 7, 6, location="Side"),
                hour("2026-11-23T12:00:00", 9, 9),
                hour("2026-11-23T13:00:00", 1, 1),  # at 12:00 in Paris it is not over
            ]
            async with world.polling(self._source(world, server)) as poll:
                await poll.once()
                assert world.ledger.totals == (12, 8)  # the last one is left alone for five minutes
                world.clock.at += timedelta(minutes=6)
                await poll.once()
                await poll.once()
            assert world.ledger.totals == (21, 17)
            assert server.reports[0].query["DateFrom"] == server.reports[0].query["DateTo"] == "2026-11-23"

    async def test_the_night_in_which_an_hour_comes_twice_counts_both(self, world: World) -> None:
        world.clock.at = datetime(2026, 10, 25, 6, 0, tzinfo=UTC)
        async with listening(TrafsysServer()) as server:
            server.rows = [hour(f"2026-10-25T0{number}:00:00", 1, 1) for number in (1, 2, 2, 3, 4, 5)]
            async with world.polling(self._source(world, server)) as poll:
                await poll.once()
                await poll.once()
            assert world.ledger.totals == (6, 6)
            assert len({name[3] for name in world.ledger.figures}) == 6  # type: ignore[index]

    async def test_whoever_is_throttled_waits_also_after_a_restart_and_in_another_process(self, world: World) -> None:
        async with listening(TrafsysServer(faults=deque(["429"]), retry_after="1800")) as server:
            source = self._source(world, server)
            first = asyncio.create_task(run(source, world.means()))
            async with asyncio.timeout(10):
                while not (place := await world.place()) or not place.get("not_before"):
                    await asyncio.sleep(0.01)
            await _ended(first)
            until = datetime.fromisoformat(place["not_before"])
            assert until == world.clock.at + timedelta(seconds=1800)
            assert world.troubles == ["it asks to be left alone for a while (HTTP 429)"]
            second = asyncio.create_task(run(source, world.means("two")))
            await asyncio.sleep(0.3)
            await _ended(second)
            assert len(server.reports) == 1
            world.clock.at = until
            third = asyncio.create_task(run(source, world.means("three")))
            async with asyncio.timeout(10):
                while not world.worked:
                    await asyncio.sleep(0.01)
            await _ended(third)
            assert not (await world.place()).get("not_before")

    async def test_a_token_that_the_portal_ends_early_is_replaced(self, world: World) -> None:
        async with listening(TrafsysServer()) as server:
            server.rows = [hour("2026-11-23T10:00:00", 5, 2)]
            async with world.polling(self._source(world, server)) as poll:
                await poll.once()
                server.ended.add("t1")
                poll.authority._minted_s = -1e9  # type: ignore[attr-defined]
                await poll.once()
            assert server.tokens_given == 2

    @staticmethod
    def _source(world: World, server: TrafsysServer) -> PollSource:
        world.secret("portal", f"{server.user}:{server.password}\n")
        return world.source("trafsys", f"{server.base}/rest", credentials="portal")


class TestOpenPlus:
    async def test_pages_are_followed_and_records_count_once(self, world: World) -> None:
        async with listening(OpenPlusServer()) as server:
            server.records = [self._record(number) for number in range(7)]
            async with world.polling(self._source(world, server)) as poll:
                await poll.once()
                assert len(server.requests) == 1 + 4
                server.records.append(self._record(7, late_by=timedelta(minutes=5)))
                await poll.once()
            assert world.ledger.totals == (8, 0)

    async def test_a_page_that_fails_begins_the_answer_anew(self, world: World) -> None:
        async with listening(OpenPlusServer(faults=deque())) as server:
            server.records = [self._record(number) for number in range(7)]
            async with world.polling(self._source(world, server)) as poll:
                server.faults.extend(["cut"])
                with pytest.raises(SourceFailed):
                    await poll.once()
                await poll.once()
            assert world.ledger.totals == (7, 0)

    async def test_sums_come_without_pages(self, world: World) -> None:
        async with listening(OpenPlusServer()) as server:
            server.records = [self._record(number) for number in range(3)]
            source = self._source(world, server, aggregation="quarter")
            async with world.polling(source) as poll:
                await poll.once()
            assert server.requests[-1].query["aggregation"] == "quarter"
            assert world.ledger.totals == (3, 0)

    @staticmethod
    def _record(number: int, late_by: timedelta = timedelta(0)) -> dict[str, Any]:
        at = OPENING + timedelta(minutes=10 * number) - late_by
        times = dict.fromkeys(("serverTime", "clientTime"), at.isoformat())
        return {"id": f"r{number}", "amount": 1, "name": "Door", "category": "login", "localTime": "", **times}

    @staticmethod
    def _source(world: World, server: OpenPlusServer, **options: Any) -> PollSource:
        world.secret("open", f"id:{SECRET}")
        options = {"token_url": f"{server.base}/connect/token"} | options
        return world.source("openplus", f"{server.base}/v1/peoplecount", credentials="open", options=options)


class TestAxisExport:
    async def test_a_camera_is_asked_with_digest_and_its_minutes_count_once(self, world: World) -> None:
        async with listening(AxisCamera()) as server:
            world.secret("door", f"{server.user}:{server.password}")
            server.rows = [self._minute(number) for number in range(120)]
            async with world.polling(world.source("axis-export", server.base, credentials="door")) as poll:
                for number in range(120, 125):
                    server.rows.append(self._minute(number))
                    world.clock.at = OPENING + timedelta(minutes=number, seconds=31)
                    await poll.once()
            # What is not over for two minutes is left for the next time.
            assert world.ledger.totals == (122, 0)
            signed = [each for each in server.requests if "authorization" in each.headers]
            assert signed[-1].query == {"start": "20261123", "end": "now", "resolution": "minute"}

    @staticmethod
    def _minute(number: int) -> dict[str, Any]:
        start = (OPENING + timedelta(minutes=number)).astimezone(PARIS)
        end = start + timedelta(minutes=1)
        words = "%Y-%m-%d %H:%M:%S"
        return {"start": start.strftime(words), "end": end.strftime(words), "in": 1, "out": 0}


@dataclass
class PlainServer(FakeServer):
    """Answers what it is told to, if the request is as it wants it."""

    reply: Response = field(default_factory=lambda: Response(200, {"in": 1}))
    etag: str = ""
    wants: dict[str, str] = field(default_factory=dict)

    def is_change(self, request: Request) -> bool:
        return bool(request.path)

    def answer(self, request: Request) -> Response:
        if any(request.headers.get(name) != value for name, value in self.wants.items()):
            return self.unauthorised()
        if self.etag and request.headers.get("if-none-match") == self.etag:
            return Response(304, b"", {"ETag": self.etag})
        return replace(self.reply, headers={**self.reply.headers, **({"ETag": self.etag} if self.etag else {})})


class TestPlain:
    async def test_what_it_answers_is_taken_as_it_is(self, world: World) -> None:
        async with listening(PlainServer(reply=Response(200, b"<a/>", {"Content-Type": "text/xml"}))) as server:
            async with world.polling(world.source("plain", f"{server.base}/local/.api?live-sum.json")) as poll:
                await poll.once()
                await poll.once()
            assert [(each.data, each.media_type) for each in world.ledger.bodies] == [(b"<a/>", "text/xml")] * 2
            assert {each.received_at for each in world.ledger.bodies} == {world.clock.at}

    async def test_an_unchanged_body_is_so_still_unless_that_is_not_wanted(self, world: World) -> None:
        async with listening(PlainServer(etag='"7"')) as server:
            async with world.polling(world.source("plain", server.base)) as poll:
                await poll.once()
                await poll.once()
            assert "if-none-match" in server.requests[-1].headers
            assert len(world.ledger.bodies) == 2
            once = world.source("plain", server.base, options={"repeat": False})
            async with world.polling(once) as poll:  # the tag was saved
                await poll.once()
            assert len(world.ledger.bodies) == 2
            async with world.polling(world.source("plain", server.base)) as poll:  # without the body it is no use
                await poll.once()
            assert len(world.ledger.bodies) == 3

    async def test_a_tag_of_another_address_is_not_sent(self, world: World) -> None:
        async with listening(PlainServer(etag='"7"')) as server:
            for path in ("/a", "/b"):
                source = world.source("plain", server.base + path, options={"repeat": False})
                async with world.polling(source) as poll:
                    await poll.once()
            assert len(world.ledger.bodies) == 2

    @pytest.mark.parametrize(
        ("auth", "secret", "headers"),
        [
            (None, "anna:pass:word", {"authorization": f"Basic {b64encode(b'anna:pass:word').decode()}"}),
            ("bearer", "abc.def", {"authorization": "Bearer abc.def"}),
            ("header", "X-Api-Key: abc", {"x-api-key": "abc"}),
        ],
    )
    async def test_ways_to_show_who_asks(
        self, world: World, auth: str | None, secret: str, headers: dict[str, str]
    ) -> None:
        world.secret("door", secret + "\n")
        async with listening(PlainServer(wants=headers)) as server:
            options = {} if auth is None else {"auth": auth}
            source = world.source("plain", server.base, credentials="door", options=options)
            async with world.polling(source) as poll:
                await poll.once()
                world.secret("door", "anna:wrong")
                with pytest.raises((SourceFailed, NoCredentials)) as failed:
                    await poll.once()
                assert "wrong" not in str(failed.value)
        assert len(world.ledger.bodies) == 1

    async def test_a_missing_secret_is_named(self, world: World) -> None:
        async with listening(PlainServer()) as server:
            async with world.polling(world.source("plain", server.base, credentials="door")) as poll:
                with pytest.raises(NoCredentials, match="source-door"):
                    await poll.once()
            assert not server.requests

    @pytest.mark.parametrize(
        ("reply", "words"),
        [
            (Response(302, b"", {"Location": "http://127.0.0.1/elsewhere"}), "redirect"),
            (Response(404, b""), "404"),
            (Response(500, b""), "500"),
            (Response(200, b"x" * (MAX_ANSWER_BYTES + 1)), "MiB"),
        ],
        ids=["redirect", "404", "500", "too large"],
    )
    async def test_what_is_no_answer_is_said_in_words(self, world: World, reply: Response, words: str) -> None:
        async with listening(PlainServer(reply=reply)) as server:
            async with world.polling(world.source("plain", f"{server.base}/?key=hidden")) as poll:
                with pytest.raises(SourceFailed, match=words) as failed:
                    await poll.once()
            assert "hidden" not in str(failed.value)
            assert len(server.requests) == 1
        assert not world.ledger.bodies

    async def test_a_server_that_is_away_is_said_so(self, world: World) -> None:
        async with world.polling(world.source("plain", "http://127.0.0.1:9")) as poll:
            with pytest.raises(SourceFailed, match="cannot be reached"):
                await poll.once()

    async def test_a_bus_that_is_away_has_the_same_body_brought_again_and_nobody_asked(self, world: World) -> None:
        world.ledger.refusals.extend([BusUnavailable("away"), BusUnavailable("away")])
        async with listening(PlainServer()) as server:
            async with world.polling(world.source("plain", server.base)) as poll:
                await poll.once()
            assert len(server.requests) == 1
        assert len(world.ledger.bodies) == 1


async def test_an_answer_that_is_not_as_expected_goes_to_quarantine_once_and_is_a_trouble(world: World) -> None:
    async with listening(VeaServer()) as server:
        sums = fill(server, 4)
        source = vea_source(world, server)
        async with world.polling(source) as poll:
            await poll.once()
            place = await world.place()
            server.is_in_maintenance = True
            for _ in range(3):
                with pytest.raises(SourceFailed, match="JSON"):
                    await poll.once()
            assert await world.place() == place
            server.is_in_maintenance = False
            await poll.once()
        assert [each.data for each in world.ledger.unreadable] == [b"<html>soon back</html>"]
        assert world.ledger.totals == sums


async def test_a_bus_that_stays_away_for_longer_than_a_turn_loses_and_doubles_nothing(world: World) -> None:
    bus = Moody(world.bus.client, "ingest")
    async with listening(VeaServer()) as server:
        sums = fill(server, 4)
        source = vea_source(world, server).model_copy(update={"every_s": 0.01})
        means = replace(world.means(), positions=Positions(bus, "one", lease_s=0.4, look_every_s=0.02))
        lost: list[TurnLost] = []
        task = asyncio.create_task(_again_and_again(source, means, lost))
        await _until(lambda: world.ledger.totals == sums)
        world.clock.at += timedelta(hours=1)
        bus.is_away = world.ledger.is_away = True
        more = fill(server, 4, first=4)
        asked = len(server.reports)
        await _until(lambda: bool(lost))
        assert len(server.reports) <= asked + 1  # what was heard is held, and without a turn nobody is asked
        bus.is_away = world.ledger.is_away = False
        await _until(lambda: world.ledger.totals == (sums[0] + more[0], sums[1] + more[1]))
        assert len(world.ledger.figures) == 8
        await _ended(task)


async def test_a_source_that_is_run_says_when_it_fails_and_when_it_works(world: World) -> None:
    async with listening(PlainServer(faults=deque(["503", "reset"]))) as server:
        source = world.source("plain", server.base).model_copy(update={"every_s": 0.01})
        task = asyncio.create_task(run(source, world.means()))
        async with asyncio.timeout(10):
            while not world.worked:
                await asyncio.sleep(0.01)
        await _ended(task)
    assert [words.partition(" (")[0] for words in world.troubles] == [
        "it asks to be left alone for a while",
        "it cannot be reached, or breaks off",
    ]


@pytest.mark.parametrize(
    ("other", "key", "words"),
    [
        ({"api": "vae"}, "api", "axis-export, openplus, plain, trafsys, vea"),
        ({"url": "ftp://a.example"}, "url", "https"),
        ({"url": "https://anna:pass@a.example"}, "url", "without a password"),
        ({"api": "vea"}, "credentials", "secrets file"),
        ({"options": {"acept": "x"}}, "options.acept", "accept"),
        ({"options": {"auth": "ntlm"}}, "options.auth", "digest"),
    ],
)
async def test_what_is_wrong_with_a_source_is_named(world: World, other: dict[str, Any], key: str, words: str) -> None:
    source = world.source(**({"api": "plain", "url": "https://a.example"} | other))
    found = faults(source)
    assert [each[0] for each in found] == [key]
    assert words in found[0][1]
    with pytest.raises(SourceFailed):
        await run(source, world.means())


def test_every_way_of_asking_is_there_and_says_what_it_takes() -> None:
    assert list(apis()) == ["axis-export", "openplus", "plain", "trafsys", "vea"]
    for each in apis().values():
        assert each.notes
        assert set(each.formats) <= devices.formats().keys()
        assert all(known.description for known in each.options.model_fields.values())


def test_a_server_may_ask_for_a_date_or_seconds_and_not_for_days() -> None:
    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    cases = {
        "120": 120.0,
        "Mon, 23 Nov 2026 12:01:00 GMT": 60.0,
        "Mon, 23 Nov 2026 11:00:00 GMT": 0.0,
        "86400": MAX_RETRY_AFTER_S,
        "soon": 0.0,
        "": 0.0,
        "-5": 0.0,
    }
    assert {words: retry_after_s({"Retry-After": words}, at) for words in cases} == cases


def test_a_row_of_json_keeps_its_other_fields() -> None:
    source = PollSource(id="a", type="poll", url="https://a.example", api="openplus", credentials="x")
    way = api_of(source).make(source, PARIS)
    record = {"id": "1", "amount": 2, "serverTime": "2026-11-23T08:00:00Z", "more": {"kept": [1]}}
    body = json.dumps({"metadata": {}, "result": [record]}).encode()
    now = OPENING
    heard = way.heard(None, way.ask(None, now), Answer(200, {}, body, ""), now)
    assert json.loads(heard.bodies[0])["result"] == [record]


async def _again_and_again(source: PollSource, means: Means, lost: list[TurnLost]) -> None:
    while True:
        try:
            await run(source, means)
        except TurnLost as error:
            lost.append(error)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
