"""The staff's tablet in a real browser: two taps, and every tap stored once, whatever the Wi-Fi does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import pbkdf2_hmac
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Route, async_playwright, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.desk import Act, DeskRecord
from shared.domain.acts import ActState
from shared.domain.catalog.desk import DESK_WORDS
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.runtime.bus import Bus
from tests.browser.conftest import CHROMIUM
from tests.browser.tablet import PIN, WORDS, Line, Tablet, line_to
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
    desk.line.swallows.add("POST /v1/staff/readings")
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
    assert undo.target == f"front-desk/{marker.id}"  # type: ignore[attr-defined]  # it is an undo


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


async def test_a_tab_that_was_opened_before_the_tablet_was_enrolled_holds_up_nothing(desk: Desk) -> None:
    context = await desk.context()
    first = await Tablet.at(context, desk.line.url)
    await first.page.goto(f"{desk.line.url}/staff?lang=en")
    await expect(first.page.locator("#code")).to_be_visible()
    second = await Tablet.at(context, desk.line.url)
    await second.enrol(await desk.front.invite())
    await expect(first.page.locator("#person-ab")).to_be_visible()  # it takes the tablet over
    await second.sign_in()
    await second.tap("marker-tree")
    await second.pending(0)
    assert await desk.said(1) == [("queue_at_marker", "ab")]


@pytest.mark.slow
async def test_a_tab_that_was_revoked_holds_up_nothing_once_another_one_is_enrolled(desk: Desk) -> None:
    first = await desk.tablet()
    await desk.front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(desk.front.name, "tablet", "front-desk"))
    await expect(first.page.get_by_role("heading", level=1)).to_have_text(WORDS.revoked_title)
    assert [await first.remembered(name) for name in ("people", "desk")] == [None, None]
    second = await Tablet.at(first.page.context, desk.line.url)
    await second.enrol(await desk.front.invite())
    await expect(first.page.locator("#person-ab")).to_be_visible()
    await second.sign_in()
    await second.tap("marker-tree")
    await second.pending(0)
    assert await desk.said(1) == [("queue_at_marker", "ab")]


async def test_what_two_people_tapped_offline_goes_in_one_request_in_its_order(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("lock-button")
    await tablet.sign_in("cd")
    await expect(tablet.page.locator("#queue-none")).to_be_visible()
    await tablet.cut()
    for number, (person, name) in enumerate([("cd", "not_admitting"), ("ab", "not_admitting"), ("cd", "throttle")]):
        if number:
            await tablet.tap("lock-button")
            await tablet.sign_in(person)
        await tablet.tap(name)
    await tablet.pending(3)
    await tablet.mend()
    await tablet.pending(0)
    assert [len(each) for each in desk.line.sent()] == [3]
    assert await desk.said(3) == [("not_admitting", "cd"), ("not_admitting", "ab"), ("throttle", "cd")]


async def test_in_another_library_nothing_holds_that_was_said_in_the_former(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("not_admitting")
    await desk.said(1)
    other = f"{desk.front.name}-two"
    await desk.front.configure(other)
    await desk.front.person("ab", other)
    await tablet.page.goto(f"{desk.line.url}/staff?lang=en#{await desk.front.invite('desk-two', other)}")
    await tablet.tap("enrol-anew")
    await tablet.sign_in()
    await expect(tablet.page.locator("#not_admitting")).to_have_attribute("aria-pressed", "false")
    await tablet.tap("not_admitting")
    await expect(tablet.page.locator("#undo-said")).to_have_text(WORDS.said_stored)
    said = [(each["library"], each["on"]) for batch in desk.line.sent() for each in batch]
    assert said == [(desk.front.name, True), (other, True)]


async def test_a_tap_that_came_too_late_to_count_is_said_to_be_one(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("not_admitting")
    await tablet.alter("each.time = new Date(Date.parse(each.time) - 25 * 3600e3).toISOString()")
    await tablet.mend()
    await tablet.pending(0)
    await expect(tablet.page.locator("#not_admitting")).to_have_attribute("aria-pressed", "false")
    await expect(tablet.page.locator("#undo-said")).to_have_text(WORDS.said_uncounted)
    await tablet.page.locator("#sections a[data-view=record]").click()
    await expect(tablet.page.locator("#view li").first).to_contain_text(WORDS.act_uncounted)


async def test_what_is_stored_and_never_in_the_record_holds_for_a_minute(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("not_admitting")
    await expect(tablet.page.locator("#undo-said")).to_have_text(WORDS.said_stored)
    switch = tablet.page.locator("#not_admitting")
    await expect(switch).to_have_attribute("aria-pressed", "true")
    await tablet.alter("each.storedAt -= 70e3")
    await desk.front.status(capacity=99)  # the desk answers again, without it
    await tablet.page.reload()
    await expect(switch).to_have_attribute("aria-pressed", "false")


async def test_a_desk_that_cannot_be_kept_is_asked_for_again(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.page.evaluate(
        """() => {
            const put = IDBObjectStore.prototype.put;
            IDBObjectStore.prototype.put = function (value, key) {
                if (["desk", "heard", "offset"].includes(key)) throw new DOMException("full", "QuotaExceededError");
                return put.call(this, value, key);
            };
        }"""
    )
    for name in ("Hall one", "Hall two"):
        await desk.front.configure(zones=[{"id": "hall", "name": name, "capacity": 100}])
        await expect(tablet.page.locator("#recount-hall")).to_contain_text(name)


async def test_taps_go_out_although_the_desk_has_nothing_to_show(desk: Desk) -> None:
    tablet = await desk.tablet()
    body = json.dumps({"type": "https://x.example/problems/not-now", "title": "Not now", "status": 503})

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503, content_type="application/problem+json", body=body)

    await tablet.page.context.route("**/v1/staff/desk*", refuse)
    await tablet.page.reload()
    await tablet.tap("marker-tree")
    assert await desk.said(1) == [("queue_at_marker", "ab")]
    await tablet.pending(0)


CLOCK = """async () => {
    const path = document.querySelector("script[type=module]").src.replace("staff.js", "staff-line.js");
    const { makeClock } = await import(path);
    let time = 1.8e12, ran = 0;
    const date = Date.now, performed = performance.now;
    Date.now = () => time;
    performance.now = () => ran;
    const pass = (ms) => { time += ms; ran += ms; };
    const iso = (ms) => new Date(ms).toISOString();
    try {
        const slow = makeClock(undefined);
        slow.learn(iso(time), 40);
        const first = slow.now();
        const written = time + 1000;
        pass(9000);
        slow.learn(iso(written), 9000);
        const later = slow.now() - first;
        const lagging = makeClock(3 * 3600e3);  // this tablet was three hours slow ...
        const before = lagging.mark();
        time += 3 * 3600e3;  // ... and was put right without a line
        lagging.look();
        const after = lagging.mark();
        const { by, number, after: from } = lagging.learn(iso(time), 0);
        const back = makeClock(0);
        time -= 86400e3;
        back.look();
        const dated = back.learnOfDate(new Date(time + 2 * 86400e3).toUTCString(), 10);
        return {
            later, by, isOfBoth: [before, after].every((each) => each.lesson === number),
            moved: [before, after].map((each) => each.leaps >= from), kept: 86400e3, dated: Math.round(dated.by / 1000),
        };
    } finally {
        Date.now = date;
        performance.now = performed;
    }
}"""


async def test_the_clock_is_moved_by_no_slow_answer_and_tells_which_taps_were_timed_wrongly(desk: Desk) -> None:
    tablet = await Tablet.at(await desk.context(), desk.line.url)
    await tablet.page.goto(f"{desk.line.url}/staff?lang=en")
    found = await tablet.page.evaluate(CLOCK)
    assert 8950 <= found["later"] <= 9050
    assert (found["by"], found["isOfBoth"], found["moved"]) == (-3 * 3600e3, True, [False, True])
    assert found["dated"] == 86400


async def test_taps_of_a_tablet_whose_clock_was_wrong_are_put_right_before_they_are_sent(desk: Desk) -> None:
    tablet = await desk.tablet()
    context = tablet.page.context
    await tablet.worker_ready()
    await tablet.cut()
    await tablet.remember("offset", 3 * 3600e3)  # as of a clock that was put right while the page was shut
    await tablet.page.close(run_before_unload=False)
    again = await Tablet.at(context, desk.line.url)
    await again.page.goto(f"{desk.line.url}/staff?lang=en")
    await again.sign_in()
    await again.tap("got-in")
    await again.type("25")
    await again.pending(1)
    await again.mend()
    await again.pending(0)
    [ticket] = await desk.front.readings()
    assert abs(ticket.time - datetime.now(UTC)) < timedelta(minutes=1)  # type: ignore[operator]  # ingest has completed it
    assert ticket.time - ticket.joined == timedelta(minutes=25)  # type: ignore[attr-defined]  # it is a ticket


@pytest.mark.slow
async def test_what_was_said_before_the_tablet_had_another_name_is_taken_back_by_its_former_one(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("not_admitting")
    await desk.said(1)
    await desk.front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(desk.front.name, "tablet", "front-desk"))
    await expect(tablet.page.get_by_role("heading", level=1)).to_have_text(WORDS.revoked_title)
    await tablet.enrol(await desk.front.invite("reading-room"))
    [said] = await desk.front.readings()
    act = Act(
        id=said.id, device=said.device, by="ab", kind="not_admitting", at=said.time, state=ActState.HOLDS, on=True
    )
    record = DeskRecord(library=desk.front.name, as_of=datetime.now(UTC), acts=(act,))
    await desk.front.bus.bucket(subjects.DESK).put(desk.front.name, record.model_dump_json().encode())
    await tablet.sign_in()
    await tablet.page.locator("#sections a[data-view=record]").click()
    await tablet.page.locator("[id^='take-front-desk']").click()
    await tablet.tap("take-back")
    await desk.said(2)
    undo = (await desk.front.readings())[1]
    assert (undo.device, undo.target) == ("reading-room", f"front-desk/{said.id}")  # type: ignore[attr-defined]  # it is an undo


@pytest.mark.slow
async def test_taps_of_somebody_are_not_sent_by_somebody_else_of_the_same_id(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    other = (await desk.front.person("ab")).model_copy(update={"name": "Alan", "since": datetime.now(UTC)})
    await desk.front.put("person", "ab", other)
    await tablet.mend()
    await expect(tablet.page.get_by_role("button", name="Alan")).to_be_visible()
    await tablet.sign_in()
    await expect(tablet.page.locator("#line")).to_have_text(f"{WORDS.line_stored} · 1 refused")
    await tablet.tap("marker-pillar")
    await desk.said(1)
    assert [each.marker for each in await desk.front.readings()] == ["pillar"]  # type: ignore[attr-defined]  # it is a marker


@pytest.mark.slow
async def test_taps_of_somebody_who_has_left_are_said_to_be_stuck_and_can_be_forgotten(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    await desk.front.bus.bucket(subjects.STAFF).delete(subjects.staff_key(desk.front.name, "person", "ab"))
    await tablet.mend()
    await expect(tablet.page.locator("#person-cd")).to_be_visible()
    await tablet.sign_in("cd")
    await expect(tablet.page.locator("#marker-tree")).to_have_attribute("aria-pressed", "false")
    await expect(tablet.page.locator("#line")).to_have_text(f"{WORDS.line_stored} · 1 refused")
    await tablet.tap("line")
    row = tablet.page.locator(".list li", has_text=WORDS.act_stranded)
    await row.get_by_role("button").click()
    await tablet.pending(0)
    assert await tablet.kept() == []


@pytest.mark.slow
async def test_a_pause_of_the_server_s_holds_without_a_line_as_well(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("lock-button")
    await tablet.tap("person-ab")
    fault = tablet.page.locator("#pad-fault")
    for left in ("4 tries", "3 tries", "2 tries", "1 try"):
        await tablet.type("1111")
        await expect(fault).to_contain_text(left)
    await tablet.type("1111")
    await expect(fault).to_contain_text("Too many wrong PINs")
    await tablet.page.context.set_offline(True)
    await tablet.type("1112")
    await expect(fault).to_contain_text("Too many wrong PINs")


@pytest.mark.slow
async def test_sessions_of_a_tablet_that_this_is_not_any_more_are_dropped_without_a_storm(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.cut()
    await tablet.tap("marker-tree")
    enrolled = (await desk.front.enrol(await desk.front.invite())).json()
    await tablet.remember("tablet", enrolled)  # as of a page that was killed between two steps of an older version
    await tablet.page.close(run_before_unload=False)
    again = await Tablet.at(tablet.page.context, desk.line.url)
    before = len(desk.line.seen)
    await again.mend()
    await again.page.goto(f"{desk.line.url}/staff?lang=en")
    await expect(again.page.locator("#person-ab")).to_be_visible()
    await again.sign_in()
    await again.pending(0)
    asked = [path for _, path, _ in desk.line.seen[before:] if path.startswith("/v1/staff/readings")]
    assert len(asked) <= 3
    assert await desk.said(1) == [("queue_at_marker", "ab")]


async def test_an_invitation_whose_answer_was_lost_is_taken_up_again(desk: Desk) -> None:
    tablet = await Tablet.at(await desk.context(), desk.line.url)
    await lose_one_answer(tablet, "**/v1/staff/enrolments")
    await tablet.page.goto(f"{desk.line.url}/staff?lang=en#{await desk.front.invite()}")
    await expect(tablet.page.get_by_role("alert")).to_have_text(WORDS.no_answer)
    await tablet.page.reload()
    await tablet.page.goto(f"{desk.line.url}/staff?lang=en#{await code_of(tablet)}")
    await tablet.sign_in()
    await expect(tablet.page.locator("#queue-none")).to_be_visible()


async def test_a_sign_in_whose_answer_was_lost_locks_nobody_out_offline(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("lock-button")
    await lose_one_answer(tablet, "**/v1/staff/sessions")
    await tablet.sign_in()
    await expect(tablet.page.get_by_text(WORDS.session_over)).to_be_visible()
    await tablet.page.context.set_offline(True)
    await tablet.sign_in()
    await expect(tablet.page.locator("#queue-none")).to_be_visible()


@pytest.mark.slow
async def test_who_came_in_without_a_line_and_has_no_session_is_asked_for_the_pin_once_there_is_one(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.worker_ready()
    await tablet.tap("lock-button")
    await tablet.cut()
    kept = await tablet.remembered("people")
    await tablet.remember("people", {"ab": {**kept["ab"], "session": None}})
    await tablet.page.reload()
    await tablet.sign_in()
    await tablet.tap("marker-tree")
    await tablet.pending(1)
    await tablet.page.clock.install()
    await tablet.page.clock.fast_forward("00:31")
    await tablet.mend()
    await expect(tablet.page.get_by_text(WORDS.session_over)).to_be_visible()
    await tablet.sign_in()
    await tablet.pending(0)
    assert await desk.said(1) == [("queue_at_marker", "ab")]


async def test_two_taps_on_a_switch_at_once_are_one(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.page.locator("#not_admitting").dblclick(delay=30)
    await tablet.tap("marker-tree")
    await tablet.pending(0)
    await desk.said(2)
    assert [each["kind"] for batch in desk.line.sent() for each in batch] == ["not_admitting", "queue_at_marker"]


async def test_a_simulated_evening_is_shown_and_said_in_its_own_time(desk: Desk) -> None:
    await desk.front.configure(clock="simulated")
    then = datetime.now(UTC) - timedelta(hours=6)
    await desk.front.status(
        as_of=then, valid_until=then + timedelta(minutes=10), clock=ClockKind.SIMULATED, people=Estimate(40, 38, 42)
    )
    tablet = await desk.tablet()
    await expect(tablet.page.locator("#recount-hall")).to_be_visible()
    await tablet.tap("recount-all")
    await expect(tablet.page.get_by_text(WORDS.estimated_now.format(people=40))).to_be_visible()
    await tablet.tap("back")
    await tablet.tap("mute")
    await tablet.tap("mute-go")
    await desk.said(1)
    await expect(tablet.page.locator("#mute")).to_contain_text("until")
    [mute] = await desk.front.readings()
    lasts = mute.until - mute.time  # type: ignore[attr-defined]  # it is a mute
    assert abs(lasts - timedelta(hours=1)) < timedelta(seconds=5)
    assert abs(mute.time - then) < timedelta(minutes=5)  # type: ignore[operator]  # ingest has completed it


async def test_more_than_may_be_let_in_today_can_be_counted(desk: Desk) -> None:
    await desk.front.status(capacity=20)
    tablet = await desk.tablet()
    await tablet.recount(90)
    await tablet.pending(0)
    assert await desk.said(1) == [("head_count", "ab")]


async def test_an_address_that_nobody_can_read_is_not_an_invitation(desk: Desk) -> None:
    tablet = await Tablet.at(await desk.context(), desk.line.url)
    await tablet.page.goto(f"{desk.line.url}/staff?lang=en#%E0%A4%A")
    await expect(tablet.page.locator("#code")).to_be_visible()
    assert tablet.complaints == []


@pytest.mark.slow
async def test_an_answer_that_comes_at_once_with_nothing_new_is_not_asked_for_at_once_again(desk: Desk) -> None:
    tablet = await desk.tablet()
    asked = 0

    async def nothing_new(route: Route) -> None:
        nonlocal asked
        asked += 1
        await route.fulfill(status=304)

    await tablet.page.context.route("**/v1/staff/desk*after*", nothing_new)
    await desk.front.status(capacity=99)
    async with asyncio.timeout(15):
        while asked < 2:
            await asyncio.sleep(0.05)
    before = asked
    await asyncio.sleep(5)
    assert asked - before <= 3


async def test_a_half_typed_pin_stays_and_is_asked_of_the_server_once_the_line_is_back(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("lock-button")
    await tablet.cut()
    await tablet.tap("person-cd")
    hint = tablet.page.locator("#pin-hint")
    await expect(hint).to_have_text(WORDS.pin_checked_here)
    await tablet.type("1111")
    fault = tablet.page.locator("#pad-fault")
    await expect(fault).to_have_text(WORDS.pin_unknown_here.format(name="CD"))
    await tablet.tap("key-2")
    await tablet.mend()
    await expect(hint).to_be_hidden()
    await expect(fault).to_have_text("")
    await tablet.type(PIN[1:])
    await expect(tablet.page.locator("#queue-none")).to_be_visible()


async def test_a_notice_that_runs_can_be_put_right_and_a_mute_is_told_among_the_posts(desk: Desk) -> None:
    tablet = await desk.tablet()
    await tablet.tap("notice")
    await tablet.page.fill("#notice-text", "The lift is out of order.")
    await tablet.tap("notice-go")
    await tablet.tap("notice")
    await expect(tablet.page.locator("#notice-text")).to_have_value("The lift is out of order.")
    await tablet.tap("back")
    await tablet.tap("mute")
    await tablet.tap("mute-go")
    await tablet.page.locator("#sections a[data-view=posts]").click()
    await expect(tablet.page.locator("#muted")).to_contain_text("No posts until")
    await tablet.cut()
    await expect(tablet.page.locator("#view")).to_contain_text("No connection. This is from")


async def lose_one_answer(tablet: Tablet, address: str) -> None:
    """Have the next request reach the server, and its answer nobody."""

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await tablet.page.context.route(address, lose, times=1)


async def code_of(tablet: Tablet) -> str:
    """Return the code of the invitation that the tablet has begun to take up."""
    found: str = (await tablet.remembered("enrolling"))["code"]
    return found


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
