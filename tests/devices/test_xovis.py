"""Xovis: data push of firmware 5."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Fault, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

SERIAL = "80:1F:12:AA:00:01"
MINUTE_MS = 60_000
FROM_MS = 1_795_347_600_000
SENSOR = {"serial_number": SERIAL, "type": "SINGLE_SENSOR", "timezone": "Europe/Paris"}


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


ENDED = at(FROM_MS + MINUTE_MS)


def package(kind: str, sensor: dict[str, Any] = SENSOR, **content: object) -> dict[str, Any]:
    return {kind: {"package_info": {"version": "5.0", "id": 28, "agent_id": 1008}, "sensor_info": sensor, **content}}


def record(counts: dict[str, object], minute: int = 0, **other: object) -> dict[str, Any]:
    start = FROM_MS + minute * MINUTE_MS
    named = [{"id": number, "name": name, "value": value} for number, (name, value) in enumerate(counts.items())]
    whole = {"from": start, "to": start + MINUTE_MS, "samples": 1, "samples_expected": 1, "counts": named}
    return whole | other


def logic(info: str, number: int, name: str, geometry: str, *records: dict[str, Any]) -> dict[str, Any]:
    geometries = [{"id": number, "type": geometry, "name": name}]
    return {"id": number, "name": name, "info": info, "geometries": geometries, "records": list(records)}


def window(forward: int, backward: int, minute: int = 0, **other: Any) -> Measurement:
    start = FROM_MS + minute * MINUTE_MS
    fields: dict[str, Any] = {
        "line": "line 2",
        "label": "Main door",
        "meaning": Meaning.WINDOW,
        "forward": forward,
        "backward": backward,
        "start": at(start),
        "end": at(start + MINUTE_MS),
    }
    return Measurement(**(fields | other))


def state(line: str, meaning: Meaning, value: float, label: str, end: datetime = ENDED) -> Measurement:
    return Measurement(line=line, meaning=meaning, value=value, label=label, end=end)


MAIN_DOOR = logic(
    "XLT_4X_LINE_IN_OUT_COUNT",
    2,
    "Main door",
    "LINE",
    record({"fw": 3, "bw": 1, "fw-male": CANARY, "fw-age": CANARY}),
    record({"fw": 0, "bw": 2}, 1, samples=0),
)
READING_ROOM = logic(
    "XLT_ZONE_OCCUPANCY_COUNT", 1001, "Room", "ZONE", record({"balance": 14, "visits": 3, "dwell_time": 83.646004})
)
QUEUE = logic(
    "XLT_QUEUE_STATISTICS",
    1000,
    "Desk",
    "ZONE",
    record({"queue-length": 6, "outflow": 8, "queueing-time": 600.0}),
    record({"queue-length": 2, "outflow": 0, "queueing-time": 0}, 1),
)
OF_ROOM = state("logic 1001 balance", Meaning.OCCUPANCY, 14, "Room")
OF_QUEUE = (
    state("logic 1000 queue-length", Meaning.QUEUE_LENGTH, 6, "Desk"),
    state("logic 1000 queueing-time", Meaning.QUEUEING_TIME, 10.0, "Desk"),
    state("logic 1000 queue-length", Meaning.QUEUE_LENGTH, 2, "Desk", end=at(FROM_MS + 2 * MINUTE_MS)),
)
GROUPS = logic("XLT_GROUP_LINE_IN_OUT_COUNT", 7, "Groups", "LINE", record({"fw": 1, "bw": 0}))
LATE = logic("XLT_4X_LINE_LATE_COUNT", 2, "Main door", "LINE", record({"fw": 2, "bw": 1}))


def tracked(number: int, kind: str = "PERSON", **attributes: object) -> dict[str, Any]:
    return {"track_id": number, "type": kind, "position": [0.07, 0.08, 1.7], "attributes": attributes}


def crossing(direction: str, track: int | None, line: int = 2) -> dict[str, Any]:
    attributes = {"track_id": track, "geometry_id": line, "geometry_type": "LINE", "geometry_name": "Main door"}
    if track is None:
        del attributes["track_id"]
    return {"category": "SCENE", "type": f"LINE_CROSS_{direction}", "attributes": attributes}


def counted(kind: str, counter: str, logic_id: int, name: str, **values: object) -> dict[str, Any]:
    attributes = {"track_id": 490, "logic_id": logic_id, "logic_name": name, "counter_name": counter, **values}
    return {"category": "COUNT", "type": kind, "attributes": attributes}


def frame(events: list[dict[str, Any]], *objects: dict[str, Any], time: object = FROM_MS) -> dict[str, Any]:
    return {"framenumber": 4_137_403, "time": time, "tracked_objects": list(objects), "events": events}


def passage(direction: str = "in", **other: Any) -> Measurement:
    way: dict[str, Any] = {"forward": 1} if direction == "in" else {"backward": 1}
    fields: dict[str, Any] = {"line": "line 2", "label": "Main door", "meaning": Meaning.CROSSING, "end": at(FROM_MS)}
    return Measurement(**(fields | way | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(serial=SERIAL, measurements=measurements, **other)


STATUS = package(
    "status_data",
    {"serial_number": SERIAL},
    states={
        "device": {
            "info": {"prod_code": "PC2SUL", "serial": SERIAL, "fw_version": "5.0.3"},
            "state": {"state": "ERROR", "details": {"uptime_sec": 334_753}},
        },
        "time": {"state": {"state": "OK", "details": {"time": "2026-11-22T13:00:05+01:00"}}},
        "singlesensor": {"status": {"frames_processed": 4_184_138, "illumination": "INSUFFICIENT"}},
    },
)


class TestXovis(FormatSuite):
    format = "xovis"
    cases = (
        case(
            "lines-zones-and-queues-by-the-minute",
            package("logics_data", logics=[READING_ROOM, MAIN_DOOR, QUEUE, GROUPS]),
            [report(OF_ROOM, window(3, 1), window(0, 2, 1, is_complete=False), *OF_QUEUE)],
        ),
        case(
            "live-crossings-of-people-and-not-of-their-groups",
            package(
                "live_data",
                frames=[
                    {"framenumber": 1, "time": FROM_MS, "tracked_objects": [tracked(490)]},
                    frame([crossing("BACKWARD", 490)], tracked(490, gender=CANARY, age=CANARY)),
                    frame(
                        [crossing("BACKWARD", 518), crossing("FORWARD", 491), crossing("FORWARD", 492)],
                        tracked(491),
                        tracked(492, tag="NO_TAG"),
                        tracked(518, "GROUP"),
                        time="2026-11-22T13:00:01.500+01:00",
                    ),
                ],
            ),
            [
                report(
                    passage("out"),
                    passage(end=datetime(2026, 11, 22, 12, 0, 1, 500_000, tzinfo=UTC)),
                    passage(end=datetime(2026, 11, 22, 12, 0, 1, 500_000, tzinfo=UTC), key="2"),
                )
            ],
        ),
        case(
            "live-counters-of-a-zone-and-a-queue",
            package(
                "live_data",
                frames=[
                    frame(
                        [
                            counted("TIME_CHANGE", "queueing-time", 1000, "Desk", amount=252.0, counter_value=612.0),
                            counted("COUNT_INCREMENT", "balance", 1001, "Room", counter_value=15),
                            counted("COUNT_INCREMENT", "bw", 2, "Main door", counter_value=927),
                            counted("COUNT_DECREMENT", "queue-length", 1000, "Desk", counter_value=5),
                            counted("TIME_CHANGE", "dwell_time", 1001, "Room", amount=60.0),
                        ],
                        tracked(490),
                    )
                ],
            ),
            [
                report(
                    state("logic 1000 queueing-time", Meaning.QUEUEING_TIME, 4.2, "Desk", end=at(FROM_MS)),
                    state("logic 1001 balance", Meaning.OCCUPANCY, 15, "Room", end=at(FROM_MS)),
                    state("logic 1000 queue-length", Meaning.QUEUE_LENGTH, 5, "Desk", end=at(FROM_MS)),
                )
            ],
        ),
        case(
            "staff-with-a-tag-are-no-visitors",
            package("live_data", frames=[frame([crossing("FORWARD", 5)], tracked(5, tag="TAG")), frame([])]),
            [report()],
        ),
        case(
            "frames-without-objects-or-numbers-of-tracks",
            package(
                "live_data",
                frames=[
                    frame([crossing("FORWARD", None)]),
                    frame([crossing("FORWARD", None)], tracked(6, "GROUP")),
                    frame([crossing("FORWARD", None)], tracked(7), tracked(8, "GROUP")),
                ],
            ),
            [report(passage(), faults=(Fault("[0].live_data.frames[2].events[0].attributes.track_id", ""),))],
        ),
        case(
            "health",
            STATUS,
            [
                report(
                    model="PC2SUL",
                    says_flags=True,
                    flags=("error", "low-light"),
                    sent_at=datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC),
                )
            ],
        ),
        case(
            "several-packages-in-one-body",
            [package("logics_data", logics=[MAIN_DOOR]), STATUS, package("logics_data", logics=[QUEUE])],
            [
                report(
                    window(3, 1),
                    window(0, 2, 1, is_complete=False),
                    *OF_QUEUE,
                    model="PC2SUL",
                    says_flags=True,
                    flags=("error", "low-light"),
                    sent_at=datetime(2026, 11, 22, 12, 0, 5, tzinfo=UTC),
                )
            ],
        ),
        case(
            "a-group-of-sensors-has-numbers-of-its-own",
            package("logics_data", {**SENSOR, "type": "MULTI_SENSOR", "multisensor_id": 1}, logics=[MAIN_DOOR]),
            [
                report(
                    window(3, 1, line="multisensor 1 line 2"),
                    window(0, 2, 1, line="multisensor 1 line 2", is_complete=False),
                )
            ],
        ),
        case(
            "early-and-late-counting-of-one-line-count-once",
            package("logics_data", logics=[MAIN_DOOR, LATE]),
            [report(window(3, 1), window(0, 2, 1, is_complete=False))],
        ),
        case(
            "two-logics-of-one-kind-on-one-line-count-once",
            package("logics_data", logics=[MAIN_DOOR, {**MAIN_DOOR, "id": 9, "name": "Again"}]),
            [report(window(3, 1), window(0, 2, 1, is_complete=False))],
        ),
        case(
            "two-logics-on-one-line-in-two-packages-count-once",
            [
                package("logics_data", logics=[{**MAIN_DOOR, "records": MAIN_DOOR["records"][:1]}]),
                package("logics_data", logics=[{**MAIN_DOOR, "id": 9}, QUEUE]),
                package("logics_data", logics=[{**MAIN_DOOR, "records": MAIN_DOOR["records"][1:]}]),
            ],
            [report(window(3, 1), *OF_QUEUE, window(0, 2, 1, is_complete=False))],
        ),
        case(
            "logics-that-are-not-read-are-named",
            package(
                "logics_data",
                logics=[
                    MAIN_DOOR,
                    logic("XLT_CUSTOM", 7, "Floor", "ZONE", *[record({"balance": 5}, minute) for minute in (0, 1)]),
                    logic("XLT_ZONE_IN_OUT_COUNT", 8, "Stairs", "ZONE", record({"fw": 5, "bw": 4})),
                    logic("XLT_4X_ZONE_DWELL_TIME", 6, "Shelf", "ZONE", record({"balance": 4})),
                    GROUPS,
                ],
            ),
            [
                report(
                    window(3, 1),
                    window(0, 2, 1, is_complete=False),
                    faults=tuple(Fault(f"[0].logics_data.logics[{at}].info", "") for at in (1, 2)),
                )
            ],
        ),
        case(
            "times-written-as-text",
            package(
                "logics_data",
                logics=[
                    logic(
                        "XLT_LINE_IN_OUT_COUNT",
                        2,
                        "Main door",
                        "LINE",
                        record({"fw": 3, "bw": 1}) | {"from": str(FROM_MS), "to": str(FROM_MS + MINUTE_MS)},
                        record({"fw": 0, "bw": 2}) | {"from": str(FROM_MS // 1000 + 60), "to": "20261122114200"},
                    )
                ],
            ),
            [report(window(3, 1), window(0, 2, 1))],
        ),
        case(
            "a-negative-balance-is-a-fault",
            package(
                "logics_data",
                logics=[
                    MAIN_DOOR,
                    logic("XLT_4X_ZONE_COUNT", 1, "Zone", "ZONE", record({"balance": -2}), record({"balance": 0}, 1)),
                ],
            ),
            [
                report(
                    window(3, 1),
                    window(0, 2, 1, is_complete=False),
                    state("logic 1 balance", Meaning.OCCUPANCY, 0, "Zone", end=at(FROM_MS + 2 * MINUTE_MS)),
                    faults=(Fault("[0].logics_data.logics[1].records[0].balance", ""),),
                )
            ],
        ),
    )


def test_a_body_with_nothing_that_is_read_says_so() -> None:
    document = document_of(json.dumps(package("logics_data", logics=[GROUPS])).encode(), "application/json")
    with pytest.raises(Unreadable, match="none of its logics"):
        devices.read(document, TestXovis.cases[0].context)


def test_a_push_without_metadata_says_what_to_set() -> None:
    bare = record({"fw": 1, "bw": 0}) | {"counts": [{"id": 2, "value": 1}]}
    body = package("logics_data", logics=[logic("XLT_LINE_IN_OUT_COUNT", 2, "Door", "LINE", bare)])
    with pytest.raises(Unreadable, match="metadata in full"):
        devices.read(document_of(json.dumps(body).encode(), "application/json"), TestXovis.cases[0].context)


def read(body: object) -> DeviceReport:
    document = document_of(json.dumps(body).encode(), "application/json")
    [found] = devices.read(document, TestXovis.cases[0].context).reports
    return found


def test_a_logic_that_is_not_read_says_what_to_do() -> None:
    custom = logic("XLT_CUSTOM", 7, "Floor", "ZONE", record({"balance": 5}))
    [fault] = read(package("logics_data", logics=[MAIN_DOOR, custom])).faults
    assert fault.reason.startswith("XLT_CUSTOM is not read")
    [fault] = read(package("logics_data", logics=[MAIN_DOOR, {**custom, "info": f"XLT {CANARY}"}])).faults
    assert CANARY not in fault.reason


def test_live_data_without_the_events_of_the_scene_says_what_to_turn_on() -> None:
    counts = [counted("COUNT_INCREMENT", "fw", 2, "Main door", counter_value=927)]
    with pytest.raises(Unreadable, match="turn on the scene events"):
        read(package("live_data", frames=[frame(counts, tracked(490)), frame([])]))
    [fault] = read([package("live_data", frames=[frame(counts)]), package("logics_data", logics=[MAIN_DOOR])]).faults
    assert fault.place == "[0].live_data.frames"


def test_live_data_with_the_events_of_the_scene_is_whole() -> None:
    counts = [counted("COUNT_INCREMENT", "fw", 2, "Main door", counter_value=927)]
    gone = {"category": "SCENE", "type": "TRACK_DELETE", "attributes": {"track_id": 490}}
    for events in ([crossing("FORWARD", 490), *counts], [*counts, gone]):
        assert read(package("live_data", frames=[frame(events, tracked(490, tag="TAG"))])).faults == ()
