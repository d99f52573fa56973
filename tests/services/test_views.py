"""The status in the words of other systems, each held against what its specification says."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from google.transit import gtfs_realtime_pb2
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.documents import Documents
from services.api.freshness import fresh_form
from services.api.linked_data import linked_data
from services.api.occupancy_words import OccupancyStatus, occupancy
from services.api.problems import ProblemRaised
from services.api.profiles import Profile
from services.api.space_api import missing_keys, space
from services.api.tables import LIBRARY_COLUMNS, ZONE_COLUMNS, Separator, table
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.status import ZoneStatus
from shared.runtime.bus import Bus
from tests.services.api_running import NOON, Wall, eventually, public, running_api
from tests.services.views_stage import STATES, Stage, configured, standing

CONFIGURED = [each for each in STATES if each != "plain"]
SILENT = ("closed", "evacuated", "unknown", "expired")
"""Where there is no figure to tell."""


async def body_of(path: str) -> Any:
    answer = await standing().get(path)
    assert answer.status_code == 200
    return answer.json()


# What all of them share


@pytest.mark.parametrize("view", ["spaceapi.json", "schema.json", "occupancy.json", "zones.csv", "hours"])
async def test_a_view_is_kept_as_long_as_the_status_and_asked_for_again_by_its_etag(view: str) -> None:
    stage = Stage.full()
    answer = await stage.get(f"/libraries/few/{view}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=15"
    assert answer.headers["access-control-allow-origin"] == "*"
    again = await stage.get(f"/libraries/few/{view}", {"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    stage.wall.at = NOON + timedelta(minutes=9, seconds=53)
    assert (await stage.get(f"/libraries/few/{view}")).headers["cache-control"] == "public, max-age=7"
    stage.wall.at = NOON + timedelta(minutes=11)
    expired = await stage.get(f"/libraries/few/{view}")
    assert expired.headers["cache-control"] == ("public, max-age=15" if view == "hours" else "no-cache")
    assert expired.headers["etag"] != answer.headers["etag"]


@pytest.mark.parametrize("view", ["spaceapi.json", "schema.json", "occupancy.json", "zones.csv", "hours", "hours.ics"])
async def test_there_is_no_view_of_a_library_that_is_not_there(view: str) -> None:
    answer = await standing().get(f"/libraries/nowhere/{view}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-library")


# SpaceAPI


@pytest.mark.parametrize("library", CONFIGURED)
@pytest.mark.parametrize("language", CATALOGS)
async def test_a_space_has_what_both_versions_want_of_it(library: str, language: str) -> None:
    body = await body_of(f"/libraries/{library}/spaceapi.json?lang={language}")
    assert body["api_compatibility"] == ["14", "15"]
    for name in ("space", "logo", "url"):
        assert isinstance(body[name], str)
        assert body[name]
    assert body["location"] == {
        "lat": 48.8607,
        "lon": 2.3523,
        "timezone": "Europe/Paris",
        "address": "1 rue des Tilleuls, 75001 Paris",
        "country_code": "FR",
    }
    assert body["contact"] == {
        "email": "library@tilleuls.example",
        "phone": "+33 1 44 00 00 00",
        "mastodon": "@tilleuls@social.example",
    }
    assert set(body["state"]) <= {"open", "lastchange", "message"}
    assert isinstance(body["state"]["message"], str)
    assert isinstance(body["state"].get("open", False), bool)
    assert isinstance(body["state"].get("lastchange", 0), int)
    assert all(set(feed) == {"type", "url"} for feed in body["feeds"].values())
    assert all(set(link) >= {"name", "url"} for link in body["links"])
    for sensor in body.get("sensors", {}).get("people_now_present", []):
        assert isinstance(sensor["value"], int)
    # Everything else of the document begins with what the specification leaves to others.
    known = {"api_compatibility", "space", "logo", "url", "location", "contact", "state", "feeds", "links", "sensors"}
    assert all(name.startswith("ext_") for name in set(body) - known)


async def test_open_is_whether_one_gets_in_and_left_out_where_nobody_knows() -> None:
    stage = Stage.full()
    said = {
        library: (await stage.get(f"/libraries/{library}/spaceapi.json")).json()["state"].get("open")
        for library in CONFIGURED
    }
    assert said == {
        "many": True,
        "few": True,
        "full": True,
        "not-admitting": False,
        "closed": False,
        "evacuated": False,
        "unknown": None,
        "expired": None,
    }


@pytest.mark.parametrize("library", SILENT)
async def test_where_there_is_no_figure_there_is_no_sensor(library: str) -> None:
    body = await body_of(f"/libraries/{library}/spaceapi.json")
    assert "sensors" not in body
    assert [body["ext_placelibre"][name] for name in ("free_seats", "queue", "wait_min")] == [None] * 3
    assert all(zone["people"] is None for zone in body["ext_placelibre"]["zones"])


async def test_few_people_are_told_with_how_many_they_may_be() -> None:
    stage = Stage()
    stage.parts.profiles.put(configured("few"))
    few = Estimate(4, 0, 4, below=5)
    stage.put(public(library="few", people=few, zones=(ZoneStatus("ground", "", 70, Level.MANY_SEATS, few),)))
    body = (await stage.get("/libraries/few/spaceapi.json?lang=en")).json()
    assert body["sensors"]["people_now_present"][0]["description"] == "between 0 and 4"
    (zone,) = body["ext_placelibre"]["zones"]
    assert (zone["people"], zone["people_low"], zone["people_high"], zone["people_below"]) == (4, 0, 4, 5)


async def test_the_sensor_counts_everybody_once() -> None:
    body = await body_of("/libraries/few/spaceapi.json?lang=en")
    assert body["sensors"]["people_now_present"] == [
        {"value": 105, "description": "between 101 and 109", "lastchange": int(NOON.timestamp())}
    ]
    assert body["state"]["lastchange"] == int(NOON.timestamp()) - 4 * 3600  # it opened at nine


async def test_since_when_it_is_shut_or_silent_is_said_where_staff_or_a_fault_tell() -> None:
    stage = Stage.full()
    said = {
        each: (await stage.get(f"/libraries/{each}/spaceapi.json")).json()["state"]["lastchange"]
        for each in ("evacuated", "unknown")
    }
    noon = int(NOON.timestamp())
    assert said == {"evacuated": noon - 20 * 60, "unknown": noon - 30 * 60}


async def test_a_logo_can_be_fetched() -> None:
    stage = Stage.full()
    logo = (await stage.get("/libraries/few/spaceapi.json")).json()["logo"]
    assert (await stage.client.get(logo)).headers["content-type"].startswith("image/")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"location": None}, ["location"]),
        ({"contact": None, "channels": ()}, ["contact"]),
        (
            {"contact": {"website": "https://tilleuls.example"}, "channels": (), "location": None},
            ["location", "contact"],
        ),
        ({"contact": None}, []),
    ],
)
async def test_a_configuration_that_says_too_little_is_told_which_keys_are_missing(
    changes: dict[str, object], missing: list[str]
) -> None:
    stage = Stage.full()
    stage.parts.profiles.put(configured("few", **changes))
    answer = await stage.get("/libraries/few/spaceapi.json")
    assert answer.status_code == (404 if missing else 200)
    if missing:
        assert answer.json()["type"] == "/problems/profile-incomplete"
        assert [each["where"] for each in answer.json()["errors"]] == missing
        with pytest.raises(ValueError, match="SpaceAPI"):
            space(Profile.of(configured("few", **changes)), fresh_form(public()), "fr", "https://x.example", "/logo")
    assert missing_keys(Profile.of(configured("few", **changes))) == missing


async def test_a_library_without_a_profile_is_not_a_space_yet() -> None:
    answer = await standing().get("/libraries/plain/spaceapi.json")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-profile")


# schema.org

TERMS = {
    "Library": {
        "name",
        "url",
        "image",
        "maximumAttendeeCapacity",
        "telephone",
        "email",
        "sameAs",
        "address",
        "geo",
        "openingHoursSpecification",
        "specialOpeningHoursSpecification",
        "additionalProperty",
        "description",
    },
    "PostalAddress": {"streetAddress", "postalCode", "addressLocality", "addressCountry"},
    "GeoCoordinates": {"latitude", "longitude"},
    "OpeningHoursSpecification": {"dayOfWeek", "opens", "closes", "validFrom", "validThrough", "description"},
    "LocationFeatureSpecification": {
        "propertyID",
        "name",
        "value",
        "minValue",
        "maxValue",
        "unitCode",
        "validFrom",
        "validThrough",
    },
}
"""The properties that schema.org 30 has for each of these types."""


def nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [node for each in value for node in nodes(each)]
    if isinstance(value, dict):
        return [value, *(node for each in value.values() for node in nodes(each))]
    return []


@pytest.mark.parametrize("library", STATES)
async def test_every_property_is_one_that_schema_org_has_for_its_type(library: str) -> None:
    answer = await standing().get(f"/libraries/{library}/schema.json")
    assert answer.headers["content-type"] == "application/ld+json"
    body = answer.json()
    assert (body["@context"], body["@type"]) == ("https://schema.org", "Library")
    for node in nodes(body):
        assert {name for name in node if not name.startswith("@")} <= TERMS[node["@type"]]
        assert "" not in node.values()
        assert None not in node.values()
    for node in body.get("openingHoursSpecification", []):
        assert re.fullmatch(r"\d\d:\d\d", node["opens"])
        assert re.fullmatch(r"\d\d:\d\d", node["closes"])


async def test_the_week_and_its_exceptions_are_told() -> None:
    body = await body_of("/libraries/few/schema.json")
    assert [(each["dayOfWeek"][0], each["opens"], each["closes"]) for each in body["openingHoursSpecification"]] == [
        ("Monday", "09:00", "12:30"),
        ("Monday", "13:30", "18:00"),
        ("Saturday", "10:00", "02:00"),
    ]
    special = {each["validFrom"]: each for each in body["specialOpeningHoursSpecification"]}
    assert special["2026-03-10"]["opens"] == "10:00"
    assert special["2026-12-24"] == {
        "@type": "OpeningHoursSpecification",
        "validFrom": "2026-12-24",
        "validThrough": "2026-12-31",
        "opens": "00:00",
        "closes": "00:00",
        "description": "Fêtes",
    }


async def test_figures_of_this_moment_say_until_when_they_hold() -> None:
    stage = Stage.full()
    for library in STATES:
        told = (await stage.get(f"/libraries/{library}/schema.json")).json().get("additionalProperty", [])
        assert all((each["validFrom"], each["validThrough"]) < (each["validThrough"], "9") for each in told)
        assert bool(told) == (library not in SILENT)


def test_what_is_open_all_day_is_not_written_as_closed() -> None:
    profile = Profile.of(configured("few", opening_hours="24/7", exceptions=()))
    told = linked_data(profile, fresh_form(public()), "https://status.example")["openingHoursSpecification"]
    assert [(len(each["dayOfWeek"]), each["opens"], each["closes"]) for each in told] == [(7, "00:00", "23:59")]


@pytest.mark.parametrize("clock", [ClockKind.SIMULATED, ClockKind.RECORDED])
def test_search_engines_get_no_figures_of_days_that_are_not_now(clock: ClockKind) -> None:
    told = linked_data(None, fresh_form(public(clock=clock)), "https://status.example", language="en")
    assert "additionalProperty" not in told
    assert told["description"]


# GTFS-realtime


@pytest.mark.parametrize(
    ("library", "word", "percentage"),
    [
        ("many", "MANY_SEATS_AVAILABLE", 25),
        ("few", "FEW_SEATS_AVAILABLE", 88),
        ("full", "FULL", 104),
        ("not-admitting", "NOT_ACCEPTING_PASSENGERS", 88),
        ("closed", "NOT_ACCEPTING_PASSENGERS", None),
        ("evacuated", "NOT_ACCEPTING_PASSENGERS", None),
        ("unknown", "NO_DATA_AVAILABLE", None),
        ("expired", "NO_DATA_AVAILABLE", None),
        ("plain", "FEW_SEATS_AVAILABLE", 88),
    ],
)
async def test_each_state_has_its_word(library: str, word: str, percentage: int | None) -> None:
    body = await body_of(f"/libraries/{library}/occupancy.json")
    assert (body["occupancy_status"], body["occupancy_percentage"]) == (word, percentage)
    assert body["expired"] is (library == "expired")
    # As a consumer takes it: the reference's own messages accept every one of them.
    vehicle = gtfs_realtime_pb2.VehiclePosition()
    vehicle.timestamp = body["timestamp"]
    for node in (body, *body["zones"]):
        vehicle.occupancy_status = vehicle.OccupancyStatus.Value(node["occupancy_status"])
        if node["occupancy_percentage"] is not None:
            vehicle.occupancy_percentage = node["occupancy_percentage"]


def test_every_word_is_one_of_the_reference_s() -> None:
    assert {each.value for each in OccupancyStatus} <= set(gtfs_realtime_pb2.VehiclePosition.OccupancyStatus.keys())


async def test_zones_have_words_of_their_own() -> None:
    body = await body_of("/libraries/few/occupancy.json")
    assert [(each["id"], each["occupancy_status"], each["occupancy_percentage"]) for each in body["zones"]] == [
        ("ground", "FULL", 100),
        ("first", "MANY_SEATS_AVAILABLE", 70),
    ]
    shut = await body_of("/libraries/closed/occupancy.json")
    assert [each["occupancy_status"] for each in shut["zones"]] == ["NOT_ACCEPTING_PASSENGERS"]


async def test_all_libraries_come_in_pages() -> None:
    stage = Stage.full()
    names: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await stage.get(f"/occupancy.json?limit=4&after={after}")).json()
        names += [each["library"] for each in page["libraries"]]
        after = page["next"]
    assert names == sorted(STATES)


# Tables


def rows(content: bytes, delimiter: str = ";") -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


async def test_a_french_spreadsheet_opens_the_table_by_a_double_click() -> None:
    answer = await standing().get("/libraries.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="libraries.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbflibrary;name;")
    assert answer.content.endswith(b"\r\n")
    assert answer.content.count(b"\n") == answer.content.count(b"\r\n") == 1 + len(STATES)
    found = {each["library"]: each for each in rows(answer.content)}
    assert found["few"]["free_seats"] == "15"
    assert found["few"]["as_of"] == "2026-03-02T13:00:00+01:00"
    assert found["few"]["hours_today"] == "09:00-20:00"
    assert found["expired"]["expired"] == "true"
    for silent in SILENT:
        assert [found[silent][name] for name in ("people", "free_seats", "percent", "wait_min", "level")] == [""] * 5


@pytest.mark.parametrize(("name", "delimiter"), [("comma", ","), ("semicolon", ";"), ("tab", "\t")])
async def test_others_choose_what_stands_between_cells_and_whether_there_is_a_mark(name: str, delimiter: str) -> None:
    answer = await standing().get(f"/libraries.csv?sep={name}&bom=false&lang=en")
    assert answer.content.startswith(f"library{delimiter}name{delimiter}".encode())
    found = {each["library"]: each for each in rows(answer.content, delimiter)}
    assert "few seats left" in found["few"]["sentence"]
    assert len(found) == len(STATES)


async def test_a_table_that_is_cut_says_where_the_rest_is() -> None:
    stage = Stage.full()
    names: list[str] = []
    address = "/libraries.csv?limit=4"
    while address:
        answer = await stage.get(address)
        names += [each["library"] for each in rows(answer.content)]
        link = re.search(r"<https://status\.example/v1(\S+)>; rel=\"next\"", answer.headers.get("link", ""))
        address = link[1] if link else ""
    assert names == sorted(STATES)


async def test_zones_have_a_table_of_their_own() -> None:
    stage = Stage.full()
    found = rows((await stage.get("/libraries/few/zones.csv")).content)
    assert [(each["zone"], each["level"], each["free_seats"]) for each in found] == [
        ("ground", "full", "0"),
        ("first", "many_seats", "15"),
    ]
    answer = await stage.get("/libraries/plain/zones.csv?bom=false")
    assert answer.text == ";".join(ZONE_COLUMNS) + "\r\n"
    unknown = rows((await stage.get("/libraries/unknown/zones.csv")).content)
    assert [(each["people"], each["free_seats"], each["level"]) for each in unknown] == [("", "", "")]


@pytest.mark.parametrize(
    "text", ["=1+1", "+33", "-2", "@SUM(A1)", "  =1", "\t=1", "\r\n=1", "\uff1d1", '=HYPERLINK("x")']
)
async def test_no_cell_is_a_formula(text: str) -> None:
    stage = Stage.full()
    stage.put(public(library="few", name=text, notice=text, notice_until=NOON + timedelta(hours=1)))
    found = {each["library"]: each for each in rows((await stage.get("/libraries.csv")).content)}["few"]
    assert found["name"].startswith("'")
    assert found["notice"].startswith("'")


@given(
    cells=st.lists(st.lists(st.one_of(st.none(), st.text(), st.integers(), st.booleans()), min_size=2, max_size=2)),
    separator=st.sampled_from(Separator),
    has_bom=st.booleans(),
)
def test_a_table_reads_back_with_as_many_rows_and_cells_as_it_has(
    cells: list[list[str | int | bool | None]], separator: Separator, *, has_bom: bool
) -> None:
    content = table(["a", "b"], cells, separator, has_bom=has_bom)
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t"}[separator]
    read = list(csv.reader(StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    assert [len(row) for row in read] == [2] * (len(cells) + 1)
    assert not [cell for row in read[1:] for cell in row if cell.lstrip().startswith(("=", "+", "@"))]


def test_the_headings_are_names_of_a_status_where_it_has_one() -> None:
    known = set(PublicStatus.model_fields)
    of_our_own = {"expired", "people_low", "people_high", "wait_min", "wait_low_min", "wait_high_min", "sentence"}
    assert set(LIBRARY_COLUMNS) - known == of_our_own


async def test_the_description_names_every_view_with_an_example() -> None:
    stage = Stage.full()
    paths = (await stage.client.get("/openapi.json")).json()["paths"]
    for path in (
        "/v1/libraries.csv",
        "/v1/occupancy.json",
        "/v1/libraries/{library}/hours",
        "/v1/libraries/{library}/hours.ics",
        "/v1/libraries/{library}/occupancy.json",
        "/v1/libraries/{library}/schema.json",
        "/v1/libraries/{library}/spaceapi.json",
        "/v1/libraries/{library}/zones.csv",
    ):
        described = paths[path]["get"]
        assert described["summary"]
        assert any("example" in content for content in described["responses"]["200"]["content"].values())
        assert json.dumps(described)


async def test_a_crowd_is_told_to_come_back() -> None:
    documents = Documents(1, waiting_max=0)
    with pytest.raises(ProblemRaised, match="documents-busy"):
        await documents.get("key", lambda: b"")
    assert (await Documents(1).get("key", lambda: b"written")).body == b"written"


async def test_what_the_operator_applies_is_what_the_views_tell(operator: Bus, bus_server: BusServer) -> None:
    await operator.bucket(subjects.STATUS).put("few", public(library="few").model_dump_json().encode())
    config = configured("few")
    await operator.bucket(subjects.LIBRARIES).put("few", config.model_dump_json(by_alias=True).encode())
    async with running_api(bus_server, Wall()) as api, httpx.AsyncClient(base_url=api.url) as client:
        await eventually(lambda: api.parts.profiles.get("few") is not None)
        space_api = (await client.get("/v1/libraries/few/spaceapi.json")).json()
        assert space_api["location"]["lat"] == 48.8607
        assert space_api["feeds"]["calendar"]["url"].startswith(api.url)
        told = await client.get("/v1/libraries/few/hours.ics")
        assert told.text.startswith("BEGIN:VCALENDAR\r\n")
        head = await client.head("/v1/libraries.csv")
        assert (head.status_code, head.content) == (200, b"")
        await operator.bucket(subjects.LIBRARIES).delete("few")
        await eventually(lambda: api.parts.profiles.get("few") is None)
        assert (await client.get("/v1/libraries/few/hours")).status_code == 503


def test_no_seat_left_is_full_in_every_word_for_it() -> None:
    none_left = fresh_form(public(level=Level.FEW_SEATS, people=Estimate(120, 110, 130)))
    assert occupancy(none_left).occupancy_status is OccupancyStatus.FULL
