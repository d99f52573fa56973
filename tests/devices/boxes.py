"""Boxes as libraries have them, each sending what its maker documents; what they count is told to them by the minute.

A box is given the end of each minute with how many came and went, and returns the bodies that it sends then.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
PICTURE = Random(11).randbytes(2500)
"""Beside a count, where a camera sends one."""


@dataclass(frozen=True)
class Minute:
    """The end of a minute, and who came and went in it."""

    end: datetime
    entered: int
    left: int


@dataclass(frozen=True)
class Sent:
    """One body on its way."""

    data: bytes
    media_type: str = "application/json"
    topic: str = ""


@dataclass
class Box(ABC):
    """One box at one door."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))
    entered: int = 0
    """Since power-on."""
    left: int = 0

    lines: tuple[dict[str, Any], ...] = ({},)
    """How its lines are led; each gets its gate."""
    is_register: bool = False
    """Whether a body tells of all before it, so that one may be lost."""

    def minute(self, minute: Minute) -> list[Sent]:
        """Return what it sends at the end of a minute."""
        self.entered += minute.entered
        self.left += minute.left
        return self.bodies(minute)

    @abstractmethod
    def bodies(self, minute: Minute) -> list[Sent]:
        """Return the bodies of a minute; the sums since power-on are up to date."""

    def reboot(self) -> None:
        """Begin counting from nothing."""
        self.entered = self.left = 0

    def local(self, at: datetime, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
        """Return a time as a box without a time zone writes it."""
        return at.astimezone(self.zone).strftime(pattern)


def _json(body: Any, topic: str = "") -> Sent:
    return Sent(json.dumps(body).encode(), topic=topic)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


@dataclass
class Xovis(Box):
    """Windows of a minute in epoch milliseconds."""

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        counts = [{"id": 2, "name": "fw", "value": minute.entered}, {"id": 3, "name": "bw", "value": minute.left}]
        counts += [{"id": 4, "name": "fw-male", "value": minute.entered}]
        record = {"from": _ms(end - MINUTE), "to": _ms(end), "samples": 1, "samples_expected": 1, "counts": counts}
        logic = {
            "id": 2,
            "name": "Line 0",
            "info": "XLT_4X_LINE_IN_OUT_COUNT",
            "geometries": [{"id": 2, "type": "LINE", "name": "Line 0"}],
            "records": [record],
        }
        info = {"version": "5.0", "id": 28, "agent_id": 1008}
        sensor = {"serial_number": "80:1F:12:D5:30:DC", "type": "SINGLE_SENSOR"}
        return [_json({"logics_data": {"package_info": info, "sensor_info": sensor, "logics": [logic]}})]


@dataclass
class Hikvision(Box):
    """Registers since power-on in XML, with a picture in a second part."""

    is_register: bool = True

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        at = end.astimezone(self.zone).isoformat()
        text = (
            '<EventNotificationAlert version="1.0" xmlns="http://www.isapi.org/ver20/XMLSchema">'
            "<macAddress>84:9a:40:ec:f1:6d</macAddress><channelID>1</channelID>"
            f"<dateTime>{at}</dateTime><eventType>PeopleCounting</eventType><eventState>active</eventState>"
            "<peopleCounting><statisticalMethods>realTime</statisticalMethods>"
            f"<RealTime><time>{at}</time></RealTime><enter>{self.entered}</enter><exit>{self.left}</exit>"
            "<pass>0</pass><duplicatePeople>4</duplicatePeople></peopleCounting>"
            "<childCounting><enter>9</enter><exit>9</exit></childCounting></EventNotificationAlert>"
        ).encode()
        body = (
            b"--boundary\r\nContent-Type: application/xml; charset=UTF-8\r\n\r\n" + text + b"\r\n"
            b"--boundary\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE + b"\r\n--boundary--\r\n"
        )
        return [Sent(body, "multipart/form-data; boundary=boundary")]


@dataclass
class Milesight(Box):
    """Each person at once, then the minute, then the sums: three meanings of the same passages."""

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        start = end - MINUTE
        sent = []
        for number in range(minute.entered + minute.left):
            at = start + timedelta(seconds=number + 1)
            total = {"in": int(number < minute.entered), "out": int(number >= minute.entered)}
            sent.append(self._body(at, at, line_trigger_data=[self._line(total)]))
        sums = {"capacity_counted": -7141, "in_counted": self.entered, "out_counted": self.left}
        passed = {"in": minute.entered, "out": minute.left}
        sent.append(self._body(start, end, line_periodic_data=[self._line(passed)], line_total_data=[self._line(sums)]))
        return sent

    @staticmethod
    def _line(total: dict[str, int]) -> dict[str, Any]:
        return {"line": 1, "line_name": "Line1", "line_uuid": "fb798b5f-2c15-4360-8713-ba0d213169c7", "total": total}

    @staticmethod
    def _body(start: datetime, end: datetime, **data: Any) -> Sent:
        times = {"start_time": f"{start:%Y-%m-%dT%H:%M:%S-00:00}", "end_time": f"{end:%Y-%m-%dT%H:%M:%S-00:00}"}
        info = {"device_sn": "6537F28545220003", "device_mac": "24:E1:24:FF:39:20", "running_time": 330}
        return _json({"device_info": info, **data, "time_info": {**times, "time_zone": "UTC-0:00 WET"}})


@dataclass
class FootfallCam(Box):
    """An object for each person, staff among them."""

    number: int = 0

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        sent = []
        for place in range(minute.entered + minute.left + 1):
            self.number += 1
            at = end - MINUTE + timedelta(seconds=place)
            is_staff = place == minute.entered + minute.left
            person = {
                "RoiId": 1,
                "MetricId": 1 if place < minute.entered or is_staff else 2,
                "CombineObjectTypeId": 21 if is_staff else 11,
                "EventEndUTCTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "EventEndTime": round(at.timestamp()),
                "DeviceSerial": "00100200301",
                "UUID": f"5f1c-{self.number:08}",
                "PeopleId": f"person-{self.number}",
            }
            sent.append(_json(person))
        return sent


@dataclass
class Imbuildings(Box):
    """Two sums of 16 bits in the envelope of The Things Stack."""

    lines: tuple[dict[str, Any], ...] = ({"meaning": "total"},)
    is_register: bool = True
    frame: int = 250

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        self.frame += 1
        payload = {
            "device_type": "People Counter",
            "device_id": "0004a30b00f0d40e",
            "battery_voltage": 2.9,
            "counter_a": minute.entered,
            "counter_b": minute.left,
            "total_counter_a": self.entered % 65_536,
            "total_counter_b": self.left % 65_536,
            "payload_counter": self.frame % 256,
        }
        at = f"{end:%Y-%m-%dT%H:%M:%S.000000000Z}"
        message = {"f_port": 26, "f_cnt": self.frame, "decoded_payload": payload, "received_at": at}
        ids = {"device_id": "gate", "application_ids": {"application_id": "city"}, "dev_eui": "0004A30B00F0D40E"}
        return [_json({"end_device_ids": ids, "received_at": at, "uplink_message": message})]


@dataclass
class ChirpStack(Box):
    """Milesight's bytes, not decoded, in the envelope of ChirpStack."""

    is_register: bool = True
    lines: tuple[dict[str, Any], ...] = ({"meaning": "total"},)
    frame: int = 0

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        self.frame += 1
        payload = b"\x03\xd2" + self.entered.to_bytes(4, "little") + b"\x04\xd2" + self.left.to_bytes(4, "little")
        payload += b"\x05\xcc" + minute.entered.to_bytes(2, "little") + minute.left.to_bytes(2, "little")
        body = {
            "deduplicationId": f"3ac7e3c4-{self.frame:08}",
            "time": end.isoformat(),
            "deviceInfo": {"devEui": "24e124716c390001", "deviceName": "Gate", "applicationName": "City"},
            "fCnt": self.frame,
            "fPort": 85,
            "data": base64.b64encode(payload).decode(),
        }
        return [_json(body, "application/17c8/device/24e124716c390001/event/up")]


@dataclass
class AxisLive(Box):
    """What a camera answers that is asked: sums since midnight, in local time."""

    is_register: bool = True

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        at = self.local(end, "%Y%m%d%H%M%S")
        return [
            _json({"serial": "00408CAC512B", "name": "Exit", "timestamp": at, "in": self.entered, "out": self.left})
        ]


@dataclass
class AxisPush(Box):
    """Windows of a minute, pushed."""

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        span = {"utcFrom": f"{end - MINUTE:%Y-%m-%dT%H:%M:%SZ}", "utcTo": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        items = [{"direction": "in", "count": minute.entered}, {"direction": "out", "count": minute.left}]
        body = {
            "apiName": "Axis Retail Data",
            "apiVersion": "0.4",
            "utcSent": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "data": {**span, "measurements": [{"kind": "people-counts", **span, "items": items}]},
            "sensor": {"serial": "b8a44fa89c85", "timeZone": "Europe/Zurich", "name": "South"},
        }
        return [_json(body)]


@dataclass
class Irisys(Box):
    """A register for each way, which only the library knows by its name."""

    is_register: bool = True
    lines: tuple[dict[str, Any], ...] = (
        {"line": "Line 1", "direction": "in"},
        {"line": "Line 2", "direction": "out"},
    )
    number: int = 3000

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        self.number += 1
        counts = [
            {"Name": "Line 1", "RegisterId": 0, "Value": self.entered},
            {"Name": "Line 2", "RegisterId": 1, "Value": self.left},
        ]
        log = {"Counts": counts, "LogEntryId": self.number, "Timestamp": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        return [_json({"CountLogs": [log], "FriendlyDeviceSerial": "V4D-17020025"})]


@dataclass
class Brickstream(Box):
    """Windows of a minute in local time, with an offset and a flag of summer time."""

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        start = end - MINUTE
        offset = start.astimezone(self.zone).utcoffset() or timedelta(0)
        text = (
            '<Metrics SiteId="665" DeviceId="SD-01"><Properties><MacAddress>00:b0:9d:be:30:13</MacAddress>'
            f"<Timezone>{offset // timedelta(hours=1)}</Timezone><DST>0</DST><SerialNumber>13132694</SerialNumber>"
            f'</Properties><ReportData Interval="1"><Report Date="{self.local(start, "%Y-%m-%d")}">'
            f'<Object Id="0" DeviceName="Entrance" Name="Door 01"><Count StartTime="{self.local(start, "%H:%M:%S")}"'
            f' EndTime="{self.local(end, "%H:%M:%S")}" Enters="{minute.entered}" Exits="{minute.left}" Status="0"/>'
            "</Object></Report></ReportData></Metrics>"
        )
        return [Sent(text.encode(), "text/xml")]


@dataclass
class Eurecam(Box):
    """A file of the day, written anew every minute; the whole file is the body."""

    groups: list[tuple[datetime, int, int]] = field(default_factory=list)

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        self.groups.append((end - MINUTE, minute.entered, minute.left))
        rows = "".join(
            f'<data_group time="{self.local(at)}"><data_chan chan_id="2" type="E">{came}</data_chan>'
            f'<data_chan chan_id="2" type="X">{went}</data_chan></data_group>'
            for at, came, went in self.groups
        )
        day = self.local(end - MINUTE, "%Y-%m-%d")
        text = (
            f'<xml_1 date="{day} 00:00:00"><site>bat9</site><chain>EURECAM</chain><type>EX</type>'
            f"<resolution>60</resolution><date><begin>{day} 00:00:00</begin><end>{self.local(end)}</end></date>"
            '<channel><name><chan id="2" type="access">Door</chan></name></channel>'
            f"<data>{rows}</data></xml_1>"
        )
        return [Sent(text.encode(), "text/xml", f"{day.replace('-', '')}.xml")]


@dataclass
class Spreadsheet(Box):
    """A table that somebody exports; the whole table is the body."""

    rows: list[str] = field(default_factory=list)

    MAPPING = {  # noqa: RUF012  never changed
        "body": "csv",
        "delimiter": ";",
        "in": "entrées",
        "out": "sorties",
        "end": "heure",
        "time_format": "%d/%m/%Y %H:%M",
        "window_s": 60,
    }

    def bodies(self, minute: Minute) -> list[Sent]:
        end = minute.end
        self.rows.append(f"{self.local(end, '%d/%m/%Y %H:%M')};{minute.entered};{minute.left}")
        text = "\r\n".join(["heure;entrées;sorties", *self.rows, ""])
        return [Sent(text.encode(), "text/csv", "porte.csv")]


BOXES: tuple[type[Box], ...] = (
    Xovis,
    Hikvision,
    Milesight,
    FootfallCam,
    Imbuildings,
    ChirpStack,
    AxisLive,
    AxisPush,
    Irisys,
    Brickstream,
    Eurecam,
    Spreadsheet,
)


def afternoon(generator: Random, end: datetime, minutes: int) -> list[Minute]:
    """Return the ends of so many minutes up to a time, with who came and went."""
    end = end.astimezone(UTC).replace(second=0, microsecond=0)
    ends = [end - (minutes - 1 - number) * MINUTE for number in range(minutes)]
    return [Minute(at, generator.choice((0, 0, 1, 2, 3, 5)), generator.choice((0, 0, 1, 1, 4))) for at in ends]
