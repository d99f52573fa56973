"""VIVOTEK: pushed reports as JSON and CSV, and the occupancy of several cameras."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, PARIS, RECEIVED_AT, FormatSuite, case

SENT_AT = datetime(2026, 11, 20, 6, 30, 1, tzinfo=UTC)
SOURCE = {
    "UtcTime": "2026-11-20T06:30:01Z",
    "GroupID": "0",
    "DeviceID": "0",
    "ModelName": " SC8131",
    "MacAddress": "00:02:81:31:00:08",
    "IPAddress": "172.16.2.134",
    "TimeZone": "+8",
    "DST": "0",
}
TIMES = {"StartTime": "2026-11-20T06:15:00Z", "EndTime": "2026-11-20T06:30:00Z"}
PUSHED: dict[str, Any] = {
    "Source": SOURCE,
    "Data": [
        {
            "RuleType": "Counting",
            "CountingInfo": [
                {"RuleName": "Counting1", "In": 1, "Out": 2, **TIMES},
                {"RuleName": "Counting2", "In": 0, "Out": 0, **TIMES},
            ],
        },
        {"RuleType": "Zone", "ZoneInfo": [{"RuleName": "Hall", "Snapshot": CANARY}]},
    ],
}
CSV = """\
UtcTime,GroupID,DeviceID,ModelName,MacAddress,IPAddress,TimeZone,DST
2026-11-20T06:30:01Z,0,0,SC8131,00:02:81:31:00:08,172.16.2.134,+8,0
RuleType,RuleName,In,Out,StartTime,EndTime
Counting,Counting1,1,2,2026-11-20T06:15:00Z,2026-11-20T06:30:00Z
Counting,Counting2,0,0,2026-11-20T06:15:00Z,2026-11-20T06:30:00Z
"""
DETAIL: dict[str, Any] = {
    "Detail": [
        {"in": 12, "ip": "10.66.108.13", "out": 0, "port": 80, "rule": "Line1"},
        {"in": 5, "ip": "10.66.106.105", "out": 8, "port": 80, "rule": "Line1"},
    ],
    "in": 17,
    "number": 9,
    "offset": 0,
    "out": 8,
    "state": "Crowded",
}


def window(line: str, forward: int, backward: int) -> Measurement:
    return Measurement(
        line=line,
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=datetime(2026, 11, 20, 6, 15, tzinfo=UTC),
        end=datetime(2026, 11, 20, 6, 30, tzinfo=UTC),
    )


def inside(people: float) -> Measurement:
    return Measurement(line="occupancy", meaning=Meaning.OCCUPANCY, value=people)


def register(line: str, forward: int, backward: int) -> Measurement:
    return Measurement(line=line, meaning=Meaning.TOTAL, forward=forward, backward=backward, label="Line1")


REPORT = DeviceReport(
    serial="00:02:81:31:00:08",
    model="SC8131",
    sent_at=SENT_AT,
    measurements=(window("Counting1", 1, 2), window("Counting2", 0, 0)),
)


class TestVivotek(FormatSuite):
    format = "vivotek"
    cases = (
        case("pushed-as-json", PUSHED, [REPORT]),
        case("pushed-as-csv", CSV, [REPORT], "text/csv"),
        case("as-windows-writes-it", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(), [REPORT], "text/plain"),
        case(
            "occupancy-in-detail",
            DETAIL,
            [
                DeviceReport(
                    measurements=(
                        inside(9.0),
                        register("10.66.108.13/Line1", 12, 0),
                        register("10.66.106.105/Line1", 5, 8),
                    )
                )
            ],
        ),
        case("occupancy-alone", {"number": 28, "state": "Full"}, [DeviceReport(measurements=(inside(28.0),))]),
    )


def read(body: object) -> DeviceReport:
    document = document_of(json.dumps(body).encode(), "application/json")
    [report] = devices.read(document, Context(PARIS, RECEIVED_AT), "vivotek").reports
    return report


def test_a_bad_rule_spoils_no_other() -> None:
    report = read({**DETAIL, "Detail": [DETAIL["Detail"][0], {"rule": "x"}, 7]})
    assert len(report.measurements) == 2
    assert [each.place for each in report.faults] == ["Detail[1]", "Detail[2]"]


def test_a_rule_that_counts_one_way_alone() -> None:
    [_, found] = read({**DETAIL, "Detail": [{"in": 5, "rule": "x"}]}).measurements
    assert (found.forward, found.backward) == (5, None)
    rules = [
        {"RuleName": "A", "Out": 2, **TIMES},
        {"RuleName": "B", "In": 3, "Out": None, **TIMES},
        {"RuleName": "C", **TIMES},
    ]
    report = read({"Source": SOURCE, "Data": [{"RuleType": "Counting", "CountingInfo": rules}]})
    assert [(each.forward, each.backward) for each in report.measurements] == [(None, 2), (3, None)]
    assert [each.place for each in report.faults] == ["Data[0].CountingInfo[2]"]


@pytest.mark.parametrize(
    "body",
    [
        {"Source": SOURCE, "Data": [PUSHED["Data"][1]]},
        {"Source": SOURCE, "Data": [{"RuleType": "Counting"}]},
        {"Source": SOURCE, "Data": 7},
        {"Source": [], "Data": []},
        {"number": -1, "state": "Full"},
        {"number": 1.5, "state": "Full"},
        [],
    ],
)
def test_what_holds_no_passages_is_refused(body: object) -> None:
    with pytest.raises(Unreadable):
        read(body)
