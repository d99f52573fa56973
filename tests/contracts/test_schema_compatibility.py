"""The published schemas may grow and not shrink: what was valid stays valid, what was said is said in the same way.

`golden/<version>/schemas` holds the schemas as that version published them, beside those of docs/reference now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cli.reference import _events_schema, _libraries_schema
from shared.contracts.readings import READING

GOLDEN: Final = Path(__file__).parent / "golden"
NOW: Final = {"events": _events_schema, "libraries": _libraries_schema, "readings": READING.json_schema}
TAKEN: Final = {"libraries", "readings"}
"""What people and devices write for us; the other one is what we write for others, and read again ourselves."""
LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")

Schema = dict[str, Any]


def breaks(old: Schema, new: Schema, *, is_taken: bool) -> Iterator[str]:
    """Yield what somebody who relied on `old` would stumble over."""
    before, after = old.get("$defs", {}), new.get("$defs", {})
    for name, definition in before.items():
        if name not in after:
            yield f"{name} is gone"
            continue
        yield from _of_definition(name, definition, after[name], is_taken=is_taken)
    yield from _of_definition("", old, new, is_taken=is_taken)


def _of_definition(name: str, old: Schema, new: Schema, *, is_taken: bool) -> Iterator[str]:
    gone = set(old.get("enum", ())) - set(new.get("enum", ()))
    if gone:
        yield f"{name} is never {', '.join(map(str, sorted(gone)))} any more"
    added = set(new.get("required", ())) - set(old.get("required", ()))
    if added:
        yield f"{name} needs {', '.join(sorted(added))} now, which old ones do not have"
    if not is_taken:
        lost = set(old.get("required", ())) - set(new.get("required", ()))
        if lost:
            yield f"{name} may be without {', '.join(sorted(lost))} now"
    for field, was in old.get("properties", {}).items():
        if field not in new.get("properties", {}):
            yield f"{name}.{field} is gone"
        else:
            yield from _of_field(f"{name}.{field}", was, new["properties"][field], is_taken=is_taken)


def _of_field(name: str, old: Schema, new: Schema, *, is_taken: bool) -> Iterator[str]:
    before, after = _kinds(old), _kinds(new)
    if before - after:
        yield f"{name} was {', '.join(sorted(before))} and is {', '.join(sorted(after))}"
    if not is_taken and after - before:
        yield f"{name} may be {', '.join(sorted(after - before))} now, which nobody expects"
    if is_taken:
        for was, now in zip(_forms(old), _forms(new), strict=False):
            yield from (f"{name}: {key} rose" for key in LEAST if now.get(key, -1e30) > was.get(key, -1e30))
            yield from (f"{name}: {key} fell" for key in MOST if now.get(key, 1e30) < was.get(key, 1e30))


def _forms(schema: Schema) -> list[Schema]:
    return schema.get("anyOf") or schema.get("oneOf") or [schema]


def _kinds(schema: Schema) -> set[str]:
    return {str(each.get("$ref") or each.get("type") or each.get("const") or "anything") for each in _forms(schema)}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/schemas/*.json")), ids=lambda path: path.name)
def test_nobody_who_relied_on_a_published_schema_stumbles(path: Path) -> None:
    name = path.name.partition(".")[0]
    found = list(breaks(json.loads(path.read_text("utf-8")), NOW[name](), is_taken=name in TAKEN))
    assert not found


def _small(**changes: Any) -> Schema:
    gate = {
        "properties": {"id": {"type": "string", "maxLength": 63}, "people": {"anyOf": [{"type": "integer"}]}},
        "required": ["id"],
        "type": "object",
    }
    return {"$defs": {"Gate": {**gate, **changes}, "Level": {"enum": ["few", "many"]}}}


@pytest.mark.parametrize(
    ("new", "is_taken", "said"),
    [
        (_small(required=["id", "people"]), True, "Gate needs people now, which old ones do not have"),
        (_small(required=[]), False, "Gate may be without id now"),
        (_small(properties={"id": {"type": "string", "maxLength": 63}}), True, "Gate.people is gone"),
        (
            _small(properties={**_small()["$defs"]["Gate"]["properties"], "id": {"type": "string", "maxLength": 8}}),
            True,
            "Gate.id: maxLength fell",
        ),
        (
            _small(properties={**_small()["$defs"]["Gate"]["properties"], "people": {"type": "number"}}),
            True,
            "Gate.people was integer and is number",
        ),
        (
            _small(
                properties={
                    **_small()["$defs"]["Gate"]["properties"],
                    "people": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                }
            ),
            False,
            "Gate.people may be null now, which nobody expects",
        ),
        ({"$defs": {**_small()["$defs"], "Level": {"enum": ["few"]}}}, False, "Level is never many any more"),
        ({"$defs": {"Level": {"enum": ["few", "many"]}}}, True, "Gate is gone"),
    ],
)
def test_each_kind_of_break_is_told(new: Schema, said: str, *, is_taken: bool) -> None:
    assert list(breaks(_small(), new, is_taken=is_taken)) == [said]
    assert list(breaks(_small(), _small(), is_taken=is_taken)) == []
