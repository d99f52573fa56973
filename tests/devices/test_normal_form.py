"""From what a device says to readings: lines, directions, meanings, times, ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.devices.format import DeviceReport, Measurement
from services.ingest.normal_form import Normal, normal_form
from services.ingest.registry import Known
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Device, DeviceState
from shared.domain.meaning import Meaning

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def known(*lines: dict[str, Any], clock: str = "wall", **more: Any) -> Known:
    library = LibraryConfig.model_validate(
        {
            "id": "branch",
            "name": "Branch",
            "time_zone": "Europe/Paris",
            "opening_hours": "Mo-Su 08:00-20:00",
            "capacity": 200,
            "clock": clock,
            "zones": [
                {"id": "ground", "name": "Ground", "capacity": 100},
                {"id": "upper", "name": "Upper", "capacity": 100},
            ],
            "gates": [
                {"id": "front", "to": "ground"},
                {"id": "garden", "to": "ground"},
                {"id": "light", "to": "ground", "kind": "beam"},
            ],
            **more,
        }
    )
    return Known(library, Device.model_validate({"id": "cam", "source": "cam", "lines": lines or ({"gate": "front"},)}))


def window(forward: int | None = 3, backward: int | None = 1, *, ago: int = 0, **more: Any) -> Measurement:
    end = NOW - ago * MINUTE
    fields = {"line": "1", "meaning": Meaning.WINDOW, "start": end - MINUTE, "end": end}
    return Measurement(**{**fields, "forward": forward, "backward": backward, **more})


def crossing(forward: int | None = 1, backward: int | None = None, *, ago: int = 0, **more: Any) -> Measurement:
    fields = {"line": "1", "meaning": Meaning.CROSSING, "end": NOW - ago * MINUTE, "key": f"c{ago}"}
    return Measurement(**{**fields, "forward": forward, "backward": backward, **more})


def total(forward: int | None, backward: int | None = 0, *, ago: int = 0, **more: Any) -> Measurement:
    fields = {"line": "1", "meaning": Meaning.TOTAL, "end": NOW - ago * MINUTE}
    return Measurement(**{**fields, "forward": forward, "backward": backward, **more})


def level(meaning: Meaning, value: float, line: str = "1") -> Measurement:
    return Measurement(line=line, meaning=meaning, value=value, end=NOW)


def run(where: Known, *measurements: Measurement, state: DeviceState | None = None, **more: Any) -> Normal:
    report = DeviceReport(serial="s", measurements=measurements, **more)
    return normal_form(where, report, state or DeviceState(device="cam", source="cam"), NOW)


def read(normal: Normal) -> list[dict[str, Any]]:
    return [each.reading.model_dump(exclude_none=True, exclude={"id", "library"}) for each in normal.accepted]


def flows(normal: Normal) -> list[tuple[Any, Any]]:
    return [(each.get("entries"), each.get("exits")) for each in read(normal)]


def test_a_window_becomes_a_count_at_its_gate() -> None:
    [reading] = read(run(known(), window()))
    assert reading.pop("device").startswith("cam-")  # the box's own name, whatever it is called here
    assert reading == {
        "kind": "gate_count",
        "gate": "front",
        "entries": 3,
        "exits": 1,
        "start": NOW - MINUTE,
        "time": NOW,
    }


@pytest.mark.parametrize(
    ("line", "measurement", "expected"),
    [
        ({"invert": True}, window(3, 1), (1, 3)),
        ({"direction": "in"}, window(3, 1), (3, 0)),
        ({"direction": "out"}, window(3, None), (0, 3)),
        ({"direction": "out", "invert": True}, window(3, None), (3, 0)),
        ({}, crossing(None, 1), (0, 1)),
        ({"direction": "out"}, total(9, None), (None, 9)),
        ({"direction": "in"}, total(9, None), (9, None)),
        ({"invert": True}, total(9, 4), (4, 9)),
    ],
)
def test_directions_are_as_the_line_is_led(line: dict[str, Any], measurement: Measurement, expected: Any) -> None:
    assert flows(run(known({"gate": "front", **line}), measurement)) == [expected]


def test_a_beam_has_no_directions() -> None:
    [reading] = read(run(known({"gate": "light"}), window(3, 1)))
    assert (reading["count"], reading["entries"], reading["exits"]) == (4, 0, 0)


def test_only_the_best_of_several_meanings_counts_and_it_stays_so() -> None:
    body = (window(0, 0), total(8442, 15583), crossing(1))
    first = run(known(), *body)
    assert sorted(flows(first)) == [(0, 0), (1, 0)]  # the window's zero is a sign of life
    assert first.state.lines["1"].meaning is Meaning.CROSSING
    later = run(known(), window(5, 2), total(8447, 15585), state=first.state)
    assert flows(later) == [(0, 0)]
    assert not later.found


def test_once_crossings_are_seen_windows_do_not_count_any_more() -> None:
    before = run(known(), window(5, 2, ago=2), total(100, 90, ago=2))
    assert flows(before) == [(5, 2)]
    after = run(known(), crossing(1), state=before.state)
    assert flows(after) == [(1, 0)]
    assert flows(run(known(), window(1, 0), state=after.state)) == [(0, 0)]


def test_what_a_register_has_counted_does_not_count_again_as_a_window() -> None:
    first = run(known(), total(100, 90, ago=1))
    assert read(first)[0]["kind"] == "gate_total"
    second = run(known(), window(4, 4, ago=0, start=NOW - 3 * MINUTE), total(104, 94), state=first.state)
    assert read(second) == []  # it began before the register's last word; of this one window nothing is sure
    third = run(known(), window(2, 0, start=NOW, end=NOW), state=second.state)
    assert flows(third) == [(2, 0)]


def test_a_declared_meaning_is_the_only_one() -> None:
    where = known({"gate": "front", "meaning": "total"})
    normal = run(where, window(5, 2), total(104, 94), crossing(1))
    assert [each["kind"] for each in read(normal) if each.get("entries")] == ["gate_total"]


def test_registers_say_how_they_wrap_and_whether_they_are_daily() -> None:
    [reading] = read(run(known(), total(65535, 0, wraps_at=65535)))
    assert (reading["wraps_at"], reading["daily"]) == (65535, False)
    [reading] = read(run(known({"gate": "front", "wraps_at": 9999}), total(12, 318, meaning=Meaning.DAY_TOTAL)))
    assert (reading["wraps_at"], reading["daily"]) == (9999, True)


def test_two_registers_of_one_gate_are_told_apart() -> None:
    where = known({"line": "1", "gate": "front"}, {"line": "2", "gate": "front"})
    names = [each["device"] for each in read(run(where, total(5), total(7, line="2")))]
    assert len(set(names)) == 2
    assert all(each.startswith("cam-") for each in names)


def test_occupancy_and_queue_go_where_they_are_led() -> None:
    where = known(
        {"line": "g", "zone": "ground"},
        {"line": "all", "zone": "inside"},
        {"line": "q", "queue": True},
        {"gate": "front"},
    )
    normal = run(
        where,
        level(Meaning.OCCUPANCY, 12, "g"),
        level(Meaning.OCCUPANCY, 40, "all"),
        level(Meaning.QUEUE_LENGTH, 9, "q"),
        level(Meaning.QUEUEING_TIME, 2.1, "q"),
        level(Meaning.OCCUPANCY, 7, "elsewhere"),
    )
    assert [(each["kind"], each.get("zone"), each.get("people"), each.get("minutes")) for each in read(normal)] == [
        ("occupancy", "ground", 12, None),
        ("occupancy", None, 40, None),
        ("queue_length", None, 9, None),
        ("queueing_time", None, None, 2.1),
    ]
    assert not normal.state.lines["elsewhere"].is_mapped


def test_a_line_that_leads_nowhere_counts_nothing_and_is_noted() -> None:
    normal = run(known({"line": "1", "gate": "front"}), window(9, 9, line="2"))
    assert not normal.accepted
    assert not normal.state.lines["2"].is_mapped


def test_a_line_is_also_known_by_its_label() -> None:
    where = known({"line": "Door", "gate": "garden"})
    assert read(run(where, window(line="uuid-1", label="Door")))[0]["gate"] == "garden"


def test_the_same_figure_gets_the_same_id_and_another_one_another() -> None:
    ids = [run(known(), each).accepted[0].reading.id for each in (window(), window(), window(ago=1), crossing())]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_window_that_comes_again_with_other_counts_is_the_same_window() -> None:
    ids = {run(known(), each).accepted[0].reading.id for each in (window(3, 1), window(4, 1))}
    assert len(ids) == 1
    ways = {run(known(), each).accepted[0].reading.id for each in (window(3, None), window(None, 3))}
    assert len(ways) == 2  # a row for each way


def test_a_passage_with_a_key_is_itself_whatever_its_time() -> None:
    second = timedelta(seconds=1)
    ids = {run(known(), each).accepted[0].reading.id for each in (crossing(), crossing(end=NOW - second, key="c0"))}
    assert len(ids) == 1


def test_a_clock_that_stands_still_does_not_stop_the_counting() -> None:
    state, long_ago = DeviceState(device="cam", source="cam"), NOW - timedelta(days=2)
    counted, ids = [], set()
    for minute in range(12):
        report = DeviceReport(measurements=(window(1, 0, start=long_ago - MINUTE, end=long_ago),))
        normal = normal_form(known(), report, state, NOW + minute * MINUTE)
        state = normal.state
        counted += [each.reading.time == NOW + minute * MINUTE for each in normal.accepted]
        ids |= {each.reading.id for each in normal.accepted}
    assert counted == [False] * 5 + [True] * 7
    assert len(ids) == 1 + 7
    assert state.is_clock_standing
    assert state.skew_s is not None


def test_a_file_that_is_read_again_has_no_clock_that_could_stand() -> None:
    state, report = DeviceState(device="cam", source="cam"), DeviceReport(measurements=(window(ago=60),))
    for minute in range(12):
        normal = normal_form(known(), report, state, NOW + minute * MINUTE, is_archive=True)
        state = normal.state
        assert normal.accepted[0].reading.time == NOW - 60 * MINUTE


def test_figures_of_a_clock_that_was_never_set_are_told_apart_by_when_they_came() -> None:
    end = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)
    report = DeviceReport(measurements=(window(1, 0, start=end - MINUTE, end=end),))
    state = DeviceState(device="cam", source="cam")
    ids = {normal_form(known(), report, state, NOW + n * MINUTE).accepted[0].reading.id for n in range(3)}
    assert len(ids) == 3


def test_one_stray_passage_does_not_silence_a_line_for_ever() -> None:
    state = run(known(), window(5, 2, ago=90)).state
    state = run(known(), crossing(ago=89), state=state).state
    counted = 0
    for minute in range(60):
        at = NOW + minute * MINUTE
        report = DeviceReport(measurements=(window(2, 0, start=at - MINUTE, end=at),))
        normal = normal_form(known(), report, state, at)
        state = normal.state
        counted += sum(each["entries"] for each in read(normal))
    assert state.lines["1"].meaning is Meaning.WINDOW
    assert counted == 60  # from half an hour on


def test_a_register_is_what_its_line_declares() -> None:
    [reading] = read(run(known({"gate": "front", "meaning": "day_total"}), total(70, 75)))
    assert reading["daily"]


def test_a_declared_meaning_that_never_comes_is_a_fault_and_not_silence() -> None:
    normal = run(known({"gate": "front", "meaning": "window"}), total(70, 75))
    assert "declared as window, and says total" in normal.faults[0].reason
    assert not run(known({"gate": "front", "meaning": "crossing"}), window(2, 0)).faults  # until somebody comes
    found = run(known(), crossing()).state
    found.last_counted = None  # as a process that was killed has left it
    assert not run(known(), window(2, 0), state=found).faults


def test_what_cannot_be_a_reading_is_a_fault_and_no_crash() -> None:
    normal = run(known({"gate": "light"}), window(60_000, 60_000), window(1, 1, ago=1))
    assert len(normal.accepted) == 1
    assert "line 1" in normal.faults[0].reason


def test_a_window_of_days_is_not_put_on_one_of_them() -> None:
    normal = run(known(), window(900, 0, start=NOW - timedelta(days=2)))
    assert not normal.accepted
    assert "more than a day" in normal.faults[0].reason


def test_nobody_seen_by_who_did_not_look_is_no_sign_of_life() -> None:
    assert not run(known(), window(0, 0, is_complete=False)).accepted
    assert flows(run(known(), window(2, 0, is_complete=False))) == [(2, 0)]


def test_two_boxes_behind_a_device_without_a_serial_number_are_told_apart() -> None:
    state = DeviceState(device="cam", source="cam")
    names = {
        normal_form(known(), DeviceReport(serial=each, measurements=(window(),)), state, NOW).accepted[0].reading.device
        for each in ("A", "B")
    }
    assert len(names) == 2


def test_what_is_read_again_later_says_nothing_of_how_the_device_is_now() -> None:
    state = run(known(), sequence=100, battery_percent=20.0, flags=("anomaly",), says_flags=True).state
    report = DeviceReport(sequence=50, battery_percent=90.0, says_flags=True)
    again = normal_form(known(), report, state, NOW - timedelta(hours=1)).state
    assert (again.sequence, again.battery_percent, again.flags, again.lost) == (100, 20.0, ("anomaly",), 0)


def test_a_register_without_a_clock_is_heard_each_time() -> None:
    where, report = known(), DeviceReport(measurements=(total(5, end=None),))
    state = DeviceState(device="cam", source="cam")
    ids = {normal_form(where, report, state, NOW + n * MINUTE).accepted[0].reading.id for n in range(3)}
    assert len(ids) == 3


def test_a_clock_that_is_ahead_or_was_never_set_is_read_as_now() -> None:
    hour = timedelta(hours=1)
    for end in (NOW + hour, datetime(2000, 1, 1, 5, tzinfo=UTC)):
        [reading] = read(run(known(), window(start=end - MINUTE, end=end)))
        assert (reading["start"], reading["time"]) == (NOW - MINUTE, NOW)


def test_a_clock_that_is_known_to_be_behind_is_put_right() -> None:
    report = DeviceReport(measurements=(window(ago=60),))
    state = DeviceState(device="cam", source="cam")
    normal = normal_form(known(), report, state, NOW, timedelta(hours=1))
    assert read(normal)[0]["time"] == NOW
    assert normal.state.skew_s == 3600
    plain = normal_form(known(), report, state, NOW)
    assert normal.accepted[0].reading.id == plain.accepted[0].reading.id  # its identity is the device's own time


def test_old_windows_keep_their_time() -> None:
    [reading] = read(run(known(), window(ago=180)))
    assert reading["time"] == NOW - 180 * MINUTE


def test_a_gate_that_is_gone_or_a_simulated_library_refuses_with_the_reason() -> None:
    gone = known({"gate": "roof"})
    assert "no gate 'roof'" in run(gone, window()).faults[0].reason
    assert "simulated clock" in run(known(clock="simulated"), window()).faults[0].reason


def test_todays_sums_begin_anew_at_midnight_and_doubles_are_not_in_them() -> None:
    first = run(known(), window(), window(ago=1))
    assert (first.state.lines["1"].forward, first.state.lines["1"].backward) == (6, 2)
    ids = {each.reading.id for each in first.accepted if each.reading.id}
    again = normal_form(known(), DeviceReport(measurements=(window(),)), first.state, NOW, seen=ids)
    assert again.state.lines["1"].forward == 6
    tomorrow = normal_form(known(), DeviceReport(), again.state, NOW + timedelta(days=1))
    assert tomorrow.state.lines["1"].forward == 0


def test_lost_reports_are_counted_by_the_devices_own_numbering() -> None:
    state = DeviceState(device="cam", source="cam")
    for number in (250, 251, 254, 1, 1, 2):
        state = run(known(), window(), state=state, sequence=number, sequence_modulus=256).state
    assert state.lost == 2 + 2


def test_a_report_that_comes_late_was_not_lost() -> None:
    state = DeviceState(device="cam", source="cam")
    for number in (250, 252, 251, 253, 254, 255, 1, 0):
        state = run(known(), window(), state=state, sequence=number, sequence_modulus=256).state
    assert (state.lost, state.sequence) == (0, 1)
    for number in (100, 102, 101, 1):  # no modulus: it began anew
        state = run(known(), window(), state=state, sequence=number).state
    assert (state.lost, state.sequence) == (98, 1)


def test_flags_stay_until_the_device_takes_them_back() -> None:
    state = run(known(), flags=("anomaly",), says_flags=True).state
    state = run(known(), window(), state=state).state
    assert state.flags == ("anomaly",)
    assert run(known(), state=state, says_flags=True).state.flags == ()


def test_a_zone_is_not_led_from_any_line_where_there_are_several() -> None:
    where = known({"zone": "ground"})
    assert len(read(run(where, level(Meaning.OCCUPANCY, 3, "a")))) == 1
    normal = run(where, level(Meaning.OCCUPANCY, 3, "a"), level(Meaning.OCCUPANCY, 9, "b"))
    assert not normal.accepted
    assert not normal.state.lines["b"].is_mapped


def test_what_is_of_an_earlier_day_is_not_in_todays_sums() -> None:
    state = run(known(), window()).state
    yesterday = DeviceReport(measurements=(window(ago=1440),))
    again = normal_form(known(), yesterday, state, NOW - timedelta(days=1))
    assert (again.state.day, again.state.lines["1"].forward) == (state.day, 3)
    assert again.state.last_seen == NOW
