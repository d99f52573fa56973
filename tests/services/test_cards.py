"""The routes of cards and badges: the status as it may be said now, cached no longer than it holds."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest

from cli.bus_server import BusServer
from services.api.pictures import Pictures
from shared.contracts import subjects
from shared.domain.catalog import CATALOGS
from shared.runtime.bus import Bus
from shared.runtime.card import card_alt, card_png, card_svg
from tests.services.api_running import NOON, USUAL, RunningApi, Wall, eventually, public, running_api

KINDS = {
    "card.svg": "image/svg+xml",
    "card.png": "image/png",
    "badge.svg": "image/svg+xml",
    "badge.json": "application/json",
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer, wall: Wall) -> AsyncIterator[RunningApi]:
    await put(operator)
    async with running_api(bus_server, wall) as running:
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


async def put(operator: Bus, **changes: object) -> None:
    await operator.bucket(subjects.STATUS).put("tilleuls", public(**changes).model_dump_json().encode())


def words(svg: str) -> str:
    return " ".join(each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text"))


async def test_each_picture_is_that_of_the_status(client: httpx.AsyncClient) -> None:
    for kind, media_type in KINDS.items():
        answer = await client.get(f"/v1/libraries/tilleuls/{kind}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)
        assert answer.headers["content-language"] == "fr"
        assert answer.headers["cache-control"] == "public, max-age=15"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await client.get("/v1/libraries/tilleuls/card.svg")).text == card_svg(USUAL, "fr")
    assert (await client.get("/v1/libraries/tilleuls/card.png")).content == card_png(USUAL, "fr")
    assert (await client.get("/v1/libraries/tilleuls/badge.json")).json()["message"] == "Peu de places · 13:00"


@pytest.mark.parametrize("language", CATALOGS)
async def test_each_language_has_its_words(client: httpx.AsyncClient, language: str) -> None:
    answer = await client.get("/v1/libraries/tilleuls/card.svg", params={"lang": language})
    assert answer.headers["content-language"] == language
    assert CATALOGS[language].headline_few in words(answer.text)


async def test_a_language_that_there_is_not_gives_the_library_s_first(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/libraries/tilleuls/badge.svg", params={"lang": "tlh"})
    assert answer.headers["content-language"] == "fr"
    long = await client.get("/v1/libraries/tilleuls/badge.svg", params={"lang": "x" * 99})
    assert (long.status_code, long.json()["type"]) == (422, "/problems/invalid-request")


@pytest.mark.parametrize("kind", KINDS)
async def test_who_has_the_picture_is_told_so_until_it_changes(
    client: httpx.AsyncClient, api: RunningApi, operator: Bus, kind: str
) -> None:
    path = f"/v1/libraries/tilleuls/{kind}"
    tag = (await client.get(path)).headers["etag"]
    again = await client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await put(operator, revision=2, as_of=NOON + timedelta(minutes=1))
    await api.seen("tilleuls", 2)
    changed = await client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    head = await client.head(path)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("kind", KINDS)
async def test_there_is_no_picture_of_no_library(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.get(f"/v1/libraries/nowhere/{kind}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/unknown-library"


async def test_past_its_validity_a_picture_has_no_figure(client: httpx.AsyncClient, wall: Wall) -> None:
    wall.at = NOON + timedelta(minutes=9, seconds=57)
    assert (await client.get("/v1/libraries/tilleuls/card.svg")).headers["cache-control"] == "public, max-age=3"
    wall.at = NOON + timedelta(minutes=11)
    answer = await client.get("/v1/libraries/tilleuls/card.svg")
    assert answer.headers["cache-control"] == "no-cache"
    assert CATALOGS["fr"].headline_unknown in words(answer.text)
    assert "15" not in words(answer.text).split()
    assert "%" not in words(answer.text)
    assert (await client.get("/v1/libraries/tilleuls/badge.json")).json()["isError"] is True


async def test_the_page_names_its_card_for_previews(client: httpx.AsyncClient, api: RunningApi) -> None:
    page = (await client.get("/l/tilleuls?lang=en")).text
    address = f"{api.url}/v1/libraries/tilleuls/card.png?lang=en"
    assert f'<meta property="og:image" content="{address}">' in page
    assert f'<meta property="og:image:alt" content="{card_alt(USUAL, "en")}">' in page
    assert '<meta name="twitter:card" content="summary_large_image">' in page
    assert (await client.get(address)).headers["content-type"] == "image/png"
    elsewhere = (await client.get("/l/tilleuls?lang=en", headers={"Host": "seats.example"})).text
    assert "http://seats.example/v1/libraries/tilleuls/card.png?lang=en" in elsewhere
    assert "og:image" not in (await client.get("/l/tilleuls?lang=en&fragment=1")).text


async def test_the_description_names_the_pictures(client: httpx.AsyncClient) -> None:
    paths = json.loads((await client.get("/openapi.json")).text)["paths"]
    for kind, media_type in KINDS.items():
        content = paths[f"/v1/libraries/{{library}}/{kind}"]["get"]["responses"]["200"]["content"]
        assert media_type in content


# Drawing


async def test_a_picture_asked_for_by_many_is_drawn_once_and_off_the_loop() -> None:
    pictures, drawn = Pictures(), []
    begun, may_end = threading.Event(), threading.Event()

    def draw() -> bytes:
        drawn.append(threading.current_thread())
        begun.set()
        may_end.wait(10)
        return b"a picture"

    asking = [asyncio.create_task(pictures.get("one", draw)) for _ in range(20)]
    await eventually(begun.is_set)
    asking[0].cancel()
    may_end.set()
    answers = await asyncio.gather(*asking[1:])
    assert {answer.body for answer in answers} == {b"a picture"}
    assert len(drawn) == 1
    assert drawn[0] is not threading.main_thread()
    await pictures.get("one", draw)
    assert len(drawn) == 1


async def test_only_so_many_pictures_are_kept_and_a_failure_is_not() -> None:
    pictures, drawn = Pictures(kept_max=2), []

    def draw(name: str) -> bytes:
        drawn.append(name)
        if name == "broken":
            raise ValueError(name)
        return name.encode()

    for name in ("a", "b", "a", "c", "a", "b"):
        await pictures.get(name, lambda name=name: draw(name))  # type: ignore[misc]  # mypy knows no such default
    assert drawn == ["a", "b", "c", "b"]
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await pictures.get("broken", lambda: draw("broken"))
    assert drawn.count("broken") == 2
