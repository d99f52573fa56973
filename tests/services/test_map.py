"""The map: what is on it, where, and how one gets nearer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.pages.cartography import (
    TOGETHER,
    UNITS,
    ZOOM_MAX,
    Spot,
    View,
    ground,
    groups,
    scale_of,
    view_at,
    view_of,
)
from shared.contracts import subjects
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.places import PLACE_WORDS
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.stage import NAMES, configurations, statuses
from tests.services.api_running import eventually, running_api

LATS = st.floats(-84.9, 84.9)
LONS = st.floats(-180, 180)
SPOTS = st.builds(Spot.of, LATS, LONS)
SHARES = st.floats(0, 1)


@given(LATS, LONS)
def test_a_spot_says_where_it_is(lat: float, lon: float) -> None:
    assert Spot.of(lat, lon).lat_lon == pytest.approx((lat, lon), abs=1e-9)


@given(st.lists(SPOTS, min_size=1, max_size=20))
def test_the_whole_map_shows_every_library(spots: list[Spot]) -> None:
    view = view_of(spots)
    # Who asks for the world from pole to pole sees its middle: the map is wider than it is high.
    assert view.zoom == 0 or all(view.shows(spot) for spot in spots)


@given(SPOTS, st.integers(-3, 30), st.floats(-2, 2), st.floats(-2, 2), st.integers(-5, 5))
def test_a_view_stays_within_the_world_and_its_zooms(
    spot: Spot, zoom: int, across: float, down: float, closer: int
) -> None:
    view = view_at(spot, zoom).moved(across, down, closer)
    assert 0 <= view.middle.x <= 1
    assert 0 <= view.middle.y <= 1
    assert 0 <= view.zoom <= ZOOM_MAX


@given(st.lists(st.tuples(SHARES, SHARES), max_size=60))
def test_every_dot_is_in_one_group_and_the_first_of_groups_are_apart(places: list[tuple[float, float]]) -> None:
    found = groups(places)
    assert sorted(number for group in found for number in group) == list(range(len(places)))
    firsts = [places[group[0]] for group in found]
    for place in range(len(firsts)):
        for other in range(place):
            (across, down), (there, below) = firsts[place], firsts[other]
            assert ((across - there) ** 2 + ((down - below) * 3 / 4) ** 2) ** 0.5 >= TOGETHER


@pytest.mark.parametrize("zoom", [0, 4, 9, 15])
def test_the_scale_is_a_round_length(zoom: int) -> None:
    km, share = scale_of(view_at(Spot.of(48.86, 2.35), zoom))
    assert f"{km:e}"[0] in "125"
    assert 0.1 <= share <= 0.3


@pytest.mark.parametrize(
    "view", [view_at(Spot(0.5, 0.4), 0), view_at(Spot.of(59, 10), 5), view_at(Spot.of(0, -140), 9)]
)
def test_the_ground_stays_in_its_frame(view: View) -> None:
    drawn = ground(view)
    points = [int(each) for each in re.findall(r"-?\d+", drawn.land)]
    assert all(-0.03 * UNITS <= each <= 1.03 * UNITS for each in points)
    assert bool(points) == (view.zoom < 9)  # the Pacific has no land


@pytest.fixture
async def client(operator: Bus, bus_server: BusServer) -> AsyncIterator[httpx.AsyncClient]:
    for config in configurations():
        placed = config.model_copy(update={"location": None}) if config.id == "unknown" else config
        await operator.bucket(subjects.LIBRARIES).put(config.id, placed.model_dump_json(by_alias=True).encode())
    for status in statuses(now()):
        await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())
    async with (
        running_api(bus_server, now) as api,
        httpx.AsyncClient(base_url=api.url, trust_env=False) as client,
    ):
        await eventually(lambda: len(api.parts.profiles.all()) == len(NAMES))
        await eventually(lambda: len(api.parts.projection) == len(NAMES))
        yield client


async def test_the_map_shows_who_is_near_as_one_and_lists_everybody(client: httpx.AsyncClient) -> None:
    words = PLACE_WORDS["en"]
    whole = (await client.get("/map?lang=en")).text
    assert words.together(5).format(count=5) in whole  # Paris, from far away
    for name in ("Nord", "Водою", "Water"):
        assert (name in whole) == (name != "Водою")
    assert words.not_on_the_map in whole
    # How many are there together is no number of free seats, and has no state.
    assert '<text y="5">\u00d7\u20095</text>' in whole
    assert 'class="dot many-here"' in whole
    assert "openstreetmap.org/#map=" not in whole
    town = (await client.get("/map?lang=en&at=48.86,2.35&zoom=12")).text
    assert re.search(r'href="https://www\.openstreetmap\.org/#map=13/48\.8\d+/2\.3\d+" rel="noreferrer"', town)
    assert f">{words.whole}</a>" in town
    around = (await client.get("/map?lang=en&at=48.866,2.352&zoom=12")).text
    assert around.count('class="dot ') == 5
    assert "Nord" not in around
    assert 'href="/l/full?lang=en"' in around
    assert CATALOGS["en"].headline_not_admitting in around


async def test_every_way_to_move_the_map_leads_to_another_view(client: httpx.AsyncClient) -> None:
    page = (await client.get("/map?lang=fr&at=48.866,2.352&zoom=12")).text
    links = re.findall(r'class="control (\w+)" href="([^"]+)"', page)
    assert [name for name, _ in links] == ["in", "out", "north", "south", "west", "east", "whole"]
    seen = [page]
    for _, href in links:
        answer = await client.get(href.replace("&amp;", "&"))
        assert answer.status_code == 200
        seen.append(re.sub(r"data-version.*", "", answer.text))
    assert all(one != other for one, other in pairwise(sorted(seen)))


@pytest.mark.parametrize("at", ["north", "91,2", "1,2,3", "48.8", "nan,2", "1e400,2"])
async def test_a_place_that_is_none_is_refused_by_name(client: httpx.AsyncClient, at: str) -> None:
    answer = await client.get("/map", params={"at": at}, headers={"Accept": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"where": "query.at", "reason": "is no latitude,longitude"}]


async def cards(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(f"/?lang=en&{query}")
    assert answer.status_code == 200
    return re.findall(r'class="card" data-library="(\w+)"', answer.text)


async def test_the_list_is_searched_without_marks_and_by_address(client: httpx.AsyncClient) -> None:
    assert await cards(client, "q=mediatheque") == ["few"]
    assert await cards(client, "q=ЛЕСІ") == ["unknown"]
    assert await cards(client, "q=canal+marche") == ["few"]
    assert await cards(client, "q=nowhere") == []


async def test_the_list_can_be_narrowed_and_ordered(client: httpx.AsyncClient) -> None:
    assert await cards(client, "seats=1&order=seats") == ["simulated", "many", "few"]
    # Who admits nobody has no seat to offer, whatever is free inside.
    by_seats = await cards(client, "order=seats")
    assert by_seats[:4] == ["simulated", "many", "few", "full"]  # none of the others has a figure
    assert (await cards(client, "order=name"))[0] == "shut"
    near = await cards(client, "near=59.9,10.7")
    assert near[:2] == ["closed", "expired"]
    page = (await client.get("/?lang=fr&near=48.85,2.34")).text
    assert re.search(r"à 0,\d\skm", page)
    wrong = await client.get("/?order=size", headers={"Accept": "application/json"})
    assert wrong.status_code == 422
    wrong = await client.get("/?near=here", headers={"Accept": "application/json"})
    assert wrong.json()["errors"][0]["where"] == "query.near"


def test_the_words_are_there_in_every_language() -> None:
    assert set(PLACE_WORDS) == set(CATALOGS)
    for words in PLACE_WORDS.values():
        for count in (0, 1, 2, 5, 21):
            assert words.map_of(count).format(count=count)
            assert str(count) in words.together(count).format(count=count)
