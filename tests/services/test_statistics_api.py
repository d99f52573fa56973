"""Statistics as JSON, as CSV and as a page: what is unknown stays unknown, what is estimated says so."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from cli.bus_access import BusAddress
from cli.bus_server import BusServer
from cli.simulated_past import fill_past
from cli.simulation.past import play
from cli.statistics_command import app
from cli.terminal import Trouble
from services.api.day_figures import READS_AT_ONCE, PastDays, Place, record_of
from services.api.history import History, HistoryUnavailable
from services.api.profiles import Profile
from services.api.statistics_csv import dialect_of, write
from services.api.statistics_rows import HourRow, StatisticsRow, annual_figures
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.statistics import STATISTICS_WORDS
from shared.domain.library import ClockKind
from shared.domain.statistics.day import DayFigures, DayKind, Doubt
from shared.domain.statistics.period import add_up
from shared.domain.statistics.spans import Span, Unit
from shared.runtime.bus import Bus, Entry
from tests.services.api_running import NOON, RunningApi, Wall, running_api
from tests.services.past import past_config, past_day, past_status, put_past, usual_days

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 1)
UNKNOWN = date(2026, 2, 10)  # a Tuesday
DOUBTED = date(2026, 2, 11)
MONTH = "from=2026-02-01&to=2026-02-28"


@pytest.fixture
def library() -> str:
    return f"lib-{uuid4().hex[:8]}"


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer, library: str) -> AsyncIterator[RunningApi]:
    doubted = past_day(library, DOUBTED, 420, entries=300, entries_in_gaps=7)
    days = usual_days(library, FIRST, LAST, {UNKNOWN: None, DOUBTED: doubted})
    await put_past(standing, library, days)
    async with running_api(bus_server, Wall()) as running:
        await running.seen(library, 1)
        while running.parts.profiles.get(library) is None:
            await asyncio.sleep(0.01)
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=30) as opened:
        yield opened


async def statistics(client: httpx.AsyncClient, library: str, query: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/libraries/{library}/statistics?{query}")
    assert answer.status_code == 200, answer.text
    return cast("dict[str, Any]", answer.json())


async def rows(client: httpx.AsyncClient, library: str, query: str, separator: str = ",") -> list[dict[str, str]]:
    answer = await client.get(f"/v1/libraries/{library}/statistics.csv?{query}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=separator))


async def test_a_month_adds_its_known_days_up_and_names_the_others(client: httpx.AsyncClient, library: str) -> None:
    total = (await statistics(client, library, f"{MONTH}&by=day"))["total"]
    assert (total["days_known"], total["days_closed"], total["days_unknown"]) == (23, 4, 1)
    known = [400 + 10 * day.weekday() for day in Span(date(2026, 2, 1), date(2026, 2, 28)).dates() if day.weekday() < 6]
    assert total["visits"] == sum(known) - 410  # of the unknown Tuesday; the doubted Wednesday has its usual ones
    assert total["visits_extrapolated"] == sum(known)
    assert total["visits_in_gaps"] == 7
    assert total["hours_open"] == 23 * 8
    assert total["wait_max_min"] == 20
    assert total["hours_with_wait"] == 23
    assert total["hours_unknown"] == 8  # by the timetable
    assert set(total["remarks"]) == {"put_in", "in_gaps", "unknown_days"}


async def test_each_day_is_known_closed_or_unknown(client: httpx.AsyncClient, library: str) -> None:
    days = {each["period"]: each for each in (await statistics(client, library, f"{MONTH}&by=day"))["rows"]}
    unknown, closed, doubted = days["2026-02-10"], days["2026-02-01"], days["2026-02-11"]
    assert (unknown["days_unknown"], unknown["visits"], unknown["people_mean"]) == (1, None, None)
    assert (unknown["hours_open"], unknown["seat_hours_offered"], unknown["hours_full"]) == (None, None, None)
    assert (unknown["hours_unknown"], unknown["remarks"]) == (8, ["unknown_days"])
    assert (closed["hours_open"], closed["hours_full"], closed["hours_unknown"]) == (0, 0, 0)
    assert (closed["days_closed"], closed["visits"]) == (1, None)
    assert doubted["visits_estimated"]
    assert (doubted["visits"], doubted["visits_counted"], doubted["visits_put_in"]) == (420, 300, 120)
    assert not days["2026-02-12"]["visits_estimated"]


async def test_today_and_days_to_come_are_told_apart(client: httpx.AsyncClient, library: str) -> None:
    total = (await statistics(client, library, "from=2026-02-26&to=2026-03-05"))["total"]
    assert (total["days_known"], total["days_closed"], total["days_unknown"], total["days_ahead"]) == (3, 1, 0, 4)


async def test_two_spans_are_compared_over_days_known_in_both(client: httpx.AsyncClient, library: str) -> None:
    query = f"{MONTH}&compare_from=2026-01-04&compare_to=2026-01-31"
    found = (await statistics(client, library, query))["comparison"]
    assert (found["days"], found["left_out_closed"], found["left_out_unknown"]) == (23, 4, 1)
    assert found["changes"]["visits"] == {"absolute": 0, "relative": 0}
    assert found["this"]["visits"] == found["other"]["visits"]


async def test_weeks_are_those_of_iso_8601(client: httpx.AsyncClient, library: str) -> None:
    found = (await statistics(client, library, "from=2026-01-01&to=2026-01-20&by=week"))["rows"]
    assert [(each["period"], each["first"], each["last"]) for each in found] == [
        ("2026-W01", "2026-01-01", "2026-01-04"),
        ("2026-W02", "2026-01-05", "2026-01-11"),
        ("2026-W03", "2026-01-12", "2026-01-18"),
        ("2026-W04", "2026-01-19", "2026-01-20"),
    ]


async def test_hours_have_occupancy_and_waits(client: httpx.AsyncClient, library: str) -> None:
    found = (await statistics(client, library, "from=2026-02-12&to=2026-02-12&by=hour"))["rows"]
    assert [each["hour"] for each in found] == list(range(10, 18))
    at_one = found[3]
    assert (at_one["hours_with_wait"], at_one["wait_max_min"], at_one["people_peak"]) == (1, 20, 96)


async def test_a_program_reads_the_same_figures_from_the_csv(client: httpx.AsyncClient, library: str) -> None:
    answer = await client.get(f"/v1/libraries/{library}/statistics.csv?{MONTH}&by=week")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert not answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.content.count(b"\r\n") == answer.content.count(b"\n") == 6
    told = (await statistics(client, library, f"{MONTH}&by=week"))["rows"]
    for line, row in zip(await rows(client, library, f"{MONTH}&by=week"), told, strict=True):
        assert (line["library"], line["data"]) == (library, "wall")
        assert line["period"] == row["period"]
        assert line["visits"] == ("" if row["visits"] is None else str(row["visits"]))
        assert float(line["hours_open"]) == row["hours_open"]
        assert line["visits_estimated"] == str(row["visits_estimated"]).lower()
        assert line["remarks"].split() == row["remarks"]


async def test_an_unknown_figure_is_an_empty_cell(client: httpx.AsyncClient, library: str) -> None:
    line = (await rows(client, library, "from=2026-02-10&to=2026-02-10"))[0]
    assert (line["days_unknown"], line["visits"], line["people_mean"], line["wait_max_min"]) == ("1", "", "", "")
    assert (line["hours_open"], line["seat_hours_offered"], line["hours_full"]) == ("", "", "")
    assert (line["hours_unknown"], line["remarks"]) == ("8.0", "unknown_days")


async def test_a_month_for_people_says_how_many_of_its_days_are_known(client: httpx.AsyncClient, library: str) -> None:
    (line,) = await rows(client, library, f"{MONTH}&by=month&lang=en")
    assert line["Remarks"].startswith("23 of 24 opening days known, ")


async def test_a_spreadsheet_of_a_language_opens_its_csv_well(client: httpx.AsyncClient, library: str) -> None:
    for language in ("fr", "nb", "nl", "uk"):
        query = f"{MONTH}&lang={language}"
        answer = await client.get(f"/v1/libraries/{library}/statistics.csv?{query}")
        assert answer.content.startswith(b"\xef\xbb\xbf")
        heading = answer.content.decode("utf-8-sig").split("\r\n")[0]
        words = STATISTICS_WORDS[language]
        assert heading.split(";")[:3] == [words.columns[each] for each in ("library", "data", "period")]
        told = await rows(client, library, query, ";")
        line = next(each for each in told if "2026-02-11" in each.values())
        assert line[words.columns["hours_open"]] == "8,0"
        assert line[words.columns["visits_estimated"]] == words.yes
        assert line[words.columns["visits"]] == "420"  # a number and nothing else
        assert words.doubts["put_in"] in line[words.columns["remarks"]]


async def test_separator_decimals_and_mark_can_be_chosen(client: httpx.AsyncClient, library: str) -> None:
    query = f"{MONTH}&lang=fr&sep=tab&decimal=.&bom=false"
    answer = await client.get(f"/v1/libraries/{library}/statistics.csv?{query}")
    assert answer.content.startswith("Bibliothèque\tDonnées\t".encode())
    assert b"\t8.0\t" in answer.content


def test_a_text_cannot_become_a_formula() -> None:
    body = write(("library", "visits_put_in"), [{"library": '=HYPERLINK("x")', "visits_put_in": -3}], PROGRAM)
    assert list(csv.reader(io.StringIO(body.decode(), newline="")))[1] == ['\'=HYPERLINK("x")', "-3"]
    for text in (" =1+1", "\n=1+1", "\uff1d1+1"):
        body = write(("library",), [{"library": text}], PROGRAM)
        assert body.decode().splitlines()[1] == f"'{text.replace(chr(10), ' ')}"


PROGRAM = dialect_of(None, None, None, bom=None)


@pytest.mark.parametrize("language", list(CATALOGS))
def test_every_column_has_a_heading(language: str) -> None:
    columns = {"library", "data", *StatisticsRow.model_fields, *HourRow.model_fields}
    assert columns <= set(STATISTICS_WORDS[language].columns)


async def test_the_table_for_an_annual_report_names_its_estimates(client: httpx.AsyncClient, library: str) -> None:
    lines = {
        each["figure"]: (each["value"], each["estimated"], each["remarks"])
        for each in await rows(client, library, "table=iso2789&from=2026-01-01")
    }
    total = (await statistics(client, library, "from=2026-01-01&to=2026-12-31&by=year"))["total"]
    opening = f"{total['days_known']}/{total['days_known'] + total['days_unknown']}"
    assert lines["period"] == ("2026", "false", "")
    assert lines["visits"] == (str(total["visits"]), "true", opening)
    assert lines["hours_open"] == (str(total["hours_open"]), "true", opening)
    assert lines["visits_extrapolated"] == (str(total["visits_extrapolated"]), "true", "")
    assert lines["days_known"] == (str(total["days_known"]), "false", "")
    assert lines["places"] == ("120", "false", "")


def test_few_known_days_of_a_year_are_an_estimate_without_any_correction() -> None:
    known = DayFigures(FIRST, DayKind.KNOWN, visits=100, counted=100, open_min=480, missing_min=0)
    unknown = DayFigures(UNKNOWN, DayKind.UNKNOWN, missing_min=480)
    lines = {each.figure: each for each in annual_figures("A", 2026, ClockKind.WALL, 120, add_up([known, unknown]))}
    assert (lines["visits"].value, lines["visits"].estimated, lines["visits"].days) == (100, True, (1, 2))
    whole = {each.figure: each for each in annual_figures("A", 2026, ClockKind.WALL, 120, add_up([known]))}
    assert (whole["visits"].estimated, whole["visits"].days) == (False, None)


async def test_simulated_figures_say_so(standing: Bus, client: httpx.AsyncClient, api: RunningApi) -> None:
    library = f"sim-{uuid4().hex[:8]}"
    await put_past(
        standing, library, [past_day(library, date(2026, 2, 2))], clock=ClockKind.SIMULATED, speed=1.0, as_of=NOON
    )
    await api.seen(library, 1)
    answer = await client.get(f"/v1/libraries/{library}/statistics.csv?from=2026-02-02&to=2026-02-02&lang=en")
    assert "simulated" in answer.headers["content-disposition"]
    assert ",simulated," in answer.text
    assert (await statistics(client, library, MONTH))["data"] == "simulated"
    page = (await client.get(f"/l/{library}/statistics?lang=en&date=2026-02-02")).text
    assert CATALOGS["en"].pages.simulated_banner in page


REFUSED = {
    "from=2023-01-01&to=2026-02-28&by=day": "span-too-long",
    "from=2025-01-01&to=2026-02-28&by=hour": "span-too-long",
    "from=2020-01-01&to=2026-02-28&by=year": "span-too-long",
    "from=2026-02-02&to=2026-02-01": "invalid-request",
    "from=0001-01-01&to=0001-01-02": "invalid-request",
    "from=9999-12-31": "invalid-request",
    "by=decade": "invalid-request",
    "compare_from=2026-01-01": "invalid-request",
    f"{MONTH}&by=month&compare_from=2000-01-01&compare_to=2025-01-01": "span-too-long",
}


async def test_what_cannot_be_answered_is_refused(client: httpx.AsyncClient, library: str) -> None:
    answers = {query: await client.get(f"/v1/libraries/{library}/statistics?{query}") for query in REFUSED}
    assert {query: answer.status_code for query, answer in answers.items()} == dict.fromkeys(REFUSED, 422)
    assert {query: answer.json()["type"].rpartition("/")[2] for query, answer in answers.items()} == REFUSED


async def test_a_csv_whose_cells_cannot_be_told_apart_is_refused(client: httpx.AsyncClient, library: str) -> None:
    answer = await client.get(f"/v1/libraries/{library}/statistics.csv?sep=,&decimal=,")
    assert answer.status_code == 422


async def test_both_are_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    named = {each["name"] for each in paths["/v1/libraries/{library}/statistics"]["get"]["parameters"]}
    assert named == {"library", "from", "to", "by", "compare_from", "compare_to", "align"}
    named = {each["name"] for each in paths["/v1/libraries/{library}/statistics.csv"]["get"]["parameters"]}
    assert named == {"library", "from", "to", "by", "lang", "sep", "decimal", "bom", "table"}


async def test_what_is_kept_is_served_while_the_bus_is_away(
    client: httpx.AsyncClient, api: RunningApi, library: str
) -> None:
    before = await statistics(client, library, MONTH)
    api.parts.history.bus = None
    assert await statistics(client, library, MONTH) == before
    answer = await client.get(f"/v1/libraries/{library}/statistics?from=2025-01-01&to=2025-01-31")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "history-unavailable")
    page = await client.get(f"/l/{library}/statistics?lang=en&date=2025-01-31")
    assert (page.status_code, page.headers["cache-control"]) == (503, "no-store")
    assert STATISTICS_WORDS["en"].unavailable in page.text


async def test_a_page_is_whole_in_every_language(client: httpx.AsyncClient, library: str) -> None:
    for language, words in STATISTICS_WORDS.items():
        for period in Unit:
            query = f"period={period}&date=2026-02-11&compare=before&lang={language}"
            answer = await client.get(f"/l/{library}/statistics?{query}")
            assert answer.status_code == 200
            assert answer.headers["content-language"] == language
            assert f'<html lang="{language}"' in answer.text
            for word in (words.visits, words.mean_people, words.waits, words.note_visits, words.csv_spreadsheet):
                assert word in answer.text, (query, word)


async def test_the_heaviest_page_is_light(client: httpx.AsyncClient, library: str) -> None:
    answer = await client.get(f"/l/{library}/statistics?period=month&date=2026-01-11&compare=before&lang=uk")
    weight = len(answer.content)
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
        weight += len((await client.get(path)).content)
    assert weight < 60_000


async def test_neighbours_are_linked_and_the_future_is_not(client: httpx.AsyncClient, library: str) -> None:
    page = (await client.get(f"/l/{library}/statistics?period=month&date=2026-03-02&lang=en")).text
    assert "date=2026-02-01" in page
    assert "April" not in page
    assert "February 2026" in page


async def test_a_library_with_few_days_says_so(standing: Bus, client: httpx.AsyncClient, api: RunningApi) -> None:
    library = f"few-{uuid4().hex[:8]}"
    await put_past(standing, library, [past_day(library, date(2026, 2, day)) for day in (24, 25)])
    await api.seen(library, 1)
    words = STATISTICS_WORDS["en"]
    page = (await client.get(f"/l/{library}/statistics?date=2026-02-11&lang=en")).text
    assert words.few_days(2).format(days=2) in page
    nothing = (await client.get(f"/l/{library}/statistics?date=2025-02-11&lang=en")).text
    assert words.nothing in nothing
    assert '<svg class="drawing"' not in nothing


async def test_a_closed_day_is_closed(client: httpx.AsyncClient, library: str) -> None:
    page = (await client.get(f"/l/{library}/statistics?period=day&date=2026-02-08&lang=en")).text
    assert STATISTICS_WORDS["en"].day_closed in page


async def test_a_page_of_no_day_is_refused(client: httpx.AsyncClient, library: str) -> None:
    for query in ("date=2026-02-30", "date=0001-01-01", "period=decade", "other=tomorrow"):
        assert (await client.get(f"/l/{library}/statistics?{query}")).status_code == 422


async def test_an_empty_field_of_the_form_means_nothing(client: httpx.AsyncClient, library: str) -> None:
    answer = await client.get(f"/l/{library}/statistics?period=month&date=2026-02-11&compare=year&other=&lang=en")
    assert answer.status_code == 200
    assert "Compared with February 2025" in answer.text


@dataclass
class SlowBus:
    """A bus that answers when it is told to, and counts who waits."""

    stored: dict[str, bytes] = field(default_factory=dict)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    waiting: int = 0
    most: int = 0
    is_connected: bool = True

    def bucket(self, name: str) -> SlowBus:
        assert name == subjects.HISTORY
        return self

    async def get(self, key: str) -> Entry | None:
        self.asked.append(key)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.go.wait()
        self.waiting -= 1
        body = self.stored.get(key)
        return None if body is None else Entry(key, body, 1, datetime(2026, 3, 1, tzinfo=UTC))


def past_days(bus: SlowBus, wall: Wall, **limits: Any) -> PastDays:
    return PastDays(History(wall, 64, cast("Bus", bus)), **limits)


def place(library: str) -> Place:
    return Place.of(past_status(library), Profile.of(past_config(library)))


YEAR = Span(date(2025, 3, 3), date(2026, 3, 1))
TODAY = date(2026, 3, 2)


async def test_a_year_is_read_a_few_days_at_a_time_and_once_for_all_who_ask() -> None:
    bus, wall = SlowBus(), Wall()
    past = past_days(bus, wall)
    both = asyncio.gather(past.days(place("a"), [YEAR], TODAY), past.days(place("a"), [YEAR], TODAY))
    await asyncio.sleep(0.05)
    assert bus.most == READS_AT_ONCE
    bus.go.set()
    one, other = await both
    assert one == other
    assert len(bus.asked) == len(set(bus.asked)) == len(YEAR)
    await past.days(place("a"), [YEAR], TODAY)
    assert len(bus.asked) == len(YEAR)  # all of it is kept


async def test_a_bus_that_does_not_answer_in_time_is_said() -> None:
    past = past_days(SlowBus(), Wall(), patience_s=0.05)
    with pytest.raises(HistoryUnavailable, match="364 of 364 days"):
        await past.days(place("a"), [YEAR], TODAY)


async def test_there_is_a_limit_to_days_under_way() -> None:
    past = past_days(SlowBus(), Wall(), under_way_max=100)
    with pytest.raises(HistoryUnavailable, match="100 days"):
        await past.days(place("a"), [YEAR], TODAY)


async def test_what_is_kept_is_read_anew_in_time_and_with_other_seats() -> None:
    bus, wall = SlowBus(), Wall()
    bus.go.set()
    past, span = past_days(bus, wall), Span(TODAY - timedelta(days=1), TODAY)
    bus.stored[subjects.history_key("a", TODAY.isoformat())] = past_day("a", TODAY, 10).model_dump_json().encode()
    assert (await past.days(place("a"), [span], TODAY))[TODAY].visits == 10
    bus.stored[subjects.history_key("a", TODAY.isoformat())] = past_day("a", TODAY, 20).model_dump_json().encode()
    assert (await past.days(place("a"), [span], TODAY))[TODAY].visits == 10
    wall.at = NOON + timedelta(seconds=16)
    assert (await past.days(place("a"), [span], TODAY))[TODAY].visits == 20
    smaller = Place.of(past_status("a", capacity=50), None)
    assert (await past.days(smaller, [span], TODAY))[TODAY].full_min > 0


async def test_a_day_that_cannot_be_read_is_unknown() -> None:
    bus = SlowBus()
    bus.go.set()
    day = date(2026, 2, 24)
    bus.stored[subjects.history_key("a", day.isoformat())] = b"{broken"
    assert (await past_days(bus, Wall()).days(place("a"), [Span(day, day)], TODAY))[day].kind is DayKind.UNKNOWN


async def test_without_its_hours_a_day_without_data_is_unknown() -> None:
    bus = SlowBus()
    bus.go.set()
    sunday = date(2026, 2, 22)
    found = await past_days(bus, Wall()).days(Place.of(past_status("a"), None), [Span(sunday, sunday)], TODAY)
    assert found[sunday].kind is DayKind.UNKNOWN
    assert (await past_days(bus, Wall()).days(place("a"), [Span(sunday, sunday)], TODAY))[sunday].kind is DayKind.CLOSED


async def test_today_is_closed_where_its_hours_say_so() -> None:
    bus = SlowBus()
    bus.go.set()
    sunday = date(2026, 3, 1)
    for day in (sunday, TODAY):
        early = past_day("a", day, 0).model_copy(update={"samples": ()})
        bus.stored[subjects.history_key("a", day.isoformat())] = early.model_dump_json().encode()
    for today, kind in ((sunday, DayKind.CLOSED), (TODAY, DayKind.AHEAD)):
        found = await past_days(bus, Wall()).days(place("a"), [Span(today, today)], today)
        assert found[today].kind is kind


async def test_of_a_day_whose_data_ends_too_early_the_hours_tell_the_rest() -> None:
    bus = SlowBus()
    bus.go.set()
    friday = date(2026, 2, 27)
    whole = past_day("a", friday, 10)
    ended = whole.model_copy(update={"samples": whole.samples[:4]})
    bus.stored[subjects.history_key("a", friday.isoformat())] = ended.model_dump_json().encode()
    found = (await past_days(bus, Wall()).days(place("a"), [Span(friday, friday)], TODAY))[friday]
    minutes = place("a").opening_minutes(Span(friday, friday))
    assert minutes is not None
    assert (found.open_min, found.unknown_min) == (minutes[friday], minutes[friday] - 60)
    assert Doubt.CUT in found.doubts


async def test_hours_are_worked_out_for_the_years_asked_for_alone_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, worked_out = SlowBus(), list[Span]()
    bus.go.set()
    of_place = Place.opening_minutes

    def noted(self: Place, span: Span) -> dict[date, int] | None:
        worked_out.append(span)
        return of_place(self, span)

    monkeypatch.setattr(Place, "opening_minutes", noted)
    past, here = past_days(bus, Wall()), place("a")
    spans = [Span(date(1970, 1, 1), date(1970, 1, 1)), Span(TODAY, TODAY)]
    await asyncio.gather(*(past.days(here, spans, TODAY) for _ in range(3)))
    years = [Span(date(year, 1, 1), date(year, 12, 31)) for year in (1970, 2026)]
    assert worked_out == years


async def command(api: RunningApi, *arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--api", api.url])


async def test_the_command_writes_a_year_as_the_api_has_it(
    client: httpx.AsyncClient, api: RunningApi, library: str, tmp_path: Path
) -> None:
    file = tmp_path / "year.csv"
    result = await command(api, library, "--year", "2026", "--lang", "fr", "--out", str(file))
    assert result.exit_code == 0, result.output
    assert result.output.endswith("12 lines\n")
    query = "from=2026-01-01&to=2026-12-31&by=month&lang=fr"
    assert file.read_bytes() == (await client.get(f"/v1/libraries/{library}/statistics.csv?{query}")).content
    printed = await command(api, library, "--year", "2026", "--annual")
    assert printed.output.startswith("figure,value,unit,estimated")


async def test_the_command_says_what_to_do_about_an_unknown_library(api: RunningApi, tmp_path: Path) -> None:
    result = await command(api, "nowhere")
    assert isinstance(result.exception, Trouble)
    assert "nowhere: There is no library with this id." in str(result.exception)
    alone = await asyncio.to_thread(CliRunner().invoke, app, ["bpi", "--data", str(tmp_path)])
    assert "no `placelibre up` is running" in str(alone.exception)


def example(library: str) -> LibraryConfig:
    return past_config(library).model_copy(
        update={"opening_hours": "Tu-Sa 10:00-18:00", "clock": ClockKind.SIMULATED, "queue_possible": False}
    )


def test_a_simulated_past_is_what_the_aggregator_would_have_stored() -> None:
    stored = play(example("quartier"), [date(2026, 2, day) for day in (22, 23, 24)], 7)  # Sunday and Monday are closed
    assert [each.date for each in stored] == ["2026-02-24"]
    record = record_of(stored[0])
    assert record.entries > 100
    assert record.corrected_entries is not None
    assert len(record.samples) == 8 * 4 + 1
    assert play(example("quartier"), [date(2026, 2, 24)], 7) == stored


@pytest.mark.slow
async def test_a_past_is_put_in_for_simulated_libraries_alone_and_changes_nothing_that_is_there(
    operator: Bus, bus_server: BusServer
) -> None:
    real = past_config("campus")
    libraries, history = operator.bucket(subjects.LIBRARIES), operator.bucket(subjects.HISTORY)
    for config in (example("quartier"), real):
        await libraries.put(config.id, config.model_dump_json(by_alias=True).encode())
    await history.put("quartier.2026-02-25", b"{}")
    address, told = BusAddress(bus_server.url, bus_server.seed_file("operator")), list[str]()
    before = date(2026, 2, 27)
    assert await fill_past(address, 3, 7, before, 1, told.append) == 2
    assert await history.keys() == ["quartier.2026-02-24", "quartier.2026-02-25", "quartier.2026-02-26"]
    kept = await history.get("quartier.2026-02-25")
    assert kept is not None
    assert kept.value == b"{}"
    assert told == ["quartier: simulated from 2026-02-24 on"]
    assert await fill_past(address, 3, 7, before, 1, told.append) == 0
    await libraries.put("quartier", past_config("quartier").model_dump_json(by_alias=True).encode())
    with pytest.raises(Trouble, match="no applied library is simulated"):
        await fill_past(address, 3, 7, before, 1, told.append)
