"""What `placelibre check` says of sources: formats that are not there, mappings that cannot be read by."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.configuration_check import check_text
from services.ingest.devices import formats

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIBRARY = """\
[[libraries]]
id = "central"
name = "Central Library"
time_zone = "Europe/Berlin"
languages = ["en"]
opening_hours = "Mo-Fr 09:00-20:00"
capacity = 100
gates = [{ id = "front" }]

[[libraries.sources]]
id = "door"
type = "folder"
path = "/srv/counts"
"""
MAPPED = """
[libraries.sources.mapping]
body = "json"
in = "$.in"
"""


def faults(text: str) -> list[tuple[int | None, str, str]]:
    found = check_text(LIBRARY + text, NOW).findings
    return [(each.line, each.key, each.problem) for each in found if not each.is_warning]


@pytest.mark.parametrize("name", [name for name in formats() if not name.startswith("generic-")])
def test_every_format_may_be_named(name: str) -> None:
    assert faults(f'format = "{name}"\n') == []


def test_a_good_mapping_is_good() -> None:
    assert faults(MAPPED) == []


@pytest.mark.parametrize(
    ("text", "line", "key", "problem"),
    [
        ('format = "hikvison"\n', 14, "format", "there is no format 'hikvison'"),
        ('format = "generic-json"\n', 14, "format", "generic-json reads by a mapping, and there is none"),
        (MAPPED + 'out = "$.out["\n', 18, "mapping.out", "this is no JSONPath"),
        (MAPPED.replace("$", ""), 17, "mapping.in", "a JSONPath begins with $, as in $.data.in"),
        (MAPPED + 'end = "$.t"\ntime_format = "%H"\n', 19, "mapping.time_format", "a day and an hour are wanted in it"),
        (MAPPED.replace("json", "csv") + 'encoding = "latin-99"\n', 18, "mapping.encoding", "there is no encoding"),
    ],
)
def test_a_source_that_cannot_be_read_is_named_with_its_line(text: str, line: int, key: str, problem: str) -> None:
    [found] = faults(text)
    assert found[:2] == (line, f"libraries.central.sources.door.{key}")
    assert found[2].startswith(problem)
