"""Density: how many people are in each space, and passages at its doorways where entry sensors hang.

One source speaks for all spaces of an account; they are its lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

HEALTHY: Final = "healthy"
DIRECTIONS: Final = {1: True, -1: False}


def _recognises(document: Document) -> bool:
    body = document.json
    if isinstance(body, list):
        return bool(body) and all(_is_space(each) for each in body)
    if not isinstance(body, dict):
        return False
    return (
        _is_space(body)
        or _is_event(body)
        or _is_event(body.get("payload"))
        or _is_stream(body)
        or _is_current(body)
        or _is_page(body)
    )


def _is_space(item: Any) -> bool:
    return isinstance(item, dict) and "current_count" in item and _is_id(item.get("id"))


def _is_page(body: dict[str, Any]) -> bool:
    results = body.get("results")
    return isinstance(results, list) and bool(results) and all(_is_space(each) for each in results)


def _is_event(item: Any) -> bool:
    return isinstance(item, dict) and "count" in item and _is_id(item.get("space_id"))


def _is_stream(body: dict[str, Any]) -> bool:
    """Tell whether it is a message of the WebSocket: `update_type`, and spaces by their ids."""
    return body.get("update_type") in ("live", "refresh") and isinstance(body.get("data"), dict)


def _is_current(body: dict[str, Any]) -> bool:
    data = body.get("data")
    return isinstance(data, dict) and bool(data) and all(_is_id(each) for each in data)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("spc_")


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    body = document.json
    device = gathering.device("")
    with gathering.part():
        if isinstance(body, list):
            _spaces(gathering, device, body, "")
        else:
            _object(gathering, device, fields.table(body, "body"))
    return gathering.reports()


def _object(gathering: Gathering, device: Gathered, body: dict[str, Any]) -> None:
    if "results" in body:
        _spaces(gathering, device, fields.items(body["results"], "results"), "results")
    elif "current_count" in body:
        _spaces(gathering, device, [body], "")
    elif "data" in body:
        _stream(gathering, device, body)
    else:
        place = "payload" if "payload" in body else "body"
        device.measurements += _event(fields.table(body.get("payload", body), place), place)


def _spaces(gathering: Gathering, device: Gathered, spaces: list[Any], place: str) -> None:
    """Read an answer of the REST interface: what is so now."""
    for index, item in enumerate(spaces):
        where = f"{place}[{index}]"
        with gathering.part():
            space = fields.table(item, where)
            people = fields.people(space.get("current_count"), f"{where}.current_count")
            device.measurements.append(
                Measurement(
                    line=fields.text(space.get("id"), f"{where}.id"),
                    label=fields.optional_text(space.get("name")),
                    meaning=Meaning.OCCUPANCY,
                    value=float(people),
                )
            )


def _stream(gathering: Gathering, device: Gathered, body: dict[str, Any]) -> None:
    # Once a minute all spaces are said again, with the time of their last change: what they say is of now.
    is_refresh = body.get("update_type") != "live"
    device.says_flags = is_refresh and "update_type" in body
    for name, item in fields.table(body.get("data"), "data").items():
        line = fields.text(name, "data")
        place = f"data.{line[:40]}"
        with gathering.part():
            space = fields.table(item, place)
            if space.get("space_health_status", HEALTHY) != HEALTHY:
                device.flags.append("error")
                continue  # what its sensors say is not to be trusted
            people = space.get("occupancy", space.get("count"))
            if people is None:
                continue  # an open area tells whether anybody is there, and not how many
            end = None if is_refresh else fields.moment(space.get("timestamp"), f"{place}.timestamp", fields.UTC_ZONE)
            value = float(fields.people(people, f"{place}.occupancy"))
            device.measurements.append(Measurement(line=line, meaning=Meaning.OCCUPANCY, value=value, end=end))


def _event(event: dict[str, Any], place: str) -> Iterator[Measurement]:
    """Yield how many are in the space after somebody passed, and the passage where its doorway is named."""
    end = fields.moment(event.get("timestamp"), f"{place}.timestamp", fields.UTC_ZONE)
    people = fields.people(event.get("count"), f"{place}.count")
    space = fields.text(event.get("space_id"), f"{place}.space_id")
    direction = event.get("direction")
    if event.get("doorway_id") is not None and direction is not None:
        if isinstance(direction, bool) or not isinstance(direction, int) or direction not in DIRECTIONS:
            raise Malformed(f"{place}.direction", "1 (in) or -1 (out) is wanted")
        is_in = DIRECTIONS[direction]
        yield Measurement(
            line=fields.text(event["doorway_id"], f"{place}.doorway_id"),
            meaning=Meaning.CROSSING,
            forward=1 if is_in else None,
            backward=None if is_in else 1,
            end=end,
            key=str(people),  # tells two who come through at once from one told twice
        )
    yield Measurement(line=space, meaning=Meaning.OCCUPANCY, value=float(people), end=end)


FORMAT: Final = Format(
    name="density",
    title="Density (entry sensors): REST, WebSocket and webhooks",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.OCCUPANCY, Meaning.CROSSING),
    notes=(
        "Poll `https://api.density.io/v2/spaces` every minute with a token of the Density dashboard, follow the"
        " WebSocket of a floor (v3), or let a webhook send to the secret address. Spaces are lines, `spc_…`: lead each"
        " to a zone or to `inside` by its name, never all with `*`. Webhooks tell of each passage as well, under the"
        " doorway's `drw_…`: lead those to a gate only where no space of the same people is led anywhere. Open Area"
        " sensors tell whether somebody is there and not how many, and count for nothing. A space that Density itself"
        " calls unhealthy is left out."
    ),
    examples=("JSON by polling", "JSON by WebSocket", "JSON by HTTP POST"),
)
