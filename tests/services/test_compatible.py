"""The shapes of common occupancy services, read as their clients read them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.api.compatible_shapes import Asked, number_of
from services.api.problems import ProblemRaised
from services.api.routes.compatible import KINDS, QUESTIONS_MAX, asked
from tests.services.api_running import NOON, public
from tests.services.views_stage import STATES, Stage, configured, standing

PARIS = ZoneInfo("Europe/Paris")
SILENT = ("closed", "evacuated", "unknown", "expired")


async def body_of(path: str) -> Any:
    answer = await standing().get(f"/compatible{path}")
    assert answer.status_code == 200
    return answer.json()


# fillRate


@pytest.mark.parametrize(
    ("library", "progress", "state"),
    [
        ("many", 25, "open"),
        ("few", 88, "open"),
        ("full", 100, "open"),
        ("not-admitting", 88, "not_admitting"),
        ("closed", None, "closed"),
        ("evacuated", None, "closed"),
        ("unknown", None, "unknown"),
        ("expired", None, "unknown"),
    ],
)
async def test_a_client_of_fill_rates_reads_progress_and_state(library: str, progress: int | None, state: str) -> None:
    body = await body_of(f"/fillRate?token={library}&uuid=ignored&lang=en")
    assert body["progress"] == progress
    assert body["current_state"]["state"] == state
    assert body["current_state"]["localized_state"]
    assert bool(body["current_state"]["localized_closed"]) is (state in {"closed", "not_admitting"})
    assert body["previsions"] == {"value": [], "localized_forecasts": ""}
    assert [body[name] for name in ("site_id", "api_format", "critical_message")] == [None] * 3
    assert set(body["localized_strings"]) == {"info", "title", "app"}
    assert (await body_of(f"/fill-rate/{library}?lang=en")) == body


async def test_closed_until_another_day_is_closed_for_the_day() -> None:
    stage = Stage.full()
    closed = {**STATES["closed"], "next_change": NOON + timedelta(hours=20)}
    stage.put(public(library="closed", **closed))
    body = (await stage.get("/compatible/fillRate?token=closed")).json()
    assert body["current_state"]["state"] == "closed_for_the_day"


async def test_a_notice_is_a_critical_message() -> None:
    stage = Stage.full()
    stage.put(public(library="few", notice="Wifi en panne", notice_until=NOON + timedelta(hours=1)))
    body = (await stage.get("/compatible/fillRate?token=few")).json()
    assert body["critical_message"] == {
        "message_id": None,
        "message": "Wifi en panne",
        "url": "https://status.example/l/few",
        "expiration": "2026-03-02T14:00:00+01:00",
    }


# getdata.php


def unwrapped(text: str) -> Any:
    """Take the wrapping off as clients do it."""
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


async def test_a_client_of_seat_data_asks_two_questions_and_takes_the_wrapping_off() -> None:
    answer = await standing().get(
        "/compatible/getdata.php?callback=seats_1772456700&_=1772456700"
        "&location[0]=few,closed,nowhere&values[0]=seatestimate,manualcount&after[0]=-10800seconds&before[0]=now&limit[0]=-17"
        "&location[1]=few,closed,nowhere&values[1]=location&after[1]=&before[1]=now&limit[1]=1&refresh="
    )
    assert answer.status_code == 200
    # No script: a page could be made to run it.
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    figures, places = unwrapped(answer.text)
    assert figures["seatestimate"]["few"] == [
        {
            "timestamp": {"date": "2026-03-02 13:00:00.000000", "timezone_type": 3, "timezone": "Europe/Paris"},
            "location_name": "few",
            "occupied_seats": 105,
            "free_seats": 15,
        }
    ]
    assert figures["seatestimate"]["closed"] == []
    assert figures["manualcount"] == {"few": [], "closed": []}
    place = places["location"]["few"][0]
    assert (place["name"], place["long_name"], place["available_seats"]) == ("few", "Bibliothèque des Tilleuls", 120)
    assert place["geo_coordinates"] == "48.8607;2.3523"
    assert place["sub_locations"] == ["few/ground", "few/first"]
    week = place["opening_hours"]["weekly_opening_hours"]
    pattern = "%Y-%m-%d %H:%M:%S.%f"
    spans = [tuple(datetime.strptime(each["date"], pattern).replace(tzinfo=PARIS) for each in span) for span in week]
    assert len(spans) == 11
    assert all(opens < closes for opens, closes in spans)
    assert [f"{each:%a %H:%M}" for each in spans[-1]] == ["Sat 10:00", "Sun 02:00"]


async def test_the_week_is_another_one_from_the_librarys_own_midnight_on() -> None:
    stage = Stage()
    sunday = datetime(2026, 3, 8, 23, 30, tzinfo=PARIS)
    stage.wall.at = sunday
    stage.put(public(library="few", as_of=sunday, valid_until=sunday + timedelta(hours=2), **STATES["closed"]))
    stage.parts.profiles.put(configured("few"))

    async def week() -> str:
        (body,) = (await stage.get("/compatible/getdata.php?location=few&values=location")).json()
        return str(body["location"]["few"][0]["opening_hours"]["base_timestamp"]["date"])[:10]

    assert await week() == "2026-03-02"
    stage.wall.at += timedelta(hours=1)  # in UTC it is still Sunday
    assert await week() == "2026-03-09"


async def test_zones_are_locations_below_their_library() -> None:
    body = await body_of("/getdata.php?location=few/ground&values=seatestimate,location")
    assert list(body[0]["seatestimate"]) == ["few/ground"]
    record = body[0]["seatestimate"]["few/ground"][0]
    assert (record["occupied_seats"], record["free_seats"]) == (70, 0)
    place = body[0]["location"]["few/ground"][0]
    assert (place["super_location"], place["long_name"], place["available_seats"]) == ("few", "Rez-de-chaussée", 70)


async def test_more_people_than_seats_take_no_more_than_all_of_them() -> None:
    body = await body_of("/getdata.php?location=full&values=seatestimate")
    record = body[0]["seatestimate"]["full"][0]
    assert (record["occupied_seats"], record["free_seats"]) == (120, 0)


async def test_what_is_not_known_has_no_record_rather_than_zero() -> None:
    body = await body_of("/getdata.php?values=seatestimate")
    assert {name for name, records in body[0]["seatestimate"].items() if not records and "/" not in name} == set(SILENT)


async def test_hours_that_are_not_known_are_null() -> None:
    body = await body_of("/getdata.php?location=plain&values=location")
    place = body[0]["location"]["plain"][0]
    assert (place["opening_hours"], place["geo_coordinates"]) == (None, None)


async def test_a_day_that_is_open_throughout_ends_a_minute_before_midnight() -> None:
    stage = Stage.full()
    stage.parts.profiles.put(configured("few", opening_hours="24/7", exceptions=()))
    body = (await stage.get("/compatible/getdata.php?location=few&values=location")).json()
    week = body[0]["location"]["few"][0]["opening_hours"]["weekly_opening_hours"]
    assert [(span[0]["date"][11:16], span[1]["date"][11:16]) for span in week] == [("00:00", "23:59")] * 7


@pytest.mark.parametrize("name", ["alert(1)//", "a b", "<script>", "1a", "x" * 101, "a;b", ""])
async def test_a_callback_is_a_name_and_nothing_else(name: str) -> None:
    answer = await standing().get(f"/compatible/getdata.php?callback={name.replace('/', '%2F')}")
    assert answer.status_code == 422
    assert "alert" not in answer.text


@pytest.mark.parametrize(
    ("parameters", "questions"),
    [
        ([], [Asked((), KINDS)]),
        ([("location", "a,b"), ("values", "location")], [Asked(("a", "b"), ("location",))]),
        (
            [("location[]", "a"), ("location[]", "b, c"), ("values", "location"), ("sublocs", "1")],
            [Asked(("a",), ("location",)), Asked(("b", "c"), ("location",))],
        ),
        (
            [("values[1]", "location"), ("location[0]", "a"), ("values[0]", "wlanclients,seatestimate")],
            [Asked(("a",), ("seatestimate",)), Asked((), ("location",))],
        ),
        ([("location[x]", "a"), ("limit[0]", "-17")], [Asked((), KINDS)]),
    ],
)
def test_questions_are_read_as_such_clients_write_them(
    parameters: list[tuple[str, str]], questions: list[Asked]
) -> None:
    assert asked(parameters) == questions


def test_one_request_has_a_bounded_number_of_questions() -> None:
    with pytest.raises(ProblemRaised):
        asked([(f"location[{number}]", "a") for number in range(QUESTIONS_MAX + 1)])
    with pytest.raises(ProblemRaised):
        asked([("location", ",".join("a" * 300))])


# live


@pytest.mark.parametrize("library", STATES)
async def test_a_client_of_live_figures_reads_every_member(library: str) -> None:
    body = await body_of(f"/live/{library}?lang=en")
    (place,) = body["data"]
    parts = place["subLocs"] or []
    assert (place["subLocs"] is False) == (library == "plain")
    for each in (place, *parts):
        assert isinstance(each["name"], str)
        assert 0 <= each["id"] < 2**31
        assert isinstance(each["hourSummary"], str)
        assert isinstance(each["capacity"], int)
        figures = [each[name] for name in ("busyness", "people", "percentage")]
        if each["isAvailable"]:
            assert all(figure is not None for figure in figures)
            assert 0 <= each["busyness"] <= 100
            assert 0 <= each["percentage"] <= 1
        else:
            assert figures == [None] * 3
    assert place["isAvailable"] is (library not in SILENT)
    assert all(part["subLocHtml"]["summary"] for part in parts)
    assert place["locHtml"]["summary"]
    if place["bestLocations"]:
        assert place["bestLocations"][0]["id"] in {part["id"] for part in parts}


async def test_open_is_whether_one_gets_in_and_null_where_nobody_knows() -> None:
    body = await body_of("/live?limit=100")
    assert {each["abbreviation"]: each["isOpen"] for each in body["data"]} == {
        "many": True,
        "few": True,
        "full": True,
        "plain": True,
        "not-admitting": False,
        "closed": False,
        "evacuated": False,
        "unknown": None,
        "expired": None,
    }


async def test_the_emptiest_zone_is_the_best() -> None:
    (place,) = (await body_of("/live/few"))["data"]
    assert [each["abbreviation"] for each in place["bestLocations"]] == ["first", "ground"]
    assert place["id"] == number_of("few")


async def test_words_are_safe_to_put_into_a_page() -> None:
    stage = Stage.full()
    stage.put(public(library="few", name="<b>&"))
    (place,) = (await stage.get("/compatible/live/few?lang=en")).json()["data"]
    assert place["locHtml"]["summary"] == "Few seats left (88%)"
    assert place["name"] == "<b>&"


# What they share


@pytest.mark.parametrize(
    "path", ["/fillRate?token=few", "/fill-rate/few", "/getdata.php?location=few", "/live/few", "/live"]
)
async def test_a_shape_is_kept_as_long_as_the_status(path: str) -> None:
    stage = Stage.full()
    answer = await stage.get(f"/compatible{path}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=15"
    assert answer.headers["access-control-allow-origin"] == "*"
    again = await stage.get(f"/compatible{path}", {"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    stage.wall.at = NOON + timedelta(minutes=11)
    assert "105" not in (await stage.get(f"/compatible{path}")).text


@pytest.mark.parametrize("path", ["/fillRate?token=nowhere", "/fill-rate/nowhere", "/live/nowhere"])
async def test_there_is_no_shape_of_a_library_that_is_not_there(path: str) -> None:
    assert (await standing().get(f"/compatible{path}")).status_code == 404
