"""What a service says of itself for whoever runs it: its pulse, its channels' tokens, what waits for staff."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from prometheus_client import REGISTRY

from services.publisher import channels
from services.publisher.accounts import Accounts, Patience
from services.publisher.awaited import FORGOTTEN_AFTER, Awaited, _Waiting
from services.publisher.channels.channel import Channel, Target
from services.publisher.channels.console import ConsoleChannel
from services.publisher.counted import Counted
from services.publisher.tokens import Tokens
from shared.contracts.configuration import Channel as Configured
from shared.contracts.configuration import LibraryConfig
from shared.runtime import pulse
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.fakes.announcements import configuration, new_library

TOKEN = "placelibre_channel_token_expires_timestamp_seconds"


def speaking(library: str, **ends: date) -> LibraryConfig:
    of = [Configured.model_validate({"type": kind, "account": "a", "token_expires": end}) for kind, end in ends.items()]
    return configuration(library, *of)


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_the_first_token_to_end_counts_and_none_is_left_of_a_library_that_is_gone() -> None:
    tokens, one, other = Tokens(), new_library(), new_library()
    tokens.put(speaking(one, linkedin=date(2026, 12, 24), facebook=date(2027, 1, 1)))
    tokens.put(speaking(other, linkedin=date(2026, 12, 20)))
    assert sample(TOKEN, channel="linkedin") == datetime(2026, 12, 20, tzinfo=UTC).timestamp()
    tokens.put(speaking(other, linkedin=date(2027, 2, 18)))
    assert sample(TOKEN, channel="linkedin") == datetime(2026, 12, 24, tzinfo=UTC).timestamp()
    tokens.drop(one)
    assert sample(TOKEN, channel="facebook") is None
    tokens.drop(other)
    assert sample(TOKEN, channel="linkedin") is None


def test_the_day_on_which_a_token_ends_is_no_option_of_the_channel() -> None:
    channel = Configured.model_validate({"type": "linkedin", "account": "a", "token_expires": "2026-12-24"})
    assert channel.token_expires == date(2026, 12, 24)
    assert "token_expires" not in channel.options


def test_what_waits_for_staff_is_counted_until_it_goes_on_or_is_in_other_hands() -> None:
    awaited, at = Awaited(), now()
    awaited.wait("one", at - timedelta(hours=2))
    awaited.wait("other", at - timedelta(hours=1))
    assert sample("placelibre_posts_awaiting_approval") == 2
    assert 7200 <= (sample("placelibre_post_approval_awaited_seconds") or 0) < 7260
    awaited.go_on("one")
    assert 3600 <= (sample("placelibre_post_approval_awaited_seconds") or 0) < 3660
    awaited._waiting["other"] = _Waiting(at, at - FORGOTTEN_AFTER - timedelta(seconds=1))
    assert sample("placelibre_posts_awaiting_approval") == 0
    assert sample("placelibre_post_approval_awaited_seconds") == 0


def test_counters_of_a_channel_are_there_before_the_first_failure() -> None:
    name = "placelibre_post_deliveries_total"
    assert sample(name, channel="slackbot", outcome="rejected") is None
    Counted().put(speaking(new_library(), slackbot=date(2027, 1, 1)))
    assert sample(name, channel="slackbot", outcome="rejected") == 0
    assert sample(name, channel="slackbot", outcome="expired") == 0
    assert sample("placelibre_post_decisions_total", channel="slackbot", decision="post") == 0
    assert sample("placelibre_dead_letters_total", what="post") is not None


async def test_an_account_that_is_refused_is_counted_once_and_until_it_works(operator: Bus) -> None:
    def make(_: Target) -> Channel:
        return ConsoleChannel()

    accounts = Accounts(operator, make, channels.type_of, Patience(60, 50, 10, 2, 300), "holder")
    here = accounts.get(Target("linkedin", "city", ""))
    with_others = accounts.get(Target("linkedin", "city", "", {"version": "202608"}))
    second = accounts.get(Target("linkedin", "province", ""))
    for account in (here, with_others):
        accounts.went(account, is_blocked=True)
    accounts.went(second, is_blocked=False)
    assert sample("placelibre_channel_accounts", channel="linkedin", state="blocked") == 1
    assert sample("placelibre_channel_accounts", channel="linkedin", state="working") == 1
    for account in (here, with_others):
        accounts.went(account, is_blocked=False)
    assert sample("placelibre_channel_accounts", channel="linkedin", state="blocked") == 0
    assert sample("placelibre_channel_accounts", channel="linkedin", state="working") == 2


async def test_an_event_loop_that_is_held_up_is_seen_to_be_late() -> None:
    def counts() -> list[float]:
        bounds = ("0.025", "0.25", "+Inf")
        return [sample("placelibre_event_loop_late_seconds_bucket", le=bound) or 0.0 for bound in bounds]

    before = counts()
    feeling = asyncio.create_task(pulse.feel())
    await asyncio.sleep(0.9)
    blocked_until = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < blocked_until:
        pass  # holds the loop up, as a computation in the wrong place does
    while counts()[-1] == before[-1]:
        await asyncio.sleep(0.05)
    feeling.cancel()
    grown = [after - earlier for after, earlier in zip(counts(), before, strict=True)]
    assert grown == [0, 0, 1]
    assert all(lower <= higher for lower, higher in pairwise(counts()))


def test_each_piece_of_work_says_when_it_came_round() -> None:
    before = now().timestamp()
    pulse.turned(pulse.Work.LOG)
    assert before <= (sample("placelibre_work_turned_timestamp_seconds", work="log") or 0) <= now().timestamp()
    pulse.tell_version()
    assert _builds() == [1.0]


def _builds() -> list[float]:
    families = (each for each in REGISTRY.collect() if each.name == "placelibre_build_info")
    return [each.value for family in families for each in family.samples]
