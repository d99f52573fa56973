"""Irisys Vector: registers logged every few minutes (HTTP POST), their changes as they come, and their live values.

Every register counts one thing: the people over one line in one direction, mostly. What is in or out stands in a
register's tags, where somebody has set them, and else in the table of the device's lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

SERIAL: Final = re.compile(r"^[A-Z0-9]{2,4}-\d{6,10}$")
"""As on the label, `V4D-17020025`; of MQTT it stands in the topic alone."""
LEFT_ASIDE: Final = re.compile(
    r"(?:average)?(?:dwell|wait|queue|queuewait|speed|height)(?:time)?|zone(?:dwell)?(?:time)?|maxqueuelength"
    r"|(?:g|l)to?e|(?:greater|less)than(?:orequal(?:to)?)?|flag|status"
)
"""Types of registers that count no passages, in small letters alone. A type that is none of these is a line: then it is
seen, and whoever leads lines to gates decides."""
NO_PASSAGES: Final = re.compile(
    r"\b(?:dwell|gtoe|ltoe|gte|lte|(?:greater|less) than|(?:error|alarm) (?:status|flag)"
    r"|(?:queue|queueing|queuing|wait|waiting|service|stay) times?"
    r"|(?:average|avg|mean|longest|shortest|max|min) (?:queue|queueing|queuing|wait|stay|time|height|speed))\b"
)
"""In names of registers where no type is said, word by word: a `Waiting hall` is a place and counts passages."""
STATES: Final = {"occupancy": Meaning.OCCUPANCY, "queue length": Meaning.QUEUE_LENGTH}
"""Words of such names that say how many are there now: never a sum of passages."""
WORD_ENDS: Final = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=[^\W\d_A-Z])(?=[A-Z])|[\W_]+")
"""Where one word of a name ends: `AverageDwell`, `average_dwell`."""
TAGS: Final = {"direction=in": True, "direction=out": False}


def _recognises(document: Document) -> bool:
    body = document.json
    if isinstance(body, list):
        return bool(body) and all(isinstance(each, dict) and {"register", "value", "t"} == each.keys() for each in body)
    if not isinstance(body, dict):
        return False
    if isinstance(body.get("CountLogs"), list):
        return True
    counts = body.get("counts")
    return (
        isinstance(counts, list)
        and bool(counts)
        and all(isinstance(each, dict) and {"name", "count"} <= each.keys() for each in counts)
    )


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    body = document.json
    with gathering.part():
        if isinstance(body, list):
            _changes(gathering, gathering.device(_serial_in(document.topic)), body)
            return gathering.reports()
        content = fields.table(body, "body")
        if "CountLogs" in content:
            serial = fields.optional_text(content.get("FriendlyDeviceSerial") or content.get("DeviceSerial"))
            _logs(gathering, gathering.device(serial), fields.items(content["CountLogs"], "CountLogs"))
        else:
            _live(
                gathering, gathering.device(_serial_in(document.topic)), fields.items(content.get("counts"), "counts")
            )
    return gathering.reports()


def _serial_in(topic: str) -> str:
    return next((level for level in topic.split("/") if SERIAL.match(level)), "")


def _logs(gathering: Gathering, device: Gathered, logs: list[Any]) -> None:
    for index, item in enumerate(logs):
        place = f"CountLogs[{index}]"
        with gathering.part():
            entry = fields.table(item, place)
            if "Counts" in entry:  # else it is a note that the clock has been set
                _log(gathering, device, entry, place)


def _log(gathering: Gathering, device: Gathered, entry: dict[str, Any], place: str) -> None:
    end = fields.moment(entry.get("Timestamp"), f"{place}.Timestamp", fields.UTC_ZONE)
    key = fields.optional_text(entry.get("LogEntryId"))
    counts = fields.items(entry["Counts"], f"{place}.Counts")
    names = Counter(fields.optional_text(each.get("Name")) for each in counts if isinstance(each, dict))
    for index, count in enumerate(counts):
        where = f"{place}.Counts[{index}]"
        with gathering.part():
            register = fields.table(count, where)
            found = _register(device, register, end, where)
            if found is None:
                continue
            line = found.line
            if names[line] > 1:  # two of one name would be taken for one
                line = f"{line} #{fields.text(register.get('RegisterId'), f'{where}.RegisterId', 15)}"
            device.measurements.append(replace(found, line=line, key=key))


def _register(device: Gathered, register: dict[str, Any], end: datetime, place: str) -> Measurement | None:
    """Return what a register shows, None for one that says nothing of people."""
    name = fields.text(register.get("Name"), f"{place}.Name", 100)
    kind = re.sub(r"[^a-z]", "", fields.optional_text(register.get("RegisterType")).lower())
    if "error" in kind:
        device.says_flags = True
        device.flags += ["error"] if fields.number(register.get("Value"), f"{place}.Value") else []
        return None
    if "occupancy" in kind or kind == "queuelength":
        meaning = Meaning.OCCUPANCY if "occupancy" in kind else Meaning.QUEUE_LENGTH
        people = fields.people(register.get("Value"), f"{place}.Value")
        return Measurement(line=name, meaning=meaning, value=float(people), end=end)
    if LEFT_ASIDE.fullmatch(kind):
        return None
    if not kind:
        return _by_name(name, register.get("Value"), end, f"{place}.Value", is_in=_is_in(register))
    return _total(name, fields.register(register.get("Value"), f"{place}.Value"), end, is_in=_is_in(register))


def _by_name(name: str, value: Any, end: datetime | None, place: str, *, is_in: bool = True) -> Measurement | None:
    """Return what a register shows that has nothing but its name to say what that is."""
    words = _words(name)
    if NO_PASSAGES.search(words):
        return None
    meaning = _state_in(words)
    if meaning is not None:
        return Measurement(line=name, meaning=meaning, value=float(fields.people(value, place)), end=end)
    return _total(name, fields.register(value, place), end, is_in=is_in)


def _words(name: str) -> str:
    return " ".join(word.lower() for word in WORD_ENDS.split(name) if word)


def _state_in(words: str) -> Meaning | None:
    return next((meaning for state, meaning in STATES.items() if f" {state} " in f" {words} "), None)


def _is_in(register: dict[str, Any]) -> bool:
    """Tell which way a register counts; where it does not say, the table of lines does."""
    tags = register.get("Tags")
    told = (
        {each.replace(" ", "").lower() for each in tags if isinstance(each, str)} if isinstance(tags, list) else set()
    )
    return next((is_in for tag, is_in in TAGS.items() if tag in told), True)


def _total(name: str, value: int, end: datetime | None, *, is_in: bool = True) -> Measurement:
    return Measurement(
        line=name,
        meaning=Meaning.TOTAL,
        forward=value if is_in else None,
        backward=None if is_in else value,
        end=end,
    )


def _changes(gathering: Gathering, device: Gathered, changes: list[Any]) -> None:
    said: Counter[Measurement] = Counter()
    for index, item in enumerate(changes):
        place = f"[{index}]"
        with gathering.part():
            change = fields.table(item, place)
            name = fields.text(change.get("register"), f"{place}.register", 100)
            words = _words(name)
            if NO_PASSAGES.search(words) or _state_in(words) is not None:
                continue
            found = Measurement(
                line=name,
                meaning=Meaning.CROSSING,
                forward=fields.people(change.get("value"), f"{place}.value"),
                end=fields.moment(change.get("t"), f"{place}.t", fields.UTC_ZONE),
            )
            said[found] += 1
            times = said[found]
            device.measurements.append(found if times == 1 else replace(found, key=str(times)))


def _live(gathering: Gathering, device: Gathered, counts: list[Any]) -> None:
    for index, item in enumerate(counts):
        place = f"counts[{index}]"
        with gathering.part():
            count = fields.table(item, place)
            name = fields.text(count.get("name"), f"{place}.name", 100)
            found = _by_name(name, count.get("count"), None, f"{place}.count")
            if found is not None:
                device.measurements.append(found)
    if not counts:
        raise Malformed("counts", "at least one register is wanted")


FORMAT: Final = Format(
    name="irisys",
    title="Irisys Vector 4D (Count and Analytics): HTTP POST and MQTT",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.TOTAL, Meaning.OCCUPANCY, Meaning.QUEUE_LENGTH),
    notes=(
        "HTTP POST: under *Settings*, *HTTP POST* enter the secret address as URL with the count data, and set *Count"
        " Logging* to 60 s, for its 15 minutes are the pace of the figures; HTTP POST is never live. MQTT is: choose"
        " the topics `irisys/<serial>/counts` and `irisys/<serial>/live_counts`, and give the source this format, for"
        " a body without changes is an empty list. Registers are lines by their names. Lead each by name to a gate"
        " with `direction` in or out, rather than all with `*`: of MQTT, and of HTTP unless a register is tagged"
        " `direction=IN` or `direction=OUT`, nothing tells in from out. Registers grow until power-off, which is"
        " noticed. Dwell, wait, zone and threshold registers, told by their type or, where there is none, by words of"
        " their name, and histograms of heights are left aside; occupancy and queue length are read, and an error"
        " status register tells of faults."
    ),
    examples=("JSON by HTTP POST", "JSON by MQTT"),
)
