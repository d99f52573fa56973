"""A table of the keys that a model takes, in Markdown."""

from __future__ import annotations

import json

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def key_table(model: type[BaseModel], without: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of a table of a model's keys, with their defaults and what they mean, but for some."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in without:
            lines.append(f"| `{field.alias or name}` | {_default(field)} | {field.description or ''} |")
    return lines


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), {}):
        return ""
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value, default=str)}`"
