"""Bodies that no format knows, by a mapping: JSON, XML and CSV; and mappings that cannot be read by."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from services.ingest.devices.generic import fault_of, faults_of
from shared.contracts.devices import Mapping
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, PARIS, RECEIVED_AT, FormatSuite, case


def mapping(**keys: Any) -> Mapping:
    return Mapping.model_validate(keys)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


def window(
    start: datetime | None, end: datetime | None, forward: int | None, backward: int | None, **other: Any
) -> Measurement:
    named: dict[str, Any] = {"line": "1", "meaning": Meaning.WINDOW}
    return Measurement(start=start, end=end, forward=forward, backward=backward, **(named | other))


NINE = utc(2026, 11, 20, 8)
QUARTER = timedelta(minutes=15)

JSON_ROWS = mapping(
    rows="$.data[?@.type == 'count']",
    **{"in": "$.n.in", "out": "$.n.out", "id": "$.id"},
    serial="$.box.serial",
    line="$.door",
    start="$.from",
    end="$.to",
    battery="$.box.battery",
)
JSON_BODY: dict[str, Any] = {
    "box": {"serial": "A-7", "battery": 81, "snapshot": CANARY},
    "in": 900,
    "data": [
        {
            "type": "count",
            "door": "north",
            "n": {"in": 3, "out": "1"},
            "from": "2026-11-20 09:00",
            "to": "2026-11-20 09:15",
            "id": 17,
            "faces": [CANARY],
        },
        {"type": "status", "door": "north"},
        {
            "type": "count",
            "door": "south",
            "n": {"in": 0, "out": 2.0},
            "from": "2026-11-20 09:00",
            "to": "2026-11-20 09:15",
            "id": 18,
        },
    ],
}


class TestGenericJson(FormatSuite):
    format = "generic-json"
    cases = (
        case(
            "rows-by-a-filter",
            JSON_BODY,
            [
                DeviceReport(
                    serial="A-7",
                    battery_percent=81.0,
                    measurements=(
                        window(NINE, NINE + QUARTER, 3, 1, line="north", key="17"),
                        window(NINE, NINE + QUARTER, 0, 2, line="south", key="18"),
                    ),
                )
            ],
            mapping=JSON_ROWS,
        ),
        case(
            "a-register-alone",
            {"dev": "B", "total": 812_345, "t": 1_795_161_600},
            [
                DeviceReport(
                    serial="B",
                    measurements=(
                        Measurement(line="1", meaning=Meaning.TOTAL, forward=812_345, end=utc(2026, 11, 20, 8)),
                    ),
                )
            ],
            mapping=mapping(meaning="total", **{"in": "$.total"}, serial="$.dev", end="$.t", time_format="unix"),
        ),
        case(
            "a-list-is-rows",
            [{"c": 1}, {"c": 4}],
            [DeviceReport(measurements=(window(None, None, 1, None), window(None, None, 4, None)))],
            mapping=mapping(**{"in": "$.c"}),
        ),
        case(
            "lines-of-json",
            '{"c": 1}\n{"c": 4}\n',
            [DeviceReport(measurements=(window(None, None, 1, None), window(None, None, 4, None)))],
            "application/x-ndjson",
            mapping=mapping(**{"in": "$.c"}),
        ),
        case(
            "how-long-it-takes",
            {"zones": [{"name": "Desk", "wait": 7.5}]},
            [DeviceReport(measurements=(Measurement(line="Desk", meaning=Meaning.QUEUEING_TIME, value=7.5),))],
            mapping=mapping(rows="$.zones[*]", meaning="queueing_time", value="$.wait", line="$.name"),
        ),
        case(
            "how-many-are-inside",
            {"zones": {"hall": 12, "attic": 3}, "at": 1_795_161_600_000},
            [
                DeviceReport(
                    measurements=tuple(
                        Measurement(line="1", meaning=Meaning.OCCUPANCY, value=value, end=utc(2026, 11, 20, 8))
                        for value in (12.0, 3.0)
                    )
                )
            ],
            mapping=mapping(rows="$.zones.*", meaning="occupancy", value="$", end="$.at", time_format="unix_ms"),
        ),
    )


XML_ROWS = mapping(
    body="xml",
    rows="Day/Door/Count",
    **{"in": "@in", "out": "Out"},
    serial="Box/@serial",
    line="../@name",
    end="@until",
    window_s=900,
)
XML_BODY = f"""<r:Report xmlns:r="urn:x" xmlns="urn:y"><Box serial="A-7"><Picture>{CANARY}</Picture></Box><Day>
<Door name="north"><Count in="3" until="2026-11-20T09:15:00+01:00"><r:Out>1</r:Out></Count></Door>
<Door name="south"><Count in="0" until="2026-11-20T09:15:00+01:00"><r:Out>2</r:Out></Count></Door></Day></r:Report>"""
OF_ITSELF = mapping(body="xml", rows="/Report/N", **{"in": "."}, line="@door")


class TestGenericXml(FormatSuite):
    format = "generic-xml"
    cases = (
        case(
            "rows-with-their-door-above",
            XML_BODY,
            [
                DeviceReport(
                    serial="A-7",
                    measurements=(
                        window(NINE, NINE + QUARTER, 3, 1, line="north"),
                        window(NINE, NINE + QUARTER, 0, 2, line="south"),
                    ),
                )
            ],
            "application/xml",
            mapping=XML_ROWS,
        ),
        case(
            "a-path-that-names-the-root",
            '<Report><N door="a">4</N><N door="b">5</N></Report>',
            [DeviceReport(measurements=(window(None, None, 4, None, line="a"), window(None, None, 5, None, line="b")))],
            "text/xml",
            mapping=OF_ITSELF,
        ),
        case(
            "the-whole-body-is-the-row",
            "<Status><Inside>42</Inside></Status>",
            [DeviceReport(measurements=(Measurement(line="1", meaning=Meaning.OCCUPANCY, value=42.0),))],
            "text/xml",
            mapping=mapping(body="xml", meaning="occupancy", value="Inside"),
        ),
    )


CSV_ROWS = mapping(
    body="csv",
    delimiter=";",
    encoding="cp1252",
    **{"in": "Entrées", "out": "Sorties"},
    line="Porte",
    start="Date + Heure",
    time_format="%d/%m/%Y %H:%M",
    window_s=900,
)
CSV_BODY = """\
Export du 20/11/2026
Site;Médiathèque

Date;Heure;Porte;Entrées;Sorties
20/11/2026;09:00;Entrée;3;1
20/11/2026;09:15;Entrée;0;2

"""
CSV_REPORT = DeviceReport(
    measurements=(
        window(NINE, NINE + QUARTER, 3, 1, line="Entrée"),
        window(NINE + QUARTER, NINE + 2 * QUARTER, 0, 2, line="Entrée"),
    )
)


class TestGenericCsv(FormatSuite):
    format = "generic-csv"
    cases = (
        case("under-a-preamble", CSV_BODY.encode("cp1252"), [CSV_REPORT], "text/csv", mapping=CSV_ROWS),
        case("in-utf-8-after-all", b"\xef\xbb\xbf" + CSV_BODY.encode(), [CSV_REPORT], "text/csv", mapping=CSV_ROWS),
        case(
            "in-an-encoding-of-old",
            CSV_BODY.replace("\n", "\r\n").encode("cp850"),
            [CSV_REPORT],
            "application/octet-stream",
            mapping=CSV_ROWS.model_copy(update={"encoding": "cp850"}),
        ),
        case(
            "in-utf-16-without-a-mark",
            CSV_BODY.encode("utf-16-le"),
            [CSV_REPORT],
            "",
            mapping=CSV_ROWS.model_copy(update={"encoding": "utf-16-le"}),
        ),
        case(
            "with-quotes-and-commas",
            'when,"people, in",serial\n"2026-11-20T08:00:00Z",7,"A,7"\n',
            [
                DeviceReport(
                    serial="A,7",
                    measurements=(Measurement(line="1", meaning=Meaning.DAY_TOTAL, forward=7, end=NINE),),
                )
            ],
            "text/csv",
            mapping=mapping(body="csv", meaning="day_total", **{"in": "people, in"}, end="when", serial="serial"),
        ),
    )


def read(body: object, by: Mapping, received_at: datetime = RECEIVED_AT) -> tuple[DeviceReport, ...]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return devices.read(document_of(data, ""), Context(PARIS, received_at, by)).reports


@pytest.mark.parametrize(
    "broken", [{"n": {"in": 3}}, {"n": {"in": 3, "out": None}}, {"door": None}, {"to": "soon"}, {"id": []}, {"n": 7}]
)
def test_a_row_that_lacks_what_is_mapped_is_a_fault_and_no_zero(broken: dict[str, Any]) -> None:
    first, _, last = JSON_BODY["data"]
    [found] = read({**JSON_BODY, "data": [{**first, **broken}, last]}, JSON_ROWS)
    assert [each.line for each in found.measurements] == ["south"]
    assert len(found.faults) == 1
    assert found.faults[0].place.startswith("row 1")


def test_a_figure_is_never_taken_from_outside_its_row() -> None:
    by = mapping(rows="$.data[*]", **{"in": "$.in"})
    [found] = read({"in": 900, "data": [{"in": 1}, {}]}, by)
    assert [each.forward for each in found.measurements] == [1]
    assert len(found.faults) == 1


@pytest.mark.parametrize("path", ["$..in", "$.data[*].in"])
def test_what_is_there_twice_is_not_chosen_from(path: str) -> None:
    with pytest.raises(Unreadable, match="more than once"):
        read({"data": [{"in": 1}, {"in": 2}]}, mapping(**{"in": path}))


def test_a_number_and_nothing_else_is_a_body_too() -> None:
    by = mapping(meaning="occupancy", value="$")
    [found] = read("42\n", by)
    assert [each.value for each in found.measurements] == [42.0]
    for wrong in ("-1", "4,5", "42 people", "", "unavailable"):
        with pytest.raises(Unreadable):
            read(wrong, by)


def test_a_broken_battery_spoils_no_count() -> None:
    [found] = read({**JSON_BODY, "box": {"serial": "A-7", "battery": 300}}, JSON_ROWS)
    assert len(found.measurements) == 2
    assert found.battery_percent is None
    assert found.faults


@pytest.mark.parametrize(
    ("body", "by"),
    [
        ({"other": []}, JSON_ROWS),
        ("<a/>", JSON_ROWS),
        ("in,out", JSON_ROWS),
        ({}, XML_ROWS),
        ("<Report/>", XML_ROWS),
        ("a;b;c\n1;2;3\n", CSV_ROWS),
        ("", CSV_ROWS),
        ('"', CSV_ROWS),
    ],
)
def test_a_body_of_another_shape_is_refused(body: object, by: Mapping) -> None:
    with pytest.raises(Unreadable):
        read(body, by)


def test_without_a_mapping_there_is_nothing_to_read_by() -> None:
    for kind in ("json", "xml", "csv"):
        with pytest.raises(Unreadable, match="mapping"):
            devices.read(document_of(b"{}", ""), Context(PARIS, RECEIVED_AT), f"generic-{kind}")


def test_of_a_file_that_grows_the_window_that_is_not_over_is_left_for_the_next_time() -> None:
    [found] = read(CSV_BODY, CSV_ROWS, utc(2026, 11, 20, 8, 20))
    assert [each.forward for each in found.measurements] == [3]
    alone = "\n".join(line for line in CSV_BODY.splitlines() if "09:00" not in line)
    [found] = read(alone, CSV_ROWS, utc(2026, 11, 20, 8, 29, 58))  # the device's clock is two seconds ahead
    assert [each.backward for each in found.measurements] == [2]


def test_both_hours_of_autumn_count_for_each_door() -> None:
    rows = [f"25/10/2026;{hour:02}:00;{door};1;0" for hour in (1, 2, 2, 3) for door in ("Entrée", "Cour")]
    [found] = read("Date;Heure;Porte;Entrées;Sorties\n" + "\n".join(rows), CSV_ROWS)
    begin = utc(2026, 10, 24, 23)
    for door in ("Entrée", "Cour"):
        starts = [each.start for each in found.measurements if each.line == door]
        assert starts == [begin + timedelta(hours=step) for step in range(4)]


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(Unreadable, match="more than"):
        read([{"c": 1}] * 20_001, mapping(**{"in": "$.c"}))


GOOD: dict[str, Any] = {"in": "$.in"}


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (GOOD, ""),
        ({**GOOD, "rows": "$.data[?@.a > 3 && match(@.b, 'x.*')]"}, ""),
        ({"in": "data.in"}, "in: a JSONPath begins with $"),
        ({**GOOD, "out": "$.data["}, "out: this is no JSONPath"),
        ({**GOOD, "rows": "$[?nosuch(@)]"}, "rows: this is no JSONPath"),
        ({**GOOD, "id": "$.a b"}, "id: this is no JSONPath"),
        ({**GOOD, "end": "$.t", "time_format": "%d.%m.%Y"}, "time_format: a day and an hour"),
        ({**GOOD, "end": "$.t", "time_format": "%H:%M"}, "time_format: a day and an hour"),
        ({**GOOD, "end": "$.t", "time_format": "%d.%m.%Y %Q"}, "time_format: strptime cannot read this"),
        ({**GOOD, "end": "$.t", "time_format": "%Y %Y"}, "time_format: "),
        ({**GOOD, "end": "$.t", "time_format": "epoch"}, "time_format: "),
        ({**GOOD, "end": "$.t", "time_format": "%m/%d/%y %I %p"}, ""),
        ({**GOOD, "end": "$.t", "time_format": "unix_ms"}, ""),
        ({"body": "xml", "in": "Report/Count/@Enters", "line": "../@Name"}, ""),
        ({"body": "xml", "in": "//Count"}, ""),
        ({"body": "xml", "in": "Count[1]"}, "in: this is no path of elements"),
        ({"body": "xml", "in": "@a/b"}, "in: this is no path of elements"),
        ({"body": "xml", "in": "A//B"}, "in: this is no path of elements"),
        ({"body": "xml", "in": "@n", "rows": "A/@b"}, "rows: rows are elements"),
        ({"body": "xml", "in": "@n", "rows": "A/.."}, "rows: rows are elements"),
        ({"body": "csv", "in": "People in"}, ""),
        ({"body": "csv", "in": "In", "rows": "x"}, "rows: a CSV has its rows already"),
        ({"body": "csv", "in": "In", "encoding": "utf-9"}, "encoding: there is no encoding"),
        ({"body": "csv", "in": "In", "encoding": "base64"}, "encoding: there is no encoding"),
        ({"body": "csv", "in": "In", "delimiter": '"'}, "delimiter: "),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said(keys: dict[str, Any], fault: str) -> None:
    found = fault_of(mapping(**keys))
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_all_of_it_is_said() -> None:
    by = mapping(**{"in": "x", "out": "$[", "time_format": "%Q"})
    assert [key for key, _ in faults_of(by)] == ["in", "out", "time_format"]


@pytest.mark.parametrize(
    "keys",
    [
        {"in": "$.a", "start": "$.s"},
        {"in": "$.a", "meaning": "total", "start": "$.s", "end": "$.e"},
        {"in": "$.a", "meaning": "crossing", "end": "$.e", "window_s": 60},
        {"value": "$.a"},
        {"in": "$.a", "meaning": "occupancy"},
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        mapping(**keys)


def test_a_mapping_that_passed_no_check_harms_nothing() -> None:
    with pytest.raises(Unreadable):
        read({"in": 1}, mapping(**{"in": "$["}))
    with pytest.raises(Unreadable):
        read("<a/>", mapping(body="xml", **{"in": "[/["}))
    by = mapping(body="csv", encoding="utf-9", **{"in": "x"})
    with pytest.raises(Unreadable):
        devices.read(document_of(b"x\n\xff\n", ""), Context(PARIS, RECEIVED_AT, by))
