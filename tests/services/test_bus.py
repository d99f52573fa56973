"""The bus as we use it: provisioning, reading on, buckets, and what a service may not do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from cli.bus_server import BusServer
from cli.diagnosis import of_bus
from cli.retention import choose
from shared.contracts import subjects
from shared.runtime.bus import Bus, BusUnavailable, Conflict, NotAllowed, connected
from shared.runtime.clock import now
from shared.runtime.log_reader import LogReader, LogReset, watch
from shared.runtime.provision import provision
from tests.conftest import settings_for


async def test_provisioning_twice_changes_nothing(operator: Bus) -> None:
    again = await provision(operator)
    assert {each.action for each in again} == {"as it should be"}


@pytest.mark.parametrize("which", ["one test", "the next test"])
async def test_what_one_test_has_stored_is_no_duplicate_in_the_next(operator: Bus, which: str) -> None:
    subject = subjects.change("branch")
    await operator.publish(subject, which.encode(), message_id="branch.1")
    stored = await operator.jetstream.get_last_msg(subjects.CHANGES, subject)
    assert stored.data == which.encode()


async def test_a_changed_setting_is_reported_and_put_right(operator: Bus) -> None:
    info = await operator.jetstream.stream_info(subjects.CHANGES)
    info.config.max_bytes = 1024 * 1024
    await operator.jetstream.update_stream(info.config)
    seen = {each.name: each.drift for each in await provision(operator, is_dry=True)}
    assert seen[subjects.CHANGES] == ("max_bytes",)
    assert "updated" in {each.action for each in await provision(operator)}
    assert {each.action for each in await provision(operator)} == {"as it should be"}


async def test_what_a_longer_age_has_kept_is_not_dropped_by_setting_it_right(operator: Bus) -> None:
    """As after `nats stream edit`: nothing that is there goes before somebody says so by `placelibre retention`."""
    config = (await operator.jetstream.stream_info(subjects.READINGS)).config
    await operator.jetstream.update_stream(replace(config, max_age=3000 * 86_400.0))
    done = {each.name: each for each in await provision(operator)}
    assert (done[subjects.READINGS].action, done[subjects.READINGS].drift) == ("updated", ("max_age",))  # holds nothing
    await operator.jetstream.update_stream(replace(config, max_age=3000 * 86_400.0, max_bytes=1 << 20))
    await operator.publish(subjects.readings(1), b"old")
    with pytest.MonkeyPatch.context() as later:
        later.setattr("shared.runtime.provision.now", lambda: now() + timedelta(days=31))
        [dry] = [each for each in await provision(operator, is_dry=True) if each.name == subjects.READINGS]
        assert (dry.action, dry.left) == ("differs", ("max_age",))
        first = {each.name: each for each in await provision(operator)}[subjects.READINGS]
        again = {each.name: each for each in await provision(operator)}[subjects.READINGS]
        [told] = [each for each in await of_bus(operator, now()) if each.subject == subjects.READINGS]
    assert (first.action, first.drift, first.left) == ("updated", ("max_bytes",), ("max_age",))
    assert (again.action, again.left, again.is_changed) == ("left as it is", ("max_age",), False)
    assert (told.what, "placelibre retention" in told.remedy) == ("keeps more than is usual: max_age", True)
    kept = (await operator.jetstream.stream_info(subjects.READINGS)).config
    assert (kept.max_age, kept.max_bytes) == (3000 * 86_400.0, config.max_bytes)
    await choose(operator, subjects.READINGS, 30)
    assert {each.action for each in await provision(operator)} == {"as it should be"}


async def test_more_messages_of_a_subject_than_is_usual_are_not_dropped_either(operator: Bus) -> None:
    config = (await operator.jetstream.stream_info(subjects.QUARANTINE)).config
    usual = config.max_msgs_per_subject
    await operator.jetstream.update_stream(replace(config, max_msgs_per_subject=usual + 10))
    for _ in range(usual + 1):
        await operator.jetstream.publish(subjects.quarantined("front"), b"x")
    done = {each.name: each for each in await provision(operator)}[subjects.QUARANTINE]
    assert (done.action, done.left) == ("left as it is", ("max_msgs_per_subject",))
    assert (await operator.jetstream.stream_info(subjects.QUARANTINE)).state.messages == usual + 1


async def test_a_reader_gets_what_was_there_and_what_comes_in_order(operator: Bus) -> None:
    for number in range(5):
        await operator.publish(subjects.readings(1), str(number).encode())
    reader = LogReader(operator, subjects.READINGS, [subjects.readings(1)])
    read: list[bytes] = []

    async def read_on() -> None:
        async for batch in reader.batches():
            read.extend(message.data for message in batch.messages)
            if len(read) == 2000:
                return

    task = asyncio.create_task(read_on())
    for number in range(5, 2000):
        await operator.publish(subjects.readings(1), str(number).encode())
    await asyncio.wait_for(task, 20)
    assert [int(each) for each in read] == list(range(2000))


async def test_a_reader_of_nothing_says_at_once_that_it_has_caught_up(operator: Bus) -> None:
    reader = LogReader(operator, subjects.READINGS, [subjects.readings(2)])
    batch = await asyncio.wait_for(anext(reader.batches()), 5)
    assert batch.messages == ()
    assert batch.is_caught_up


async def test_a_reader_refuses_a_log_that_ends_before_its_place(operator: Bus) -> None:
    last = await operator.publish(subjects.readings(2), b"x")
    reader = LogReader(operator, subjects.READINGS, [subjects.readings(2)], after=last + 10)
    with pytest.raises(LogReset):
        await anext(reader.batches())


async def test_a_bucket_keeps_the_latest_and_refuses_a_stale_writer(operator: Bus) -> None:
    bucket = operator.bucket(subjects.CHECKPOINTS)
    assert await bucket.get("p1") is None
    first = await bucket.update("p1", b"one", revision=0)
    await bucket.update("p1", b"two", revision=first)
    with pytest.raises(Conflict):
        await bucket.update("p1", b"three", revision=first)
    with pytest.raises(Conflict):
        await bucket.delete("p1", revision=first)
    entry, revision = await bucket.read("p1")
    assert entry is not None
    assert entry.revision == revision
    deleted = await bucket.delete("p1", revision=revision)
    assert await bucket.read("p1") == (None, deleted)
    await bucket.update("p1", b"two", revision=deleted)
    entry = await bucket.get("p1")
    assert entry is not None
    assert entry.value == b"two"
    assert entry.stored_at.tzinfo == UTC
    assert await bucket.keys("p") == ["p1"]
    await bucket.delete("p1")
    assert await bucket.get("p1") is None


async def test_a_watch_gives_the_present_then_updates_and_deletions(operator: Bus) -> None:
    bucket = operator.bucket(subjects.LIBRARIES)
    await bucket.put("a", b"1")
    await bucket.put("a", b"2")
    updates = watch(operator, subjects.LIBRARIES)
    first = await asyncio.wait_for(anext(updates), 5)
    assert [(each.key, each.entry and each.entry.value) for each in first.updates] == [("a", b"2")]
    assert first.is_caught_up
    await bucket.delete("a")
    second = await asyncio.wait_for(anext(updates), 5)
    assert [(each.key, each.entry) for each in second.updates] == [("a", None)]


@pytest.mark.parametrize(
    ("service", "forbidden"),
    [
        ("ingest", subjects.change("x")),
        ("ingest", subjects.key_subject(subjects.STATUS, "x")),
        ("aggregator", subjects.readings(1)),
        ("aggregator", subjects.post("console", "x")),
        ("publisher", subjects.readings(1)),
        ("publisher", subjects.key_subject(subjects.STATUS, "x")),
        ("api", subjects.readings(1)),
        ("api", subjects.key_subject(subjects.STATUS, "x")),
        ("api", subjects.key_subject(subjects.LIBRARIES, "x")),
    ],
)
async def test_a_service_cannot_store_what_is_not_its_own(
    operator: Bus, bus_server: BusServer, service: str, forbidden: str
) -> None:
    assert operator.is_connected
    async with connected([bus_server.url], settings_for(bus_server, service).nats_seed, service) as bus:
        with pytest.raises(BusUnavailable):
            await bus.publish(forbidden, b"x", timeout_s=0.3)


async def test_a_service_reads_what_it_needs(operator: Bus, bus_server: BusServer) -> None:
    await operator.bucket(subjects.STATUS).put("x", b"status")
    async with connected([bus_server.url], settings_for(bus_server, "api").nats_seed, "api") as bus:
        entry = await bus.bucket(subjects.STATUS).get("x")
        assert entry is not None
        assert entry.value == b"status"
        first = await asyncio.wait_for(anext(watch(bus, subjects.STATUS)), 5)
        assert [each.key for each in first.updates] == ["x"]


async def test_a_question_that_our_rights_do_not_cover_is_told_apart_from_one_without_an_answer(
    operator: Bus, bus_server: BusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.bus.API_TIMEOUT_S", 1.0)  # the server says no at once, and the client waits
    await operator.bucket(subjects.STATUS).put("branch", b"{}")

    async def nobody(*_: object, **__: object) -> None:
        raise TimeoutError

    async with connected([bus_server.url], settings_for(bus_server, "api").nats_seed, "api") as api:
        bucket = api.bucket(subjects.STATUS)
        for _ in range(2):
            with pytest.raises(NotAllowed, match=r"MSG\.GET"):
                await bucket.get_of_leader("branch")
        monkeypatch.setattr(api.jetstream, "get_last_msg", nobody)
        with pytest.raises(BusUnavailable) as found:  # though it was told no before
            await bucket.get_of_leader("branch")
        assert not isinstance(found.value, NotAllowed)
        monkeypatch.undo()
        assert await bucket.get("branch") is not None
