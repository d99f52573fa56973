"""What staff have said, for the terminal: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cli.terminal import JsonValue
from shared.contracts.desk import Act, DeskRecord
from shared.domain.acts import ActState

SWITCHES: Final = {
    "not_admitting": ("nobody is let in", "people are let in again"),
    "throttle": ("one in for one out", "everybody is let in again"),
    "evacuation": ("everybody is sent out", "people may come back"),
}
STATES: Final = {ActState.HOLDS: "holds", ActState.PAST: "", ActState.TAKEN_BACK: "taken back"}


def said(act: Act) -> str:
    """Return what was said, in plain words."""
    where = f" in {act.zone}" if act.zone else ""
    until = f" until {_clock(act.until, act.at)}" if act.until else ""
    if act.kind in SWITCHES:
        return SWITCHES[act.kind][0 if act.on else 1]
    has_ended = act.until is not None and act.until <= act.at
    match act.kind:
        case "head_count":
            return f"{act.people} people{where}"
        case "queue_at_marker":
            return f"the queue ends at {act.marker}"
        case "queue_length":
            return f"{act.people} people in the queue" if act.people else "nobody queues"
        case "queueing_time":
            return f"a wait of {act.minutes:g} min"
        case "ticket":
            return f"somebody got in who queued since {_clock(act.joined, act.at)}" if act.joined else "somebody got in"
        case "held_seats":
            return f"{act.seats} seats held{where}"
        case "notice":
            return f"notice{until}: {act.text}" if act.text else "no notice any more"
        case "closing":
            because = f" ({act.text})" if act.text else ""
            return "not closed any more" if has_ended else f"closed{until}{because}"
        case "mute":
            return "posts again" if has_ended else f"no posts{until}"
        case _:
            return act.kind.replace("_", " ")


def became(act: Act, names: Mapping[str, str]) -> str:
    """Return what has become of it, in plain words; nothing for what is merely past."""
    if act.state is not ActState.TAKEN_BACK or act.taken_back_at is None:
        return STATES[act.state]
    by = names.get(act.taken_back_by, act.taken_back_by)
    return f"taken back {_clock(act.taken_back_at, act.at)}" + (f" by {by}" if by else "")


def fields(record: DeskRecord | None, names: Mapping[str, str]) -> JsonValue:
    """Return a record for a program."""
    if record is None:
        return {"as_of": None, "acts": []}
    content: dict[str, JsonValue] = record.model_dump(mode="json")
    return {**content, "people": dict(names)}


def _clock(at: datetime, beside: datetime) -> str:
    """Return a time of day, with its date if that is another one."""
    local = at.astimezone(beside.tzinfo)
    return f"{local:%H:%M}" if local.date() == beside.date() else f"{local:%Y-%m-%d %H:%M}"
