"""What is known of a device, when several processes hear it: on a real bus, each with its own states."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest

from cli.bus_server import BusServer
from services.ingest.device_merge import merged
from services.ingest.device_states import DeviceStates, Kept
from services.ingest.devices.format import DeviceReport
from services.ingest.registry import Known
from shared.contracts import subjects
from shared.contracts.devices import Device, DeviceState, LineState
from shared.domain.meaning import Meaning
from shared.runtime.bus import Bus
from tests.services.test_device_inlet import configuration, device, running

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)


def known_of() -> Known:
    library = configuration(f"lib-{token_hex(4)}")
    return Known(library, Device.model_validate(device(library.id)))


def key_of(known: Known) -> str:
    return subjects.device_key(known.library.id, known.device.id)


async def stored(bus: Bus, known: Known) -> DeviceState:
    entry = await bus.bucket(subjects.DEVICES).get(key_of(known))
    assert entry is not None
    return DeviceState.model_validate_json(entry.value)


def state(**more: Any) -> DeviceState:
    return DeviceState.model_validate({"device": "cam", "source": "box", "day": "2026-11-23", **more})


def line(**more: Any) -> LineState:
    return LineState.model_validate(more)


async def test_two_processes_add_to_the_same_day(standing: Bus) -> None:
    known = known_of()
    both = [DeviceStates(standing), DeviceStates(standing)]
    for _ in range(3):
        for states in both:
            kept = await states.get(known)
            kept.state.day = "2026-11-23"
            kept.state.quarantined += 1
            kept.state.lines.setdefault("1", line()).forward += 2
            states.touch(known)
        await asyncio.gather(*(states.flush() for states in both))
    found = await stored(standing, known)
    assert found.quarantined == 6
    assert found.lines["1"].forward == 12


async def test_what_one_process_has_found_out_another_one_does_not_undo(standing: Bus) -> None:
    known = known_of()
    one, other = DeviceStates(standing), DeviceStates(standing)
    first, second = await one.get(known), await other.get(known)
    first.state.lines["1"] = line(meaning="window", counted_until=AT)
    await one.store(known)
    second.state.lines["1"] = line(meaning="crossing")
    second.state.recounted = "abc"
    await other.store(known)
    first.state.last_seen = AT
    await one.store(known)
    found = await stored(standing, known)
    assert found.lines["1"].meaning is Meaning.CROSSING
    assert found.lines["1"].since == AT  # until then the other has counted windows
    assert found.recounted == "abc"
    assert (await one.get(known)).state.lines["1"].meaning is Meaning.CROSSING


async def test_each_process_follows_what_the_others_store(standing: Bus) -> None:
    known = known_of()
    one, other = DeviceStates(standing), DeviceStates(standing)
    work = asyncio.create_task(one.run())
    try:
        kept, other_kept = await one.get(known), await other.get(known)
        async with kept.busy:  # a body is being counted: nothing is changed under it
            other_kept.state.lines["1"] = line(meaning="crossing")
            await other.store(known)
            async with asyncio.timeout(10):
                while not kept.theirs.lines:
                    await asyncio.sleep(0.01)
            assert kept.state.lines == {}
        assert kept.state.lines["1"].meaning is Meaning.CROSSING
        other_kept.state.battery_percent = 12
        await other.store(known)
        async with asyncio.timeout(10):
            while kept.state.battery_percent != 12:
                await asyncio.sleep(0.01)
    finally:
        work.cancel()
        await asyncio.wait([work])


async def test_what_is_stored_while_a_body_is_counted_is_counted_once(standing: Bus) -> None:
    known = known_of()
    one, other = DeviceStates(standing), DeviceStates(standing)
    kept, other_kept = await one.get(known), await other.get(known)
    other_kept.state.lines["1"] = line(forward=5)
    await other.store(known)
    async with kept.busy:  # as intake does
        after = kept.state.model_copy(deep=True)
        after.lines["1"] = line(forward=3, meaning="crossing")
        kept.state.lines = after.lines
        await one.store(known)
        kept.state = after
        one.touch(known)
    await one.flush()
    assert (await stored(standing, known)).lines["1"].forward == 8
    assert kept.state.lines["1"].forward == 8


async def test_a_state_that_was_deleted_is_stored_again(standing: Bus) -> None:
    known = known_of()
    states = DeviceStates(standing)
    kept = await states.get(known)
    kept.state.lost = 1
    await states.store(known)
    await standing.bucket(subjects.DEVICES).delete(key_of(known))
    kept.state.lost = 2
    await states.store(known)
    assert (await stored(standing, known)).lost == 2


async def test_a_write_of_which_no_word_came_is_not_added_twice(standing: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_of()
    states = DeviceStates(standing)
    kept = await states.get(known)
    kept.state.quarantined = 3
    with monkeypatch.context() as patch:
        patch.setattr(Kept, "confirm", lambda *_: None)  # as if the acknowledgement had been lost
        await states.store(known)
    kept.state.quarantined = 4
    await states.store(known)
    assert (await stored(standing, known)).quarantined == 4


async def test_what_two_processes_hear_of_one_device_counts_in_one_meaning(
    standing: Bus, bus_server: BusServer
) -> None:
    name = f"lib-{token_hex(4)}"
    began = datetime.now(UTC) - timedelta(minutes=6)

    def body(minute: int, way: str) -> dict[str, Any]:
        start = began + timedelta(minutes=minute)
        return {
            "device_info": {"device_sn": "S1", "device_mac": "24:E1", "running_time": 330},
            "time_info": {
                "start_time": start.isoformat(),
                "end_time": (start + timedelta(minutes=1)).isoformat(),
                "time_zone": "UTC-0:00",
                "dst_status": False,
            },
            way: [{"line": 1, "line_name": "Line1", "line_uuid": "u1", "total": {"in": 1, "out": 0}}],
        }

    lines = {"devices": [device(name)]}
    async with running(bus_server, standing, name, **lines) as one, running(bus_server, standing, name, **lines) as two:
        states = two.door.intake.states
        known = two.door.registry.find(f"{name}-box", "S1")
        assert states is not None
        assert known is not None
        kept = await states.get(known)  # as of before anything came
        for minute in range(5):
            await one.send(body(minute, "line_trigger_data"))
            async with asyncio.timeout(10):
                while not any(each.meaning is Meaning.CROSSING for each in kept.state.lines.values()):
                    await asyncio.sleep(0.01)
            await two.send(body(minute, "line_periodic_data"))
        assert await one.entries() == 5
    found = await stored(standing, known)
    assert [each.forward for each in found.lines.values()] == [5]


def test_reports_that_another_process_has_heard_are_not_lost() -> None:
    base = state(sequence=10, lost=1)
    mine, theirs = state(sequence=15, lost=3), state(sequence=16, lost=4)  # 11, 13, 15 and 12, 14, 16
    assert merged(base, mine, theirs).lost == 1
    assert merged(base, mine, theirs).sequence == 16
    mine, theirs = state(sequence=15, lost=5), state(sequence=14, lost=4)  # 15 and 14: three of five never came
    assert merged(base, mine, theirs).lost == 4


def test_a_register_that_both_read_counts_once() -> None:
    base = state(lines={"1": line(forward=7, forward_register=100)})
    mine = state(lines={"1": line(forward=11, forward_register=104)})
    theirs = state(lines={"1": line(forward=9, forward_register=102)})
    for found in (merged(base, mine, theirs), merged(base, theirs, mine)):
        assert (found.lines["1"].forward, found.lines["1"].forward_register) == (11, 104)


def test_sums_of_yesterday_are_nothing_of_today() -> None:
    base = state(lost=4, quarantined=2, lines={"1": line(forward=90)})
    mine = state(day="2026-11-24", quarantined=1, lines={"1": line(forward=3)})
    theirs = state(lost=5, quarantined=2, lines={"1": line(forward=95)})
    for found in (merged(base, mine, theirs), merged(base, theirs, mine)):
        assert (found.day, found.lost, found.quarantined, found.lines["1"].forward) == ("2026-11-24", 0, 1, 3)


def test_what_is_newer_is_known() -> None:
    base = state(last_seen=AT, battery_percent=50, flags=("obstructed",))
    mine = state(last_seen=AT + timedelta(minutes=1), battery_percent=49, flags=("obstructed",))
    theirs = state(last_seen=AT + timedelta(minutes=2), battery_percent=48)
    for found in (merged(base, mine, theirs), merged(base, theirs, mine)):
        assert (found.last_seen, found.battery_percent, found.flags) == (AT + timedelta(minutes=2), 48, ())


def test_what_nobody_has_touched_stays_as_it_is() -> None:
    base = state(sequence=3, lines={"1": line(meaning="window", forward=4, label="Door", is_mapped=False)})
    mine = base.model_copy(deep=True)
    assert merged(base, mine, base) == base
    mine.sequence, mine.lines["1"].forward = 1, 5  # it began anew
    assert merged(base, mine, base) == mine


@pytest.mark.parametrize("skew_s", [7 * 3600.0, 7 * 3600.0 + 12.3, -7 * 3600.0 + 4, 3 * 366 * 86_400.0 + 1.5])
def test_a_badly_wrong_clock_is_known_from_the_first_report_after_a_restart(skew_s: float) -> None:
    kept = Kept(state(skew_s=skew_s))
    for number in range(3):
        received = AT + timedelta(minutes=number)
        report = DeviceReport(sent_at=received - timedelta(seconds=skew_s - number))
        assert abs(kept.offset(report, received.timestamp()).total_seconds() - skew_s) <= 20


@pytest.mark.parametrize("skew_s", [7 * 3600.0, -7 * 3600.0])
def test_a_clock_that_was_set_right_meanwhile_is_believed(skew_s: float) -> None:
    kept = Kept(state(skew_s=skew_s))
    assert kept.offset(DeviceReport(sent_at=AT), AT.timestamp()) == timedelta(0)


def test_a_clock_that_is_a_little_wrong_is_judged_anew() -> None:
    kept = Kept(state(skew_s=600.0))
    assert kept.offset(DeviceReport(sent_at=AT - timedelta(minutes=10)), AT.timestamp()) == timedelta(0)
