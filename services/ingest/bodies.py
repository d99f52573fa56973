"""From bytes to readings, whatever the envelope: JSON, NDJSON, or CloudEvents 1.0 in its three modes. Pure.

Bodies that are right are validated in one go. Only when something is wrong are the items looked at one by one, so
that each fault can be named by its index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared.contracts.readings import MAX_READINGS_PER_REQUEST, READING, AnyWireReading

JSON: Final = "application/json"
NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
CLOUDEVENT: Final = "application/cloudevents+json"
CLOUDEVENT_BATCH: Final = "application/cloudevents-batch+json"
MEDIA_TYPES: Final = (JSON, *sorted(NDJSON), CLOUDEVENT, CLOUDEVENT_BATCH)

EVENT_TYPE: Final = "org.placelibre.reading."
"""A CloudEvent's type is this and the kind: org.placelibre.reading.gate_count."""
TIME_EXAMPLE: Final = ", such as 2026-11-23T19:00:00+01:00"
MAX_RAW_KEPT: Final = 4096
"""Bytes of a faulty item that quarantine keeps."""

_READINGS: Final[TypeAdapter[list[AnyWireReading]]] = TypeAdapter(list[AnyWireReading])


class UnreadableBody(Exception):  # noqa: N818  named for the answer it gets
    """The body as a whole cannot be taken apart; the message says why."""


class UnsupportedMediaType(Exception):  # noqa: N818  likewise
    """The Content-Type is none of ours."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one item: its index in the request, a stable code, and a reason that echoes nothing."""

    index: int
    code: str
    reason: str
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The items of a request that are readings, by index, and the faults of the others."""

    readings: list[tuple[int, AnyWireReading]]
    faults: list[Fault]


def parse(body: bytes, content_type: str, headers: Mapping[str, str]) -> Parsed:
    """Take a body apart into readings and faults.

    Raises:
        UnsupportedMediaType: the Content-Type is none of `MEDIA_TYPES`.
        UnreadableBody: not JSON at all, empty, or more than `MAX_READINGS_PER_REQUEST` items.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON and "ce-specversion" in headers:
        event = {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}
        return _one_by_one([_from_event({**event, "data": _load(body)})])
    if media_type == JSON:
        return _json(body)
    if media_type in NDJSON:
        return _ndjson(body)
    if media_type == CLOUDEVENT:
        return _one_by_one([_from_event(_load(body))])
    if media_type == CLOUDEVENT_BATCH:
        events = _load(body)
        if not isinstance(events, list):
            raise UnreadableBody("a batch of CloudEvents is a JSON array")
        _refuse_number(len(events))
        return _one_by_one([_from_event(event) for event in events])
    raise UnsupportedMediaType(f"Content-Type must be one of {', '.join(MEDIA_TYPES)}")


def parse_each(items: Sequence[Any]) -> Parsed:
    """Return what items that were JSON say, each for itself."""
    return _one_by_one([to_json(each) for each in items])


def _json(body: bytes) -> Parsed:
    text = body.strip()
    array = text if text.startswith(b"[") else b"[" + text + b"]"
    try:
        readings = _READINGS.validate_json(array)
    except ValidationError:
        items = _load(body)
        items = items if isinstance(items, list) else [items]
        _refuse_number(len(items))
        return _one_by_one([to_json(item) for item in items])
    if array is not text and len(readings) > 1:
        raise UnreadableBody("not JSON: several objects are sent as an array or as NDJSON")
    _refuse_number(len(readings))
    return Parsed(list(enumerate(readings)), [])


def _ndjson(body: bytes) -> Parsed:
    lines = [line for line in body.splitlines() if line.strip()]
    _refuse_number(len(lines))
    return _one_by_one(lines)


def _one_by_one(items: Sequence[bytes | Fault]) -> Parsed:
    parsed = Parsed([], [])
    for index, item in enumerate(items):
        if isinstance(item, Fault):
            parsed.faults.append(Fault(index, item.code, item.reason, item.raw))
            continue
        try:
            parsed.readings.append((index, READING.validate_json(item)))
        except ValidationError as error:
            parsed.faults.append(Fault(index, "malformed", explain(error), item[:MAX_RAW_KEPT]))
    return parsed


def explain(error: ValidationError) -> str:
    """Say what is wrong with an item by place and rule, without a word of its content."""
    reasons = []
    for each in error.errors(include_input=False, include_url=False)[:5]:
        place = ".".join(str(part) for part in each["loc"][1:]) or ".".join(str(part) for part in each["loc"])
        words = each["msg"].removeprefix("Value error, ") + (
            TIME_EXAMPLE if each["type"].startswith(("datetime", "timezone")) else ""
        )
        if each["type"] == "extra_forbidden":  # its name is the sender's
            place, words = place.rpartition(".")[0], "a field that is not known here; /openapi.json has those that are"
        elif each["type"] == "union_tag_invalid":  # pydantic's words quote what was sent
            words = f"kind: one of {each['ctx']['expected_tags']}"
        reasons.append(f"{place}: {words}" if place else words)
    more = error.error_count() - len(reasons)
    return "; ".join(reasons) + (f"; and {more} more" if more > 0 else "")


def _from_event(event: Any) -> bytes | Fault:
    """Return the reading inside a CloudEvent, completed from the event's own attributes, as JSON."""
    if not isinstance(event, dict):
        return Fault(0, "malformed", "a CloudEvent is a JSON object")
    missing = [name for name in ("id", "source", "type") if not isinstance(event.get(name), str) or not event[name]]
    if event.get("specversion") != "1.0" or missing:
        return Fault(0, "malformed", f"not a CloudEvent 1.0: {', '.join(missing) or 'specversion'} missing or wrong")
    kind = str(event["type"]).removeprefix(EVENT_TYPE)
    if kind == event["type"]:
        return Fault(0, "malformed", f"the event's type must begin with {EVENT_TYPE}")
    data = event.get("data")
    if not isinstance(data, dict):
        return Fault(0, "malformed", "the event's data must be a JSON object")
    identity = blake2b(f"{event['source']}\n{event['id']}".encode(), digest_size=16).hexdigest()
    reading: dict[str, Any] = {"kind": kind, "id": f"ce-{identity}"}
    if isinstance(event.get("time"), str):
        reading["time"] = event["time"]
    if isinstance(event.get("subject"), str):
        reading["library"] = event["subject"]
    return to_json({**reading, **data})


def _load(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise UnreadableBody(f"not JSON: {error}") from error


def _refuse_number(number: int) -> None:
    if number == 0:
        raise UnreadableBody("the request holds no reading")
    if number > MAX_READINGS_PER_REQUEST:
        raise UnreadableBody(f"{number} readings; send at most {MAX_READINGS_PER_REQUEST} in one request")
