"""What staff see of their library's devices over HTTP, and the step that claims one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any

import httpx
import pytest

from cli.bus_server import BusServer
from services.ingest.device_overview import Row, sight_of
from services.ingest.front import KEY_AT_ONCE, SOURCE_AT_ONCE
from services.ingest.sources.keeper import Trouble
from shared.contracts import subjects
from shared.contracts.devices import Claim, Device, DeviceState, Line
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.runtime.bus import Bus
from tests.services.test_device_inlet import Inlet, device, passage, running

SECRET = "made-up-secret"
HASH = sha256(SECRET.encode()).hexdigest()


def keys(name: str) -> list[dict[str, Any]]:
    return [
        {"id": f"{name}-staff", "sha256": HASH, "device": "tablet", "role": "staff"},
        {"id": f"{name}-gate", "sha256": HASH, "device": "box", "role": "gate"},
    ]


@pytest.fixture
async def inlet(standing: Bus, bus_server: BusServer) -> AsyncIterator[Inlet]:
    name = f"lib-{token_hex(4)}"
    async with running(bus_server, standing, name, keys=keys(name)) as found:
        yield found


def bearer(inlet: Inlet, role: str = "staff", name: str = "") -> dict[str, str]:
    return {"Authorization": f"Bearer {name or inlet.name}-{role}.{SECRET}"}


async def seen(inlet: Inlet, lang: str = "en") -> dict[str, Any]:
    answer = await inlet.client.get(f"/v1/devices?lang={lang}", headers=bearer(inlet))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    fields: dict[str, Any] = answer.json()
    return fields


async def claim(inlet: Inlet, **more: Any) -> httpx.Response:
    body = {"source": f"{inlet.name}-box", "serial": "S1", "lines": [{"line": "1", "gate": "front"}], **more}
    return await inlet.client.post("/v1/claims", json=body, headers=bearer(inlet))


async def until_known(inlet: Inlet) -> None:
    async with asyncio.timeout(10):
        while inlet.door.registry.find(f"{inlet.name}-box", "S1") is None:
            await asyncio.sleep(0.02)


async def until_seen(inlet: Inlet, name: str) -> dict[str, Any]:
    """Return the device of this name once it is known to have been heard."""
    assert inlet.door.intake.states is not None
    await inlet.door.intake.states.flush()
    async with asyncio.timeout(15):
        while True:
            for each in (await seen(inlet))["devices"]:
                if each["name"] == name and each["last_seen"]:
                    found: dict[str, Any] = each
                    return found
            await asyncio.sleep(0.1)


async def test_an_unclaimed_box_is_shown_with_what_would_be_counted_and_claimed_in_one_step(inlet: Inlet) -> None:
    first = passage(1)
    await inlet.send([first, passage(2, MetricId=2), passage(3)])
    await inlet.send(first)
    [box] = (await seen(inlet))["unclaimed"]
    assert (box["source"], box["serial"], box["format"]) == (f"{inlet.name}-box", "S1", "footfallcam")
    assert box["bodies"] == 2
    [line] = box["lines"]
    assert (line["in"], line["out"], line["meaning"], line["kind"]) == (2, 1, "crossing", "gate")
    assert line["suggested"] == ""  # there are two gates, and somebody has to say which
    answer = await claim(inlet, name="Front door")
    assert answer.status_code == 201
    assert answer.json() == {"library": inlet.name, "device": "front-door", "name": "Front door"}
    await inlet.until_entries(2)
    after = await seen(inlet)
    assert after["unclaimed"] == []
    [shown] = after["devices"]
    assert (shown["id"], shown["is_claimed"], shown["where"]) == ("front-door", True, ["Gate front"])


async def test_a_claimed_device_is_shown_with_its_day_and_that_all_is_well(inlet: Inlet) -> None:
    await claim(inlet, name="Front door")
    await until_known(inlet)
    await inlet.send([passage(1), passage(2, MetricId=2), passage(3)])
    shown = await until_seen(inlet, "Front door")
    assert shown["today"] == {"in": 2, "out": 1}
    assert shown["standing"] == "well"
    assert shown["findings"] == []


async def test_a_device_that_hangs_the_other_way_round_is_shown_so(inlet: Inlet) -> None:
    await claim(inlet, name="Front door", lines=[{"line": "1", "gate": "front", "invert": True}])
    await until_known(inlet)
    await inlet.send([passage(1), passage(2, MetricId=2), passage(3)])
    assert (await until_seen(inlet, "Front door"))["today"] == {"in": 1, "out": 2}


async def test_what_is_wrong_is_said_in_the_language_of_the_reader(inlet: Inlet) -> None:
    await inlet.configure(keys=keys(inlet.name), devices=[device(inlet.name)])
    for language, words in DEVICE_WORDS.items():
        [shown] = (await seen(inlet, language))["devices"]
        assert [each["code"] for each in shown["findings"]] == ["never-heard"]
        assert shown["findings"][0]["text"] == words.health.never_heard
        assert shown["standing"] == "look"
    answer = await inlet.client.get("/v1/devices", headers={**bearer(inlet), "Accept-Language": "nn, de;q=0.9"})
    assert answer.json()["devices"][0]["findings"][0]["text"] == DEVICE_WORDS["nb"].health.never_heard


async def test_a_box_that_cannot_be_read_says_why_and_offers_nothing(inlet: Inlet) -> None:
    await inlet.send('{"something": "else"}')
    [box] = (await seen(inlet))["unclaimed"]
    assert box["code"] == "unknown-format"
    assert box["lines"] == []
    assert "mapping" in box["problems"][0]


async def test_a_source_on_which_nothing_came_is_shown_as_unused(inlet: Inlet) -> None:
    assert [each["source"] for each in (await seen(inlet))["unused"]] == [f"{inlet.name}-box"]
    await inlet.send(passage(1))
    assert (await seen(inlet))["unused"] == []


async def test_a_source_that_cannot_be_fetched_is_shown_with_the_reason(inlet: Inlet) -> None:
    name = f"{inlet.name}-box"
    inlet.door.source_troubles = {name: Trouble("the password is refused", datetime.now(UTC), "poll")}
    shown = await seen(inlet)
    [failing] = shown["failing"]
    assert (failing["source"], failing["reason"]) == (name, "the password is refused")
    assert shown["unused"] == []


async def test_a_box_whose_source_stands_in_another_library_now_harms_nobody_s_view(
    inlet: Inlet, standing: Bus
) -> None:
    await inlet.send(passage(1))
    other = f"{inlet.name}-2"
    config = inlet.door.senders.libraries[inlet.name]
    await inlet.configure(keys=keys(inlet.name), sources=[])
    moved = config.model_copy(update={"id": other, "keys": ()})
    await standing.bucket(subjects.LIBRARIES).put(other, moved.model_dump_json(by_alias=True).encode())
    async with asyncio.timeout(10):
        while other not in inlet.door.senders.libraries:
            await asyncio.sleep(0.02)
    assert [each["preview"] for each in (await seen(inlet))["unclaimed"]] == [None]


SLOW_TOKEN = "a-token-of-a-source-that-is-slow-and-slow"


async def test_a_sender_who_holds_many_places_keeps_out_nobody_else(inlet: Inlet) -> None:
    slow = {"id": f"{inlet.name}-slow", "type": "url", "token_sha256": sha256(SLOW_TOKEN.encode()).hexdigest()}
    box = inlet.door.registry.source(f"{inlet.name}-box")
    assert box is not None
    await inlet.configure(keys=keys(inlet.name), sources=[box.model_dump(by_alias=True), slow])
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await go_on.wait()
        yield b"}"

    async def to(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return await inlet.client.post(path, content=slowly(), headers=headers)

    to_device = f"/v1/devices/{SLOW_TOKEN}"
    held = [asyncio.create_task(to(to_device)) for _ in range(SOURCE_AT_ONCE)]
    held += [asyncio.create_task(to("/v1/readings", bearer(inlet, "gate"))) for _ in range(KEY_AT_ONCE)]
    async with asyncio.timeout(10):
        while inlet.door.in_hand < len(held):
            await asyncio.sleep(0.01)
    for refused in (
        await inlet.client.post(to_device, content=b"{}"),
        await inlet.client.post("/v1/readings", content=b"{}", headers=bearer(inlet, "gate")),
    ):
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await inlet.send(passage(1))).status_code == 200
    assert (await claim(inlet)).status_code == 201
    go_on.set()
    answers = await asyncio.gather(*held)
    assert {each.status_code for each in answers}.isdisjoint({408, 503})
    assert (await inlet.client.post(to_device, content=b"{}")).status_code == 200
    assert inlet.door.in_hand == 0


async def test_a_line_of_those_inside_may_lead_nowhere_beside_one_that_counts(inlet: Inlet) -> None:
    lines = tuple(Line.model_validate(each) for each in ({"line": "1", "gate": "front"},))
    known = inlet.door.registry.libraries[inlet.name]
    box = Device(id="cam", source=f"{inlet.name}-box", lines=lines)
    state = DeviceState.model_validate(
        {
            "device": "cam",
            "source": f"{inlet.name}-box",
            "lines": {
                "1": {"meaning": "crossing", "says": "crossing"},
                "all": {"is_mapped": False, "says": "occupancy"},
                "2": {"is_mapped": False, "says": "window"},
            },
        }
    )
    sight = sight_of(Row(known, box, is_claimed=True, state=state), None, datetime.now(UTC))
    assert [each.is_beside for each in sight.lines] == [False, True, False]
    inside = box.model_copy(update={"lines": (Line(line="1", zone="inside"),)})
    sight = sight_of(Row(known, inside, is_claimed=True, state=state), None, datetime.now(UTC))
    assert not any(each.is_beside for each in sight.lines)


async def test_only_staff_of_the_library_see_and_claim_its_devices(inlet: Inlet, standing: Bus) -> None:
    await inlet.send(passage(1))
    nobody = await inlet.client.get("/v1/devices")
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    wrong = {"Authorization": f"Bearer {inlet.name}-staff.another-secret"}
    assert (await inlet.client.get("/v1/devices", headers=wrong)).status_code == 401
    gate = bearer(inlet, "gate")
    assert (await inlet.client.get("/v1/devices", headers=gate)).status_code == 403
    assert (await inlet.client.post("/v1/claims", json={}, headers=gate)).status_code == 403
    assert (await inlet.client.delete("/v1/claims/cam", headers=gate)).status_code == 403

    other = f"{inlet.name}-2"
    config = inlet.door.senders.libraries[inlet.name].model_copy(update={"id": other, "sources": ()})
    theirs = config.model_copy(
        update={"keys": tuple(each.model_copy(update={"id": f"{other}-{each.role}"}) for each in config.keys)}
    )
    await standing.bucket(subjects.LIBRARIES).put(other, theirs.model_dump_json(by_alias=True).encode())
    async with asyncio.timeout(10):
        while other not in inlet.door.senders.libraries:
            await asyncio.sleep(0.02)
    key = bearer(inlet, "staff", other)
    answer = await inlet.client.get("/v1/devices", headers=key)
    assert answer.json()["unclaimed"] == []
    body = {"source": f"{inlet.name}-box", "serial": "S1", "lines": [{"line": "1", "gate": "front"}]}
    taken = await inlet.client.post("/v1/claims", json=body, headers=key)
    assert (taken.status_code, taken.json()["type"]) == (403, "/problems/forbidden")
    await claim(inlet, id="cam")
    assert (await inlet.client.delete("/v1/claims/cam", headers=key)).status_code == 404


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"lines": [{"line": "1", "gate": "back"}]}, 409, "there are front, garden"),
        ({"lines": [{"line": "1", "zone": "attic"}]}, 409, "there are inside"),
        ({"id": "tablet"}, 409, "tablet of staff"),
        ({"lines": []}, 422, "lines"),
        ({"lines": [{"line": "1"}]}, 422, "lines.0"),
        ({"lines": [{"line": "1", "gate": "front", "color": "red"}]}, 422, "an unknown field in lines.0"),
        ({"id": "Not An Id"}, 422, "id"),
        ({"source": "of-nobody"}, 403, "has no source"),
    ],
    ids=["gate", "zone", "tablet", "no-lines", "nowhere", "extra", "id", "source"],
)
async def test_a_claim_that_cannot_be_is_refused_with_why(
    inlet: Inlet, more: dict[str, Any], status: int, words: str
) -> None:
    answer = await claim(inlet, **more)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    claims = await inlet.bus.bucket(subjects.CLAIMS).keys(f"{inlet.name}.")
    assert claims == []


async def test_a_box_counts_under_one_name_only_and_a_second_claim_leads_it_elsewhere(inlet: Inlet) -> None:
    assert (await claim(inlet, id="one")).status_code == 201
    again = await claim(inlet, id="two")
    assert (again.status_code, again.json()["detail"]) == (409, f"It counts already, as one of {inlet.name}.")
    moved = await claim(inlet, lines=[{"line": "1", "gate": "garden"}])
    assert moved.json()["device"] == "one"
    entry = await inlet.bus.bucket(subjects.CLAIMS).get(subjects.device_key(inlet.name, "one"))
    assert entry is not None
    stored = Claim.model_validate_json(entry.value)
    assert (stored.device.lines[0].gate, stored.by) == ("garden", f"{inlet.name}-staff")


async def test_a_device_of_the_file_is_not_claimed_or_released_here(inlet: Inlet) -> None:
    await inlet.configure(keys=keys(inlet.name), devices=[device(inlet.name, "S1")])
    assert (await claim(inlet, id="cam")).status_code == 409
    assert (await claim(inlet, id="other")).status_code == 409
    assert (await inlet.client.delete("/v1/claims/cam", headers=bearer(inlet))).status_code == 404


async def test_a_released_device_counts_no_more_and_counts_again_once_claimed_again(inlet: Inlet) -> None:
    await claim(inlet, id="cam")
    await until_known(inlet)
    await inlet.send(passage(1))
    await inlet.until_entries(1)
    released = await inlet.client.delete("/v1/claims/cam", headers=bearer(inlet))
    assert released.status_code == 204
    assert (await inlet.client.delete("/v1/claims/cam", headers=bearer(inlet))).status_code == 404
    async with asyncio.timeout(10):
        while inlet.door.registry.find(f"{inlet.name}-box", "S1") is not None:
            await asyncio.sleep(0.02)
    assert (await inlet.send(passage(2))).json()["quarantined"] == 1
    assert await inlet.entries() == 1
    [box] = (await seen(inlet))["unclaimed"]
    assert box["serial"] == "S1"
    await claim(inlet, id="cam")
    await inlet.until_entries(2)


async def test_without_the_bus_staff_are_asked_to_come_back(inlet: Inlet) -> None:
    bus, inlet.door.bus = inlet.door.bus, None
    for answer in (
        await inlet.client.get("/v1/devices", headers=bearer(inlet)),
        await claim(inlet),
        await inlet.client.delete("/v1/claims/cam", headers=bearer(inlet)),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    inlet.door.bus = bus


async def test_the_page_is_there_in_every_language_and_loads_nothing_from_elsewhere(inlet: Inlet) -> None:
    for language, words in DEVICE_WORDS.items():
        page = await inlet.client.get(f"/devices?lang={language}")
        assert page.status_code == 200
        assert f'<html lang="{language}">' in page.text
        assert words.page.title in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page.text)
    by_browser = await inlet.client.get("/devices", headers={"Accept-Language": "uk-UA,uk;q=0.9,en;q=0.5"})
    assert '<html lang="uk">' in by_browser.text
    assert '<html lang="en">' in (await inlet.client.get("/devices?lang=xx")).text


async def test_the_page_s_files_may_be_kept_for_ever_and_no_others_are_served(inlet: Inlet) -> None:
    page = (await inlet.client.get("/devices")).text
    paths = re.findall(r'(?:href|src)="(/staff/files/[0-9a-f]+/[a-z.-]+)"', page)
    assert {path.rpartition("/")[2] for path in paths} == {"icon.svg", "staff.css", "devices.css", "devices.js"}
    for path in paths:
        answer = await inlet.client.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    folder = paths[0].rpartition("/")[0]
    for missing in (f"{folder}/site.py", "/staff/files/0/staff.js"):
        assert (await inlet.client.get(missing)).status_code == 404
