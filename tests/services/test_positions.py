"""One process reads a source at a time, and where it stands is kept whatever happens to it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from secrets import token_hex

import pytest

from services.ingest.positions import MAX_PLACE_BYTES, PlaceTooLarge, Position, Positions, TurnLost
from shared.contracts import subjects
from shared.runtime.bus import Bus
from shared.runtime.clock import now, wait_s
from tests.fakes.moody_bus import Moody


@pytest.fixture
def source() -> str:
    return f"source-{token_hex(4)}"


@pytest.fixture
def moody(standing: Bus) -> Moody:
    return Moody(standing.client, "ingest")


def positions(bus: Bus, holder: str = "one", lease_s: float = 0.5) -> Positions:
    return Positions(bus, holder, lease_s=lease_s, look_every_s=0.02)


async def test_a_place_is_found_again_by_the_next_process(standing: Bus, source: str) -> None:
    async with positions(standing).turn(source) as turn:
        before = turn.place
        assert before is None
        await turn.save({"until": "2026-11-23T10:00:00Z", "tag": ['"a"', 7]})
        assert turn.place == {"until": "2026-11-23T10:00:00Z", "tag": ['"a"', 7]}
    async with positions(standing, "two").turn(source) as turn:
        assert turn.place == {"until": "2026-11-23T10:00:00Z", "tag": ['"a"', 7]}
    assert await positions(standing).place(source) == {"until": "2026-11-23T10:00:00Z", "tag": ['"a"', 7]}


async def test_one_reads_at_a_time_and_a_turn_lasts_as_long_as_it_is_renewed(standing: Bus, source: str) -> None:
    others = asyncio.Event()

    async def other() -> None:
        async with positions(standing, "two").turn(source):
            others.set()

    async with positions(standing).turn(source) as turn, asyncio.TaskGroup() as group:
        waiting = group.create_task(other())
        await wait_s(1.2)  # more than two leases
        await turn.save(1)
        assert not others.is_set()
        waiting.cancel()
    async with asyncio.timeout(2):
        await other()


async def test_two_tasks_of_one_process_take_turns_too(standing: Bus, source: str) -> None:
    both, inside = positions(standing), []

    async def read(name: str) -> None:
        async with both.turn(source) as turn:
            inside.append(name)
            await wait_s(0.05)
            await turn.save(name)
            inside.append(name)

    await asyncio.gather(read("a"), read("b"))
    assert inside in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


async def test_a_dead_process_keeps_a_source_no_longer_than_its_lease_even_if_its_clock_is_a_year_ahead(
    standing: Bus, source: str
) -> None:
    ahead = Position(holder="dead", until=now() + timedelta(days=365), place=7).model_dump_json().encode()
    await standing.bucket(subjects.POSITIONS).put(source, ahead)
    async with positions(standing).turn(source) as turn:
        assert turn.place == 7


async def test_what_somebody_else_has_taken_is_lost_and_the_body_broken_off(standing: Bus, source: str) -> None:
    reached_the_end = False
    with pytest.raises(TurnLost):  # noqa: PT012  the block is what is broken off
        async with positions(standing).turn(source) as turn:
            await turn.save(1)
            taken = Position(holder="two.x", until=now() + timedelta(minutes=1), place=2).model_dump_json().encode()
            await standing.bucket(subjects.POSITIONS).put(source, taken)
            await wait_s(5)
            reached_the_end = True
    assert not reached_the_end
    assert await positions(standing).place(source) == 2


async def test_nothing_is_saved_over_somebody_elses_place(standing: Bus, source: str) -> None:
    with pytest.raises(TurnLost):  # noqa: PT012  the block is what is broken off
        async with positions(standing, lease_s=30).turn(source) as turn:
            taken = Position(holder="two.x", until=now() + timedelta(minutes=1), place=2).model_dump_json().encode()
            await standing.bucket(subjects.POSITIONS).put(source, taken)
            await turn.save(1)
    assert await positions(standing).place(source) == 2


async def test_an_answer_that_was_lost_loses_no_turn(moody: Moody, source: str) -> None:
    async with positions(moody).turn(source) as turn:
        moody.loses_answers = 2
        await turn.save("a")
        await turn.save("b")
        await wait_s(0.6)
    assert await positions(moody).place(source) == "b"


async def test_a_save_waits_for_a_bus_that_comes_back_in_time(moody: Moody, source: str) -> None:
    async with positions(moody, lease_s=5).turn(source) as turn, asyncio.TaskGroup() as group:
        moody.is_away = True
        saving = group.create_task(turn.save("a"))
        await wait_s(0.1)
        assert not saving.done()
        moody.is_away = False
    assert await positions(moody).place(source) == "a"


async def test_a_bus_that_stays_away_ends_the_turn_and_the_next_one_waits_for_it(moody: Moody, source: str) -> None:
    with pytest.raises(TurnLost):  # noqa: PT012  the block is what is broken off
        async with positions(moody).turn(source) as turn:
            await turn.save("a")
            moody.is_away = True
            await wait_s(5)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_place_in_a_turn(moody, source))
        await wait_s(0.1)
        assert not reading.done()
        moody.is_away = False
    assert reading.result() == "a"


async def test_a_timeout_of_the_body_itself_stays_what_it_is(standing: Bus, source: str) -> None:
    with pytest.raises(TimeoutError):
        async with positions(standing).turn(source), asyncio.timeout(0.01):
            await wait_s(5)


async def test_a_cancelled_reader_gives_the_turn_back(standing: Bus, source: str) -> None:
    has_it = asyncio.Event()

    async def read() -> None:
        async with positions(standing, lease_s=60).turn(source):
            has_it.set()
            await wait_s(60)

    task = asyncio.create_task(read())
    await has_it.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(2), positions(standing, "two", lease_s=60).turn(source):
        pass


async def test_a_place_that_is_too_large_is_refused_and_harms_nothing(standing: Bus, source: str) -> None:
    async with positions(standing).turn(source) as turn:
        await turn.save(1)
        with pytest.raises(PlaceTooLarge):
            await turn.save("x" * MAX_PLACE_BYTES)
        await turn.save(2)
    assert await positions(standing).place(source) == 2


async def test_an_unreadable_position_is_begun_anew(standing: Bus, source: str) -> None:
    await standing.bucket(subjects.POSITIONS).put(source, b"{")
    async with positions(standing).turn(source) as turn:
        assert turn.place is None
        await turn.save(3)
    assert await positions(standing).place(source) == 3


async def _place_in_a_turn(bus: Bus, source: str) -> object:
    async with positions(bus, "two").turn(source) as turn:
        return turn.place
