"""Brickstream: local time with an offset and a flag, windows over midnight and over changes of the clock, zones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import PARIS, RECEIVED_AT, FormatSuite, case

NEW_YORK = ZoneInfo("America/New_York")
XML = "application/xml"


def count(start: str, end: str, enters: object = 3, exits: object = 1, unix: str = "", status: str = "0") -> str:
    known = f' UnixStartTime="{unix}"' if unix else ""
    return f'<Count StartTime="{start}" EndTime="{end}"{known} Enters="{enters}" Exits="{exits}" Status="{status}"/>'


def metrics(
    *counts: str, zone: str = "1", dst: str = "0", date: str = "2026-11-18", interval: str = "1", more: str = ""
) -> str:
    return f"""<?xml version="1.0"?>
<Metrics SiteId="665" Sitename="Bibliothèque" DeviceId="SD-01" Devicename="Entrance" DivisionId="">
  <Properties>{more}
    <MacAddress>00:b0:9d:be:30:13</MacAddress><IpAddress>10.254.254.79</IpAddress><HostName>Cam</HostName>
    <HttpPort>80</HttpPort><HttpsPort>443</HttpsPort><Timezone>{zone}</Timezone><DST>{dst}</DST>
    <HwPlatform>2300</HwPlatform><SerialNumber>13132694</SerialNumber><DeviceType>0</DeviceType>
  </Properties>
  <ReportData Interval="{interval}">
    <Report Date="{date}">
      <Object Id="0" DeviceId="SD-01" DeviceName="Entrance" ObjectType="0" Name="Door 01">{"".join(counts)}</Object>
    </Report>
  </ReportData>
</Metrics>"""


def window(start: datetime, minutes: int = 1, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "0", "meaning": Meaning.WINDOW, "forward": 3, "backward": 1, "label": "Door 01"}
    return Measurement(start=start, end=start + timedelta(minutes=minutes), **(named | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(serial="13132694", measurements=measurements, **other)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


NINE = utc(2026, 11, 18, 8)


class TestBrickstream(FormatSuite):
    format = "brickstream"
    cases = (
        case(
            "windows-of-a-zone",
            metrics(count("09:00:00", "09:01:00"), count("09:01:00", "09:02:00", 0, 0, status="4")),
            [
                report(
                    window(NINE),
                    window(NINE + timedelta(minutes=1), forward=0, backward=0, is_complete=False),
                )
            ],
            "text/xml",
        ),
        case(
            "summer-time-is-on",
            metrics(count("17:49:00", "17:50:00"), dst="1", date="2026-06-15"),
            [report(window(utc(2026, 6, 15, 15, 49)))],
            XML,
        ),
        case(
            "summer-time-is-observed-and-off",
            metrics(count("09:00:00", "09:01:00"), dst="1"),
            [report(window(NINE))],
            XML,
        ),
        case(
            "seconds-since-1970-as-well",
            metrics(
                count("17:51:00", "17:52:00", unix="1750002660"),
                dst="1",
                date="2025-06-15",
                more="<Version>2</Version><TransmitTime>1750002744</TransmitTime>",
            ),
            [report(window(utc(2025, 6, 15, 15, 51)), sent_at=utc(2025, 6, 15, 15, 52, 24))],
            XML,
        ),
        case(
            "over-midnight",
            metrics(count("23:45:00", "00:00:00"), interval="15"),
            [report(window(utc(2026, 11, 18, 22, 45), 15))],
            XML,
        ),
        case(
            "two-zones-and-two-days",
            metrics(count("23:55:00", "24:00:00"), interval="5").replace(
                "</Object>",
                '</Object><Object Id="1" Name="Door 02"><Count StartTime="23:55:00" EndTime="23:59:00" Enters="7"'
                ' Exits="0" Status="0"/></Object></Report><Report Date="2026-11-19"><Object Id="0" Name="Door 01">'
                + count("00:00:00", "00:05:00", 0, 2)
                + "</Object>",
            ),
            [
                report(
                    window(utc(2026, 11, 18, 22, 55), 5),
                    window(utc(2026, 11, 18, 22, 55), 4, line="1", label="Door 02", forward=7, backward=0),
                    window(utc(2026, 11, 18, 23), 5, forward=0, backward=2),
                )
            ],
            XML,
        ),
        case(
            "a-sensor-far-away",
            metrics(count("09:00:00", "09:01:00"), zone="-5"),
            [report(window(utc(2026, 11, 18, 14)))],
            XML,
        ),
        case(
            "without-a-zone",
            metrics(count("09:00:00", "09:01:00"), zone=""),
            [report(window(NINE))],
            XML,
        ),
    )


def read(text: str, zone: ZoneInfo = PARIS) -> DeviceReport:
    [found] = devices.read(document_of(text.encode(), XML), Context(zone, RECEIVED_AT)).reports
    return found


def test_the_librarys_zone_says_whether_summer_time_is_on() -> None:
    body = metrics(count("09:00:00", "09:01:00"), zone="-5", dst="1", date="2026-11-18")
    assert read(body, NEW_YORK).measurements[0].start == utc(2026, 11, 18, 14)
    summer = metrics(count("09:00:00", "09:01:00"), zone="-5", dst="1", date="2026-07-18")
    assert read(summer, NEW_YORK).measurements[0].start == utc(2026, 7, 18, 13)
    assert read(body, ZoneInfo("Asia/Tokyo")).measurements[0].start == utc(2026, 11, 18, 13)  # it takes the flag's word


@pytest.mark.parametrize(
    ("start", "end", "unix", "begun"),
    [
        ("01:59:00", "03:00:00", "1774745940", utc(2026, 3, 29, 0, 59)),
        ("02:59:00", "02:00:00", "1792889940", utc(2026, 10, 25, 0, 59)),
    ],
)
def test_a_window_in_which_the_clock_is_changed_is_as_long_as_any(
    start: str, end: str, unix: str, begun: datetime
) -> None:
    [found] = read(metrics(count(start, end, unix=unix), dst="1", date=f"{begun:%Y-%m-%d}")).measurements
    assert (found.start, found.end) == (begun, begun + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("zone", "dst", "start"),
    [
        ("+5.5", "0", utc(2026, 11, 18, 3, 30)),
        ("5.5", "false", utc(2026, 11, 18, 3, 30)),
        ("+05:30", "", utc(2026, 11, 18, 3, 30)),
        ("-05:00", "False", utc(2026, 11, 18, 14)),
        ("-0330", "0", utc(2026, 11, 18, 12, 30)),
        ("UTC-5", "true", utc(2026, 11, 18, 13)),
        ("-5.0", "1", utc(2026, 11, 18, 13)),
    ],
)
def test_zones_and_flags_as_sensors_write_them(zone: str, dst: str, start: datetime) -> None:
    assert read(metrics(count("09:00:00", "09:01:00"), zone=zone, dst=dst)).measurements[0].start == start


def test_a_sensor_that_counts_one_way_alone() -> None:
    both = metrics(count("09:00:00", "09:01:00"))
    assert read(both.replace(' Exits="1"', "")).measurements == (window(NINE, backward=None),)
    assert read(both.replace(' Enters="3"', "")).measurements == (window(NINE, forward=None),)


def test_a_bad_window_spoils_no_other() -> None:
    good = count("09:02:00", "09:03:00")
    found = read(
        metrics(
            count("09:00:00", "09:00:00"), count("9 o'clock", "09:01:00"), count("09:01:00", "09:02:00", "many"), good
        )
    )
    assert found.measurements == (
        replace(window(NINE), start=NINE + timedelta(minutes=2), end=NINE + timedelta(minutes=3)),
    )
    assert [each.place for each in found.faults] == ["Count/@EndTime", "Count/@StartTime", "Count/@Enters"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Id="0"', 'Id=""'),
        ("2026-11-18", "someday"),
        (">1<", ">east<"),
        (">1<", ">+1:75<"),
        ('Enters="3" Exits="1"', ""),
    ],
)
def test_what_says_no_windows_is_refused(old: str, new: str) -> None:
    with pytest.raises(Unreadable):
        read(metrics(count("09:00:00", "09:01:00")).replace(old, new))
