"""Bringing the LIBRARIES bucket to what a checked file says; what is the same is left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from cli.operator_audit import note_act
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.configuration import LibraryConfig
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus, Entry

Action = Literal["added", "changed", "removed", "kept", "unchanged"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done for one library. `kept` is on the bus, not in the file, and was not to be pruned."""

    library: str
    action: Action
    details: tuple[str, ...] = ()
    value: bytes = b""
    revision: int = 0
    """The bus's revision that this was decided on; a bus that has another by then refuses the write."""


async def plan(bus: Bus, wanted: Sequence[LibraryConfig], *, is_pruned: bool) -> list[Change]:
    """Compare a file with the bus; nothing is written. Raises BusUnavailable."""
    bucket = bus.bucket(subjects.LIBRARIES)
    applied = {key: entry for key in await bucket.keys() if (entry := await bucket.get(key)) is not None}
    changes = [_compare(library, applied.get(library.id)) for library in wanted]
    names = {library.id for library in wanted}
    changes += [
        Change(key, "removed" if is_pruned else "kept", revision=entry.revision)
        for key, entry in applied.items()
        if key not in names
    ]
    return changes


async def carry_out(bus: Bus, changes: Sequence[Change]) -> None:
    """Write what is added, changed or removed.

    Raises:
        Conflict: somebody else has changed a library since the plan was made.
        BusUnavailable: no acknowledgement; applying again finishes the rest.
    """
    bucket = bus.bucket(subjects.LIBRARIES)
    for change in changes:
        match change.action:
            case "added" | "changed":
                # A key that was deleted before still has a revision; only the bus knows it, and it is new to everybody.
                if change.revision:
                    await bucket.update(change.library, change.value, revision=change.revision)
                else:
                    await bucket.put(change.library, change.value)
            case "removed":
                # First: had the library gone before its staff, applying again would not know of them any more.
                await _let_go_of_staff(bus, change.library)
                await bucket.delete(change.library)
            case "kept" | "unchanged":
                continue
        await _note(bus, change)


async def _note(bus: Bus, change: Change) -> None:
    """Note a change in the audit trail: which keys of the configuration are otherwise, none of their values."""
    if change.action == "changed":
        names = [_name_of(each) for each in change.details]
        await note_act(bus, Act.LIBRARY_CHANGED, library=change.library, details=names)
        for each in names:
            for ending, act in ((": added", Act.KEY_ADDED), (": removed", Act.KEY_REMOVED)):
                if each.startswith("keys.") and each.endswith(ending):
                    await note_act(bus, act, library=change.library, subject=each.removesuffix(ending)[5:])
        return
    act = Act.LIBRARY_ADDED if change.action == "added" else Act.LIBRARY_REMOVED
    await note_act(bus, act, library=change.library)
    if change.action == "added":
        for key in read_stored(LibraryConfig, change.value).keys:
            await note_act(bus, Act.KEY_ADDED, library=change.library, subject=key.id)


def _name_of(difference: str) -> str:
    """Return what a line of `differences` is about, without what it was and is."""
    name, _, rest = difference.partition(": ")
    return f"{name}: {rest}" if rest in {"added", "removed"} else name


async def _let_go_of_staff(bus: Bus, library: str) -> None:
    """Delete a library's people, tablets, invitations, sessions and counts of wrong PINs."""
    staff = bus.bucket(subjects.STAFF)
    for key in await staff.keys(f"{library}."):
        if await staff.get(key) is not None:
            await staff.delete(key)


def _compare(library: LibraryConfig, applied: Entry | None) -> Change:
    value = library.model_dump_json(by_alias=True).encode()
    if applied is None:
        return Change(library.id, "added", value=value)
    try:
        before = read_stored(LibraryConfig, applied.value)
    except ValidationError:
        details = ("the value on the bus cannot be read; it is replaced",)
        return Change(library.id, "changed", details, value, applied.revision)
    if before == library:
        return Change(library.id, "unchanged", revision=applied.revision)
    return Change(library.id, "changed", tuple(differences(before, library)), value, applied.revision)


def differences(before: LibraryConfig, after: LibraryConfig) -> Iterator[str]:
    """Yield one line per difference: `capacity: 120 -> 100`, `gates.front: added`."""
    yield from _differences(
        "", before.model_dump(mode="json", by_alias=True), after.model_dump(mode="json", by_alias=True)
    )


def _differences(place: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    before_by_id, after_by_id = _by_id(before), _by_id(after)
    if before_by_id is None or after_by_id is None:
        yield f"{place}: {_shown(before)} -> {_shown(after)}"
        return
    for name in [*before_by_id, *(each for each in after_by_id if each not in before_by_id)]:
        inner = f"{place}.{name}" if place else name
        if name not in after_by_id:
            yield f"{inner}: removed"
        elif name not in before_by_id:
            yield f"{inner}: added"
        else:
            yield from _differences(inner, before_by_id[name], after_by_id[name])


def _by_id(value: Any) -> Mapping[str, Any] | None:
    """Return a table's values by key, a list of tables' by their ids; None for what has neither."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) and "id" in each for each in value):
        return {str(each["id"]): each for each in value}
    return None


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
