"""bibliotheca open+, by its documented shape: an amount, an id and three times for each record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

AT = datetime(2026, 11, 22, 6, 30, 5, tzinfo=UTC)


def record(**other: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "id": "7f0c-1",
        "amount": 1,
        "name": CANARY,
        "localTime": "2026-11-22T07:30:05",
        "serverTime": "2026-11-22T06:30:05Z",
        "clientTime": "2026-11-22T06:30:04Z",
        "category": CANARY,
        "libraryControllerState": "Open",
    }
    return whole | other


def answer(*records: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"from": "2026-11-22T00:00:00Z", "count": len(records), "limit": 1000}, "result": list(records)}


def entry(**other: Any) -> Measurement:
    fields: dict[str, Any] = {"line": "login", "meaning": Meaning.CROSSING, "forward": 1, "end": AT, "key": "7f0c-1"}
    return Measurement(**(fields | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(model="open+", measurements=measurements, **other)


class TestOpenPlus(FormatSuite):
    format = "openplus"
    cases = (
        case(
            "two-logins-of-which-one-has-its-local-time-alone",
            answer(record(), record(id="7f0c-2", amount="2", serverTime=None, clientTime=None)),
            [report(entry(), entry(forward=2, key="7f0c-2"))],
        ),
        case("a-sum-that-has-grown", answer(record(amount=4, revision=1)), [report(entry(forward=4, key="7f0c-1 1"))]),
        case("a-quarter-in-which-nobody-came", answer(record(amount=0)), [report(entry(forward=0))]),
        case(
            "records-that-cannot-be-read-spoil-no-other",
            answer(record(amount=-1), record(), record(serverTime="yesterday"), record(amount=CANARY)),
            [
                report(
                    entry(),
                    faults=(
                        Fault("result[0].amount", ""),
                        Fault("result[2].serverTime", ""),
                        Fault("result[3].amount", ""),
                    ),
                )
            ],
        ),
    )
