"""What would be counted of a box, and where its lines go when somebody claims it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.claiming import claim_of, device_id, direction_of, fault_of_claim, suggested
from services.ingest.devices.format import DeviceReport, Measurement
from services.ingest.preview import LinePreview, Preview, preview, preview_of
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Claim, Device, Line, QuarantinedBody, UrlSource
from shared.domain.meaning import Meaning
from shared.runtime.opening_hours import OsmOpeningHours
from tests.services.test_device_inlet import configuration, device

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LIBRARY = configuration("lib", opening_hours="24/7")
DOMAIN = LIBRARY.to_domain(OsmOpeningHours)
SOURCE = UrlSource(id="lib-box", type="url", token_sha256="0" * 64)


def passage(number: int = 1, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(minutes=number)
    usual = {"RoiId": 1, "MetricId": 1, "EventEndUTCTime": at.isoformat(), "DeviceSerial": "S1", "UUID": f"u-{number}"}
    return {**usual, **more}


def kept(body: Any, **more: Any) -> QuarantinedBody:
    fields = {"received_at": NOW, "library": "lib", "source": "lib-box", "serial": "S1", "code": "unclaimed"}
    text = body if isinstance(body, str) else json.dumps(body)
    return QuarantinedBody.model_validate({**fields, "reason": "nobody has", "body": text, **more})


def seen(*bodies: QuarantinedBody, serial: str = "S1") -> Preview:
    return preview(bodies, SOURCE, DOMAIN, NOW)[serial]


def reported(*measurements: Measurement) -> Preview:
    """Return the preview of a device that says these figures, each in a body of its own."""
    reports = [("a-format", DeviceReport(measurements=(each,))) for each in measurements]
    return preview_of(reports, DOMAIN, NOW)[""]


def register(value: int, minutes_ago: int, meaning: Meaning = Meaning.TOTAL, **more: Any) -> Measurement:
    return Measurement(line="1", meaning=meaning, forward=value, end=NOW - timedelta(minutes=minutes_ago), **more)


def people(preview_: Preview, name: str = "1") -> tuple[int | None, int | None]:
    line = preview_.line(name)
    assert line is not None
    return line.recommended.forward, line.recommended.backward


def test_passages_are_summed_each_once() -> None:
    shown = seen(kept([passage(1), passage(2), passage(3, MetricId=2)]), kept([passage(1)]))
    assert people(shown) == (2, 1)
    assert (shown.format, shown.bodies, shown.unreadable) == ("footfallcam", 2, 0)


def test_lines_are_kept_apart() -> None:
    shown = seen(kept([passage(1), passage(2, RoiId=2, MetricId=2)]))
    assert people(shown, "1") == (1, None)
    assert people(shown, "2") == (None, 1)


def test_what_is_older_than_a_day_would_not_count() -> None:
    old = passage(1, EventEndUTCTime=(NOW - timedelta(hours=25)).isoformat())
    shown = seen(kept([old, passage(2)]))
    assert (people(shown), shown.too_old) == ((1, None), 1)


def test_of_a_body_that_is_kept_for_each_of_its_devices_only_the_one_meant_is_counted() -> None:
    body = [passage(1), passage(2, DeviceSerial="S2")]
    both = preview([kept(body), kept(body, serial="S2")], SOURCE, DOMAIN, NOW)
    assert people(both["S1"]) == people(both["S2"]) == (1, None)
    assert set(preview([kept(body, serial="")], SOURCE, DOMAIN, NOW)) == {"S1", "S2"}


def test_what_cannot_be_read_is_counted_with_its_reason_and_spoils_nothing() -> None:
    shown = seen(kept([passage(1)]), kept('{"a": 1}'), kept([passage(2), passage(3, Value="many")]))
    assert (people(shown), shown.unreadable) == ((2, None), 1)
    assert any("no format" in each for each in shown.problems)
    assert any(each.startswith("[1].Value") for each in shown.problems)


def test_what_was_cut_out_is_told() -> None:
    assert seen(kept([passage(1)], removed="the field PeopleId")).removed == ("the field PeopleId",)


@pytest.mark.parametrize(
    ("values", "more", "expected"),
    [
        ((100,), {}, 0),
        ((100, 103, 110), {}, 10),
        ((100, 103, 2), {}, 5),
        ((65_530, 4), {"wraps_at": 65_535}, 10),
        ((10, 10, 10), {}, 0),
    ],
    ids=["first", "rises", "rebooted", "wrapped", "stands"],
)
def test_a_register_counts_by_its_differences(values: Sequence[int], more: dict[str, Any], expected: int) -> None:
    figures = [register(each, 10 * (len(values) - index), **more) for index, each in enumerate(values)]
    assert people(reported(*figures)) == (expected, None)
    assert people(reported(*reversed(figures))) == (expected, None)  # in whichever order they come


def test_every_meaning_of_the_same_people_is_shown_and_the_best_is_recommended() -> None:
    end = NOW - timedelta(minutes=1)
    window = Measurement(
        line="1", meaning=Meaning.WINDOW, forward=3, backward=1, start=end - timedelta(minutes=1), end=end
    )
    crossing = Measurement(line="1", meaning=Meaning.CROSSING, forward=1, end=end, key="u")
    [line] = reported(register(500, 5), window, crossing, register(504, 1)).lines
    assert [(each.meaning, each.forward) for each in line.figures] == [
        (Meaning.CROSSING, 1),
        (Meaning.WINDOW, 3),
        (Meaning.TOTAL, 4),
    ]
    assert "most exact" in line.why
    [alone] = reported(window).lines
    assert "in no other way" in alone.why


def test_how_many_are_inside_is_the_latest_figure() -> None:
    figures = [Measurement(line="hall", meaning=Meaning.OCCUPANCY, value=each) for each in (4.0, 7.0)]
    [line] = reported(*figures).lines
    assert (line.recommended.value, line.recommended.forward) == (7.0, None)


def of_lines(*lines: tuple[str, Meaning]) -> Preview:
    return reported(
        *(
            Measurement(line=name, meaning=meaning, forward=1, backward=1)
            if meaning in {Meaning.CROSSING, Meaning.WINDOW}
            else Measurement(line=name, meaning=meaning, value=1.0)
            for name, meaning in lines
        )
    )


def one_gate(**more: Any) -> LibraryConfig:
    return configuration("lib", gates=[{"id": "front"}], **more)


def test_with_one_gate_every_line_that_counts_goes_there() -> None:
    suggestion = suggested(of_lines(("a", Meaning.WINDOW), ("b", Meaning.CROSSING)), one_gate())
    assert suggestion.lines == (Line(line="a", gate="front"), Line(line="b", gate="front"))
    assert suggestion.open == ()


def test_with_two_gates_somebody_has_to_choose() -> None:
    found = of_lines(("a", Meaning.WINDOW))
    assert suggested(found, LIBRARY).open == ("a",)
    assert suggested(found, LIBRARY, gate="garden").lines == (Line(line="a", gate="garden"),)


def test_what_is_inside_goes_to_the_house_unless_the_device_counts_at_the_door() -> None:
    alone = of_lines(("hall", Meaning.OCCUPANCY))
    assert suggested(alone, one_gate()).lines == (Line(line="hall", zone="inside"),)
    both = of_lines(("door", Meaning.CROSSING), ("hall", Meaning.OCCUPANCY))
    assert [each.line for each in suggested(both, one_gate()).lines] == ["door"]
    assert [each.line for each in suggested(both, one_gate(), zone="inside").lines] == ["door", "hall"]
    zones = [{"id": each, "name": each, "capacity": 10} for each in ("up", "down")]
    gates = [{"id": "front", "from": "outside", "to": "up"}]
    assert suggested(alone, configuration("lib", gates=gates, zones=zones)).open == ("hall",)


def test_a_queue_goes_to_the_queue() -> None:
    found = of_lines(("q", Meaning.QUEUE_LENGTH), ("t", Meaning.QUEUEING_TIME))
    assert suggested(found, LIBRARY).lines == (Line(line="q", queue=True), Line(line="t", queue=True))


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("0", "Line 1 IN", "in"),
        ("1", "Line 1 OUT", "out"),
        ("entries", "", "in"),
        ("counter_b", "", "both"),
        ("Sortie nord", "", "out"),
        ("inside", "", "both"),
        ("main", "in and out", "both"),
    ],
)
def test_a_register_that_counts_one_way_is_known_by_its_name(name: str, label: str, expected: str) -> None:
    figures = [
        Measurement(line=name, label=label, meaning=Meaning.TOTAL, forward=each, end=NOW - timedelta(minutes=ago))
        for each, ago in ((1, 5), (4, 1))
    ]
    [line] = reported(*figures).lines
    assert direction_of(line) == expected


def test_a_line_that_counts_both_ways_is_never_taken_for_one_way() -> None:
    [line] = of_lines(("in", Meaning.WINDOW)).lines
    assert isinstance(line, LinePreview)
    assert direction_of(line) == "both"


def test_a_device_gets_an_id_that_is_free_and_written_as_ids_are() -> None:
    assert device_id("front-door", "", []) == "front-door"
    assert device_id("lora", "A8:40:41:FF:12", []) == "lora-40-41-ff-12"
    assert device_id("lora", "A8", [], "Café, left") == "caf-left"
    assert device_id("box", "", ["box", "box-2"]) == "box-3"
    long = device_id("x" * 63, "S" * 120, ["x" * 63])
    assert Line(line="1", gate=long).gate == long


def claim(**more: Any) -> Claim:
    return claim_of("lib", Device.model_validate({**device("lib", "S1"), **more}), "a test", NOW)


def fault(wanted: Claim, library: LibraryConfig = LIBRARY, *others: Claim) -> str:
    claims = {f"{each.library}.{each.device.id}": each for each in others}
    return fault_of_claim(wanted, {library.id: library}, claims)


def test_a_claim_that_fits_has_no_fault_and_may_be_changed() -> None:
    assert fault(claim()) == ""
    assert fault(claim(lines=[{"line": "1", "gate": "garden"}]), LIBRARY, claim()) == ""


@pytest.mark.parametrize(
    ("wanted", "library", "words"),
    [
        (claim(lines=[{"gate": "attic"}]), LIBRARY, "no gate 'attic'"),
        (claim(source="elsewhere"), LIBRARY, "no source 'elsewhere'"),
        (claim(), configuration("lib", clock="simulated"), "lives now"),
        (claim(), configuration("other"), "no library 'lib'"),
        (claim(), configuration("lib", devices=[device("lib", "S1")]), "in libraries.toml already"),
        (claim(id="two"), configuration("lib", devices=[device("lib", "S1")]), "it counts already, as cam of lib"),
    ],
    ids=["gate", "source", "clock", "library", "same-id", "same-box"],
)
def test_a_claim_that_does_not_fit_says_why(wanted: Claim, library: LibraryConfig, words: str) -> None:
    assert words in fault(wanted, library)


def test_an_id_of_another_box_is_not_taken_over() -> None:
    assert "another device cam" in fault(claim(serial="S2"), LIBRARY, claim())
    assert "counts already" in fault(claim(id="two"), LIBRARY, claim())
