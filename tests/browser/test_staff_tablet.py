"""The staff's tablet in a real browser: two taps, and every tap stored once, whatever the Wi-Fi does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import pbkdf2_hmac
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.domain.catalog.desk import DESK_WORDS
from shared.runtime.bus import Bus
from tests.browser.tablet import PIN, WORDS, Line, Tablet, line_to
from tests.browser.test_pages import CHROMIUM
from tests.services.test_desk_routes import Front, running

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


@dataclass
class Desk:
    """A library with an ingest, the line to it, and a browser."""

    front: Front
    line: Line
    browser: Browser

    async def context(self, **more: Any) -> BrowserContext:
        return await self.browser.new_context(viewport={"width": 820, "height": 1180}, **more)

    async def tablet(self, lang: str = "en", **more: Any) -> Tablet:
        """Return an enrolled tablet on which somebody is signed in."""
        tablet = await Tablet.at(await self.context(**more), self.line.url)
        await tablet.enrol(await self.front.invite(), lang)
        await tablet.sign_in()
        await expect(tablet.page.locator("#queue-none")).to_be_visible()
        return tablet

    async def said(self, number: int) -> list[tuple[str, str]]:
        """Wait until the log has so many readings of staff; return their kinds and who made them."""
        async with asyncio.timeout(15):
            while True:
                found = await self.front.readings()
                if len(found) >= number:
                    return [(each.kind, each.by) for each in found]  # type: ignore[attr-defined]  # all have a kind
                await asyncio.sleep(0.05)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--host-resolver-rules=MAP desk.test 127.0.0.1"],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def desk(standing: Bus, bus_server: BusServer, chromium: Browser) -> AsyncIterator[Desk]:
    async with running(bus_server, standing) as front, line_to(front.client) as line:
        await front.person("ab")
        await front.person("cd")
        await front.status()
        yield Desk(front, line, chromium)


async def test_two_taps_say_where_the_queue_ends_and_how_many_are_in(desk: Desk) -> None:
    tablet = await desk.tablet()
    assert "#" not in tablet.page.url
    await tablet.tap("marker-tree")
    await expect(tablet.page.locator("#undo-said")).to_have_text(WORDS.said_stored)
    await tablet.recount(42, "hall")
    await tablet.pending(0)
    assert await desk.said(2) == [("queue_at_marker", "ab"), ("head_count", "ab")]
    assert tablet.complaints == []


async def test_what_is_tapped_offline_is_kept_and_sent_in_order_once(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    for name in ("marker-tree", "not_admitting", "marker-pillar", "not_admitting", "queue-none"):
        await tablet.tap(name)
    await tablet.pending(5)
    await expect(tablet.page.locator("#queue-none")).to_have_attribute("aria-pressed", "true")
    await tablet.mend()
    await tablet.pending(0)
    kinds = [kind for kind, _ in await desk.said(5)]
    assert kinds == ["queue_at_marker", "not_admitting", "queue_at_marker", "not_admitting", "queue_length"]
    times = [each.time for each in await desk.front.readings()]
    assert times == sorted(times)  # type: ignore[type-var]  # ingest has completed them


async def test_a_tab_that_is_opened_anew_offline_still_has_everything(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.worker_ready()
    context = tablet.page.context
    await tablet.cut()
    await tablet.tap("marker-tree")
    await tablet.pending(1)
    await tablet.page.close(run_before_unload=False)
    again = await Tablet.at(context, desk.line.url)
    await again.page.goto(f"{desk.line.url}/staff?lang=en")
    await again.sign_in(pin="1111")
    await expect(again.page.locator("#pad-fault")).to_have_text("Wrong PIN. 4 tries left.")
    await again.type(PIN)
    await again.pending(1)
    await again.tap("marker-pillar")
    await again.mend()
    await again.pending(0)
    assert await desk.said(2) == [("queue_at_marker", "ab"), ("queue_at_marker", "ab")]


@pytest.mark.slow
async def test_an_answer_that_is_lost_makes_nothing_count_twice(desk: Desk) -> None:
    tablet = await desk.tablet()
    desk.line.swallows.add("POST /v1/readings")
    await tablet.tap("marker-tree")
    async with asyncio.timeout(15):
        while not desk.line.swallowed:
            await asyncio.sleep(0.02)
    await tablet.page.close(run_before_unload=False)
    desk.line.swallows.clear()
    again = await Tablet.at(tablet.page.context, desk.line.url)
    await again.page.goto(f"{desk.line.url}/staff?lang=en")
    await expect(again.page.locator("#person-ab")).to_be_visible()
    await again.pending(0)
    first, *rest = desk.line.sent()
    assert rest
    assert all(each == first for each in rest)
    assert {each.id for each in await desk.front.readings()} == {first[0]["id"]}


async def test_a_tap_that_was_never_sent_is_taken_back_on_the_tablet(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    await tablet.tap("undo-button")
    await tablet.tap("marker-pillar")
    await tablet.mend()
    await tablet.pending(0)
    assert len(await desk.said(1)) == 1
    assert [each["state"] for each in await tablet.kept()] == ["taken_back", "stored"]


async def test_a_tap_that_is_stored_is_taken_back_by_another_reading(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("marker-tree")
    await expect(tablet.page.locator("#undo-said")).to_have_text(WORDS.said_stored)
    await tablet.tap("undo-button")
    await tablet.pending(0)
    assert await desk.said(2) == [("queue_at_marker", "ab"), ("undo", "ab")]
    marker, undo = await desk.front.readings()
    assert undo.target == marker.id  # type: ignore[attr-defined]  # it is an undo


@pytest.mark.slow
async def test_what_is_refused_is_shown_with_its_reason_and_holds_up_nothing(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    for name in ("marker-pillar", "marker-tree", "not_admitting"):
        await tablet.tap(name)
    await desk.front.configure(markers=[{"id": "pillar", "name": "The pillar", "people": 20}])
    await tablet.mend()
    await expect(tablet.page.locator("#line")).to_contain_text("1 refused")
    assert [kind for kind, _ in await desk.said(2)] == ["queue_at_marker", "not_admitting"]
    await tablet.tap("line")
    row = tablet.page.locator(".list li", has_text="refused")
    await expect(row).to_contain_text("no marker 'tree'")
    await row.get_by_role("button").click()
    await tablet.pending(0)


@pytest.mark.slow
async def test_a_session_that_is_over_asks_for_the_pin_and_keeps_the_taps(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    await desk.front.person("ab")  # a new PIN, even if the same digits
    await tablet.mend()
    await expect(tablet.page.get_by_text(WORDS.session_over)).to_be_visible()
    await tablet.pending(1)
    await tablet.sign_in()
    await tablet.pending(0)
    assert await desk.said(1) == [("queue_at_marker", "ab")]


@pytest.mark.slow
async def test_one_colleague_s_ended_session_does_not_hold_up_the_other_s_taps(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("lock-button")
    await tablet.sign_in("cd")
    await expect(tablet.page.locator("#queue-none")).to_be_visible()
    await tablet.cut()
    await tablet.tap("lock-button")
    await tablet.sign_in("ab")
    await tablet.tap("marker-tree")
    await tablet.tap("lock-button")
    await tablet.sign_in("cd")
    await tablet.tap("marker-pillar")
    await tablet.pending(2)
    await desk.front.person("ab")
    await tablet.mend()
    await tablet.pending(1)
    assert await desk.said(1) == [("queue_at_marker", "cd")]
    await tablet.tap("line")
    await expect(tablet.page.get_by_text(WORDS.waits_for_pin.format(name="AB"))).to_be_visible()
    await tablet.tap("lock-button")
    await tablet.sign_in("ab")
    await tablet.pending(0)
    assert await desk.said(2) == [("queue_at_marker", "cd"), ("queue_at_marker", "ab")]


@pytest.mark.slow
async def test_a_revoked_tablet_says_so_and_sends_the_rest_once_it_is_enrolled_again(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    key = subjects.staff_key(desk.front.name, "tablet", "front-desk")
    await desk.front.bus.bucket(subjects.STAFF).delete(key)
    await tablet.mend()
    await expect(tablet.page.get_by_role("heading", level=1)).to_have_text(WORDS.revoked_title)
    await expect(tablet.page.locator("#waiting li")).to_have_count(1)
    await tablet.enrol(await desk.front.invite())
    await tablet.sign_in()
    await tablet.pending(0)
    assert await desk.said(1) == [("queue_at_marker", "ab")]


async def test_of_two_tabs_one_sends(desk: Desk) -> None:
    tablet = await desk.tablet()
    other = await Tablet.at(tablet.page.context, desk.line.url)
    await other.page.goto(f"{desk.line.url}/staff?lang=en")
    await other.sign_in()
    await expect(other.page.locator("#queue-none")).to_be_visible()
    for name in ("marker-tree", "marker-pillar"):
        await tablet.tap(name)
        await other.tap(name)
    await tablet.pending(0)
    await other.pending(0)
    await desk.said(4)
    ids = [each["id"] for batch in desk.line.sent() for each in batch]
    assert len(ids) == len(set(ids)) == 4


@pytest.mark.slow
async def test_over_plain_http_taps_are_kept_and_the_page_says_what_it_cannot_do(desk: Desk) -> None:
    plain = await Tablet.at(await desk.context(), f"http://desk.test:{desk.line.port}")
    await plain.enrol(await desk.front.invite())
    assert not await plain.page.evaluate("isSecureContext")
    await plain.sign_in()
    await expect(plain.page.locator("#queue-none")).to_be_visible()
    await plain.tap("me-button")
    await expect(plain.page.locator("#insecure")).to_have_text(WORDS.insecure)
    await plain.page.locator("#sections a").first.click()
    await plain.cut()
    await plain.tap("marker-tree")
    await plain.tap("lock-button")
    await plain.sign_in(pin="1111")
    await expect(plain.page.locator("#pad-fault")).to_contain_text("4 tries left")
    await plain.type(PIN)
    await plain.tap("marker-pillar")
    await plain.pending(2)
    await plain.mend()
    await plain.pending(0)
    assert len(await desk.said(2)) == 2
    verifier = await plain.page.evaluate(
        """() => new Promise((resolve) => {
            const request = indexedDB.open("placelibre-staff", 1);
            request.onsuccess = () => {
                const kept = request.result.transaction("kept").objectStore("kept").get("people");
                kept.onsuccess = () => resolve(kept.result.ab.verifier);
            };
        })"""
    )
    salt = bytes.fromhex(verifier["salt"])
    assert pbkdf2_hmac("sha256", PIN.encode(), salt, verifier["rounds"]).hex() == verifier["hash"]


async def test_the_tablet_locks_when_nobody_taps_for_ten_minutes(desk: Desk) -> None:
    tablet = await Tablet.at(await desk.context(), desk.line.url)
    await tablet.page.clock.install()
    await tablet.enrol(await desk.front.invite())
    await tablet.sign_in()
    await expect(tablet.page.locator("#queue-none")).to_be_visible()
    await tablet.page.clock.fast_forward("09:50")
    await expect(tablet.page.locator("#queue-none")).to_be_visible()
    await tablet.page.clock.fast_forward("00:12")
    await expect(tablet.page.locator("#person-ab")).to_be_visible()


@pytest.mark.slow
async def test_wrong_pins_and_used_invitations_are_said_plainly(desk: Desk) -> None:
    tablet = await Tablet.at(await desk.context(), desk.line.url)
    code = await desk.front.invite()
    await tablet.enrol(code)
    await tablet.sign_in(pin="1111")
    await expect(tablet.page.locator("#pad-fault")).to_have_text("Wrong PIN. 4 tries left.")
    other = await Tablet.at(await desk.context(), desk.line.url)
    await other.page.goto(f"{desk.line.url}/staff?lang=en#{code}")
    await expect(other.page.get_by_role("alert")).to_have_text(WORDS.enrol_over)


@pytest.mark.slow
async def test_a_full_tablet_takes_no_more_and_says_so(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    await tablet.page.evaluate(
        """() => new Promise((resolve) => {
            const request = indexedDB.open("placelibre-staff", 1);
            request.onsuccess = () => {
                const transaction = request.result.transaction("actions", "readwrite");
                const actions = transaction.objectStore("actions");
                const all = actions.getAll();
                all.onsuccess = () => {
                    for (let number = 1; number < 2000; number++) {
                        const copy = Object.assign({}, all.result[0], { id: "tap-" + number });
                        delete copy.seq;
                        actions.add(copy);
                    }
                };
                transaction.oncomplete = resolve;
            };
        })"""
    )
    await tablet.tap("marker-pillar")
    await expect(tablet.page.locator("#said")).to_contain_text("2000 taps are waiting")
    await tablet.mend()
    await expect(tablet.page.locator("#line")).to_have_text(WORDS.line_stored, timeout=60_000)
    assert len({each.id for each in await desk.front.readings()}) == 2000


async def test_the_devices_page_opens_with_the_same_session(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.page.locator("#sections a[data-view=gates]").click()
    await tablet.tap("devices-link")
    await expect(tablet.page.locator("#all")).to_be_visible()
    await expect(tablet.page.locator("#key-form")).to_be_hidden()
    await tablet.page.locator("#sections a[data-view=record]").click()
    await expect(tablet.page.get_by_role("heading", level=1)).to_have_text(WORDS.record_title)
    assert tablet.complaints == []


SCREENS = ("now", "public", "record", "posts", "gates")
FORMS = ("recount-all", "closing", "notice", "mute", "evacuation", "got-in", "me-button")


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [
        *(
            pytest.param(language, scheme, width, marks=pytest.mark.slow)
            for language in sorted(DESK_WORDS)
            for scheme, width in (("light", 820), ("dark", 360))
        ),
    ],
)
async def test_every_screen_is_accessible_and_fits(desk: Desk, language: str, scheme: Any, width: int) -> None:
    tablet = await desk.tablet(language, color_scheme=scheme)
    page = tablet.page
    await page.set_viewport_size({"width": width, "height": 740})
    await tablet.tap("not_admitting")
    found: list[str] = []
    for name in (*SCREENS, *FORMS):
        if name in SCREENS:
            await page.locator(f"#sections a[data-view={name}]").click()
        else:
            await page.goto(f"{desk.line.url}/staff?lang={language}")
            await tablet.tap(name)
        await expect(page.locator("#heading")).to_be_visible(timeout=10_000)
        violations = (await Axe().run(page)).response["violations"]
        found += [f"{name}: {each['id']} {[node['target'] for node in each['nodes']][:2]}" for each in violations]
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{name}: wider than the window")
        small = "Array.from(document.querySelectorAll('button, .choice, .sections a')).filter((e) => e.offsetParent)"
        if await page.evaluate(f"{small}.some((e) => e.offsetHeight < 44 || e.offsetWidth < 44)"):
            found.append(f"{name}: a target is too small")
    assert found == []
    assert tablet.complaints == []
