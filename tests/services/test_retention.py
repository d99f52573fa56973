"""How long what is kept: told for everything, shortened within bounds, and kept so by every later provisioning."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cli.reference import references
from cli.retention import choose, chosen_days
from shared.contracts import subjects
from shared.contracts.retention import DAY, PERSONAL, SHORTEST, WHY_NOT_SHORTER, ages, fault_of, rows
from shared.domain.acts import ACTS_KEPT_FOR
from shared.domain.reading import HORIZON
from shared.runtime.bus import Bus
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
