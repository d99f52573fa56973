"""Web Push on the real bus: asked on the API, told once by the publisher, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.bus_server import BusServer
from services.api.problems import PROBLEMS
from services.publisher.accounts import Patience
from services.publisher.channels.webpush import PAYLOAD_BYTES_MAX
from services.publisher.libraries import Libraries
from services.publisher.push import KEY, Notifier, is_browsers_own, payload_of
from services.publisher.told import Statuses
from shared.contracts import subjects
from shared.contracts.configuration import Channel
from shared.contracts.push import Offer, StoredWish, offer_key
from shared.contracts.status import PublicStatus
from shared.domain.asking import Want
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT
from shared.domain.status import State, Status, ZoneStatus
from shared.runtime.bus import Bus, BusUnavailable, connected
from shared.runtime.wording import sentences_for
from tests.conftest import settings_for
from tests.fakes.announcements import OPEN, configuration, new_library, status_of
from tests.fakes.http_server import FAULTS, Fault, listening
from tests.fakes.mortal_bus import Death, Killed, MortalBus
from tests.fakes.push_service import Browser, FakePushService
from tests.services.api_running import RunningApi, eventually, running_api

HASTY = Patience(send_s=1.2, lease_s=2.0, unknown_wait_s=0.01, retry_min_s=0.01, retry_max_s=0.05)
CONTACT = "mailto:it@library.example"
WEBPUSH = Channel.model_validate({"type": "webpush", "contact": CONTACT})
SEQUENCES = int(os.environ.get("FAULT_SEQUENCES", "2"))
LONG_AGO = timedelta(minutes=2)
"""Since when a status has been known, so that its figures have held for their minute."""


def now() -> datetime:
    return datetime.now(UTC)


def lived(library: str, people: int | None, at: datetime | None = None, **changes: object) -> Status:
    """Return a status of a library of a hundred seats that is open around now."""
    at = at or now()
    estimate = None if people is None else Estimate(people, people, people)
    zones = (
        ZoneStatus("ground", "Rez-de-chaussée", 60, None, None if people is None else Estimate(60, 60, 60)),
        ZoneStatus("first", "Premier étage", 40, None, None if people is None else Estimate(30, 30, 30)),
    )
    hours = ((at - timedelta(hours=3), at + timedelta(hours=3)),)
    usual = replace(status_of(library, 1, OPEN, at), people=estimate, zones=zones, hours_today=hours)
    return replace(usual, **changes)  # type: ignore[arg-type]  # a test says which fields it means


@dataclass
class Scene:
    """One library on the bus, an API that takes wishes, a push service, and publishers that come and go."""

    operator: Bus
    bus_server: BusServer
    service: FakePushService
    client: httpx.AsyncClient
    http: httpx.AsyncClient
    api: RunningApi
    library: str
    libraries: Libraries = field(default_factory=Libraries)

    async def show(self, people: int | None, at: datetime | None = None, **changes: object) -> None:
        """Publish a status, as of two minutes ago if nothing else is said."""
        status = lived(self.library, people, at or now() - LONG_AGO, **changes)
        body = PublicStatus.of(status, sentences_for(status)).model_dump_json().encode()
        revision = await self.operator.bucket(subjects.STATUS).put(self.library, body)

        def is_known() -> bool:
            held = self.api.parts.projection.get(self.library)
            return held is not None and held.sequence >= revision

        await eventually(is_known)

    async def offered(self) -> str:
        """Return the key that the library offers, once it does."""
        await eventually(lambda: self.library in self.api.parts.wishes.offers)
        return self.api.parts.wishes.offers[self.library].public_key

    async def browser(self) -> Browser:
        return self.service.subscribe(await self.offered())

    async def ask(self, browser: Browser, **wish: object) -> httpx.Response:
        body = {"subscription": browser.to_json(), "want": "seat", "threshold": 5, "language": "fr", **wish}
        return await self.client.post(f"/v1/push/{self.library}", json=body)

    async def asked(self, browser: Browser, **wish: object) -> str:
        """Ask while the house is full, and return the wish's id."""
        await self.show(100)
        answer = await self.ask(browser, **wish)
        assert answer.status_code == 201, answer.text
        wish_id: str = answer.json()["id"]
        return wish_id

    async def wishes(self) -> list[StoredWish]:
        bucket = self.operator.bucket(subjects.SUBSCRIPTIONS)
        entries = [await bucket.get(key) for key in await bucket.keys("wish.")]
        return [StoredWish.model_validate_json(entry.value) for entry in entries if entry]

    async def settled(self) -> None:
        """Wait until nobody waits for anything any more."""
        async with asyncio.timeout(20):
            while await self.wishes():
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def publisher(self, death: Death | None = None) -> AsyncIterator[MortalBus]:
        """Run the part of the publisher that tells, as the publisher's own user; it looks more often than in life."""
        settings = settings_for(self.bus_server, "publisher")
        async with connected(settings.nats_servers, settings.nats_seed, "publisher") as plain:
            bus = MortalBus(plain.client, "publisher")
            bus.death = death
            statuses = Statuses()
            notifier = Notifier(bus, self.libraries, statuses, self.http, HASTY, is_here_allowed=True)

            async def look_often() -> None:
                while True:
                    await asyncio.sleep(0.02)
                    notifier.look()

            tasks = [asyncio.create_task(each) for each in (statuses.follow(bus), notifier.run(), look_often())]
            try:
                yield bus
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError, Killed, ExceptionGroup):
                        await task


@pytest.fixture
async def scene(operator: Bus, bus_server: BusServer) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(listening(FakePushService()))
        api = await stack.enter_async_context(running_api(bus_server, now, push_services_here=True))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=api.url, timeout=30))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=httpx.Timeout(1.0, connect=5.0)))
        scene = Scene(operator, bus_server, service, client, http, api, new_library())
        scene.libraries.put(configuration(scene.library, WEBPUSH))
        await scene.show(100)
        yield scene


# Told once


async def test_who_asked_is_told_once_when_a_seat_is_free(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        wish = await scene.asked(browser)
        assert (await scene.client.get(f"/v1/push/{scene.library}/{wish}")).status_code == 200
        await scene.show(90)
        await scene.settled()
        await scene.show(80)
        await asyncio.sleep(0.3)
    assert browser.rings == 1
    [word] = browser.received
    assert word["title"] == CATALOGS["fr"].pages.push_told_seat.format(name="Bib")
    assert "10" in word["body"]
    assert word["url"] == f"/l/{scene.library}?lang=fr"
    assert word["lang"] == "fr"
    [ttl] = scene.service.ttls
    assert 0 < ttl <= 8 * 60  # as long as the figures hold: ten minutes, of which two are over
    assert scene.service.contacts == [CONTACT]
    assert (await scene.client.get(f"/v1/push/{scene.library}/{wish}")).json()["type"] == "/problems/unknown-wish"


async def test_a_full_house_and_an_unknown_one_tell_nobody(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        for people, changes in ((96, {}), (None, {"state": State.UNKNOWN}), (10, {"muted": True})):
            await scene.show(people, **changes)
            await asyncio.sleep(0.15)
        await scene.show(10, valid_until=now() - timedelta(seconds=1))
        await asyncio.sleep(0.15)
        assert len(await scene.wishes()) == 1
    assert browser.received == []


async def test_a_figure_of_this_moment_waits_for_its_minute(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        await scene.show(90, now())
        await asyncio.sleep(0.3)
    assert browser.received == []


@pytest.mark.parametrize(
    ("wish", "full", "free"),
    [
        ({"zone": "first", "threshold": 10}, 100, 90),
        ({"want": "queue", "threshold": 15}, None, 90),
        ({"want": "opening"}, None, 90),
    ],
    ids=str,
)
async def test_a_zone_a_wait_and_the_opening_are_told_too(
    scene: Scene, wish: dict[str, object], full: int | None, free: int
) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.show(full, state=State.CLOSED if full is None else State.OPEN, queue=Estimate(9, 9, 9))
        answer = await scene.ask(browser, **wish)
        assert answer.status_code == 201, answer.text
        await scene.show(free, wait=NO_WAIT, queue=Estimate(0, 0, 0))
        await scene.settled()
    assert browser.rings == 1
    if wish.get("zone"):
        assert "Premier étage" in browser.received[0]["body"]


async def test_at_a_simulations_speed_a_notification_lives_as_much_shorter(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        clock = {"clock": ClockKind.SIMULATED, "speed": 60.0}
        past = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
        await scene.operator.bucket(subjects.STATUS).delete(scene.library)
        await eventually(lambda: scene.api.parts.projection.get(scene.library) is None)
        await scene.show(100, past, **clock)
        assert (await scene.ask(browser)).status_code == 201
        await scene.show(90, past + timedelta(minutes=1), **clock)
        await scene.settled()
    [word] = browser.received
    assert CATALOGS["fr"].simulated in word["body"]
    [ttl] = scene.service.ttls
    assert 0 < ttl <= 10


async def test_two_publishers_tell_once(scene: Scene) -> None:
    async with scene.publisher(), scene.publisher():
        browsers = [await scene.browser() for _ in range(12)]
        await scene.show(100)
        for browser in browsers:
            assert (await scene.ask(browser)).status_code == 201
        await scene.show(90)
        await scene.settled()
        await asyncio.sleep(0.1)
    assert [len(browser.received) for browser in browsers] == [1] * 12


async def test_a_wish_outlives_the_publisher(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
    await scene.show(90)
    async with scene.publisher():
        await scene.settled()
    assert browser.rings == 1


# Faults


DEATHS = [Death("$KV.SUBSCRIPTIONS.wish.", nth, is_before=is_before) for nth in (1, 2) for is_before in (True, False)]


@pytest.mark.slow
@pytest.mark.parametrize("is_online", [True, False], ids=["online", "away"])
@pytest.mark.parametrize("death", DEATHS, ids=str)
async def test_a_kill_between_any_two_steps_rings_once(
    scene: Scene, death: Death, monkeypatch: pytest.MonkeyPatch, *, is_online: bool
) -> None:
    monkeypatch.setattr("services.publisher.push.LEASE_SLACK_S", 0.1)
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
    browser.is_online = is_online
    await scene.show(90)
    async with scene.publisher(death) as bus:
        await eventually(lambda: bus.is_dead)
    async with scene.publisher():
        await scene.settled()
    browser.come_online()
    assert browser.rings == 1
    assert len(browser.shown) == 1
    assert len(browser.received) <= (2 if is_online else 1)
    assert len(set(scene.service.topics)) == 1
    assert len({json.dumps(word) for word in browser.received}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
async def test_any_fault_of_the_service_rings_once(scene: Scene, fault: Fault) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        scene.service.faults.append(fault)
        await scene.show(90)
        await scene.settled()
    assert browser.rings == 1


@pytest.mark.parametrize("seed", range(SEQUENCES))
async def test_any_sequence_of_faults_and_kills_rings_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("services.publisher.push.LEASE_SLACK_S", 0.05)
    chance = random.Random(f"push-{seed}")
    faults = [chance.choice(FAULTS) for _ in range(chance.randint(0, 2))]
    deaths = [
        Death("$KV.SUBSCRIPTIONS.wish.", chance.randint(1, 4), is_before=chance.random() < 0.5)
        for _ in range(chance.randint(0, 2))
    ]
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
    browser.is_online = chance.random() < 0.5
    scene.service.faults.extend(faults)
    await scene.show(90)
    for death in deaths:
        async with scene.publisher(death):
            await asyncio.sleep(chance.random())
    async with scene.publisher():
        await scene.settled()
    browser.come_online()
    assert browser.rings == 1, (faults, deaths)
    assert len(set(scene.service.topics)) == 1


async def test_nothing_is_sent_after_its_time(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        scene.service.faults.extend(["503"] * 50)
        await scene.show(90, valid_until=now() + timedelta(seconds=1))
        await scene.settled()
        scene.service.faults.clear()
        await asyncio.sleep(0.2)
    assert browser.received == []


async def test_a_browser_that_has_left_is_forgotten_with_all_it_asked(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        await scene.asked(browser, threshold=90)
        browser.has_left = True
        await scene.show(90)
        await scene.settled()
    assert browser.received == []


async def test_a_subscription_of_another_key_harms_no_other(scene: Scene) -> None:
    async with scene.publisher():
        stranger, browser = scene.service.subscribe("another key"), await scene.browser()
        await scene.asked(stranger)
        await scene.asked(browser)
        await scene.show(90)
        await eventually(lambda: browser.rings == 1)
        async with asyncio.timeout(10):
            while [wish.refusals for wish in await scene.wishes()] != [1]:
                await asyncio.sleep(0.02)
    assert stranger.received == []


async def test_a_service_that_hangs_does_not_hold_up_another(scene: Scene) -> None:
    async with listening(FakePushService()) as other, scene.publisher():
        key = await scene.offered()
        hanging = [other.subscribe(key) for _ in range(12)]
        other.faults.extend(["hang"] * 100)
        browser = await scene.browser()
        await scene.show(100)
        for each in (*hanging, browser):
            # One host under two names: the pause of one is not the other's.
            each.endpoint = each.endpoint.replace("127.0.0.1", "localhost") if each in hanging else each.endpoint
            assert (await scene.ask(each)).status_code == 201
        await scene.show(90)
        await eventually(lambda: browser.rings == 1)
        other.let_go.set()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://fcm.googleapis.com/fcm/send/a", True),
        ("https://updates.push.services.mozilla.com/wpush/v2/a", True),
        ("https://web.push.apple.com/a", True),
        ("https://wns2-par02p.notify.windows.com/w/?token=a", True),
        ("https://push.example/fcm.googleapis.com", False),
        ("https://evilgoogleapis.com/a", False),
        ("https://fcm.googleapis.com.example/a", False),
    ],
)
def test_strange_addresses_wait_in_a_lane_of_their_own(endpoint: str, *, expected: bool) -> None:
    assert is_browsers_own(endpoint) is expected


# What a library offers


async def test_a_library_offers_as_configured_and_one_key_for_all(scene: Scene) -> None:
    async with scene.publisher():
        first = await scene.offered()
        answer = (await scene.client.get(f"/v1/push/{scene.library}")).json()
        assert answer == {"library": scene.library, "public_key": first, "zones": ["ground", "first"]}
    scene.libraries.put(configuration("other", WEBPUSH))
    async with scene.publisher(), scene.publisher():
        await eventually(lambda: "other" in scene.api.parts.wishes.offers)
        assert scene.api.parts.wishes.offers["other"].public_key == first
    scene.libraries.drop("other")
    scene.libraries.put(configuration(scene.library))
    async with scene.publisher():
        await eventually(lambda: not scene.api.parts.wishes.offers)
    assert (await scene.client.get(f"/v1/push/{scene.library}")).json()["type"] == "/problems/push-not-offered"


async def test_the_private_key_is_where_the_api_cannot_read_it(scene: Scene) -> None:
    async with scene.publisher():
        await scene.offered()
    entry = await scene.operator.bucket(subjects.SESSIONS).get(KEY)
    assert entry is not None
    private = json.loads(entry.value)["private"]
    offer = await scene.operator.bucket(subjects.SUBSCRIPTIONS).get(offer_key(scene.library))
    assert offer is not None
    assert private not in offer.value.decode()
    settings = settings_for(scene.bus_server, "api")
    async with connected(settings.nats_servers, settings.nats_seed, "api") as bus:
        bus.jetstream._timeout = 0.5  # nobody answers what is forbidden
        with pytest.raises(BusUnavailable):
            await bus.bucket(subjects.SESSIONS).get(KEY)


async def test_a_library_that_stops_telling_forgets_who_asked(scene: Scene) -> None:
    async with scene.publisher():
        browser = await scene.browser()
        await scene.asked(browser)
        scene.libraries.put(configuration(scene.library))
        await scene.settled()
    assert browser.received == []


# What the API takes


@pytest.fixture
async def offering(scene: Scene) -> Scene:
    """The library offers, with no publisher there."""
    offer = Offer(public_key="BKey").model_dump_json().encode()
    await scene.operator.bucket(subjects.SUBSCRIPTIONS).put(offer_key(scene.library), offer)
    await scene.offered()
    return scene


def code_of(answer: httpx.Response) -> tuple[int, str]:
    code = str(answer.json()["type"]).removeprefix("/problems/")
    assert PROBLEMS[code].status == answer.status_code
    return answer.status_code, code


async def test_a_wish_is_kept_until_closing_and_taken_back(offering: Scene) -> None:
    browser = await offering.browser()
    wish = await offering.asked(browser)
    [stored] = await offering.wishes()
    assert stored.endpoint == browser.endpoint
    assert timedelta(hours=2) < stored.expires_at - now() < timedelta(hours=3, minutes=1)
    said = (await offering.client.get(f"/v1/push/{offering.library}/{wish}")).json()
    assert said["id"] == wish
    assert f"{datetime.fromisoformat(said['until']):%H:%M}" in said["said"]
    assert browser.endpoint not in json.dumps(said)
    for _ in range(2):
        assert (await offering.client.delete(f"/v1/push/{offering.library}/{wish}")).status_code == 204
    assert await offering.wishes() == []


async def test_the_same_wish_again_is_one_wish(offering: Scene) -> None:
    browser = await offering.browser()
    assert await offering.asked(browser) == await offering.asked(browser)
    assert len(await offering.wishes()) == 1


async def test_a_browser_may_have_five_and_an_address_some(offering: Scene) -> None:
    browser = await offering.browser()
    for threshold in range(1, 6):
        await offering.asked(browser, threshold=threshold)
    assert code_of(await offering.ask(browser, threshold=6)) == (429, "too-many-wishes")
    assert (await offering.ask(browser, threshold=5)).status_code == 201
    offering.api.parts.wishes.allow(1)
    other = await offering.browser()
    assert (await offering.ask(other)).status_code == 201
    refused = await offering.ask(other)
    assert code_of(refused) == (429, "too-many-wishes-here")
    assert 0 < int(refused.headers["retry-after"]) <= 3601


async def test_there_is_room_for_so_many(offering: Scene) -> None:
    offering.api.parts.wishes.wishes_max = 1
    await offering.asked(await offering.browser())
    assert code_of(await offering.ask(await offering.browser())) == (503, "push-unavailable")


async def test_what_is_so_or_cannot_come_is_not_kept(offering: Scene) -> None:
    browser = await offering.browser()
    await offering.show(10)
    assert code_of(await offering.ask(browser)) == (409, "already-so")
    over = ((now() - timedelta(hours=9), now() - timedelta(hours=1)),)
    await offering.show(None, state=State.CLOSED, hours_today=over)
    assert code_of(await offering.ask(browser)) == (409, "closed-for-today")
    assert await offering.wishes() == []


async def test_a_library_that_tells_nobody_takes_no_wish(scene: Scene) -> None:
    browser = scene.service.subscribe("key")
    assert code_of(await scene.ask(browser)) == (404, "push-not-offered")
    missing = await scene.client.post("/v1/push/nowhere", json={"subscription": browser.to_json()})
    assert code_of(missing) == (404, "unknown-library")


CANARY = "canary-5d1c"


def broken(**subscription: object) -> dict[str, Any]:
    whole = Browser("https://push.example/x", "key").to_json()
    return {"subscription": {**whole, **subscription}}


BAD_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "body.subscription", "missing"),
    (broken(endpoint=""), "body.subscription.endpoint", "string_too_short"),
    (broken(endpoint=f"https://{CANARY}.example/" + "x" * 1024), "body.subscription.endpoint", "string_too_long"),
    (broken(endpoint=f"https://{CANARY}.example/ x"), "body.subscription.endpoint", "string_pattern_mismatch"),
    (broken(endpoint=f"http://{CANARY}.example/x"), "body.subscription.endpoint", "endpoint_not_https"),
    (broken(endpoint=f"https://{CANARY}.example:8443/"), "body.subscription.endpoint", "endpoint_on_another_port"),
    (broken(endpoint=f"https://u:{CANARY}@push.example/"), "body.subscription.endpoint", "endpoint_unusable"),
    (broken(endpoint="https://10.0.0.1/canary-5d1c"), "body.subscription.endpoint", "endpoint_not_public"),
    (broken(endpoint="https://10.1/canary-5d1c"), "body.subscription.endpoint", "endpoint_not_public"),
    (broken(endpoint=f"https://{CANARY}/"), "body.subscription.endpoint", "endpoint_not_public"),
    (broken(keys={"p256dh": "A" * 87, "auth": "A" * 22}), "body.subscription.keys.p256dh", "not_a_key"),
    (broken(keys={"p256dh": "=" * 87, "auth": "A" * 22}), "body.subscription.keys.p256dh", "not_a_key"),
    (broken(keys={"auth": CANARY}), "body.subscription.keys.p256dh", "missing"),
    ({**broken(), "want": CANARY}, "body.want", "enum: one of 'seat', 'queue' or 'opening'"),
    ({**broken(), "threshold": 0}, "body", "no_seats"),
    ({**broken(), "threshold": 1001}, "body.threshold", "less_than_equal"),
    ({**broken(), "zone": "attic"}, "body.zone", "unknown_zone"),
    ({**broken(), "zone": "first", "want": "queue"}, "body", "zone_without_seats"),
    ({**broken(), "language": CANARY}, "body.language", "literal_error: one of 'en', 'fr', 'nb', 'nl' or 'uk'"),
    ({**broken(), CANARY: 1}, "body", "extra_forbidden"),
]


async def test_a_bad_body_is_refused_with_its_reason_and_no_echo(offering: Scene) -> None:
    offering.api.parts.wishes.is_here_allowed = False
    for body, where, reason in BAD_BODIES:
        answer = await offering.client.post(f"/v1/push/{offering.library}", json=body)
        assert code_of(answer) == (422, "invalid-request"), (where, reason)
        assert {"where": where, "reason": reason} in answer.json()["errors"]
        assert CANARY not in answer.text.replace(where, ""), (where, reason)
    assert await offering.wishes() == []


async def test_what_is_no_json_or_too_large_is_refused(offering: Scene) -> None:
    path = f"/v1/push/{offering.library}"
    for content, kind in ((b"{", "application/json"), (b"\xff", "application/json"), (b"a=b", "text/plain")):
        answer = await offering.client.post(path, content=content, headers={"Content-Type": kind})
        assert code_of(answer) == (422, "invalid-request")
    assert (await offering.client.post(path, content=b" " * 8193)).status_code == 413
    for wish in ("x", "0" * 32, f"{'0' * 32}.{'0' * 15}", f"{'0' * 32}.*"):
        assert (await offering.client.delete(f"{path}/{wish}")).status_code in {404, 405, 422}, wish


async def test_without_the_bus_a_wish_is_not_taken_for_kept(offering: Scene) -> None:
    browser = await offering.browser()
    offering.api.parts.wishes.bus = None
    refused = await offering.ask(browser)
    assert code_of(refused) == (503, "push-unavailable")
    assert int(refused.headers["retry-after"]) > 0


# The page


async def test_only_a_library_that_tells_has_the_form(offering: Scene) -> None:
    page = await offering.client.get(f"/l/{offering.library}?lang=fr")
    words = CATALOGS["fr"].pages
    assert words.push in page.text
    assert "Premier étage</option>" in page.text
    assert words.push_privacy in page.text
    assert '<details class="push" id="push" hidden' in page.text  # a browser without a script shows nothing of it
    await offering.operator.bucket(subjects.SUBSCRIPTIONS).delete(offer_key(offering.library))
    await eventually(lambda: not offering.api.parts.wishes.offers)
    assert words.push not in (await offering.client.get(f"/l/{offering.library}?lang=fr")).text


async def test_the_service_worker_is_at_the_root_and_looked_at_anew(scene: Scene) -> None:
    answer = await scene.client.get("/sw.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    again = await scene.client.get("/sw.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_a_page_that_tells_can_be_put_on_a_home_screen(offering: Scene) -> None:
    assert 'rel="manifest"' in (await offering.client.get(f"/l/{offering.library}")).text
    manifest = await offering.client.get("/manifest.webmanifest")
    assert manifest.headers["content-type"] == "application/manifest+json"
    [icon] = manifest.json()["icons"]
    assert (await offering.client.get(icon["src"])).headers["content-type"] == icon["type"]


# The words


@pytest.mark.parametrize("language", sorted(CATALOGS))
@pytest.mark.parametrize("want", list(Want))
def test_the_longest_words_fit_a_push_message(language: str, want: Want) -> None:
    name = "🏛️" * 60
    status = lived("b" * 64, 99, name=name, notice="🏛️" * 300, notice_until=now() + timedelta(hours=1))
    zones = tuple(replace(each, name="🏛️" * 60) for each in status.zones)
    stored = StoredWish.model_validate(
        {
            "library": "b" * 64,
            "want": want,
            "threshold": 1,
            "zone": "first" if want is Want.SEAT else "",
            "language": language,
            "endpoint": "https://push.example/x",
            "p256dh": "",
            "auth": "",
            "made_at": now(),
            "expires_at": now(),
        }
    )
    payload = payload_of(stored, replace(status, zones=zones), now())
    assert len(payload.encode()) <= PAYLOAD_BYTES_MAX
    assert json.loads(payload)["lang"] == language
