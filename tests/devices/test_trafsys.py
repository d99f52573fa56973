"""Traf-Sys, by the shape that its clients handle: hours by site and location, in local time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

END = datetime(2021, 2, 1, 13, 0, tzinfo=UTC)  # 14:00 in Paris


def row(**other: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "SiteCode": "MAIN",
        "Location": "North Door",
        "IsInternal": False,
        "PeriodEnding": "2021-02-01T14:00:00",
        "Ins": 31,
        "Outs": 28,
    }
    return fields | other


def window(**other: object) -> Measurement:
    fields = {
        "line": "North Door",
        "meaning": Meaning.WINDOW,
        "forward": 31,
        "backward": 28,
        "start": END - timedelta(hours=1),
        "end": END,
    }
    return Measurement(**(fields | other))  # type: ignore[arg-type]


def report(*measurements: Measurement, serial: str = "MAIN", faults: tuple[Fault, ...] = ()) -> DeviceReport:
    return DeviceReport(serial=serial, model="Traf-Sys site", measurements=measurements, faults=faults)


class TestTrafsys(FormatSuite):
    format = "trafsys"
    cases = (
        case(
            "two-sites",
            [
                row(),
                row(Location="South Door", Ins=0, Outs=4),
                row(SiteCode="EAST", Location="Door", Ins="12", Outs="9"),
            ],
            [
                report(window(), window(line="South Door", forward=0, backward=4)),
                report(window(line="Door", forward=12, backward=9), serial="EAST"),
            ],
        ),
        case(
            "a-site-without-locations",
            [{name: value for name, value in row().items() if name != "Location"}, row(SiteCode="EAST", Location=None)],
            [report(window(line="site")), report(window(line="site"), serial="EAST")],
        ),
        case(
            "in-summer",
            [row(PeriodEnding="2021-07-01T14:00:00")],
            [
                report(
                    window(
                        start=datetime(2021, 7, 1, 11, 0, tzinfo=UTC),
                        end=datetime(2021, 7, 1, 12, 0, tzinfo=UTC),
                    )
                )
            ],
        ),
        case(
            "the-hour-that-comes-twice",
            [
                row(PeriodEnding="2021-10-31T02:00:00", Ins=1, Outs=0),
                row(PeriodEnding="2021-10-31T02:00:00+0100", Ins=2, Outs=0),
            ],
            [
                report(
                    window(
                        forward=1,
                        backward=0,
                        start=datetime(2021, 10, 30, 23, 0, tzinfo=UTC),
                        end=datetime(2021, 10, 31, 0, 0, tzinfo=UTC),
                    ),
                    window(
                        forward=2,
                        backward=0,
                        start=datetime(2021, 10, 31, 0, 0, tzinfo=UTC),
                        end=datetime(2021, 10, 31, 1, 0, tzinfo=UTC),
                    ),
                )
            ],
        ),
        case(
            "the-hour-that-comes-twice-as-the-portal-has-it",
            [row(PeriodEnding=f"2021-10-31T0{hour}:00:00", Ins=hour, Outs=0) for hour in (2, 2, 3)],
            [
                report(
                    *(
                        window(
                            forward=hour,
                            backward=0,
                            start=datetime(2021, 10, 31, at, 0, tzinfo=UTC) - timedelta(hours=1),
                            end=datetime(2021, 10, 31, at, 0, tzinfo=UTC),
                        )
                        for at, hour in enumerate((2, 2, 3))
                    )
                )
            ],
        ),
        case(
            "a-row-without-a-count-spoils-no-other",
            [row(), row(Ins=None, Outs=None), row(Ins=-3)],
            [report(window(), faults=(Fault("[1]", ""), Fault("[2].Ins", "")))],
        ),
        case(
            "what-an-hour-has-grown-by",
            [row(revision=2, Ins=5, Outs=0)],
            [report(window(forward=5, backward=0, key="revision 2"))],
        ),
    )
