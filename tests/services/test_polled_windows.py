"""Reports that are asked for again and again: each window counts once, whole, whatever is late, repeated or crashed."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.ingest.positions import MAX_PLACE_BYTES
from services.ingest.sources.polled.api import Answer
from services.ingest.sources.polled.vea import API, Vea
from services.ingest.sources.polled.windows import MAX_BODY_BYTES, MAX_DEVICES, MAX_SEEN, told_apart
from shared.contracts.devices import PollSource

BEGIN = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PARIS = ZoneInfo("Europe/Paris")


def vea(**options: Any) -> Vea:
    source = PollSource(id="vea", type="poll", url="https://vea.example", api="vea", options=options)
    way = API.make(source, PARIS)
    assert isinstance(way, Vea)
    return way


def row(number: int, ins: int, outs: int, zone: str = "z1") -> dict[str, Any]:
    start = BEGIN + number * QUARTER
    return {"recordDate_minute_15": start.isoformat(), "zoneId": zone, "name": zone, "sumins": ins, "sumouts": outs}


class Reader:
    """Asks a report and keeps count of what it was told, as the log does: the same row counts once."""

    def __init__(self, way: Vea) -> None:
        self.way = way
        self.place: JsonValue = None
        self.counted: set[str] = set()
        self.handed_over = 0

    def read(self, rows: list[dict[str, Any]], now: datetime, *, crashes: bool = False) -> None:
        question = self.way.ask(self.place, now)
        heard = self.way.heard(
            self.place, question, Answer(200, {}, json.dumps({"results": rows}).encode(), "application/json"), now
        )
        assert not heard.odd
        for body in heard.bodies:
            for each in json.loads(body)["results"]:
                self.counted.add(json.dumps(each, sort_keys=True))
                self.handed_over += 1
        if not crashes:
            self.place = json.loads(json.dumps(heard.place))

    def totals(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for each in map(json.loads, self.counted):
            found[f"{each['zoneId']} in"] += each["sumins"]
            found[f"{each['zoneId']} out"] += each["sumouts"]
        return found


STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 40), st.integers(0, 40), st.booleans(), st.booleans()), max_size=25
)


@given(STEPS)
def test_what_is_told_in_the_end_is_what_has_counted(steps: list[tuple[int, int, int, bool, bool]]) -> None:
    reader, now = Reader(vea(overlap_min=600)), BEGIN
    known: dict[int, tuple[int, int]] = {}
    for number, ins, outs, moves_on, crashes in steps:
        before = known.get(number, (0, 0))
        known[number] = (max(before[0], ins), max(before[1], outs))  # a window only fills
        now += QUARTER if moves_on else timedelta(seconds=20)
        rows = [row(each, *counts) for each, counts in sorted(known.items())]
        # A process that dies after intake took the body asks for the same again; nothing has changed meanwhile.
        if crashes:
            reader.read(rows, now, crashes=True)
        reader.read(rows, now)
    rows = [row(each, *counts) for each, counts in known.items()]
    reader.read(rows, max(now, BEGIN + timedelta(hours=2, minutes=30)))
    totals = reader.totals()
    assert totals["z1 in"] == sum(ins for ins, _ in known.values())
    assert totals["z1 out"] == sum(outs for _, outs in known.values())


def test_a_window_that_still_fills_waits_until_it_is_over_and_settled() -> None:
    reader = Reader(vea(settle_s=60))
    reader.read([row(0, 3, 0)], BEGIN + QUARTER)
    reader.read([row(0, 5, 0)], BEGIN + QUARTER + timedelta(seconds=59))
    assert not reader.counted
    reader.read([row(0, 5, 0)], BEGIN + QUARTER + timedelta(seconds=60))
    assert reader.totals()["z1 in"] == 5


def test_a_report_without_news_hands_nothing_over() -> None:
    reader = Reader(vea())
    for minute in range(60):
        reader.read([row(0, 5, 2), row(1, 0, 0)], BEGIN + timedelta(minutes=40 + minute))
    assert reader.handed_over == 2


def test_what_comes_after_the_overlap_is_left_out_and_what_shrinks_stays() -> None:
    reader = Reader(vea(overlap_min=60))
    reader.read([row(0, 5, 5)], BEGIN + timedelta(minutes=30))
    reader.read([row(0, 4, 6)], BEGIN + timedelta(minutes=40))
    assert reader.totals() == Counter({"z1 in": 5, "z1 out": 6})
    reader.read([row(0, 9, 9)], BEGIN + timedelta(hours=3))
    reader.read([row(0, 9, 9)], BEGIN + timedelta(hours=5))
    assert reader.totals()["z1 in"] == 9  # the one poll between had still left it open
    reader.read([row(0, 20, 20)], BEGIN + timedelta(hours=6))
    assert reader.totals()["z1 in"] == 9


def test_zones_that_are_not_wanted_are_left_out() -> None:
    reader = Reader(vea(only="z2, z3"))
    reader.read([row(0, 5, 0), row(0, 6, 0, "z2")], BEGIN + timedelta(hours=1))
    assert reader.totals() == Counter({"z2 in": 6, "z2 out": 0})


def test_a_row_that_cannot_be_read_is_handed_over_once_and_spoils_no_other() -> None:
    reader = Reader(vea())
    rows = [row(0, 5, 0), {**row(1, 5, 0), "sumins": "many"}, {"zoneId": "z1"}, 7]
    way = reader.way
    answer = Answer(200, {}, json.dumps({"results": rows}).encode(), "application/json")
    now = BEGIN + timedelta(hours=1)
    heard = way.heard(None, way.ask(None, now), answer, now)
    assert [len(json.loads(each)["results"]) for each in heard.bodies] == [4]
    again = way.heard(heard.place, way.ask(heard.place, now), answer, now)
    assert not again.bodies


def test_an_answer_of_another_shape_is_odd_and_loses_no_place() -> None:
    way, now = vea(), BEGIN + timedelta(hours=1)
    question = way.ask(None, now)
    heard = way.heard(None, question, Answer(200, {}, json.dumps({"results": [row(0, 1, 1)]}).encode(), ""), now)
    for body in (b"<html>", b"[]", b'{"results": 7}', b"[" * 100_000):
        odd = way.heard(heard.place, question, Answer(200, {}, body, "text/html"), now)
        assert odd.odd
        assert odd.bodies == (body,)
        assert odd.place == heard.place


def test_a_first_poll_begins_with_the_day_and_a_long_silence_is_caught_up_in_weeks() -> None:
    way = vea()
    first = way.ask(None, BEGIN)
    assert first.query["startDate"] == "2026-11-21"  # 23:00 UTC is midnight in Paris
    assert first.query["endDate"] == "2026-11-23"
    place: JsonValue = {"after": "2026-11-02T00:00:00Z", "seen": {}}
    asked: list[str] = []
    while not asked or asked[-1] != "2026-11-23":
        question = way.ask(place, BEGIN)
        asked.append(question.query["endDate"])
        place = way.heard(place, question, Answer(200, {}, b'{"results": []}', ""), BEGIN).place
    assert asked == ["2026-11-10", "2026-11-16", "2026-11-23"]
    old = way.ask({"after": "2020-01-01T00:00:00Z", "seen": {}}, BEGIN)
    assert old.query["startDate"] == "2026-10-23"
    ahead = way.ask({"after": "2030-01-01T00:00:00Z", "seen": {}}, BEGIN)
    assert ahead.query["startDate"] == "2026-11-22"


def test_places_stay_small_and_bodies_too() -> None:
    way, now = vea(overlap_min=1440), BEGIN + timedelta(hours=14)
    rows = [row(number, 1, 1, f"zone-{zone}") for number in range(52) for zone in range(100)]
    question = way.ask(None, now)
    heard = way.heard(None, question, Answer(200, {}, json.dumps({"results": rows}).encode(), ""), now)
    assert max(map(len, heard.bodies)) < MAX_BODY_BYTES + 100
    parts = [json.loads(each)["results"] for each in heard.bodies]
    assert sum(map(len, parts)) == len(rows)
    assert max(len({each["zoneId"] for each in part}) for part in parts) <= 6  # those of one zone are together
    for part in parts:
        starts = {
            zone: [each["recordDate_minute_15"] for each in part if each["zoneId"] == zone] for zone in ("zone-0",)
        }
        assert starts["zone-0"] == sorted(starts["zone-0"])
    assert len(json.dumps(heard.place)) < MAX_PLACE_BYTES * 0.9
    assert isinstance(heard.place, dict)
    assert isinstance(heard.place["seen"], dict)
    assert len(heard.place["seen"]) <= MAX_SEEN
    again = way.heard(heard.place, question, Answer(200, {}, json.dumps({"results": rows}).encode(), ""), now)
    assert not again.bodies
    one_each = [row(0, 1, 1, f"zone-{zone}") for zone in range(60)]
    heard = way.heard(None, question, Answer(200, {}, json.dumps({"results": one_each}).encode(), ""), now)
    assert [len(json.loads(each)["results"]) for each in heard.bodies] == [MAX_DEVICES, MAX_DEVICES, 10]


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    twice = {"SiteCode": "M", "Location": "D", "PeriodEnding": "2026-10-25T02:30:00", "Ins": 1}
    once = {**twice, "PeriodEnding": "2026-10-25T04:00:00"}
    found = told_apart([twice, {**twice, "Ins": 2}, once, once, 7], PARIS, ("SiteCode", "Location"), ("PeriodEnding",))
    assert [each["PeriodEnding"][19:] for each in found[:4]] == ["", "+0100", "", ""]
    other = {**twice, "Location": "E"}
    found = told_apart([twice, other, twice, other], PARIS, ("SiteCode", "Location"), ("PeriodEnding",))
    assert [each["PeriodEnding"][19:] for each in found] == ["", "", "+0100", "+0100"]
