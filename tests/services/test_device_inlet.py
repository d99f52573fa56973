"""The secret address of a device: what is counted, what is kept in quarantine, and what a claim makes of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from secrets import token_hex
from typing import Any

import httpx
import pytest

from cli.bus_server import BusServer
from services.ingest.main import create_app, with_devices
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Claim, Device, DeviceState, QuarantinedBody
from shared.contracts.readings import AnyWireReading, GateCount, Pack
from shared.runtime.bus import Bus, BusFull, connected
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReader
from tests.conftest import settings_for

PICTURE = Random(3).randbytes(4000)
TOKEN = "a-token-of-made-up-letters-and-more"


def configuration(name: str, **more: Any) -> LibraryConfig:
    return LibraryConfig.model_validate(
        {
            "id": name,
            "name": name,
            "time_zone": "Europe/Paris",
            "opening_hours": "Mo-Su 00:00-24:00",
            "capacity": 200,
            "gates": [{"id": "front"}, {"id": "garden"}],
            "sources": [
                {
                    "id": f"{name}-box",
                    "type": "url",
                    "token_sha256": sha256(f"{name}-{TOKEN}".encode()).hexdigest(),
                }
            ],
            **more,
        }
    )


def device(name: str, serial: str = "", **line: Any) -> dict[str, Any]:
    return {"id": "cam", "source": f"{name}-box", "serial": serial, "lines": [{"gate": "front", **line}]}


def passage(number: int = 1, serial: str = "S1", **more: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=60 - number)
    return {
        "RoiId": 1,
        "MetricId": 1,
        "CombineObjectTypeId": 11,
        "EventEndUTCTime": at.isoformat(),
        "DeviceSerial": serial,
        "UUID": f"u-{number}",
        **more,
    }


@dataclass
class Inlet:
    """One library with one source, and an ingest that runs on the real bus."""

    name: str
    bus: Bus
    client: httpx.AsyncClient
    door: Door
    start: int

    async def send(self, body: Any, token: str = "", **headers: str) -> httpx.Response:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        token = token or f"{self.name}-{TOKEN}"
        return await self.client.post(f"/v1/devices/{token}", content=data, headers=names)

    async def readings(self) -> list[AnyWireReading]:
        """Return what is stored of this library's readings, each id once."""
        found: dict[str, AnyWireReading] = {}
        async for batch in LogReader(self.bus, subjects.READINGS, ["readings.v1.*"], after=self.start).batches():
            for message in batch.messages:
                for reading in Pack.model_validate_json(message.data).readings:
                    if reading.library == self.name:
                        found.setdefault(reading.id or "", reading)
            if batch.is_caught_up:
                break
        return list(found.values())

    async def entries(self) -> int:
        return sum(each.entries for each in await self.readings() if isinstance(each, GateCount))

    async def quarantined(self) -> list[QuarantinedBody]:
        found = []
        wanted = subjects.quarantined_body(self.name, "*", "*")
        async for batch in LogReader(self.bus, subjects.QUARANTINE, [wanted]).batches():
            found += [QuarantinedBody.model_validate_json(message.data) for message in batch.messages]
            if batch.is_caught_up:
                break
        return found

    async def configure(self, **more: Any) -> None:
        config = configuration(self.name, **more)
        await self.bus.bucket(subjects.LIBRARIES).put(self.name, config.model_dump_json(by_alias=True).encode())
        async with asyncio.timeout(10):
            while self.door.registry.libraries.get(self.name) != config:
                await asyncio.sleep(0.02)

    async def claim(self, serial: str = "", **line: Any) -> None:
        claim = Claim(
            library=self.name,
            device=Device.model_validate(device(self.name, serial, **line)),
            by="a test",
            at=datetime.now(UTC),
        )
        await self.bus.bucket(subjects.CLAIMS).put(
            subjects.device_key(self.name, "cam"), claim.model_dump_json().encode()
        )

    async def state(self) -> DeviceState:
        entry = await self.bus.bucket(subjects.DEVICES).get(subjects.device_key(self.name, "cam"))
        assert entry is not None
        return DeviceState.model_validate_json(entry.value)

    async def until_entries(self, wanted: int) -> None:
        async with asyncio.timeout(15):
            while await self.entries() != wanted:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running(server: BusServer, operator: Bus, name: str, **more: Any) -> AsyncIterator[Inlet]:
    """Run an ingest until the end of the block."""
    door = Door(Settings(max_device_body_bytes=64 * 1024), Senders())
    start = await operator.last_sequence(subjects.READINGS)
    async with connected([server.url], settings_for(server, "ingest").nats_seed, "ingest") as bus:
        work = asyncio.create_task(with_devices(bus, door, Readiness()))
        transport = httpx.ASGITransport(create_app(door, Readiness()))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            inlet = Inlet(name, operator, client, door, start)
            try:
                await inlet.configure(**more)
                yield inlet
            finally:
                work.cancel()
                await asyncio.wait([work])


@pytest.fixture
async def inlet(standing: Bus, bus_server: BusServer) -> AsyncIterator[Inlet]:
    async with running(bus_server, standing, f"lib-{token_hex(4)}") as found:
        yield found


async def test_a_known_device_counts_and_gets_a_plain_200(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    answer = await inlet.send([passage(1), passage(2)])
    assert answer.status_code == 200
    assert answer.json() == {"stored": 2, "quarantined": 0, "reasons": []}
    assert await inlet.entries() == 2


async def test_a_body_that_comes_again_counts_once(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    body = passage(1)
    for _ in range(3):
        await inlet.send(body)
    assert await inlet.entries() == 1


async def test_an_address_that_nobody_has_is_not_found_and_nothing_is_kept(inlet: Inlet) -> None:
    answer = await inlet.send(passage(1), token="another-token-of-made-up-letters")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("no-such-device")
    assert not await inlet.quarantined()


async def test_an_unclaimed_device_waits_in_quarantine_and_its_claim_makes_it_count(inlet: Inlet) -> None:
    for number in range(1, 6):
        answer = await inlet.send(passage(number))
        assert answer.status_code == 200
        assert answer.json()["quarantined"] == 1
        assert "claimed" in answer.json()["reasons"][0]
    assert not await inlet.readings()
    kept = await inlet.quarantined()
    assert [(each.code, each.serial, each.format) for each in kept] == [("unclaimed", "S1", "footfallcam")] * 5
    await inlet.claim("S1")
    await inlet.until_entries(5)
    assert (await inlet.send(passage(6))).json() == {"stored": 1, "quarantined": 0, "reasons": []}
    assert await inlet.entries() == 6


async def test_what_was_counted_after_a_claim_is_not_counted_after_a_restart(
    standing: Bus, bus_server: BusServer
) -> None:
    name = f"lib-{token_hex(4)}"
    async with running(bus_server, standing, name) as first:
        await first.send(passage(1))
        await first.claim("S1")
        await first.until_entries(1)
        async with asyncio.timeout(10):
            while not (await first.state()).recounted:
                await asyncio.sleep(0.05)
    async with running(bus_server, standing, name) as second:
        await asyncio.sleep(0.3)
        assert await second.entries() == 0  # nothing more since the second began


async def test_what_came_between_a_release_and_the_next_claim_counts(inlet: Inlet) -> None:
    await inlet.send(passage(1))
    await inlet.claim("S1")
    await inlet.until_entries(1)
    await inlet.bus.bucket(subjects.CLAIMS).delete(subjects.device_key(inlet.name, "cam"))
    async with asyncio.timeout(10):
        while (await inlet.send(passage(2))).json()["stored"]:
            await asyncio.sleep(0.05)
    await inlet.send(passage(30))
    await inlet.claim("S1")
    await inlet.until_entries(3)


async def test_a_claim_that_is_heard_before_its_gate_counts_once_the_gate_is_there(inlet: Inlet) -> None:
    await inlet.send(passage(1))
    await inlet.claim("S1", gate="roof")
    await inlet.send(passage(2))
    await inlet.configure(gates=[{"id": "front"}, {"id": "garden"}, {"id": "roof"}])
    await inlet.until_entries(2)


async def test_a_box_that_is_claimed_under_another_name_does_not_count_again(inlet: Inlet) -> None:
    await inlet.send(passage(1))
    await inlet.claim("S1")
    await inlet.until_entries(1)
    await inlet.bus.bucket(subjects.CLAIMS).delete(subjects.device_key(inlet.name, "cam"))
    await inlet.configure(devices=[device(inlet.name, "S1") | {"id": "other"}])
    answer = await inlet.send(passage(2))
    assert answer.json()["stored"] == 1
    async with asyncio.timeout(10):
        while len({(each.device, each.id) for each in await inlet.readings()}) < 2:
            await asyncio.sleep(0.05)
    assert len({each.device for each in await inlet.readings()}) == 1


async def test_a_known_device_counts_though_another_in_its_body_cannot_be_kept(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name, "S1")])
    inlet.door.intake.bus = _FullQuarantine(inlet.door.intake.bus)  # type: ignore[arg-type,assignment]
    assert (await inlet.send([passage(1), passage(2, serial="S2")])).status_code == 503
    assert await inlet.entries() == 1


class _FullQuarantine:
    """A bus whose quarantine is full."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, subject: str, payload: bytes, **more: Any) -> int:
        if subject.startswith("quarantine."):
            raise BusFull("full")
        return await self._bus.publish(subject, payload, **more)


async def test_a_line_that_is_led_nowhere_counts_once_it_is_led(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name, line="1")])
    answer = await inlet.send([passage(1), passage(2, RoiId=2)])
    assert answer.json()["stored"] == 1
    assert answer.json()["reasons"] == ["line 2 is led nowhere"]
    await inlet.configure(
        devices=[device(inlet.name) | {"lines": [{"line": "1", "gate": "front"}, {"gate": "garden"}]}]
    )
    await inlet.until_entries(2)


async def test_a_second_box_does_not_count_as_the_first(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    assert (await inlet.send(passage(1))).json()["stored"] == 1
    answer = await inlet.send(passage(2, serial="S2"))
    assert answer.json()["stored"] == 0
    assert "another box" in answer.json()["reasons"][0]
    assert await inlet.entries() == 1


async def test_only_the_claimed_one_of_two_devices_counts(inlet: Inlet) -> None:
    await inlet.claim("S1")
    answer = await inlet.send([passage(1), passage(2, serial="S2")])
    async with asyncio.timeout(10):
        while answer.json()["stored"] != 1:
            await asyncio.sleep(0.05)
            answer = await inlet.send([passage(1), passage(2, serial="S2")])
    assert answer.json()["quarantined"] == 1
    assert {each.serial for each in await inlet.quarantined()} >= {"S2"}
    await inlet.until_entries(1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unknown-format"),
        (b"{", "unknown-format"),
        (b"hello", "unknown-format"),
        (b'{"a": 1}', "unknown-format"),
        (b"\x00\x01\x02", "unknown-format"),
        (json.dumps({"RoiId": 1, "MetricId": "x"}), "unreadable"),
        (json.dumps([{"RoiId": 1, "MetricId": 1, "Count": -4}]), "unreadable"),
    ],
)
async def test_what_cannot_be_read_is_kept_with_its_reason(inlet: Inlet, body: Any, code: str) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    answer = await inlet.send(body)
    assert (answer.status_code, answer.json()["stored"], answer.json()["quarantined"]) == (200, 0, 1)
    [kept] = await inlet.quarantined()
    assert kept.code == code
    assert kept.reason == answer.json()["reasons"][0]
    assert not await inlet.readings()


async def test_the_good_parts_of_a_body_count_and_the_bad_one_is_kept_with_its_place(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    answer = await inlet.send([passage(1), passage(2, MetricId="x"), passage(3)])
    assert answer.json()["stored"] == 2
    [kept] = await inlet.quarantined()
    assert kept.code == "partly"
    assert "[1].MetricId" in kept.reason
    assert await inlet.entries() == 2


async def test_a_compressed_body_is_read_and_a_bomb_is_refused(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    body = gzip.compress(json.dumps(passage(1)).encode())
    assert (await inlet.send(body, Content_Encoding="gzip")).json()["stored"] == 1
    assert (await inlet.send(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")).status_code == 422
    assert (await inlet.send(b"no gzip", Content_Encoding="gzip")).status_code == 422
    assert (await inlet.send(b"x" * 70_000)).status_code == 413


async def test_nothing_of_a_picture_or_a_person_reaches_any_stream(inlet: Inlet) -> None:
    coded = b64encode(PICTURE).decode()
    secret = {"PeopleId": "canary-person-77", "snapshot": coded, "extra": coded, "age": "canary-age"}
    multipart = (
        b"--B\r\nContent-Type: application/json\r\n\r\n" + json.dumps(passage(3, **secret)).encode() + b"\r\n"
        b"--B\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE + b"\r\n--B--\r\n"
    )
    for body, kind in (
        (json.dumps(passage(1, **secret)).encode(), "application/json"),
        (json.dumps(passage(2, **secret)).encode()[:-30], "application/json"),
        (multipart, "multipart/form-data; boundary=B"),
        (PICTURE, "image/jpeg"),
    ):
        assert (await inlet.send(body, Content_Type=kind)).status_code == 200
    await inlet.claim("S1")
    await inlet.until_entries(2)
    await inlet.configure(devices=[device(inlet.name)])
    await inlet.send(json.dumps(passage(5, **secret)))
    looked_at = 0
    for stream in await inlet.bus.jetstream.streams_info():
        name = stream.config.name or ""
        if not stream.state.messages:
            continue
        async for batch in LogReader(inlet.bus, name, [">"]).batches():
            for message in batch.messages:
                looked_at += 1
                for piece in (b"canary-person", b"canary-age", coded[64:88].encode(), PICTURE[64:80]):
                    assert piece not in message.data, f"{name}: {message.subject}"
            if batch.is_caught_up:
                break
    assert looked_at > 5


async def test_what_a_line_means_is_kept_over_a_restart(standing: Bus, bus_server: BusServer) -> None:
    name = f"lib-{token_hex(4)}"
    end = datetime.now(UTC)
    window: dict[str, Any] = {
        "EventStartTime": int(end.timestamp()) - 60,
        "EventEndTime": int(end.timestamp()),
        "Count": 5,
    }
    async with running(bus_server, standing, name, devices=[device(name)]) as first:
        await first.send(passage(1))
        await first.send(passage(2, **window))
        assert await first.entries() == 1
    async with running(bus_server, standing, name, devices=[device(name)]) as second:
        await second.send(passage(3, **window))
        assert await second.entries() == 0


async def test_without_the_bus_nothing_is_acknowledged(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    inlet.door.bus = None
    answer = await inlet.send(passage(1))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_a_clock_is_wrong_when_it_must_be_and_not_when_a_line_was_down(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    states = inlet.door.intake.states
    assert states is not None
    for ago_s, skew in ((10, 10), (3000, None), (-3600, -3600)):
        at = datetime.now(UTC) - timedelta(seconds=ago_s)
        await inlet.send(passage(1, EventEndUTCTime=at.isoformat()))
        [state] = [each for key, each in states.all().items() if key.startswith(inlet.name)]
        assert state.skew_s == (None if skew is None else pytest.approx(skew, abs=5))


async def test_what_is_known_of_a_device_is_on_the_bus(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name)])
    await inlet.send([passage(1), passage(2)])
    await inlet.send(b"garbage")
    states = inlet.door.intake.states
    assert states is not None
    await states.flush()
    state = await inlet.state()
    assert (state.format, state.serial, state.quarantined) == ("footfallcam", "S1", 1)
    assert state.lines["1"].forward == 2
    assert state.skew_s is not None
    assert 50 < state.skew_s < 70
