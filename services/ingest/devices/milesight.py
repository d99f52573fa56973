"""Milesight's counters on a network cable: VS121-P, VS125 and VS135, by HTTP or MQTT.

A body has several meanings at once: a crossing (`line_trigger_data`), a window (`line_periodic_data`) and a register
(`line_total_data`) of the same people. All are said; which of them counts is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

LINES: Final = {
    "line_trigger_data": (Meaning.CROSSING, "in", "out"),
    "line_periodic_data": (Meaning.WINDOW, "in", "out"),
    "line_total_data": (Meaning.TOTAL, "in_counted", "out_counted"),
}
"""Which list means what, and the names of its figures. `capacity_counted`, their difference, is as low as -7141."""
REGIONS: Final = ("region_data", "region_trigger_data")
WORKPLACE: Final = ("current_total", "in_counted", "total_data", "line_trigger_data", "dwell_time_data", "flow_data")
"""What a VS121-P has at the top of its body."""
ONLY_LINE: Final = "line"
"""A VS121-P has one line, and does not name it."""
WHOLE_VIEW: Final = "current_total"
UTC_OFFSET: Final = re.compile(r"^\s*UTC\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
HAS_OFFSET: Final = re.compile(r"(?:Z|UTC|[+-]\d{1,2}(?::?\d{2})?)\s*$", re.IGNORECASE)
MODEL: Final = re.compile(r"^V_?(\d{3})(?=\D)")
"""Firmware is called `V_125.1.0.3-r2`."""
CLOCK_WRONG: Final = timedelta(minutes=15)
"""A clock so far off may stand still, and say the same window again and again: then its time since power-on, which its
body also has, tells one from the next. A clock that is right needs none of that, and knows a repetition by its window.
"""
Reader = Callable[[Any, str], int]


@dataclass(frozen=True, slots=True)
class _Times:
    """When a body's figures are of."""

    start: datetime | None
    end: datetime | None
    mark: str
    """What tells this report from the device's others: its window, or its moment."""
    moment: str
    """What tells this crossing from others; several may fall into one window."""


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict) or not isinstance(body.get("device_info"), dict):
        return False
    info = body["device_info"]
    return "device_sn" in info and ("time_info" in body or any(name in body for name in (*LINES, *REGIONS, *WORKPLACE)))


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    with gathering.part():
        body = fields.table(document.json, "$")
        info = fields.table(body.get("device_info"), "device_info")
        times = _times(body, info, context)
        report = gathering.device(fields.optional_text(info.get("device_sn")))
        report.model = _model(info)
        if not _is_sent_again(body):
            report.sent_at = times.end  # what is sent again was kept for a while, and says nothing of the clock
        for name in LINES:
            _lines(gathering, report, body, name, times)
        for name in REGIONS:
            _regions(gathering, report, body.get(name), name, times)
        _workplace(gathering, report, body, times)
    return gathering.reports()


def _times(body: dict[str, Any], info: dict[str, Any], context: Context) -> _Times:
    if body.get("time_info") is None:
        return _Times(None, None, "", "")
    said = fields.table(body["time_info"], "time_info")

    def read(name: str) -> datetime | None:
        value = said.get(name)
        if value is None or value == "":
            return None
        return fields.moment(_with_offset(value, said), f"time_info.{name}", context.time_zone)

    start, end = read("start_time"), read("end_time")
    at = read("time") or read("trigger_time")
    end = end or at or start
    of_crossing = _written(said.get("time") or said.get("trigger_time"))
    of_window = _written(said.get("start_time")) or of_crossing
    running = _written(info.get("running_time"))
    is_wrong = end is not None and abs(context.received_at - end) > CLOCK_WRONG and not _is_sent_again(body)
    is_window = start is not None and end is not None and start < end
    return _Times(
        start=start if is_window else None,
        end=end,
        mark=_joined(of_window, running if is_wrong else ""),
        moment=_joined(of_crossing or of_window, running if is_wrong or not of_crossing else ""),
    )


def _joined(*parts: str) -> str:
    return "|".join(part for part in parts if part)


def _is_sent_again(body: dict[str, Any]) -> bool:
    return body.get("isRetransmission") is True


def _with_offset(value: Any, said: dict[str, Any]) -> Any:
    """Return a local time with the device's own offset, which stands beside it as `UTC+8:00 China Standard Time`."""
    beside = UTC_OFFSET.match(fields.optional_text(said.get("timezone") or said.get("time_zone")))
    if beside is None or not isinstance(value, str) or HAS_OFFSET.search(value.strip()[10:]):
        return value
    minutes = int(beside[2]) * 60 + int(beside[3] or 0)
    minutes = -minutes if beside[1] == "-" else minutes
    if said.get("dst_status") is True:
        minutes += 60  # the zone is that of winter
    sign = "-" if minutes < 0 else "+"
    return f"{value}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _written(value: Any) -> str:
    return fields.optional_text(value, 40)


def _model(info: dict[str, Any]) -> str:
    found = MODEL.match(fields.optional_text(info.get("firmware_version")))
    return f"VS{found[1]}" if found else ""


def _lines(gathering: Gathering, report: Gathered, body: dict[str, Any], name: str, times: _Times) -> None:
    rows = body.get(name)
    if rows is None or isinstance(rows, dict):  # an object is the one line of a VS121-P
        return
    meaning, forward, backward = LINES[name]
    with gathering.part():
        for index, row in enumerate(fields.items(rows, name)):
            place = f"{name}[{index}]"
            with gathering.part():
                item = fields.table(row, place)
                line = _name(item, "line", place)
                counts = [_without_staff(item, way, _reader(meaning), place) for way in (forward, backward)]
                label = fields.optional_text(item.get("line_name"))
                report.measurements.append(_passages(line, meaning, counts, times, place, label=label))


def _name(item: dict[str, Any], kind: str, place: str) -> str:
    """Return the name of a line or region that stays when its number or its words change, else its number."""
    uuid = fields.optional_text(item.get(f"{kind}_uuid"))
    if uuid:
        return uuid
    number = fields.text(item.get(kind), f"{place}.{kind}", 20)
    return number if kind == "line" else f"{kind} {number}"


def _reader(meaning: Meaning) -> Reader:
    return fields.register if meaning is Meaning.TOTAL else fields.people


def _without_staff(item: dict[str, Any], name: str, read: Reader, place: str) -> int | None:
    """Return a count without the staff that the device can tell: they wear a tag, and are in its totals.

    Older firmware has the figures beside the line's name, newer ones in `total`; None where there is no such figure.
    """
    has_parts = isinstance(item.get("total"), dict)
    whole = item["total"] if has_parts else item
    staff = item.get("staff") if has_parts else None
    tags: dict[str, Any] = staff if isinstance(staff, dict) else {}
    if whole.get(name) is None:
        return None
    count = read(whole[name], f"{place}.total.{name}" if has_parts else f"{place}.{name}")
    tagged = read(tags[name], f"{place}.staff.{name}") if name in tags else 0
    if tagged > count:
        raise Malformed(f"{place}.staff.{name}", "no more than the total is wanted")
    return count - tagged


def _passages(
    line: str, meaning: Meaning, counts: Sequence[int | None], times: _Times, place: str, *, label: str = ""
) -> Measurement:
    """Return the passages of a line; a line that counts one way alone may leave the other out."""
    if counts == [None, None]:
        raise Malformed(place, "a count of one way at least is wanted")
    mark = times.moment if meaning is Meaning.CROSSING else times.mark
    return Measurement(
        line=line,
        meaning=meaning,
        forward=counts[0],
        backward=counts[1],
        start=times.start if meaning is Meaning.WINDOW else None,
        end=times.end,
        key=f"{line}|{mark}" if mark else "",
        label=label,
    )


def _regions(gathering: Gathering, report: Gathered, part: Any, name: str, times: _Times) -> None:
    if not isinstance(part, dict) or part.get("region_count_data") is None:
        return
    with gathering.part():
        for index, row in enumerate(fields.items(part["region_count_data"], f"{name}.region_count_data")):
            place = f"{name}.region_count_data[{index}]"
            with gathering.part():
                item = fields.table(row, place)
                region = _name(item, "region", place)
                count = _without_staff(item, "current_total", fields.people, place)
                if count is None:
                    raise Malformed(f"{place}.current_total", "a whole number is wanted")
                label = fields.optional_text(item.get("region_name"))
                report.measurements.append(_inside(region, count, times, label))


def _inside(line: str, count: int, times: _Times, label: str = "") -> Measurement:
    return Measurement(
        line=line,
        meaning=Meaning.OCCUPANCY,
        value=float(count),
        end=times.end,
        key=f"{line}|{times.mark}" if times.mark else "",
        label=label,
    )


def _workplace(gathering: Gathering, report: Gathered, body: dict[str, Any], times: _Times) -> None:
    """Read what a VS121-P says; its picture (`snapshot`) and its `people_id` are never looked at."""
    if body.get("current_total") is not None:
        with gathering.part():
            count = fields.people(body["current_total"], "current_total")
            report.measurements.append(_inside(WHOLE_VIEW, count, times))
    if body.get("current_counted") is not None:
        with gathering.part():
            _numbered_regions(gathering, report, body, times)
    parts = (
        (Meaning.CROSSING, body.get("line_trigger_data"), "line_trigger_data", ("in", "out")),
        (Meaning.WINDOW, body, "$", ("in_counted", "out_counted")),
        (Meaning.TOTAL, body.get("total_data"), "total_data", ("in_cumulative_counted", "out_cumulative_counted")),
    )
    for meaning, part, place, names in parts:
        if isinstance(part, dict) and any(name in part for name in names):
            with gathering.part():
                counts = [
                    None if part.get(name) is None else _reader(meaning)(part[name], f"{place}.{name}")
                    for name in names
                ]
                report.measurements.append(_passages(ONLY_LINE, meaning, counts, times, place))


def _numbered_regions(gathering: Gathering, report: Gathered, body: dict[str, Any], times: _Times) -> None:
    counts = fields.items(body["current_counted"], "current_counted")
    numbers = fields.items(body.get("numbering_regions"), "numbering_regions")
    names = body.get("regions_name") if isinstance(body.get("regions_name"), list) else []
    if len(numbers) != len(counts):
        raise Malformed("numbering_regions", "a number for each of current_counted is wanted")
    for index, (number, each) in enumerate(zip(numbers, counts, strict=True)):
        with gathering.part():
            region = fields.text(number, f"numbering_regions[{index}]", 20)
            count = fields.people(each, f"current_counted[{index}]")
            label = fields.optional_text(names[index]) if names is not None and index < len(names) else ""
            report.measurements.append(_inside(f"region {region}", count, times, label))


FORMAT: Final = Format(
    name="milesight",
    title="Milesight VS121-P, VS125 and VS135 (network cable: HTTP or MQTT)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW, Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "In the counter's web page, under Report or Communication, add an HTTP Post or MQTT recipient, and tick the "
        "line counts: the trigger report (each person at once), the periodic report, or both; people are counted once "
        "even so. Leave the snapshot off. Where in and out come out swapped, the counter hangs the other way round: "
        "invert the line. A VS121-P names its whole view `current_total` and its parts `region 1` and so on: lead one "
        "or the other to a zone, not both. Staff whom the counter knows by their tag are left out; children, sexes and "
        "times of stay are never read."
    ),
    examples=("JSON by HTTP POST", "JSON by MQTT"),
)
