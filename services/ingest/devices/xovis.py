"""Xovis sensors from firmware 5 on: windows of their logics, live events, and the state of the sensor itself.

A body is one package, an object with `logics_data`, `live_data` or `status_data`, or a list of them. The same passages
are in the windows of a line's logic and in its live crossings, so both have the line's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

PACKAGES: Final = ("logics_data", "live_data", "status_data")
LINE: Final = re.compile(r"^XLT_(4X_)?LINE_(IN_OUT|LATE)_COUNT$")
"""Logics of people who cross a line, when they cross it or (late) when they are gone; those of groups, of prams, of
bicycles and of wheelchairs have names of their own and are no further people."""
ZONE: Final = re.compile(r"^XLT_(4X_ZONE|ZONE_OCCUPANCY)_COUNT$")
QUEUE: Final = "XLT_QUEUE_STATISTICS"
LEFT_ASIDE: Final = re.compile(r"GROUP|PRAM|STROLLER|BICYCLE|WHEELCHAIR|DWELL")
"""In names of logics that count no further people."""
NAMED: Final = re.compile(r"XLT_[A-Z0-9_]{1,60}")
"""What a logic is called; nothing else of a body is said again."""
SCENE: Final = "SCENE"
PASSAGES: Final = frozenset({"fw", "bw"})
CROSSINGS: Final = {"LINE_CROSS_FORWARD": True, "LINE_CROSS_BACKWARD": False}
CHANGES: Final = frozenset({"COUNT_INCREMENT", "COUNT_DECREMENT", "COUNT_RESET"})
BALANCE, LENGTH, OUTFLOW, TIME = "balance", "queue-length", "outflow", "queueing-time"
STATES: Final = {BALANCE: Meaning.OCCUPANCY, LENGTH: Meaning.QUEUE_LENGTH}
"""Counters that say how many are there now, under whichever way they change."""
PEOPLE: Final = PASSAGES | STATES.keys()
"""Counters of people: a logic that has one and is not read must not vanish unseen."""
PERSON: Final = "PERSON"
UNTAGGED: Final = frozenset({"", "NO_TAG", "UNKNOWN_TAG", "UNKNOWN"})
MILLISECONDS_FROM: Final = 1e11
"""A time since 1970 from here on is in milliseconds; in seconds it would be in the year 5138."""


@dataclass(slots=True)
class _Package:
    """One package on its way: whom it is of, and how often the same was said in it."""

    device: Gathered
    prefix: str
    """Before the names of lines: a sensor may lead a group of sensors as well, with numbers of their own."""
    gathering: Gathering
    by_line: dict[str, tuple[str, str]]
    """Which logic counts a line, the first one of the whole body."""
    said: Counter[Measurement] = field(default_factory=Counter)

    def add(self, found: Measurement) -> None:
        """Add a figure; of two people in the same instant the second has a key of its own."""
        self.said[found] += 1
        times = self.said[found]
        self.device.measurements.append(found if times == 1 else replace(found, key=str(times)))


def _recognises(document: Document) -> bool:
    return bool(_packages(document)) and all(
        isinstance(package, dict) and any(isinstance(package.get(kind), dict) for kind in PACKAGES)
        for package in _packages(document)
    )


def _packages(document: Document) -> list[Any]:
    body = document.json
    return body if isinstance(body, list) else [body] if isinstance(body, dict) else []


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    by_device: dict[str, dict[str, tuple[str, str]]] = {}
    for index, package in enumerate(_packages(document)):
        for kind, reader in zip(PACKAGES, (_logics, _live, _status), strict=True):
            place = f"[{index}].{kind}"
            with gathering.part():
                content = fields.table(package, f"[{index}]").get(kind)
                if content is not None:
                    content = fields.table(content, place)
                    reader(_begun(gathering, content, by_device), content, place)
    return gathering.reports()


def _begun(gathering: Gathering, content: dict[str, Any], by_device: dict[str, dict[str, tuple[str, str]]]) -> _Package:
    told = content.get("sensor_info")
    sensor = told if isinstance(told, dict) else {}
    prefix = ""
    if sensor.get("type") == "MULTI_SENSOR":
        prefix = f"multisensor {fields.optional_text(sensor.get('multisensor_id'), 20) or '0'} "
    device = gathering.device(fields.optional_text(sensor.get("serial_number")))
    return _Package(device, prefix, gathering, by_device.setdefault(device.serial, {}))


def _logics(package: _Package, content: dict[str, Any], place: str) -> None:
    logics = fields.items(content.get("logics"), f"{place}.logics")
    is_any_read = False
    for index, item in enumerate(logics):
        where = f"{place}.logics[{index}]"
        with package.gathering.part():
            logic = fields.table(item, where)
            info = fields.text(logic.get("info"), f"{where}.info")
            reader = _line_record if LINE.match(info) else _zone_record if ZONE.match(info) else None
            reader = _queue_record if info == QUEUE else reader
            if reader is None:
                _name_unread(logic, info, where)
                continue
            is_any_read = True
            line, label = _line_of(logic, where) if reader is _line_record else _logic_of(logic, where)
            line = f"{package.prefix}{line}"
            if reader is _line_record:
                itself = (fields.optional_text(logic.get("id")) or f"{index}", info)
                if package.by_line.setdefault(line, itself) != itself:
                    continue  # another logic counts the same line, early or late: the first one in the body stands
            for number, record in enumerate(fields.items(logic.get("records"), f"{where}.records")):
                at = f"{where}.records[{number}]"
                with package.gathering.part():
                    for found in reader(line, label, fields.table(record, at), at):
                        package.add(found)
    if logics and not is_any_read:
        with package.gathering.part():
            reason = "none of its logics counts people over a line, in a zone or in a queue"
            raise Malformed(f"{place}.logics", reason)


def _name_unread(logic: dict[str, Any], info: str, place: str) -> None:
    """Raise Malformed for a logic that counts people and is not read; the others of its body are."""
    if LEFT_ASIDE.search(info):
        return
    records = logic.get("records")
    rows = [each.get("counts") for each in records if isinstance(each, dict)] if isinstance(records, list) else []
    counts = [each for row in rows if isinstance(row, list) for each in row if isinstance(each, dict)]
    if any(fields.optional_text(each.get("name")) in PEOPLE for each in counts):
        name = info if NAMED.fullmatch(info) else "this kind of logic"
        reason = f"{name} is not read: push line in/out, zone occupancy or queue statistics, or leave it out"
        raise Malformed(f"{place}.info", reason)


def _line_of(logic: dict[str, Any], place: str) -> tuple[str, str]:
    """Return name and label of the line that a logic counts; of several lines, those of the logic."""
    told = logic.get("geometries")
    found = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    lines = [each for each in found if each.get("type") == "LINE"]
    if len(lines) != 1:
        return _logic_of(logic, place)
    number = fields.text(lines[0].get("id"), f"{place}.geometries.id", 40)
    return f"line {number}", fields.optional_text(lines[0].get("name"))


def _logic_of(logic: dict[str, Any], place: str) -> tuple[str, str]:
    return f"logic {fields.text(logic.get('id'), f'{place}.id', 40)}", fields.optional_text(logic.get("name"))


def _line_record(line: str, label: str, record: dict[str, Any], place: str) -> Iterator[Measurement]:
    counts = _counts(record, place)
    forward = fields.optional_people(counts.get("fw"), f"{place}.fw")
    backward = fields.optional_people(counts.get("bw"), f"{place}.bw")
    if forward is None and backward is None:
        raise Malformed(f"{place}.counts", "fw or bw is wanted")
    start, end, is_complete = _window(record, place)
    yield Measurement(
        line=line,
        label=label,
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=start,
        end=end,
        is_complete=is_complete,
    )


def _zone_record(line: str, label: str, record: dict[str, Any], place: str) -> Iterator[Measurement]:
    counts = _counts(record, place)
    _, end, is_complete = _window(record, place)
    yield Measurement(
        line=f"{line} {BALANCE}",
        label=label,
        meaning=Meaning.OCCUPANCY,
        value=_present(counts.get(BALANCE), f"{place}.{BALANCE}"),
        end=end,
        is_complete=is_complete,
    )


def _queue_record(line: str, label: str, record: dict[str, Any], place: str) -> Iterator[Measurement]:
    counts = _counts(record, place)
    _, end, is_complete = _window(record, place)
    if LENGTH in counts:
        yield Measurement(
            line=f"{line} {LENGTH}",
            label=label,
            meaning=Meaning.QUEUE_LENGTH,
            value=_present(counts[LENGTH], f"{place}.{LENGTH}"),
            end=end,
            is_complete=is_complete,
        )
    if TIME not in counts:
        return
    served = fields.optional_people(counts.get(OUTFLOW), f"{place}.{OUTFLOW}")
    seconds = fields.number(counts[TIME], f"{place}.{TIME}")
    if served == 0:
        return  # nobody came through, so nobody knows how long it takes: that is not 0 minutes
    yield Measurement(
        line=f"{line} {TIME}",
        label=label,
        meaning=Meaning.QUEUEING_TIME,
        value=seconds / 60,  # of one of those who left the queue: decision 23
        end=end,
        is_complete=is_complete,
    )


def _counts(record: dict[str, Any], place: str) -> dict[str, Any]:
    """Return values by the names of their counters; those of ages, genders and masks are not looked at by anybody."""
    found = {}
    for index, item in enumerate(fields.items(record.get("counts"), f"{place}.counts")):
        count = fields.table(item, f"{place}.counts[{index}]")
        if "name" not in count:
            raise Malformed(f"{place}.counts[{index}]", "a name is wanted: let the push send its metadata in full")
        found[fields.optional_text(count["name"])] = count.get("value")
    return found


def _present(value: Any, place: str) -> float:
    """Return how many are there now.

    A balance below 0 is a miscount: the truth is unknown then, and 0 would say that the place is empty.
    """
    return float(fields.people(value, place))


def _window(record: dict[str, Any], place: str) -> tuple[datetime, datetime, bool]:
    start, end = _time(record.get("from"), f"{place}.from"), _time(record.get("to"), f"{place}.to")
    if start > end:
        raise Malformed(f"{place}.to", "a time after `from` is wanted")
    samples, expected = record.get("samples"), record.get("samples_expected")
    if samples is None or expected is None:
        return start, end, True
    seen = fields.number(samples, f"{place}.samples")
    return start, end, seen >= fields.number(expected, f"{place}.samples_expected")


def _time(value: Any, place: str) -> datetime:
    """Return a time in whichever of the sensor's three ways it is written; a number may be written as a text."""
    if isinstance(value, str) and (fields.ISO.match(value) or not fields.DECIMAL.match(value)):
        return fields.moment(value, place, fields.UTC_ZONE)
    is_ms = fields.number(value, place, high=1e15) >= MILLISECONDS_FROM
    return fields.epoch_ms(value, place) if is_ms else fields.epoch_s(value, place)


def _live(package: _Package, content: dict[str, Any], place: str) -> None:
    frames = fields.items(content.get("frames"), f"{place}.frames")
    before = len(package.device.measurements)
    for index, item in enumerate(frames):
        where = f"{place}.frames[{index}]"
        with package.gathering.part():
            frame = fields.table(item, where)
            events = fields.items(frame.get("events", []), f"{where}.events")
            if events:
                at = _time(frame.get("time"), f"{where}.time")
                _events(package, events, frame, at, where)
    if len(package.device.measurements) == before and _is_counted_out_of_sight(frames):
        with package.gathering.part():
            reason = "people are counted and no line is crossed: turn on the scene events of the live data"
            raise Malformed(f"{place}.frames", reason)


def _is_counted_out_of_sight(frames: list[Any]) -> bool:
    """Tell whether logics count passages here whose crossings, the events of the scene, are not sent."""
    told = [each.get("events") for each in frames if isinstance(each, dict)]
    events = [each for row in told if isinstance(row, list) for each in row if isinstance(each, dict)]
    if any(each.get("category") == SCENE or fields.optional_text(each.get("type")) in CROSSINGS for each in events):
        return False
    return any(
        each.get("type") == "COUNT_INCREMENT"
        and fields.optional_text(_down(each, "attributes", "counter_name")) in PASSAGES
        for each in events
    )


def _events(package: _Package, events: list[Any], frame: dict[str, Any], at: datetime, place: str) -> None:
    told = frame.get("tracked_objects")
    objects = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    for index, item in enumerate(events):
        where = f"{place}.events[{index}]"
        with package.gathering.part():
            event = fields.table(item, where)
            found = _event(event, at, package.prefix, where)
            if found is not None and (found.meaning in STATES.values() or _is_visitor(event, objects, where)):
                package.add(found)


def _event(event: dict[str, Any], at: datetime, prefix: str, place: str) -> Measurement | None:
    """Return what an event counts, or None.

    Where a logic counts a passage (`COUNT_INCREMENT` of fw or bw) its line has been crossed as well, which counts.
    """
    kind = fields.optional_text(event.get("type"))
    if kind in CROSSINGS:
        attributes = fields.table(event.get("attributes"), f"{place}.attributes")
        number = fields.text(attributes.get("geometry_id"), f"{place}.attributes.geometry_id", 40)
        is_forward = CROSSINGS[kind]
        return Measurement(
            line=f"{prefix}line {number}",
            label=fields.optional_text(attributes.get("geometry_name")),
            meaning=Meaning.CROSSING,
            forward=1 if is_forward else None,
            backward=None if is_forward else 1,
            end=at,
        )
    attributes = event["attributes"] if isinstance(event.get("attributes"), dict) else {}
    counter = fields.optional_text(attributes.get("counter_name"))
    is_time = kind == "TIME_CHANGE" and counter == TIME
    if not is_time and not (kind in CHANGES and counter in STATES):
        return None
    logic = fields.text(attributes.get("logic_id"), f"{place}.attributes.logic_id", 40)
    return Measurement(
        line=f"{prefix}logic {logic} {counter}",
        label=fields.optional_text(attributes.get("logic_name")),
        meaning=Meaning.QUEUEING_TIME if is_time else STATES[counter],
        value=fields.number(attributes.get("amount"), f"{place}.attributes.amount") / 60
        if is_time
        else _present(attributes.get("counter_value"), f"{place}.attributes.counter_value"),
        end=at,
    )


def _is_visitor(event: dict[str, Any], objects: list[dict[str, Any]], place: str) -> bool:
    """Tell whether an event is of a visitor: not of a group, which is the same people again, nor of tagged staff.

    The number of a track serves for looking its object up alone, and a body may come back from quarantine without it.
    """
    track = _down(event, "attributes", "track_id")
    of_track = [each for each in objects if track is not None and each.get("track_id") == track]
    answers = {_is_counted(each) for each in of_track or objects}
    if len(answers) > 1:
        raise Malformed(f"{place}.attributes.track_id", "the number of one of the frame's objects is wanted")
    return answers != {False}


def _is_counted(tracked: dict[str, Any]) -> bool:
    attributes = tracked.get("attributes")
    tag = attributes.get("tag") if isinstance(attributes, dict) else None
    return tracked.get("type") == PERSON and (not isinstance(tag, str) or tag in UNTAGGED)


def _status(package: _Package, content: dict[str, Any], place: str) -> None:
    states = fields.table(content.get("states"), f"{place}.states")
    device = package.device
    device.says_flags = True
    device.model = fields.optional_text(_down(states, "device", "info", "prod_code"), 60) or device.model
    if _down(states, "device", "state", "state") == "ERROR":
        device.flags.append("error")
    illumination = _down(states, "singlesensor", "status", "illumination")
    if isinstance(illumination, str) and illumination != "SUFFICIENT":
        device.flags.append("low-light")
    clock = _down(states, "time", "state", "details", "time")
    if isinstance(clock, str):
        device.sent_at = fields.moment(clock, f"{place}.states.time", fields.UTC_ZONE)


def _down(tree: Any, *path: str) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


FORMAT: Final = Format(
    name="xovis",
    title="Xovis PC2S, PC2SE, PC3S and PF sensors, firmware 5 and later (data push)",
    recognises=_recognises,
    read=_read,
    meanings=(
        Meaning.CROSSING,
        Meaning.WINDOW,
        Meaning.OCCUPANCY,
        Meaning.QUEUE_LENGTH,
        Meaning.QUEUEING_TIME,
    ),
    notes=(
        "In the sensor's page add a data push agent: HTTP(S) to the secret address, or MQTT; JSON with its metadata"
        " in full; times in any form. Push *Logics* every minute (line in/out, zone occupancy and queue statistics are"
        " read), or *Live data* on event with the scene events where seconds matter, and *Status* every few minutes"
        " for health. Lines are named `line 2` after the number of their geometry, in windows and live alike; the name"
        " that you gave them does as well. Zones and queues are `logic 1000 balance`, `logic 1000 queue-length` and"
        " `logic 1000 queueing-time`; of a group of sensors all begin with `multisensor 1`. Give a line one logic,"
        " in/out or late: of several in one body the first counts. Left aside: groups, prams, bicycles, ages, genders,"
        " masks; staff with a tag are no visitors in live data. Custom logics and zone in/out are not read, and are"
        " named as unreadable: leave them out of the push. A window's queueing time is the mean of those who left the"
        " queue."
    ),
    examples=("JSON by HTTP POST", "JSON by MQTT"),
)
