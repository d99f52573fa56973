"""One account has one sender at a time, in this process and in others, however long its server hangs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.publisher import channels
from services.publisher.accounts import Accounts, Patience, TurnOver
from services.publisher.channels.channel import Channel, Target
from services.publisher.channels.console import ConsoleChannel
from shared.runtime.bus import Bus
from shared.runtime.clock import monotonic_s

PATIENCE = Patience(send_s=60.0, lease_s=0.5, unknown_wait_s=0.01, retry_min_s=10.0, retry_max_s=20.0)
ACCOUNT = Target("mastodon", "city", "https://social.example", {"visibility": "public"})


def accounts_of(bus: Bus, holder: str) -> Accounts:
    def make(_: Target) -> Channel:
        return ConsoleChannel()

    return Accounts(bus, make, channels.type_of, PATIENCE, holder)


async def test_libraries_that_share_an_account_and_want_it_otherwise_take_turns(operator: Bus) -> None:
    accounts = accounts_of(operator, "one")
    first, second = accounts.get(ACCOUNT), accounts.get(replace(ACCOUNT, options={"visibility": "unlisted"}))
    assert first is not second
    assert first is accounts.get(replace(ACCOUNT))
    async with accounts.turn(first) as is_first, accounts.turn(second) as is_second:
        assert (is_first, is_second) == (True, False)
    first.breaker.failed(monotonic_s())
    assert second.breaker.pause_s(monotonic_s()) > 0


async def test_two_processes_take_turns_and_whoever_is_done_gives_the_account_back(operator: Bus) -> None:
    one, other = accounts_of(operator, "one"), accounts_of(operator, "other")
    async with one.turn(one.get(ACCOUNT)) as is_one, other.turn(other.get(ACCOUNT)) as is_other:
        assert (is_one, is_other) == (True, False)
    async with other.turn(other.get(ACCOUNT)) as is_other:
        assert is_other


async def hang(one: Accounts, other: Accounts) -> None:
    """Take a turn and never end it, while another process asks for one."""
    async with one.turn(one.get(ACCOUNT)) as is_one:
        assert is_one
        while True:
            async with other.turn(other.get(ACCOUNT)) as is_other:
                assert not is_other
            await asyncio.sleep(0.01)


async def test_a_turn_is_over_before_its_lease_is(operator: Bus) -> None:
    with pytest.raises(TurnOver):
        await hang(accounts_of(operator, "one"), accounts_of(operator, "other"))
