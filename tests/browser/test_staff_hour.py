"""An hour without Wi-Fi: a real house, a real browser that is killed twice, and every tap applied once, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.async_api import BrowserContext, Playwright, async_playwright, expect

from services.ingest.pins import kept
from services.ingest.sign_in import invitation_name, open_code
from shared.contracts import subjects
from shared.contracts.desk import Act, DeskRecord, Invitation, Person
from shared.contracts.readings import Pack
from shared.contracts.status import StatusChanged
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogReader
from tests.browser.conftest import CHROMIUM
from tests.browser.tablet import PIN, WORDS, Line, Tablet, line_to
from tests.conftest import free_port
from tests.house import House, changes_of, status_of

LIBRARY: Final[dict[str, Any]] = {
    "id": "tilleuls",
    "name": "Tilleuls",
    "time_zone": "Europe/Paris",
    "languages": ["en", "fr"],
    "opening_hours": "24/7",
    "capacity": 100,
    "zones": [{"id": "hall", "name": "Hall", "capacity": 60}, {"id": "loft", "name": "Loft", "capacity": 40}],
    "gates": [{"id": "front", "to": "hall"}, {"id": "stairs", "from": "hall", "to": "loft"}],
    "markers": [
        {"id": "door", "name": "The door", "people": 10},
        {"id": "tree", "name": "The tree", "people": 40},
        {"id": "stop", "name": "The bus stop", "people": 90},
    ],
    "channels": [{"type": "console", "min_interval_min": 0, "daily_budget": 100, "languages": ["en"]}],
}
GATES: Final = ("front", "stairs")
GATE: Final = "made-up-secret"
LIBRARY["keys"] = [{"id": "gates", "sha256": sha256(GATE.encode()).hexdigest(), "device": "box", "role": "gate"}]
AN_HOUR: Final = timedelta(minutes=75)
"""Without a line, and a little more: what was to last for an hour ends in it."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


class Hour:
    """A tablet whose clock we set, in a browser that can be killed."""

    def __init__(self, playwright: Playwright, line: Line, home: Path) -> None:
        """Begin so much ago that the hour ends now."""
        self.playwright, self.line, self.home = playwright, line, home
        self.now = datetime.now(UTC) - AN_HOUR
        self.expected: list[str] = []
        """What must be in the record, in order, by its kind."""
        self.process: subprocess.Popen[bytes] | None = None
        self.tablet: Tablet
        self.context: BrowserContext

    async def open(self, *, offline: bool) -> None:
        """Start the browser on what it kept, with its clock at the hour's time, three days off."""
        port = free_port()
        self.process = self._spawn(port)
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/json/version")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        browser = await self.playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        self.context = browser.contexts[0]
        await self.context.set_offline(offline)
        self.tablet = await Tablet.at(self.context, self.line.url)
        await self.tablet.page.clock.install(time=self.now + timedelta(days=3))

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        arguments = [
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            f"--remote-debugging-port={port}",
            f"--user-data-dir={self.home}",
            "about:blank",
        ]
        silent = subprocess.DEVNULL
        return subprocess.Popen(arguments, stdout=silent, stderr=silent, start_new_session=True)

    async def kill(self) -> None:
        """Kill the browser with everything that belongs to it, as an empty battery does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)
        self.process = None

    async def wait(self, minutes: float) -> None:
        """Let so much of the tablet's time pass."""
        await self.tablet.page.clock.fast_forward(int(minutes * 60_000))
        self.now += timedelta(minutes=minutes)

    async def tap(self, name: str, *kinds: str) -> None:
        """Tap a button of the first screen, which says these kinds of things."""
        await expect(self.tablet.page.locator("#queue-none")).to_be_visible()
        await self.tablet.tap(name)
        self.expected += kinds

    async def figure(self, name: str, figure: int, kind: str) -> None:
        """Type a figure on a pad."""
        await self.tap(name, kind)
        await self.tablet.type(str(figure))

    async def back(self) -> None:
        """Come back to the page after the browser was killed, without a line, and enter the PIN."""
        await self.tablet.page.goto(f"{self.line.url}/staff?lang=en")
        await self.tablet.sign_in()
        await expect(self.tablet.page.locator("#queue-none")).to_be_visible()


@asynccontextmanager
async def an_hour(tmp_path: Path) -> AsyncIterator[tuple[House, Hour, Line]]:
    house = House(tmp_path)
    try:
        for name in ("ingest", "aggregator", "publisher"):
            await house.start(name)
        await house.apply(LIBRARY)
        async with (
            httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as server,
            line_to(server) as line,
            async_playwright() as playwright,
        ):
            hour = Hour(playwright, line, tmp_path / "browser")
            try:
                yield house, hour, line
            finally:
                if hour.process is not None:
                    await hour.kill()
    finally:
        await house.stop()


async def invitation(bus: Bus) -> str:
    code = open_code("tilleuls")
    digest = sha256(code.encode()).hexdigest()
    now = datetime.now(UTC)
    person = Person(id="ab", name="AB", pin=kept(PIN), since=now)
    invited = Invitation(sha256=digest, tablet="desk", name="Desk", expires=now + timedelta(minutes=15))
    for what, name, value in (("person", "ab", person), ("invitation", invitation_name(digest), invited)):
        key = subjects.staff_key("tilleuls", what, name)
        await bus.bucket(subjects.STAFF).put(key, value.model_dump_json().encode())
    return code


async def hear_the_gates(house: House) -> None:
    """Have the gates say that nobody went through in the whole hour: their own line was never cut."""
    end = datetime.now(UTC)
    minutes = [end - timedelta(minutes=minute) for minute in range(int(AN_HOUR / timedelta(minutes=1)), -1, -1)]
    body = [
        {
            "kind": "gate_count",
            "library": "tilleuls",
            "gate": gate,
            "entries": 0,
            "exits": 0,
            "start": (time - timedelta(minutes=1)).isoformat(),
            "time": time.isoformat(),
        }
        for time in minutes
        for gate in GATES
    ]
    async with httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as client:
        answer = await client.post("/v1/readings", json=body, headers={"Authorization": f"Bearer gates.{GATE}"})
    assert answer.status_code == 202, answer.text
    await house.caught_up()


async def acts(bus: Bus) -> list[Act]:
    """Return what the record has, the oldest first."""
    entry = await bus.bucket(subjects.DESK).get("tilleuls")
    assert entry is not None
    record = DeskRecord.model_validate_json(entry.value)
    return list(reversed(record.acts))


async def stored_ids(bus: Bus) -> list[str]:
    found = []
    async for batch in LogReader(bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
        for message in batch.messages:
            found += [str(each.id) for each in Pack.model_validate_json(message.data).readings if each.device == "desk"]
        if batch.is_caught_up:
            break
    return found


async def tap_for_an_hour(hour: Hour) -> None:
    """Tap every kind of thing; whatever could be announced has ended before the hour is over."""
    tablet = hour.tablet
    page = tablet.page
    await hour.tap("notice", "notice")
    await page.locator("#notice-text").fill("The lift is out of order")
    await tablet.tap("notice-go")  # for an hour
    await hour.wait(1)
    await hour.tap("mute", "mute")
    await tablet.tap("mute-go")
    await hour.wait(1)
    await hour.tap("closing", "closing")
    await page.locator("#reason").fill("Water in the hall")
    await tablet.tap("closing-go")
    await hour.wait(2)
    await hour.tap("closing", "closing")
    await tablet.tap("closing-end")
    for number, marker in enumerate(("door", "tree", "stop", "tree", "door", "stop")):
        await hour.wait(1)
        await hour.tap(f"marker-{marker}", "queue_at_marker")
        await hour.wait(0.5)
        await hour.figure("recount-hall", 20 + number, "head_count")
        await hour.wait(0.5)
        await hour.tap("not_admitting", "not_admitting")
        await hour.wait(0.5)
        await hour.tap("undo-button")  # it was never sent: nobody ever hears of it
        hour.expected.pop()
    await hour.wait(1)
    await hour.figure("recount-loft", 12, "head_count")
    await hour.wait(1)
    await hour.tap("held", "held_seats")
    await tablet.tap("held-loft")
    await tablet.type("3")
    await hour.wait(1)
    await hour.tap("evacuation", "evacuation")
    await tablet.tap("evacuation-go")
    await hour.wait(2)
    await hour.tap("evacuation", "evacuation")
    await tablet.tap("evacuation-end")
    await hour.wait(1)
    await hour.figure("queue-people", 17, "queue_length")
    await hour.wait(1)
    await hour.figure("got-in", 25, "ticket")


async def tap_on(hour: Hour) -> None:
    """Go on after the browser was killed."""
    for name in ("throttle", "throttle", "not_admitting", "not_admitting"):
        await hour.wait(1)
        await hour.tap(name, name)
    for marker in ("tree", "stop", "door"):
        await hour.wait(2)
        await hour.tap(f"marker-{marker}", "queue_at_marker")
    await hour.wait(1)
    await hour.figure("recount-hall", 33, "head_count")
    await hour.wait(1)
    await hour.figure("recount-all", 45, "head_count")
    await hour.wait(1)
    await hour.tap("queue-none", "queue_length")


@pytest.mark.timeout(600)
async def test_an_hour_of_taps_without_a_line_is_applied_once_in_order_and_announces_nothing_old(
    tmp_path: Path,
) -> None:
    async with an_hour(tmp_path) as (house, hour, line), house.operator() as bus:
        await begin(hour, line, await invitation(bus))
        await hear_the_gates(house)
        said_before = len(house.printed("publisher"))
        changes_before = await changes_of(bus, "tilleuls")
        waiting = await without_a_line(hour)
        line.shift = timedelta()
        sent_before = len(line.sent())
        await lose_an_answer(hour, line)
        await hour.open(offline=False)
        await hour.tablet.page.goto(f"{line.url}/staff?lang=en")
        await hour.tablet.pending(0)
        await hear_the_gates(house)

        ids = [each["id"] for each in waiting]
        assert len(ids) > 30
        readings = [each for batch in line.sent()[sent_before:] for each in batch]
        sent = [each["id"] for each in readings]
        again = len(sent) - len(ids)
        assert again > 0  # the batch whose answer nobody has seen
        assert sent == ids[:again] + ids
        assert set(ids) <= set(await stored_ids(bus))
        await check_the_record(hour, bus, readings)
        await check_the_public(bus, changes_before)
        said = house.printed("publisher")[said_before:]
        assert len(said) <= 1, said  # how it is now, if that is another level; the hour was stored in one piece
        for old in ("lift", "Water", "losed", "vacuat", "bus stop"):
            assert not any(old in each for each in said), said


async def begin(hour: Hour, line: Line, code: str) -> None:
    """Enrol, sign in, and say two things while there is a line; the server's time is the hour's beginning."""
    line.shift = -AN_HOUR
    await hour.open(offline=False)
    await hour.tablet.enrol(code)
    await hour.tablet.sign_in()
    for name, kind in (("marker-door", "queue_at_marker"), ("queue-none", "queue_length")):
        await hour.tap(name, kind)
        await expect(hour.tablet.page.locator("#undo-said")).to_have_text(WORDS.said_stored)
    await hour.tablet.worker_ready()


async def without_a_line(hour: Hour) -> list[dict[str, Any]]:
    """Tap for an hour, with the browser killed in the middle; return what waits, when it is now again."""
    await hour.tablet.cut()
    await hour.wait(0.2)
    await hour.tap("undo-button")  # of what was stored: this is said as well
    await tap_for_an_hour(hour)
    kept_before = await hour.tablet.kept()
    await hour.kill()
    hour.now += timedelta(minutes=9)
    await hour.open(offline=True)
    await hour.back()
    assert await hour.tablet.kept() == kept_before
    await tap_on(hour)
    waiting = [each for each in await hour.tablet.kept() if each["state"] == "pending"]
    await hour.tablet.pending(len(waiting))
    left = datetime.now(UTC) - hour.now
    assert left > timedelta()
    await hour.wait(left / timedelta(minutes=1) - 0.1)
    return waiting


async def lose_an_answer(hour: Hour, line: Line) -> None:
    """Mend the line; the server takes the first batch, and the browser is killed before it knows."""
    line.swallows.add("POST /v1/staff/readings")
    await hour.tablet.mend()
    async with asyncio.timeout(60):
        while not line.swallowed:
            await asyncio.sleep(0.05)
    await hour.kill()
    line.swallows.clear()


async def check_the_record(hour: Hour, bus: Bus, readings: list[dict[str, Any]]) -> None:
    """Everything once, in order, at the time when it was tapped, under the name of who tapped it."""
    found = await acts(bus)
    assert [each.kind for each in found] == hour.expected
    assert {each.by for each in found} == {"ab"}
    times = {each["id"]: datetime.fromisoformat(each["time"]) for each in readings}
    assert all(abs(each.at - times[each.id]) < timedelta(seconds=1) for each in found if each.id in times)
    assert [each.state.value for each in found[:2]] == ["past", "taken_back"]
    assert {each.state.value for each in found if each.kind in {"notice", "mute", "closing", "evacuation"}} <= {
        "past",
        "holds",  # "open again" and "evacuation over", until something newer is said
    }
    assert [each.state.value for each in found if each.kind in {"notice", "mute"}] == ["past", "past"]


async def check_the_public(bus: Bus, before: dict[int, StatusChanged]) -> None:
    """Of what ended in the hour the public hears nothing; heads were counted last when that was tapped."""
    status = await status_of(bus, "tilleuls")
    assert (status.state, status.notice, status.muted) == ("open", None, False)
    assert status.last_recount == max(each.at for each in await acts(bus) if each.kind == "head_count")
    changes = await changes_of(bus, "tilleuls")
    new = [each.status for number, each in changes.items() if number not in before]
    assert all(each.notice is None and each.state == "open" and not each.muted for each in new)
