"""Brickstream-type sensors (FLIR, and others that kept its XML): windows by zone, in local time with an offset.

Sources: FLIR's Brickstream programmer's guide, a smart device's data delivery guide, and public captures of batch data
streaming, versions 1 to 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from services.ingest.devices import fields
from services.ingest.devices.documents import Document, child, child_text, children, local
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
ZONE: Final = re.compile(r"^(?:UTC|GMT)?\s*([+-]?)(\d{1,2})(?:(\.\d{1,4})|:?([0-5]\d))?$")
"""Hours ahead of UTC: `-5`, `+5.5`, `-05:00`, `UTC+0530`."""
FLAGS: Final = {"true": "1", "yes": "1", "false": "0", "no": "0", "": "0"}
NO_FAULT: Final = "0"
"""The status of a window that was seen whole; others say that the sensor was off, changed, or in trouble."""


def _recognises(document: Document) -> bool:
    root = document.xml
    if root is None or local(str(root.tag)) != "Metrics":
        return False
    return child(root, "ReportData") is not None and child(root, "Properties") is not None


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    root = document.xml
    if root is None:
        raise Unreadable("XML is wanted")
    gathering = Gathering()
    properties = child(root, "Properties")
    serial = child_text(root, "Properties", "SerialNumber") or child_text(root, "Properties", "MacAddress")
    device = gathering.device(fields.optional_text(serial or root.get("DeviceId")))
    with gathering.part():
        if transmitted := child_text(root, "Properties", "TransmitTime"):
            device.sent_at = fields.epoch_s(transmitted, "Properties/TransmitTime")
    for data in children(root, "ReportData"):
        for report in children(data, "Report"):
            for zone in children(report, "Object"):
                with gathering.part():
                    line = fields.text(zone.get("Id"), "Object/@Id")
                    for count in children(zone, "Count"):
                        with gathering.part():
                            start, end = _window(data, report, count, _offsets(properties), context.time_zone)
                            device.measurements.append(_measurement(line, zone, count, start, end))
    return gathering.reports()


def _measurement(line: str, zone: Element, count: Element, start: datetime, end: datetime) -> Measurement:
    forward = fields.optional_people(count.get("Enters"), "Count/@Enters")
    backward = fields.optional_people(count.get("Exits"), "Count/@Exits")
    if forward is None and backward is None:
        raise Malformed("Count", "Enters or Exits is wanted")
    return Measurement(
        line=line,
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=start,
        end=end,
        label=fields.optional_text(zone.get("Name") or zone.get("DeviceName")),
        is_complete=count.get("Status", NO_FAULT).strip() == NO_FAULT,
    )


def _offsets(properties: Element | None) -> list[timedelta]:
    """Return by how much local time may be ahead of UTC, the likeliest first; none where the sensor does not say.

    The flag for summer time is up in summer in some, and all year in others, who only say that they observe it.
    """
    zone = child_text(properties, "Timezone") if properties is not None else ""
    if properties is None or not zone:
        return []
    standard = timedelta(hours=fields.number(_hours(zone), "Properties/Timezone", low=-12, high=14))
    told = child_text(properties, "DST").lower()
    flag = fields.number(FLAGS.get(told, told), "Properties/DST", low=-1, high=1)
    return [standard + HOUR, standard] if flag else [standard]


def _hours(zone: str) -> float | None:
    match = ZONE.match(zone)
    if match is None:
        return None
    hours = int(match[2]) + float(match[3] or 0) + int(match[4] or 0) / 60
    return -hours if match[1] == "-" else hours


def _window(
    data: Element, report: Element, count: Element, offsets: Sequence[timedelta], zone: ZoneInfo
) -> tuple[datetime, datetime]:
    begun = _on_the_wall(report, count, "StartTime")
    length = (_on_the_wall(report, count, "EndTime") - begun) % DAY  # over midnight it ends on the next day
    interval = _interval(data)
    if interval is not None and (length - interval) % DAY in {HOUR, DAY - HOUR}:
        length = interval  # the clock was changed within it
    if not length:
        raise Malformed("Count/@EndTime", "a window that ends after it begins is wanted")
    start = _start(begun, count, offsets, zone)
    return start, start + length


def _start(begun: datetime, count: Element, offsets: Sequence[timedelta], zone: ZoneInfo) -> datetime:
    unix = count.get("UnixStartTime", "0").strip()
    if unix not in {"", "0"}:
        return fields.epoch_s(unix, "Count/@UnixStartTime")
    if not offsets:
        return begun.replace(tzinfo=zone).astimezone(UTC)
    # Where the library's own zone agrees with one of them on that day, it is this one.
    local_offsets = [begun.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    offset = next((each for each in offsets if each in local_offsets), offsets[0])
    return begun.replace(tzinfo=timezone(offset)).astimezone(UTC)


def _on_the_wall(report: Element, count: Element, name: str) -> datetime:
    """Return a time as the sensor's clock showed it, without a zone."""
    written = f"{report.get('Date', '').strip()} {count.get(name, '').strip()}"
    return fields.moment(f"{written}Z", f"Count/@{name}", fields.UTC_ZONE).replace(tzinfo=None)


def _interval(data: Element) -> timedelta | None:
    minutes = data.get("Interval")
    if minutes is None:
        return None
    return timedelta(minutes=fields.number(minutes, "ReportData/@Interval", high=1440))


FORMAT: Final = Format(
    name="brickstream",
    title="Brickstream 2D and 3D sensors, and others with its Metrics XML",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW,),
    notes=(
        "In the sensor, under Data Delivery, set the secret address for batch data streaming by HTTP. A line is a zone"
        " by its Id, labelled with its name. Windows are in local time with an offset; where the sensor gives the"
        " seconds since 1970 too, as from version 2 on, these count. Queue and service zones are not read."
    ),
    examples=("XML by HTTP POST",),
)
