"""The form to be told of a seat, in a real browser with a real service worker.

Debian's Chromium has no push service behind it. So subscribing is answered by the test, with a subscription at a
stand-in, and a message is handed to the service worker by the browser's own tool for that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.push import Offer, offer_key
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.conftest import CHROMIUM
from tests.fakes import push_service
from tests.services.api_running import RunningApi, eventually, public, running_api

WORDS = CATALOGS["en"].pages
KEY = "BKEY" + "A" * 83

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]

SUBSCRIBE = """
PushManager.prototype.subscribe = async function (options) {
  const made = new Uint8Array(options.applicationServerKey).length;
  if (!options.userVisibleOnly || made !== 65) throw new DOMException("a wrong key", "InvalidAccessError");
  return { options, toJSON: () => (SUBSCRIPTION) };
};
"""


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    full = occupancy.Estimate(120, 118, 122)
    at = now()
    status = public(
        as_of=at,
        valid_until=at + timedelta(minutes=10),
        hours_today=((at - timedelta(hours=1), at + timedelta(hours=2)),),
        languages=tuple(CATALOGS),
        level=Level.FULL,
        people=full,
    )
    await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())
    offer = Offer(public_key=KEY).model_dump_json().encode()
    await operator.bucket(subjects.SUBSCRIPTIONS).put(offer_key("tilleuls"), offer)
    async with running_api(bus_server, now, push_services_here=True) as running:
        await eventually(lambda: "tilleuls" in running.parts.wishes.offers)
        yield running


async def opened(browser: Browser, api: RunningApi, *, may: bool = True) -> tuple[Page, BrowserContext, list[str]]:
    """Open the library's page in a browser that may, or may not, show notifications."""
    context = await browser.new_context(viewport={"width": 400, "height": 800})
    if may:
        await context.grant_permissions(["notifications"], origin=api.url)
    subscription = push_service.Browser("http://127.0.0.1:9/x", KEY).to_json()
    await context.add_init_script(SUBSCRIBE.replace("SUBSCRIPTION", json.dumps(subscription)))
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{api.url}/l/tilleuls?lang=en")
    return page, context, complaints


async def wishes(operator: Bus) -> list[dict[str, Any]]:
    bucket = operator.bucket(subjects.SUBSCRIPTIONS)
    entries = [await bucket.get(key) for key in await bucket.keys("wish.")]
    return [json.loads(entry.value) for entry in entries if entry]


async def test_a_wish_is_made_survives_a_reload_and_is_taken_back(
    operator: Bus, api: RunningApi, chromium: Browser
) -> None:
    page, _, complaints = await opened(chromium, api)
    await page.locator(".push summary").click()
    await page.get_by_label(WORDS.push_zone).select_option("first")
    await page.get_by_label(WORDS.push_seats).select_option("20")
    await page.get_by_role("button", name=WORDS.push_ask, exact=True).click()
    said = page.locator("#push-said")
    await expect(said).to_contain_text("You will get a notification")
    await expect(page.locator("#push-form")).to_be_hidden()
    await expect(page.locator("#push-undo")).to_be_focused()
    [wish] = await wishes(operator)
    assert (wish["want"], wish["zone"], wish["threshold"], wish["language"]) == ("seat", "first", 20, "en")
    await page.reload()
    await expect(said).to_contain_text("You will get a notification")
    await page.get_by_role("button", name=WORDS.push_undo).click()
    await expect(said).to_have_text(WORDS.push_undone)
    await expect(page.locator("#push-form")).to_be_visible()
    await expect(page.locator("#push-ask")).to_be_focused()
    assert await wishes(operator) == []
    assert complaints == []


@pytest.mark.parametrize("language", sorted(CATALOGS))
async def test_the_form_fits_a_small_screen(api: RunningApi, chromium: Browser, language: str) -> None:
    context = await chromium.new_context(viewport={"width": 320, "height": 700})
    page = await context.new_page()
    await page.goto(f"{api.url}/l/tilleuls?lang={language}")
    await page.locator("#push summary").click()
    await expect(page.locator("#push-ask")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_only_what_belongs_to_a_wish_is_asked_for(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    page, _, complaints = await opened(chromium, api)
    await page.locator(".push summary").click()
    await expect(page.get_by_label(WORDS.push_minutes)).to_be_hidden()
    await page.get_by_label(WORDS.push_what).select_option("queue")
    await expect(page.get_by_label(WORDS.push_seats)).to_be_hidden()
    await page.get_by_label(WORDS.push_minutes).select_option("10")
    await page.get_by_role("button", name=WORDS.push_ask, exact=True).click()
    await expect(page.locator("#push-said")).to_contain_text("You will get a notification")
    [wish] = await wishes(operator)
    assert (wish["want"], wish["zone"], wish["threshold"]) == ("queue", "", 10)
    assert complaints == []


async def test_what_goes_wrong_is_said_in_words(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    page, _, complaints = await opened(chromium, api)
    await page.locator(".push summary").click()
    ask = page.get_by_role("button", name=WORDS.push_ask, exact=True)
    said = page.locator("#push-said")
    await page.get_by_label(WORDS.push_what).select_option("opening")
    await ask.click()
    await expect(said).to_have_text(WORDS.push_so_already)
    await operator.bucket(subjects.SUBSCRIPTIONS).delete(offer_key("tilleuls"))
    await eventually(lambda: not api.parts.wishes.offers)
    await ask.click()
    await expect(said).to_have_text(WORDS.push_failed)
    await expect(ask).to_be_enabled()
    assert all("409" in each or "404" in each for each in complaints)  # the browser notes refused requests itself


async def test_a_refused_permission_is_said_and_nothing_is_kept(
    operator: Bus, api: RunningApi, chromium: Browser
) -> None:
    page, _, complaints = await opened(chromium, api, may=False)
    await page.locator(".push summary").click()
    await page.get_by_role("button", name=WORDS.push_ask, exact=True).click()
    await expect(page.locator("#push-said")).to_have_text(WORDS.push_blocked)
    assert await wishes(operator) == []
    assert complaints == []


async def test_without_a_script_or_push_there_is_no_form(api: RunningApi, chromium: Browser) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{api.url}/l/tilleuls?lang=en")
    await expect(page.locator("#push")).to_be_hidden()
    without = await chromium.new_context()
    await without.add_init_script("delete window.PushManager;")
    page = await without.new_page()
    await page.goto(f"{api.url}/l/tilleuls?lang=en")
    await expect(page.locator(".sign:visible .headline")).to_be_visible()
    await expect(page.locator("#link-live")).to_be_visible()
    await expect(page.locator("#push")).to_be_hidden()


async def shown(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.evaluate(
        "navigator.serviceWorker.ready.then((each) => each.getNotifications())"
        ".then((all) => all.map(({ title, body, tag, lang }) => ({ title, body, tag, lang })))"
    )
    return found


async def test_the_service_worker_shows_what_comes_and_tells_the_page(api: RunningApi, chromium: Browser) -> None:
    page, context, complaints = await opened(chromium, api)
    await page.locator(".push summary").click()
    await page.get_by_role("button", name=WORDS.push_ask, exact=True).click()
    await expect(page.locator("#push-undo")).to_be_visible()

    tool = await context.new_cdp_session(page)
    registrations: list[str] = []
    tool.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(each["registrationId"] for each in event["registrations"]),
    )
    await tool.send("ServiceWorker.enable")
    await eventually(lambda: bool(registrations))

    async def deliver(**changes: str) -> None:
        word = {
            "title": "Tilleuls: seats free",
            "body": "12 of 120",
            "late_title": "Tilleuls",
            "late_body": "No newer data.",
            "lang": "en",
            "library": "tilleuls",
            "url": "/l/tilleuls?lang=en",
            "tag": "one",
            "valid_until": (now() + timedelta(minutes=5)).isoformat(),
            **changes,
        }
        message = {"origin": api.url, "registrationId": registrations[-1], "data": json.dumps(word)}
        await tool.send("ServiceWorker.deliverPushMessage", message)

    async def eventually_shown(expected: list[tuple[str, str]]) -> None:
        async with asyncio.timeout(10):
            while sorted((each["title"], each["body"]) for each in await shown(page)) != sorted(expected):
                await asyncio.sleep(0.05)

    seat = ("Tilleuls: seats free", "12 of 120")
    await deliver()
    await eventually_shown([seat])
    await expect(page.locator("#push-said")).to_have_text(WORDS.push_told)
    await expect(page.locator("#push-form")).to_be_visible()
    await deliver()  # the same again takes the place of the first
    await deliver(tag="two", valid_until=(now() - timedelta(minutes=1)).isoformat())
    await eventually_shown([seat, ("Tilleuls", "No newer data.")])
    assert complaints == []
