"""Hikvision ISAPI: alerts of people counting and of queues, as XML in any of three namespaces, or as JSON.

A camera posts one alert at a time, often with a picture; its alertStream brings many in one multipart body. Sources:
Hikvision's developer guides for people counting (V6.1.0) and queue management (V6.0.2), and public captures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from xml.etree.ElementTree import Element

from services.ingest.devices import fields
from services.ingest.devices.documents import Document, local
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

Alert = dict[str, Any]
"""An alert, of XML and JSON alike: names in small letters, as they differ by firmware; the first of each name."""

ALERT: Final = "EventNotificationAlert"
SERIALS: Final = ("macaddress", "deviceid", "serialnumber", "deviceserial")
CUMULATIVE, WINDOWS = "realtime", ("timerange", "signaltrigger")
QUEUE_DATA: Final = ("personqueuerealtimedata", "personqueuerealtimedate")
"""The second is how a firmware misspells the first."""
QUEUE_ALARMS: Final = ("personqueuetime", "personqueuecounting")
"""Alarms of a queue that stand under their own names rather than in a capture."""
COUNTS: Final = ("counting", "density")
"""What the types of other events that hold numbers of people have in their names: they must not vanish unseen."""
LONGEST_WAIT_S: Final = 12 * 3600.0


def _recognises(document: Document) -> bool:
    return any(_is_alert(each) for each in document.messages)


def _is_alert(document: Document) -> bool:
    if document.xml is not None:
        return local(str(document.xml.tag)) == ALERT
    body = document.json
    if not isinstance(body, dict):
        return False
    if isinstance(body.get(ALERT), dict):
        return "eventType" in body[ALERT]
    return {"eventType", "dateTime"} <= body.keys() and not body.keys().isdisjoint({"macAddress", "ipAddress"})


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    alerts = [each for each in document.messages if _is_alert(each)]
    if not alerts:
        raise Unreadable("there is no EventNotificationAlert in it")
    gathering = Gathering()
    for index, each in enumerate(alerts):
        with gathering.part():
            place = f"alert {index + 1}"
            _read_alert(gathering, _alert_of(each), place, context)
    return gathering.reports()


def _alert_of(document: Document) -> Alert:
    found = _from_xml(document.xml) if document.xml is not None else _from_json(document.json)
    if not isinstance(found, dict):
        return {}
    inner = found.get(ALERT.lower())  # some firmware keeps the element of XML around its JSON
    return inner if isinstance(inner, dict) else found


def _from_xml(element: Element) -> Alert | str:
    """Return an element as a table of what is in it, or its text."""
    if len(element) == 0:
        return (element.text or "").strip()
    found: Alert = {}
    for each in element:
        found.setdefault(local(str(each.tag)).lower(), _from_xml(each))
    return found


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        found: Alert = {}
        for name, inner in value.items():
            found.setdefault(name.lower(), _from_json(inner))
        return found
    return value


def _read_alert(gathering: Gathering, alert: Alert, place: str, context: Context) -> None:
    serial = next((found for name in SERIALS if (found := fields.optional_text(alert.get(name)))), "")
    device = gathering.device(serial)
    sent_at = _time(alert.get("datetime"), f"{place}: dateTime", context)
    if str(alert.get("isdataretransmission")).strip().lower() != "true":
        device.sent_at = sent_at or device.sent_at  # else it says when it was, not when it was sent
    kind = str(alert.get("eventtype", "")).strip().lower()
    if kind == "videoloss":
        _read_video_loss(device, alert)
    elif kind == "peoplecounting" or "peoplecounting" in alert:
        counting = fields.table(alert.get("peoplecounting"), f"{place}: peopleCounting")
        device.measurements.append(_passages(alert, counting, f"{place}: peopleCounting", sent_at, context))
    elif kind.startswith("personqueue"):
        _read_queue(device, alert, place, sent_at, context)
    elif any(word in kind for word in COUNTS):
        raise Malformed(f"{place}: eventType", "it counts people in a way that is not read; PeopleCounting is")
    # Any other event is a sign of life: motion, a face, a disk. There is nothing in it to count.


def _read_video_loss(device: Gathered, alert: Alert) -> None:
    """Note whether there is a picture; an inactive loss is the heartbeat of an alertStream."""
    device.says_flags = True
    if str(alert.get("eventstate", "")).strip().lower() == "active":
        device.flags.append("no-video")


def _passages(alert: Alert, counting: Alert, place: str, sent_at: datetime | None, context: Context) -> Measurement:
    """Return the people of an alert: never children or repeated ones, who are among them already."""
    method = str(counting.get("statisticalmethods", "")).strip().lower()
    if method != CUMULATIVE and method not in WINDOWS:
        raise Malformed(f"{place}.statisticalMethods", "realTime, timeRange or signalTrigger is wanted")
    read = fields.register if method == CUMULATIVE else fields.people
    forward, backward = (
        read(counting[name], f"{place}.{name}") if counting.get(name) is not None else None
        for name in ("enter", "exit")
    )
    if forward is None and backward is None:
        raise Malformed(place, "enter or exit is wanted")
    start = end = None
    if method == CUMULATIVE:
        end = _time(_inside(counting, "realtime", "time"), f"{place}.RealTime", context) or sent_at
    else:
        start, end = _window(counting, place, context)
    return Measurement(
        line=_line(alert, counting.get("regionsid"), place),
        meaning=Meaning.TOTAL if method == CUMULATIVE else Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=start,
        end=end or sent_at,
        label=fields.optional_text(alert.get("channelname")),
    )


def _window(counting: Alert, place: str, context: Context) -> tuple[datetime | None, datetime | None]:
    for name in ("timerange", "signaltrigger"):
        start = _time(_inside(counting, name, "starttime"), f"{place}.startTime", context)
        end = _time(_inside(counting, name, "endtime"), f"{place}.endTime", context)
        if end is not None:
            if start is not None and start > end:
                raise Malformed(f"{place}.endTime", "a time after startTime is wanted")
            return start, end
    return None, None


def _read_queue(device: Gathered, alert: Alert, place: str, sent_at: datetime | None, context: Context) -> None:
    """Read an alarm of a queue (too many, too long) or the live message of everybody who joins and leaves it."""
    live: Alert = next((alert[name] for name in QUEUE_DATA if isinstance(alert.get(name), dict)), {})
    capture: Alert = next(
        (alert[name] for name in ("regioncapture", "humancapture") if isinstance(alert.get(name), dict)), {}
    )
    alarm: Alert = next((alert[name] for name in QUEUE_ALARMS if isinstance(alert.get(name), dict)), {})
    people = _first(
        live.get("peoplenum"), *(_inside(each, "humancounting", "count") for each in (capture, alarm, alert))
    )
    waited = _inside(capture, "human", "waittime")
    if not live:
        waited = _first(waited, *(each.get("waittime") for each in (capture, alarm, alert)))
    if str(live.get("personstate", "")).strip().lower() == "leave":  # whoever has just come has not waited yet
        waited = live.get("waittime")
    if people is None and waited is None:
        raise Malformed(place, "humanCounting.count, human.waitTime or peopleNum is wanted")
    rule = _first(
        live.get("ruleid"),
        _inside(capture, "rule", "ruleid"),
        *(each.get("ruleid") for each in (capture, alarm, alert)),
    )
    if rule is None:
        line = f"queue of channel {_line(alert, None, place)}"
    else:
        line = f"queue {fields.text(rule, f'{place}: ruleID', 20)}"
    label = fields.optional_text(live.get("rulename")) or fields.optional_text(alert.get("channelname"))
    left = _time(live.get("leavetime"), f"{place}: leaveTime", context) if waited is not None else None
    if people is not None:
        value = float(fields.people(people, f"{place}: people"))
        device.measurements.append(
            Measurement(line=line, meaning=Meaning.QUEUE_LENGTH, value=value, end=left or sent_at, label=label)
        )
    if waited is not None:
        minutes = round(fields.number(waited, f"{place}: waitTime", high=LONGEST_WAIT_S) / 60, 2)
        device.measurements.append(
            Measurement(line=line, meaning=Meaning.QUEUEING_TIME, value=minutes, end=left or sent_at, label=label)
        )


def _line(alert: Alert, region: Any, place: str) -> str:
    """Return the channel, with the region where it is not the first: some firmware names its only region, some not."""
    channel = alert.get("channelid") or alert.get("dynchannelid") or "1"
    line = fields.text(channel, f"{place}.channelID", 40)
    region_name = fields.optional_text(region, 40)
    return line if region_name in {"", "1"} else f"{line}/{region_name}"


def _inside(table: Alert, *path: str) -> Any:
    found: Any = table
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _first(*values: Any) -> Any:
    return next((each for each in values if each is not None and each != ""), None)


def _time(value: Any, place: str, context: Context) -> datetime | None:
    return None if value is None or value == "" else fields.moment(value, place, context.time_zone)


FORMAT: Final = Format(
    name="hikvision",
    title="Hikvision cameras that count people or queues (ISAPI)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.TOTAL, Meaning.WINDOW, Meaning.QUEUE_LENGTH, Meaning.QUEUEING_TIME),
    notes=(
        "Set the secret address as alarm server (HTTP listening), for the cameras know no better authentication."
        " What they upload in real time is a register, what they upload by the cycle are windows; either will do."
        " A line is the channel (`1`), with the region behind it from the second on (`1/2`); a queue is `queue 1`, by"
        " its rule, or `queue of channel 1` where it names none. Children are among the people already. The live"
        " messages of a queue say how long it is at each coming and going; its alarms only speak once it is longer"
        " than set."
    ),
    examples=("XML by HTTP POST", "XML with a picture as multipart", "alertStream", "JSON (queues)"),
)
