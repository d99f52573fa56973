"""Roode on ESPHome. A number that is cut off is another number; MQTT brings all of it or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

CONTEXT = Context(ZoneInfo("Europe/Paris"), datetime(2026, 11, 22, 12, tzinfo=UTC))


def inside(people: int, serial: str = "roode", line: str = "people_counter") -> list[DeviceReport]:
    return [
        DeviceReport(
            serial=serial, measurements=(Measurement(line=line, meaning=Meaning.OCCUPANCY, value=float(people)),)
        )
    ]


def crossing(forward: int, backward: int, serial: str = "roode", line: str = "entry_exit_event") -> list[DeviceReport]:
    measurement = Measurement(line=line, meaning=Meaning.CROSSING, forward=forward, backward=backward)
    return [DeviceReport(serial=serial, measurements=(measurement,))]


class TestEspHome(FormatSuite):
    format = "esphome"
    cases = (
        case("seven-inside", "7", inside(7), "text/plain", "roode/sensor/people_counter/state"),
        case("somebody-comes", "Entry", crossing(1, 0), "text/plain", "roode/sensor/entry_exit_event/state"),
        case("somebody-goes", "Exit", crossing(0, 1), "", "roode/text_sensor/entry_exit_event/state"),
        case(
            "the-maker-s-own-names",
            "3.000000",
            inside(3, "roode32"),
            "text/plain",
            "roode32/number/roode32_people_counter/state",
        ),
        case(
            "the-maker-s-own-name-of-the-event",
            "Exit",
            crossing(0, 1, "roode32"),
            "text/plain",
            "roode32/sensor/roode32_last_direction/state",
        ),
        case(
            "through-home-assistant",
            "4.0",
            inside(4, "north_door"),
            "text/plain",
            "homeassistant/sensor/north_door_people_counter/state",
        ),
        case(
            "an-event-through-home-assistant",
            "Entry",
            crossing(1, 0, "north_door"),
            "text/plain",
            "homeassistant/sensor/north_door_entry_exit_event/state",
        ),
        case(
            "two-doors-on-one-node-below-other-levels",
            "2",
            inside(2, "library/hall-1", "south_people_counter"),
            "text/plain",
            "library/hall-1/number/south_people_counter/state",
        ),
        case(
            "on-the-topic-of-our-own-listener",
            "5",
            inside(5, "roode"),
            "text/plain",
            "devices/roode/sensor/people_counter/state",
        ),
        case(
            "home-assistant-does-not-know",
            "unavailable",
            [DeviceReport(serial="roode")],
            "text/plain",
            "homeassistant/sensor/roode_people_counter/state",
        ),
        case("its-signal", "-67", [DeviceReport(serial="roode")], "text/plain", "roode/sensor/roode_rssi/state"),
        case("its-presence", "ON", [DeviceReport(serial="roode")], "text/plain", "roode/binary_sensor/presence/state"),
    )


@pytest.mark.parametrize(
    ("topic", "text", "words"),
    [
        ("roode/sensor/people_counter/state", "-1", "people_counter"),
        ("roode/sensor/people_counter/state", "2.5", "people_counter"),
        ("roode/sensor/entry_exit_event/state", "Sideways", "Entry or Exit is wanted"),
        ("roode/sensor/kettle/state", "7", "a topic such as"),
        ("", "7", "a topic such as"),
    ],
)
def test_what_it_cannot_be_is_refused(topic: str, text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        devices.read(document_of(text.encode(), "", topic), CONTEXT, "esphome")


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("homeassistant/sensor/kitchen_temperature/state", "21.5"),
        ("roode/sensor/people_counter/config", "7"),
        ("roode/sensor/people_counter/state", '{"value": 7}'),
        ("roode/sensor/people_counter/state", "7" * 100),
    ],
)
def test_other_topics_and_bodies_are_not_its_own(topic: str, text: str) -> None:
    assert "esphome" not in devices.recognised(document_of(text.encode(), "", topic))
