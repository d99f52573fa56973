"""Milesight's counters by LoRaWAN: VS121, VS132, VS133, VS135, VS350 and VS360.

The figures of a payload are read by the names that the maker's decoders give them (its public SensorDecoders), whether
a decoder has run in the network or `milesight_payload.py` takes the bytes apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields, milesight_payload
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

ONE_LINE: Final = "line_1"
"""What the line of a counter that has but one is called, as on those that have four."""
LINES: Final = milesight_payload.LINES
LONG, SHORT = 2**32 - 1, 2**16 - 1  # the largest values of its registers, after which they begin again
PASSAGES: Final = (
    *((line, Meaning.WINDOW, f"{line}_period_in", f"{line}_period_out", None) for line in LINES),
    *((line, Meaning.TOTAL, f"{line}_total_in", f"{line}_total_out", LONG) for line in LINES),
    (ONE_LINE, Meaning.WINDOW, "periodic_counter_in", "periodic_counter_out", None),
    (ONE_LINE, Meaning.TOTAL, "total_counter_in", "total_counter_out", LONG),
    (ONE_LINE, Meaning.WINDOW, "period_in", "period_out", None),
    (ONE_LINE, Meaning.TOTAL, "total_in", "total_out", SHORT),
    (ONE_LINE, Meaning.WINDOW, "people_in", "people_out", None),
    (ONE_LINE, Meaning.TOTAL, "people_total_in", "people_total_out", SHORT),
)
"""Line, meaning, the names of in and out, and the largest value of a register."""
INSIDE: Final = ("people_count_all", *(f"region_{number}_count" for number in range(1, 17)))
BATTERIES: Final = ("battery", "battery_main", "battery_node")
OF_ITSELF: Final = (*BATTERIES, "sn", "ipso_version", "protocol_version")
FLAG_OF_EVENT: Final = {
    "counting_anomaly": "anomaly",
    "0": "anomaly",
    "node_device_without_response": "node-silent",
    "1": "node-silent",
    "devices_misaligned": "misaligned",
    "2": "misaligned",
}
ALARM: Final = ("alarm", "alarm_triggered", "1")
"""What stands for an alarm that is on; anything else says that it is over."""
OCCLUSION: Final = re.compile(r"^(master|node_\d{1,3}|region_\d{1,3})_occlusion_alarm$")
UNDOCUMENTED: Final = milesight_payload.UNDOCUMENTED
ASIDE: Final = re.compile(
    r"^(hardware_version|firmware_version|tsl_version|lorawan_class|reset_event"
    r"|device_status|temperature|temperature_alarm|current_sensitivity|timestamp|people_count_max|region_count"
    r"|total_count_alarm|period_count_alarm|region_\d{1,2}|[a-d]_to_[a-d]|dwell_time_(avg|max)"
    r"|(line|region)_\d{1,2}_child_\w+|region_\d{1,2}_(avg|max)_dwell)$"
)
"""What these counters say beside people: who they are, how warm it is, how long somebody stood."""
MODELS: Final = (
    ("total_counter_in", "VS132"),
    ("people_count_all", "VS121"),
    ("people_in", "VS121"),
    ("battery_main", "VS360"),
    ("line_1_total_in", "VS133 or VS135"),
    ("line_1_period_in", "VS133 or VS135"),
)


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict) or not body or "serial" in body:  # it is not among what a payload says
        return False
    if any(forward in body and backward in body for _, _, forward, backward, _ in PASSAGES):
        return True
    if any(name in body for name in INSIDE) or all(name in body for name in UNDOCUMENTED):
        return True
    said = [name for name in body if name not in OF_ITSELF and not OCCLUSION.match(name) and not ASIDE.match(name)]
    if not all(_is_list_of_ours(name, body[name]) for name in said):
        return False
    return bool(said) or any(name in OF_ITSELF or OCCLUSION.match(name) for name in body)


def _is_list_of_ours(name: str, value: Any) -> bool:
    wanted = {"event": {"type", "status"}, "history": {"timestamp"}}.get(name)
    if wanted is None or not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, dict) and wanted <= each.keys() for each in value)


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    if isinstance(document.json, dict):
        return _reports(document.json)
    if document.is_binary:
        return from_bytes(document.data)
    raise Unreadable("a payload's bytes, or an object of its decoded figures is wanted")


def from_bytes(data: bytes) -> list[DeviceReport]:
    """Return what a payload says. Raises Unreadable if it is of no such counter, or might be of several."""
    found = [_reports(body) for body in milesight_payload.readings(data)]
    if not found:
        raise Unreadable("the payload's bytes are of no Milesight counter, or end too early")
    said = [[each.measurements for each in reports] for reports in found]
    if any(each != said[0] for each in said):
        raise Unreadable("several kinds of Milesight counter may have sent these bytes; set a payload formatter")
    return found[0]


def _reports(body: dict[str, Any]) -> list[DeviceReport]:
    gathering = Gathering()
    with gathering.part():
        report = gathering.device(_serial(body))
        report.model = next((model for name, model in MODELS if name in body), "")
        at = _time(body, "timestamp")
        report.sent_at = at
        for name in UNDOCUMENTED:
            with gathering.part():
                if body.get(name) is not None:
                    raise Malformed(name, "the maker does not say what it means; turn the line's own report off")
        _passages(gathering, report, body, at, "")
        _inside(gathering, report, body, at)
        _health(gathering, report, body)
        _history(gathering, report, body.get("history"))
    return gathering.reports()


def _serial(body: dict[str, Any]) -> str:
    for name in ("devEUI", "devEui", "dev_eui", "sn"):
        serial = fields.optional_text(body.get(name))
        if serial:
            return serial
    return ""


def _time(body: dict[str, Any], name: str) -> datetime | None:
    return None if body.get(name) is None else fields.epoch_s(body[name], name)


def _passages(gathering: Gathering, report: Gathered, body: dict[str, Any], at: datetime | None, place: str) -> None:
    for line, meaning, forward, backward, largest in PASSAGES:
        if body.get(forward) is None and body.get(backward) is None:
            continue
        is_register = meaning is Meaning.TOTAL
        if place and is_register:
            continue  # what a register showed then, the one of now includes
        if forward == "period_in" and body.get("period_count_alarm") is not None:
            continue  # told in the middle of its period, which is told again when it ends
        read = fields.register if is_register else fields.people
        with gathering.part():
            counts = [
                None if body.get(name) is None else read(body[name], f"{place}{name}") for name in (forward, backward)
            ]
            is_longer = largest is not None and any(count is not None and count > largest for count in counts)
            report.measurements.append(
                Measurement(
                    line=line,
                    meaning=meaning,
                    forward=counts[0],
                    backward=counts[1],
                    end=at,
                    key=_key(at),
                    wraps_at=None if is_longer else largest,  # another decoder may call a longer register so
                )
            )


def _key(at: datetime | None) -> str:
    """Return what a figure with a time of its own is known by, whether it comes live or is sent again later."""
    return "" if at is None else str(int(at.timestamp()))


def _inside(gathering: Gathering, report: Gathered, body: dict[str, Any], at: datetime | None) -> None:
    for name in INSIDE:
        if body.get(name) is None:
            continue
        with gathering.part():
            line = name.removesuffix("_count")
            people = float(fields.people(body[name], name))
            report.measurements.append(
                Measurement(line=line, meaning=Meaning.OCCUPANCY, value=people, end=at, key=_key(at))
            )


def _health(gathering: Gathering, report: Gathered, body: dict[str, Any]) -> None:
    with gathering.part():
        levels = [fields.number(body[name], name, high=100) for name in BATTERIES if body.get(name) is not None]
        report.battery_percent = min(levels, default=None)
    is_on: dict[str, bool] = {}
    if body.get("event") is not None:
        with gathering.part():
            for index, row in enumerate(fields.items(body["event"], "event")):
                item = fields.table(row, f"event[{index}]")
                flag = FLAG_OF_EVENT.get(_word(item.get("type")))
                if flag is not None:
                    is_on[flag] = _word(item.get("status")) in ALARM
    occluded = [_word(value) in ALARM for name, value in body.items() if OCCLUSION.match(name)]
    if occluded:
        is_on["obstructed"] = any(occluded)
    report.says_flags = bool(is_on)
    report.flags = [flag for flag, on in is_on.items() if on]


def _word(value: Any) -> str:
    """Return a word as the newer decoders write it: older ones have `Counting Anomaly` for `counting_anomaly`."""
    return fields.optional_text(value).lower().replace(" ", "_").removesuffix(".0")


def _history(gathering: Gathering, report: Gathered, rows: Any) -> None:
    """Read the windows of a time when the network was away. The maker's clock stamps each."""
    if rows is None:
        return
    with gathering.part():
        for index, row in enumerate(fields.items(rows, "history")):
            with gathering.part():
                item = fields.table(row, f"history[{index}]")
                at = fields.epoch_s(item.get("timestamp"), f"history[{index}].timestamp")
                _passages(gathering, report, item, at, f"history[{index}].")


FORMAT: Final = Format(
    name="milesight-lorawan",
    title="Milesight VS121, VS132, VS133, VS135, VS350 and VS360 (LoRaWAN)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW, Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "Its network server sends it on; see `tts` and `chirpstack`. Set the maker's decoder from SensorDecoders as "
        "payload formatter; without one the bytes themselves are read where they come on port 85. The periodic report "
        "is what counts; where frames are lost on the air, turn on the accumulated report too and give the line "
        '`meaning = "total"`: then a lost frame loses nobody. A VS360 says itself when its halves do not face each '
        "other, or do not answer."
    ),
    examples=("JSON in an envelope of a LoRaWAN network", "bytes of a payload"),
)
