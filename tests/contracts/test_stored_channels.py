"""What only one type of channel knows is still there when services read the configuration from the bus."""

from __future__ import annotations

from typing import Any

import pytest

from services.publisher import channels
from services.publisher.channels.channel import Target
from services.publisher.channels.means import options_of
from shared.contracts.configuration import LibraryConfig
from shared.contracts.stored import read_stored

LIBRARY: dict[str, Any] = {
    "id": "central",
    "name": "Central",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 100,
}


def stored(**channel: object) -> LibraryConfig:
    """Return a library with one channel, as a service reads what `placelibre apply` has written."""
    written = LibraryConfig.model_validate({**LIBRARY, "channels": [channel]})
    return read_stored(LibraryConfig, written.model_dump_json(exclude_defaults=True))


def test_a_channel_s_own_keys_are_read_from_the_bus() -> None:
    [read] = stored(type="ntfy", topic="central-live", priority=2).channels
    assert read.options == {"topic": "central-live", "priority": 2}
    assert read.to_domain(("en",)).options == read.options
    assert channels.faults(read) == []


def test_what_is_read_is_written_as_it_was() -> None:
    once = stored(type="ntfy", topic="central-live")
    assert read_stored(LibraryConfig, once.model_dump_json(exclude_defaults=True)) == once


def test_a_channel_without_keys_of_its_own_has_none() -> None:
    [read] = stored(type="console").channels
    assert read.options == {}


@pytest.mark.parametrize("newer", ["said_by_a_newer_version"])
def test_a_key_of_a_newer_version_does_not_stop_a_channel(newer: str) -> None:
    [read] = stored(type="ntfy", topic="central-live", **{newer: True}).channels
    known = channels.type_of("ntfy").options
    assert options_of(Target("ntfy", "", "", read.options), known).model_dump()["topic"] == "central-live"
