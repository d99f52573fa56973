"""The staff page of devices in a real browser: a key, a new box, two taps, and it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, expect

from cli.bus_server import BusServer
from services.ingest.main import create_app
from shared.contracts import subjects
from shared.contracts.devices import DeviceState
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.runtime.bus import Bus
from shared.runtime.health import Readiness
from tests.browser.conftest import CHROMIUM
from tests.conftest import free_port
from tests.services.test_device_inlet import Inlet, device, passage, running
from tests.services.test_device_routes import SECRET, keys

WORDS = DEVICE_WORDS["en"].page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


@dataclass
class Staffed:
    """A running ingest that a browser can open."""

    inlet: Inlet
    url: str

    @property
    def key(self) -> str:
        return f"{self.inlet.name}-staff.{SECRET}"


@dataclass
class Opened:
    """A page, and what the browser had to complain of."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
async def staffed(standing: Bus, bus_server: BusServer) -> AsyncIterator[Staffed]:
    name = f"lib-{token_hex(4)}"
    async with running(bus_server, standing, name, keys=keys(name)) as inlet:
        port = free_port()
        config = uvicorn.Config(create_app(inlet.door, Readiness()), port=port, log_config=None, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.02)
        yield Staffed(inlet, f"http://127.0.0.1:{port}")
        server.should_exit = True
        await serving


async def opened(browser: Browser, staffed: Staffed, lang: str = "en", *, key: str = "") -> Opened:
    context = await browser.new_context(viewport={"width": 400, "height": 800})
    if key:
        await context.add_init_script(f"localStorage.setItem('placelibre-staff-key', '{key}')")
    found = Opened(await context.new_page())
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    await found.page.goto(f"{staffed.url}/devices?lang={lang}")
    return found


async def claims(staffed: Staffed) -> list[str]:
    return await staffed.inlet.bus.bucket(subjects.CLAIMS).keys(f"{staffed.inlet.name}.")


async def test_a_new_box_counts_after_two_taps(staffed: Staffed, chromium: Browser) -> None:
    await staffed.inlet.send([passage(1), passage(2, MetricId=2), passage(3)])
    found = await opened(chromium, staffed)
    page = found.page
    await page.get_by_label(WORDS.key, exact=True).fill(staffed.key)
    await page.get_by_role("button", name=WORDS.key_show).click()
    box = page.locator("#unclaimed .card")
    await expect(box.locator("td.number")).to_have_text(["2", "1"])
    await box.get_by_role("button", name="Gate front").click()
    confirm = box.get_by_role("button", name=WORDS.confirm)
    await expect(confirm).to_be_focused()
    await confirm.click()
    await expect(page.locator("#said")).to_contain_text("counts now")
    await expect(page.locator("#devices .card")).to_contain_text("Gate front")
    await expect(page.locator("#devices .card .facts")).to_contain_text("Today 2 in, 1 out")
    await expect(page.locator("#unclaimed .card")).to_have_count(0)
    await staffed.inlet.until_entries(2)
    assert found.complaints == []


@pytest.mark.slow
async def test_the_key_is_kept_until_it_is_forgotten(staffed: Staffed, chromium: Browser) -> None:
    found = await opened(chromium, staffed)
    page = found.page
    await page.get_by_label(WORDS.key, exact=True).fill(staffed.key)
    await page.keyboard.press("Enter")
    await expect(page.locator("#all")).to_be_visible()
    await page.reload()
    await expect(page.locator("#all")).to_be_visible()
    assert staffed.key not in page.url
    await page.get_by_role("button", name=WORDS.key_forget).click()
    await expect(page.locator("#key-form")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label(WORDS.key, exact=True)).to_be_focused()
    assert found.complaints == []


@pytest.mark.slow
async def test_a_wrong_key_is_said_to_be_wrong(staffed: Staffed, chromium: Browser) -> None:
    found = await opened(chromium, staffed)
    await found.page.get_by_label(WORDS.key, exact=True).fill(f"{staffed.inlet.name}-gate.{SECRET}")
    await found.page.keyboard.press("Enter")
    await expect(found.page.locator("#said")).to_have_text(WORDS.key_wrong)
    await expect(found.page.locator("#all")).to_be_hidden()


@pytest.mark.slow
async def test_in_and_out_can_be_swapped_before_it_counts(staffed: Staffed, chromium: Browser) -> None:
    await staffed.inlet.send([passage(1), passage(2, MetricId=2), passage(3)])
    found = await opened(chromium, staffed, key=staffed.key)
    page = found.page
    await page.get_by_role("button", name="Gate garden").click()
    await expect(page.locator(".people")).to_have_text("In 2 · Out 1")
    await page.get_by_label(WORDS.swap).check()
    await expect(page.locator(".people")).to_have_text("In 1 · Out 2")
    await page.get_by_label(WORDS.name, exact=True).fill("Garden door")
    await page.get_by_role("button", name=WORDS.confirm).click()
    await expect(page.locator("#devices .card h3")).to_have_text("Garden door")
    await expect(page.locator("#devices .card .facts")).to_contain_text("Today 1 in, 2 out")


@pytest.mark.slow
async def test_every_line_of_a_box_can_go_to_a_gate_of_its_own_or_nowhere(staffed: Staffed, chromium: Browser) -> None:
    await staffed.inlet.send([passage(1), passage(2, RoiId=2), passage(3, RoiId=3)])
    found = await opened(chromium, staffed, key=staffed.key)
    page = found.page
    await page.get_by_role("button", name="Gate front").click()
    await page.get_by_role("group", name="2").get_by_role("combobox").select_option("garden")
    await page.get_by_role("group", name="3").get_by_role("combobox").select_option("")
    await page.get_by_role("button", name=WORDS.confirm).click()
    await expect(page.locator("#devices .card")).to_have_count(1)
    [key] = await claims(staffed)
    entry = await staffed.inlet.bus.bucket(subjects.CLAIMS).get(key)
    assert entry is not None
    assert b'"garden"' in entry.value
    await staffed.inlet.until_entries(2)


async def test_a_device_is_released_only_after_a_second_word(staffed: Staffed, chromium: Browser) -> None:
    await staffed.inlet.claim("S1")
    found = await opened(chromium, staffed, key=staffed.key)
    page = found.page
    await page.get_by_role("button", name=WORDS.release).click()
    await page.get_by_role("button", name=WORDS.back).click()
    assert await claims(staffed)
    await page.get_by_role("button", name=WORDS.release).click()
    await page.get_by_role("button", name=WORDS.release).click()
    await expect(page.locator("#said")).to_contain_text("does not count any more")
    await expect(page.locator("#devices .card")).to_have_count(0)
    assert found.complaints == []


async def test_what_a_device_says_of_itself_is_never_markup(staffed: Staffed, chromium: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"
    await staffed.inlet.send([passage(1, serial=evil, RoiId="<b>1</b>")])
    found = await opened(chromium, staffed, key=staffed.key)
    await expect(found.page.locator("#unclaimed h3")).to_contain_text(evil)
    assert await found.page.locator("#unclaimed img, #unclaimed b").count() == 0
    assert found.complaints == []


def troubled(name: str, **more: Any) -> DeviceState:
    at = datetime.now(UTC)
    return DeviceState.model_validate(
        {
            "device": "cam",
            "source": f"{name}-box",
            "last_seen": at,
            "last_counted": at,
            "skew_s": -3600 * 2,
            "battery_percent": 12,
            "flags": ("obstructed",),
            "day": at.date().isoformat(),
            "lines": {"1": {"meaning": "window", "forward": 140, "backward": 2, "counted_until": at}},
            **more,
        }
    )


@pytest.mark.parametrize(
    "language",
    # The shortest words and the longest, and another script; the rest take their time.
    [each if each in {"en", "uk"} else pytest.param(each, marks=pytest.mark.slow) for each in sorted(DEVICE_WORDS)],
)
async def test_the_page_fits_small_and_large_screens_in_every_language(
    staffed: Staffed, chromium: Browser, language: str
) -> None:
    name = staffed.inlet.name
    state = troubled(name, last_seen=datetime.now(UTC) - timedelta(hours=3))
    await staffed.inlet.bus.bucket(subjects.DEVICES).put(f"{name}.cam", state.model_dump_json().encode())
    await staffed.inlet.configure(keys=keys(name), devices=[device(name, "S0")])
    await staffed.inlet.send([passage(1), passage(2, RoiId=2)])
    found = await opened(chromium, staffed, language, key=staffed.key)
    page = found.page
    await expect(page.locator("#devices .findings li")).not_to_have_count(0)
    await page.locator("#unclaimed .buttons button").first.click()
    await expect(page.locator("#unclaimed form")).to_be_visible()
    for width in (320, 768, 1024):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = "Array.from(document.querySelectorAll('button, select, input:not([type=checkbox]), .check'))"
    assert await page.evaluate(f"{small}.filter((e) => e.offsetParent && e.offsetHeight < 40).length") == 0
    shown = "Array.from(document.querySelectorAll('input, select')).filter((e) => e.offsetParent)"
    assert await page.evaluate(f"{shown}.filter((e) => !e.labels.length).length") == 0
    assert found.complaints == []
