"""How long what is kept: told for everything, shortened within bounds, and kept so by every later provisioning."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner, Result

from cli.bus_server import BusServer
from cli.reference import references
from cli.retention import app, choose, chosen_days, count_older
from cli.terminal import Trouble
from shared.contracts import subjects
from shared.contracts.retention import DAY, PERSONAL, SHORTEST, WHY_NOT_SHORTER, ages, fault_of, rows
from shared.domain.acts import ACTS_KEPT_FOR
from shared.domain.reading import HORIZON
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.provision import provision


def test_the_table_has_everything_that_is_kept() -> None:
    assert set(PERSONAL) == set(ages())
    assert set(WHY_NOT_SHORTER) == set(SHORTEST)
    assert set(ages()) <= {row[0] for row in rows()}
    page = references()["retention.md"]
    assert all(f"| `{name}` |" in page for name in ages())


def test_what_staff_said_is_kept_under_their_ids_no_longer_than_the_log() -> None:
    assert ages()[subjects.READINGS] >= ACTS_KEPT_FOR


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [
        (subjects.READINGS, 1, "at least"),
        (subjects.READINGS, 31, "at most"),
        (subjects.CHECKPOINTS, 5, "cannot be chosen"),
        (subjects.AUDIT, 90, "cannot be chosen"),
        (subjects.HISTORY, 5000, ""),
        (subjects.READINGS, 7, ""),
    ],
)
def test_a_time_is_refused_with_its_reason(name: str, days: int, words: str) -> None:
    fault = fault_of(name, timedelta(days=days))
    assert words in fault
    assert bool(words) == bool(fault)


def test_the_shortest_log_outlives_every_late_reading() -> None:
    assert SHORTEST[subjects.READINGS] > HORIZON + DAY


async def test_a_chosen_time_stays_over_provisioning_and_an_unfit_one_does_not(operator: Bus) -> None:
    await choose(operator, subjects.READINGS, 7)
    await choose(operator, subjects.HISTORY, 400)
    await choose(operator, subjects.CHANGES, 1)  # by hand, past the check
    done = {each.name: each for each in await provision(operator)}
    assert done[subjects.READINGS].action == "as it should be"
    assert done["KV_HISTORY"].action == "as it should be"
    assert done[subjects.CHANGES].drift == ("max_age",)
    days = await chosen_days(operator)
    assert (days[subjects.READINGS], days[subjects.HISTORY], days[subjects.CHANGES]) == (7, 400, 30)
    info = await operator.jetstream.stream_info(subjects.READINGS)
    info.config.max_bytes = 1 << 20
    await operator.jetstream.update_stream(info.config)
    assert (await provision(operator))[0].drift == ("max_bytes",)
    assert (await chosen_days(operator))[subjects.READINGS] == 7
    assert {each.action for each in await provision(operator)} == {"as it should be"}


async def test_what_is_older_than_a_moment_is_counted_without_what_was_taken_out_or_came_later(operator: Bus) -> None:
    bucket = operator.bucket(subjects.HISTORY)
    assert await count_older(operator, subjects.HISTORY, now()) == 0, "an empty one"
    for day in range(1, 8):
        await bucket.put(f"made-up.2026-01-0{day}", b"{}")
    await bucket.put("made-up.2026-01-04", b"{}")  # the fourth is stored last now, and a gap is where it was
    between = now()
    await asyncio.sleep(0.05)
    for day in range(1, 4):
        await bucket.put(f"other.2026-01-0{day}", b"{}")
    assert await count_older(operator, subjects.HISTORY, between) == 7
    assert await count_older(operator, subjects.HISTORY, between - timedelta(days=1)) == 0
    assert await count_older(operator, subjects.HISTORY, now() + timedelta(seconds=1)) == 10
    assert await operator.jetstream.consumers_info(subjects.bucket_stream(subjects.HISTORY)) == []


async def run(bus_server: BusServer, *arguments: str, answer: str = "") -> Result:
    to = ("--nats-url", bus_server.url, "--seed-file", str(bus_server.seed_file("operator")))
    return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *to], input=answer)


@pytest.fixture
async def with_old_ones(operator: Bus, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A bus with three messages in QUARANTINE, seen by the command four days later."""
    for number in range(3):
        await operator.jetstream.publish(f"quarantine.v1.made-up.{number}", b"{}")
    later = now() + timedelta(days=4)
    monkeypatch.setattr("cli.retention.now", lambda: later)
    return operator


@pytest.mark.parametrize("answer", ["n\n", ""])
async def test_nothing_goes_before_somebody_has_seen_the_count_and_said_yes(
    with_old_ones: Bus, bus_server: BusServer, answer: str
) -> None:
    result = await run(bus_server, subjects.QUARANTINE, "--days", "2", answer=answer)
    assert "QUARANTINE: 3 messages are older than 2 days" in result.output
    assert result.exit_code == 1
    if answer:
        assert isinstance(result.exception, Trouble)
        assert "--yes" in result.exception.remedy
    assert (await chosen_days(with_old_ones))[subjects.QUARANTINE] == 7


@pytest.mark.parametrize(("more", "answer"), [((), "y\n"), (("--yes",), ""), (("--yes", "--json"), "")])
async def test_it_is_done_once_somebody_is_sure(
    with_old_ones: Bus, bus_server: BusServer, more: tuple[str, ...], answer: str
) -> None:
    result = await run(bus_server, subjects.QUARANTINE, "--days", "2", *more, answer=answer)
    assert result.exit_code == 0, result.output
    if "--json" in more:
        assert json.loads(result.stdout)[subjects.QUARANTINE]["days"] == 2
    assert (await chosen_days(with_old_ones))[subjects.QUARANTINE] == 2


async def test_a_dry_run_counts_and_leaves_the_time_as_it_is(with_old_ones: Bus, bus_server: BusServer) -> None:
    told = await run(bus_server, subjects.QUARANTINE, "--days", "2", "--dry-run", "--json")
    assert json.loads(told.stdout) == {"changed": False, "days": 2, "counts": {subjects.QUARANTINE: 3}}
    assert "3 messages" in (await run(bus_server, subjects.QUARANTINE, "--days", "2", "--dry-run")).output
    assert (await chosen_days(with_old_ones))[subjects.QUARANTINE] == 7


async def test_nobody_is_asked_where_nothing_is_that_old(operator: Bus, bus_server: BusServer) -> None:
    await operator.jetstream.publish("quarantine.v1.made-up.0", b"{}")
    result = await run(bus_server, subjects.QUARANTINE, "--days", "2")
    assert (result.exit_code, "0 messages" in result.output) == (0, True)
    assert (await chosen_days(operator))[subjects.QUARANTINE] == 2
