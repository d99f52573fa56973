"""Readings as senders write them: what is taken, what is refused by name, and what the domain gets."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from shared.contracts.configuration import Key
from shared.contracts.readings import GATE_KINDS, MAX_TEXT, READING, STAFF_KINDS
from shared.domain.reading import GateCount, Remark, Ticket

TIME = "2026-11-23T15:00:00+01:00"
OF_EACH_KIND: dict[str, dict[str, Any]] = {
    "gate_count": {"gate": "front", "entries": 3, "exits": 1},
    "head_count": {"people": 42},
    "gate_total": {"gate": "front", "entries": 70_012, "exits": 3, "wraps_at": 99_999, "daily": True},
    "occupancy": {"people": 31, "zone": "hall"},
    "queue_at_marker": {"marker": "pillar"},
    "queue_length": {"people": 0},
    "queueing_time": {"minutes": 12.5},
    "ticket": {"joined": "2026-11-23T14:20:00+01:00"},
    "held_seats": {"seats": 5},
    "notice": {"text": "The lift is out of order", "until": TIME},
    "closing": {"until": TIME},
    "not_admitting": {"on": True},
    "throttle": {"on": True},
    "evacuation": {"on": False},
    "mute": {"until": TIME},
    "undo": {"target": "h1"},
    "clock": {"speed": 60},
}
SCHEMA = READING.json_schema()
ONE_FORM = "give entries and exits, or count alone where the gate is a beam"


def body(kind: str, **more: Any) -> dict[str, Any]:
    common = {"kind": kind, "library": "branch", "id": "r", "device": "tablet", "time": TIME}
    return {**common, **OF_EACH_KIND[kind], **more}


def refusal(fields: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        READING.validate_json(json.dumps(fields))
    return str(refused.value)


def test_every_kind_has_an_example_and_somebody_who_may_send_it() -> None:
    assert set(OF_EACH_KIND) == set(SCHEMA["discriminator"]["mapping"]) == STAFF_KINDS | GATE_KINDS | {"clock"}


@pytest.mark.parametrize("kind", OF_EACH_KIND)
def test_a_reading_of_each_kind_holds_to_the_schema_and_reaches_the_domain_as_itself(kind: str) -> None:
    fields = body(kind)
    jsonschema.validate(fields, SCHEMA)
    reading = READING.validate_json(json.dumps(fields))
    assert READING.validate_json(reading.model_dump_json(exclude_none=True)) == reading
    seen = reading.to_domain()
    assert (seen.kind, seen.id, seen.device, seen.at) == (kind, "r", "tablet", reading.time)


@pytest.mark.parametrize("kind", sorted(STAFF_KINDS))
def test_whatever_staff_say_may_have_a_reason_on_one_line(kind: str) -> None:
    note = "  counted\ttwice,\r\nthe second\x00 time\u202e slowly\u2029"
    seen = READING.validate_json(json.dumps(body(kind, note=note))).to_domain()
    assert isinstance(seen, Remark)
    assert seen.note == "counted twice, the second time slowly"
    assert "note" in refusal(body(kind, note="x" * (MAX_TEXT + 1)))


@pytest.mark.parametrize(("kind", "name"), [("notice", "text"), ("closing", "reason")])
def test_words_to_the_public_are_on_one_line_without_controls(kind: str, name: str) -> None:
    words = "  lift\x1b[31m broken,\r\n[ground floor]\x07 "
    seen = READING.validate_json(json.dumps(body(kind, **{name: words}))).to_domain()
    assert getattr(seen, name) == "lift [31m broken, [ground floor]"


def test_a_gate_gives_no_reasons() -> None:
    assert "note" in refusal(body("gate_count", note="x"))


def test_a_beam_s_crossings_stand_in_entries() -> None:
    fields = {"kind": "gate_count", "library": "branch", "gate": "beam", "count": 7}
    jsonschema.validate(fields, SCHEMA)
    reading = READING.validate_json(json.dumps({**fields, "id": "r", "device": "beam", "time": TIME}))
    written = json.loads(reading.model_dump_json(exclude_none=True))
    jsonschema.validate(written, SCHEMA)
    for each in (reading, READING.validate_json(json.dumps(written))):
        seen = each.to_domain()
        assert isinstance(seen, GateCount)
        assert (seen.entries, seen.exits) == (7, 0)


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"entries": 3},
        {"exits": 0},
        {"count": None},
        {"count": 4, "entries": 3, "exits": 1},
        {"count": 4, "exits": 1},
    ],
)
def test_a_count_has_exactly_one_form(counts: dict[str, int | None]) -> None:
    fields = {"kind": "gate_count", "library": "branch", "gate": "front", **counts}
    assert ONE_FORM in refusal(fields)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(fields, SCHEMA)


@pytest.mark.parametrize(
    ("joined", "reason"),
    [
        ("2026-11-23T15:00:01+01:00", "joined: lies after time"),
        ("2026-11-23T02:59:59+01:00", "joined: lies more than 12 h before time"),
        ("2026-11-23T14:00:00", "timezone"),
    ],
)
def test_a_ticket_is_one_wait_of_at_most_half_a_day(joined: str, reason: str) -> None:
    assert reason in refusal(body("ticket", joined=joined))


@pytest.mark.parametrize("joined", [TIME, "2026-11-23T03:00:00+01:00"])
def test_a_ticket_may_be_of_no_wait_or_of_the_longest(joined: str) -> None:
    seen = READING.validate_json(json.dumps(body("ticket", joined=joined))).to_domain()
    assert isinstance(seen, Ticket)
    assert seen.joined.isoformat() == joined


@pytest.mark.parametrize("minutes", [-1, 721, "12", True])
def test_a_queueing_time_is_a_number_of_minutes_somebody_can_wait(minutes: Any) -> None:
    assert "minutes" in refusal(body("queueing_time", minutes=minutes))


def test_a_device_may_say_what_it_can_measure_and_no_more() -> None:
    key = Key(id="sensor", sha256="0" * 64, device="sensor", role="gate")
    counts = {"gate_count", "gate_total", "occupancy", "queue_length", "queueing_time"}
    assert {kind for kind in OF_EACH_KIND if key.may_send(kind)} == counts
