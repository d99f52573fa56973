"""Bodies of odd shapes on the whole way: streams of alerts, files in old encodings, days that are sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest

from cli.bus_server import BusServer
from shared.contracts.readings import GateCount, GateTotal
from shared.runtime.bus import Bus
from tests.devices.test_eurecam import day_file, group
from tests.devices.test_hikvision import MAC, MIXED, PICTURE, XML, alert, multipart, real_time
from tests.services.test_device_inlet import Inlet, configuration, device, running


@pytest.fixture
async def inlet(standing: Bus, bus_server: BusServer) -> AsyncIterator[Inlet]:
    async with running(bus_server, standing, f"lib-{token_hex(4)}") as found:
        yield found


def cycle(end: datetime, enter: int) -> bytes:
    """Return an alert of a window of one minute."""
    start = end - timedelta(minutes=1)
    return alert(
        "<peopleCounting><statisticalMethods>timeRange</statisticalMethods>"
        f"<TimeRange><startTime>{start.isoformat()}</startTime><endTime>{end.isoformat()}</endTime></TimeRange>"
        f"<enter>{enter}</enter><exit>0</exit></peopleCounting>",
        at=end.isoformat(),
    ).encode()


async def test_all_alerts_of_a_stream_count_once_their_camera_is_claimed(inlet: Inlet) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    windows = [cycle(now - timedelta(minutes=late), late) for late in (3, 2, 1)]
    heartbeat = alert("", kind="videoloss", state="inactive", at=now.isoformat()).encode()
    body = multipart((XML, heartbeat), *((XML, each) for each in windows), ("image/jpeg", PICTURE))
    answer = await inlet.send(body, content_type=MIXED)
    assert answer.json()["quarantined"] == 1
    [kept] = await inlet.quarantined()
    assert (kept.format, kept.serial) == ("hikvision", MAC)
    assert "image/jpeg" in kept.removed
    await inlet.claim(MAC)
    await inlet.until_entries(6)
    for each in windows:  # and once only, whichever way they come again
        await inlet.send(each, content_type=XML)
    assert await inlet.entries() == 6


async def test_a_register_of_a_camera_is_stored_as_a_register(inlet: Inlet) -> None:
    await inlet.configure(devices=[device(inlet.name, MAC)])
    at = datetime.now(UTC).replace(microsecond=0).isoformat()
    await inlet.send(alert(real_time(70, 75, at), at=at), content_type=XML)
    [found] = await inlet.readings()
    assert isinstance(found, GateTotal)
    assert (found.entries, found.exits, found.daily) == (70, 75, False)


async def test_a_daily_file_that_is_sent_again_as_it_grows_counts_once(inlet: Inlet) -> None:
    await inlet.configure(time_zone="UTC", devices=[device(inlet.name, "bat9")])
    today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    walls = [today + timedelta(minutes=15 * step) for step in range(8)]
    groups = [group(f"{wall:%Y-%m-%d %H:%M:%S}", ("2", "E", 10)) for wall in walls]
    for length in (4, 6, 6, 8):
        body = day_file(groups[:length], date=f"{today:%Y-%m-%d}", resolution=900, end="23:59:59")
        await inlet.send(body, content_type="text/xml")
    assert await inlet.entries() == 80
    assert not await inlet.quarantined()


async def test_a_file_in_an_old_encoding_can_be_read_again_from_quarantine(
    standing: Bus, bus_server: BusServer
) -> None:
    name = f"lib-{token_hex(4)}"
    [source] = configuration(name).model_dump(by_alias=True, mode="json")["sources"]
    by: dict[str, Any] = {
        "body": "csv",
        "delimiter": ";",
        "encoding": "cp850",
        "in": "Entrées",
        "line": "Porte",
        "start": "Début",
        "time_format": "%d/%m/%Y %H:%M",
        "window_s": 900,
    }
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    rows = [f"{begin + timedelta(minutes=15 * step):%d/%m/%Y %H:%M};Cour;{step}" for step in range(4)]
    body = "\r\n".join(["Export", "Début;Porte;Entrées", *rows]).encode("cp850")
    more = {"time_zone": "UTC", "sources": [{**source, "mapping": by}]}
    async with running(bus_server, standing, name, **more) as inlet:
        assert (await inlet.send(body)).json()["quarantined"] == 1
        await inlet.configure(**more, devices=[device(name, line="Cour")])
        await inlet.until_entries(6)
        assert all(isinstance(each, GateCount) for each in await inlet.readings())
