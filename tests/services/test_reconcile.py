"""The comparison of log and checkpoints on a real bus: what purges, age and replicas do to it, and what stays true."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.aggregator.checkpoint import Checkpoints
from services.aggregator.fold import Fold, Partition
from services.auditor import direct
from services.auditor.direct import read
from services.auditor.reconcile import Reconciler
from services.auditor.report import Reconciliation, taking_out
from shared.contracts import subjects
from shared.contracts.readings import Configured, Forget, Pack, Tick
from shared.runtime.bus import Bucket, Bus, BusUnavailable, Entry
from shared.runtime.log_reader import LogMessage
from shared.runtime.opening_hours import OsmOpeningHours
from tests.services.test_aggregator import config, configured, heads, pack

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
NUMBER = subjects.partition_of("branch")
RIGHT = (0, 0, 0)


def another_partition() -> str:
    """Return a library's id that does not fall into the partition of "branch"."""
    return next(name for name in (f"other-{each}" for each in range(9)) if subjects.partition_of(name) != NUMBER)


@dataclass
class House:
    """A real log and real checkpoints, with the aggregator's own fold between them, message by message."""

    bus: Bus
    file: Path
    fold: Fold = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    reconciler: Reconciler = field(init=False)
    sent: int = 0
    looks: int = 0

    def __post_init__(self) -> None:
        self.fold = Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours)
        self.checkpoints = Checkpoints(self.bus.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
        self.checkpoints.revisions = dict.fromkeys(range(subjects.PARTITIONS), 0)
        self.restart()

    def restart(self) -> None:
        """Begin as an auditor that was started again."""
        self.reconciler = Reconciler(self.bus, self.file)

    async def add(self, subject: str, data: bytes, *, is_passed_over: bool = False) -> int:
        """Put a message into the log and apply it, or not, as an aggregator with a fault would."""
        sequence = await self.bus.publish(subject, data)
        if not is_passed_over:
            self.fold.apply(subject, data, sequence)
        self.fold.covers(sequence)
        return sequence

    async def configure(self, library: str = "branch", revision: int = 1) -> int:
        return await self.add(
            subjects.configured(subjects.partition_of(library)), configured(config(library), revision=revision)
        )

    async def remove(self, library: str = "branch", revision: int = 2) -> int:
        gone = Configured(library=library, revision=revision, at=NOON, config=None).model_dump_json().encode()
        return await self.add(subjects.configured(subjects.partition_of(library)), gone)

    async def come(self, people: int, library: str = "branch", *, is_passed_over: bool = False) -> list[int]:
        """Let some people in, one after the other."""
        sequences = []
        for _ in range(people):
            self.sent += 1
            one = {"kind": "gate_count", "library": library, "gate": "front", "entries": 1, "exits": 0}
            body = pack(one | {"id": f"in-{self.sent}"})
            number = subjects.partition_of(library)
            sequences.append(await self.add(subjects.readings(number), body, is_passed_over=is_passed_over))
        return sequences

    async def forget(self, library: str = "branch", person: str | None = None) -> int:
        body = Pack(received_at=NOON, readings=(), forget=Forget(library=library, person=person))
        return await self.add(
            subjects.readings(subjects.partition_of(library)), body.model_dump_json(exclude_none=True).encode()
        )

    async def tick(self) -> None:
        await self.add(subjects.TICKS, Tick(at=NOON).model_dump_json().encode())

    async def erase(self, *sequences: int) -> None:
        for each in sequences:
            await self.bus.jetstream.delete_msg(subjects.READINGS, each)

    async def save(self, library: str = "branch") -> None:
        await self.checkpoints.save(self.fold.partitions[subjects.partition_of(library)])

    async def look(self, **more: Any) -> Reconciliation:
        """Save a checkpoint and compare, five minutes after the last time."""
        await self.save()
        return await self.compare(**more)

    async def compare(self, **more: Any) -> Reconciliation:
        self.looks += 1
        return await self.reconciler.compare(NOON + timedelta(minutes=5 * self.looks), **more)


@pytest.fixture
def house(operator: Bus, tmp_path: Path) -> House:
    return House(operator, tmp_path / "recount.json.gz")


def differences(report: Reconciliation) -> dict[str, tuple[int, int, int]]:
    return {each.library: (each.readings, each.entries, each.exits) for each in report.libraries}


def takeovers() -> dict[str, float | None]:
    name = "placelibre_reconciliation_taken_over"
    return {why: REGISTRY.get_sample_value(name, {"why": why}) for why in ("explained", "unexplained")}


def reconciled_at() -> datetime:
    value = REGISTRY.get_sample_value("placelibre_reconciled_timestamp_seconds")
    return datetime.fromtimestamp(value or 0, UTC)


def kept(file: Path) -> str:
    return gzip.decompress(file.read_bytes()).decode()


async def test_a_library_removed_and_purged_before_anybody_counted_it_is_no_difference(house: House) -> None:
    first = await house.configure()
    came = await house.come(5)
    assert differences(await house.look()) == {"branch": RIGHT}

    gone = await house.remove()
    word = await house.forget()
    await house.erase(first, *came, gone, word)
    await house.tick()

    assert differences(await house.look()) == {}
    await house.tick()
    assert differences(await house.look()) == {}
    assert '"branch"' not in kept(house.file)


async def test_what_was_purged_before_it_was_counted_is_no_difference_and_is_said(house: House) -> None:
    await house.configure()
    await house.come(3)
    await house.look()

    came = await house.come(4)
    await house.erase(came[1], came[3])
    report = await house.look()

    assert differences(report) == {"branch": RIGHT}
    (taken,) = report.taken_over
    assert (taken.partition, taken.libraries) == (NUMBER, ("branch",))
    assert taken.why == "2 messages of the log were gone before it could be counted"
    await house.come(2)
    (branch,) = (await house.look()).libraries
    assert (branch.is_right, branch.log_entries) == (True, 9)


async def test_what_was_purged_after_it_was_counted_changes_nothing(house: House) -> None:
    await house.configure()
    came = await house.come(4)
    await house.look()

    await house.erase(*came)
    await house.come(1)
    report = await house.look()

    (branch,) = report.libraries
    assert (branch.is_right, branch.log_entries, branch.gates, report.taken_over) == (True, 5, {"front": (5, 0)}, ())


async def test_a_recount_that_begins_anew_does_not_count_a_log_with_holes(house: House) -> None:
    await house.configure()
    came = await house.come(5)
    await house.look()
    await house.erase(came[1])
    await house.look()

    house.file.unlink()
    house.restart()
    await house.tick()

    assert differences(await house.look()) == {"branch": RIGHT}


async def test_packs_that_wait_for_a_library_go_when_it_is_to_be_forgotten(house: House) -> None:
    await house.configure("branch")
    later = next(f"l{each}" for each in range(999) if subjects.partition_of(f"l{each}") == NUMBER)
    await house.come(3, later)
    await house.look()
    await house.forget(later)
    await house.look()
    assert later not in kept(house.file)

    await house.configure(later, revision=3)
    assert differences(await house.look()) == {"branch": RIGHT, later: RIGHT}


@pytest.mark.parametrize("is_word_read", [False, True])
async def test_no_name_of_a_purged_person_stays_in_what_is_kept(house: House, *, is_word_read: bool) -> None:
    await house.configure()
    await house.tick()
    placed = await house.add(subjects.readings(NUMBER), pack(heads(5, id="placed", by="anna-b")))
    said = await house.add(
        subjects.readings(NUMBER), pack(heads(7, id="said", zone="attic", by="anna-b", note="ask anna"))
    )
    await house.look()
    assert "anna-b" in kept(house.file)

    word = await house.forget("branch", "anna-b")
    await house.erase(placed, said, *(() if is_word_read else (word,)))
    await house.tick()
    assert differences(await house.look()) == {"branch": RIGHT}

    assert "ask anna" in kept(house.file)
    assert "anna-b" not in kept(house.file)


async def test_a_house_that_was_off_for_longer_than_the_log_keeps_is_no_difference(house: House) -> None:
    await house.configure()
    await house.come(5)
    await house.look()
    await house.come(3)
    await house.save()

    await house.bus.jetstream.purge_stream(subjects.READINGS)
    house.restart()
    await house.tick()
    report = await house.look()

    (branch,) = report.libraries
    assert (branch.is_right, branch.log_entries) == (True, 8)
    assert [each.libraries for each in report.taken_over] == [("branch",)]


async def test_a_message_that_was_passed_over_stays_a_difference_whatever_is_purged_and_restarted(house: House) -> None:
    await house.configure()
    await house.come(3)
    await house.come(1, is_passed_over=True)
    assert differences(await house.look()) == {"branch": (1, 1, 0)}

    house.restart()
    came = await house.come(2)
    await house.erase(*came)
    assert differences(await house.look()) == {"branch": (1, 1, 0)}
    await house.come(2)
    assert differences(await house.look()) == {"branch": (1, 1, 0)}

    since = NOON + timedelta(minutes=5 * house.looks + 1)
    assert differences(await house.look(anew_since=since)) == {"branch": RIGHT}


async def test_a_purge_does_not_hide_what_is_passed_over_after_it(house: House) -> None:
    await house.configure()
    came = await house.come(3)
    await house.erase(came[0])
    await house.look()

    await house.come(1, is_passed_over=True)

    assert differences(await house.look()) == {"branch": (1, 1, 0)}


@pytest.mark.parametrize("is_over", [True, False])
async def test_a_purge_in_one_partition_hides_no_loss_in_another_that_is_counted_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch, *, is_over: bool
) -> None:
    other = another_partition()
    await house.configure()
    await house.configure(other)
    await house.look()
    await house.save(other)
    await house.compare()

    came = await house.come(4)
    await house.come(2, other)
    await house.come(1, other, is_passed_over=True)
    monkeypatch.setattr("services.auditor.report.now", lambda: NOON)
    async with taking_out(house.bus, "purge", partitions=(NUMBER,)):
        await house.erase(came[1], came[2])
        await house.save(other)
        report = None if is_over else await house.look()
    report = report or await house.look()

    assert differences(report) == {"branch": RIGHT, other: (1, 1, 0)}
    (taken,) = report.taken_over
    assert (taken.partition, taken.libraries, taken.is_explained) == (NUMBER, ("branch",), True)
    assert takeovers() == {"explained": 1, "unexplained": 0}
    house.restart()
    assert differences(await house.compare()) == {"branch": RIGHT, other: (1, 1, 0)}


async def test_what_is_taken_for_right_without_a_reason_is_counted_until_somebody_accepts_it(house: House) -> None:
    other = another_partition()
    await house.configure()
    await house.configure(other)
    await house.look()
    await house.save(other)
    await house.compare()
    async with taking_out(house.bus, "purge", partitions=(NUMBER,)):
        pass  # of before: what is gone from later messages is none of its

    came = await house.come(4)
    await house.come(1, other, is_passed_over=True)
    await house.erase(came[1])
    await house.save(other)
    report = await house.look()

    assert {each.partition for each in report.taken_over} == {NUMBER, subjects.partition_of(other)}
    assert not any(each.is_explained for each in report.taken_over)
    assert takeovers() == {"explained": 0, "unexplained": 2}
    more = await house.come(2)
    async with taking_out(house.bus, "purge", partitions=(NUMBER,)):
        await house.erase(more[0])
    house.restart()
    await house.look()
    assert takeovers() == {"explained": 0, "unexplained": 2}, "one that is explained does not make up for the other"
    await house.look(anew_since=NOON + timedelta(minutes=5 * house.looks + 1))
    assert takeovers() == {"explained": 0, "unexplained": 0}


async def test_a_purge_of_other_things_explains_nothing_that_is_gone_from_the_log(house: House) -> None:
    await house.configure()
    await house.look()
    came = await house.come(3)
    async with taking_out(house.bus, "purge", partitions=()):
        await house.erase(came[1])

    await house.look()

    assert takeovers() == {"explained": 0, "unexplained": 1}


async def test_what_has_reached_its_age_before_it_was_counted_is_explained(house: House) -> None:
    await house.configure()
    await house.look()
    await house.come(3)
    await house.save()
    await house.bus.jetstream.purge_stream(subjects.READINGS, seq=3)

    await house.look()

    assert takeovers() == {"explained": 1, "unexplained": 0}


@pytest.mark.parametrize("is_log_whole", [True, False])
async def test_a_replica_that_is_behind_with_a_manifest_hides_no_difference(
    house: House, monkeypatch: pytest.MonkeyPatch, *, is_log_whole: bool
) -> None:
    first = await house.configure()
    await house.come(3)
    await house.look()
    if not is_log_whole:
        await house.erase(first)
    old = await house.bus.bucket(subjects.CHECKPOINTS).get(subjects.checkpoint_key(NUMBER))
    await house.come(1, is_passed_over=True)
    assert differences(await house.look()) == {"branch": (1, 1, 0)}

    real = Bucket.get

    async def behind(bucket: Bucket, key: str) -> Entry | None:
        return old if key == subjects.checkpoint_key(NUMBER) else await real(bucket, key)

    monkeypatch.setattr(Bucket, "get", behind)
    for _ in range(3):
        assert differences(await house.compare()) == {"branch": (1, 1, 0)}
    await house.tick()
    monkeypatch.setattr(Bucket, "get", real)

    assert differences(await house.look()) == {"branch": (1, 1, 0)}


@pytest.mark.parametrize("is_log_whole", [True, False])
async def test_checkpoints_that_begin_anew_are_believed_at_the_second_look_and_alone(
    house: House, *, is_log_whole: bool
) -> None:
    other = another_partition()
    first = await house.configure()
    await house.configure(other)
    await house.come(3)
    await house.come(2, other)
    await house.come(1, other, is_passed_over=True)
    await house.save(other)
    old = await house.bus.bucket(subjects.CHECKPOINTS).get(subjects.checkpoint_key(NUMBER))
    assert old is None
    await house.look()
    if not is_log_whole:
        await house.erase(first)

    earlier = House(house.bus, house.file)  # an aggregator that has read the log up to its second message only
    earlier.checkpoints.revisions[NUMBER] = house.checkpoints.revisions[NUMBER]
    earlier.checkpoints.writer = house.checkpoints.writer
    earlier.fold.apply(subjects.configured(NUMBER), configured(config()), 1)
    earlier.fold.covers(first + 1)
    await earlier.save()

    report = await house.compare()
    assert differences(report) == {"branch": RIGHT, other: (1, 1, 0)}
    assert [each.partition for each in report.left_out] == [NUMBER]
    report = await house.compare()
    assert (differences(report), report.left_out) == ({"branch": RIGHT, other: (1, 1, 0)}, ())
    assert [each.why for each in report.taken_over] == [] if is_log_whole else ["its checkpoints begin anew"]


async def test_a_partition_whose_checkpoint_is_gone_is_named_and_forgotten_at_the_second_look(house: House) -> None:
    await house.configure()
    await house.come(2)
    await house.look()
    await house.bus.bucket(subjects.CHECKPOINTS).delete(subjects.checkpoint_key(NUMBER))

    report = await house.compare()
    assert ([each.partition for each in report.left_out], list(differences(report))) == ([NUMBER], ["branch"])
    report = await house.compare()
    assert (report.left_out, report.libraries) == ((), ())


async def test_a_damaged_recount_begins_anew_whichever_byte_has_changed(house: House) -> None:
    await house.configure()
    await house.come(3)
    await house.look()
    whole = house.file.read_bytes()
    for place in range(len(whole)):
        for flip in (0x01, 0xFF):
            house.file.write_bytes(bytes(byte ^ flip if at == place else byte for at, byte in enumerate(whole)))
            house.restart()
            house.reconciler._load()  # the bus is not asked each time
    for size in range(len(whole)):
        house.file.write_bytes(whole[:size])
        house.restart()
        house.reconciler._load()

    assert differences(await house.compare()) == {"branch": RIGHT}


async def test_a_standing_difference_is_told_after_a_restart_with_no_newer_checkpoint(house: House) -> None:
    await house.configure()
    await house.come(1, is_passed_over=True)
    assert differences(await house.look()) == {"branch": (1, 1, 0)}

    house.restart()

    assert differences(await house.compare()) == {"branch": (1, 1, 0)}
    assert REGISTRY.get_sample_value("placelibre_reconciliation_difference", {"what": "entries"}) == 1


async def test_what_a_version_before_has_kept_on_one_line_is_read(house: House) -> None:
    await house.configure()
    await house.come(1, is_passed_over=True)
    await house.look()
    first, *others = map(json.loads, kept(house.file).splitlines())
    for each in others:
        first["parts"] |= each
    house.file.write_bytes(gzip.compress(json.dumps(first).encode()))

    house.restart()
    await house.tick()

    assert differences(await house.look()) == {"branch": (1, 1, 0)}


async def test_a_partition_that_cannot_be_read_is_named_and_the_figure_does_not_say_that_all_is_well(
    house: House,
) -> None:
    other = another_partition()
    await house.configure()
    await house.configure(other)
    await house.save(other)
    await house.look()
    well = reconciled_at()
    bucket, key = house.bus.bucket(subjects.CHECKPOINTS), subjects.checkpoint_key(NUMBER)
    await house.come(1, is_passed_over=True)
    await house.come(1, other)
    await house.save(other)
    await house.save()
    entry = await bucket.get(key)
    assert entry is not None
    await bucket.put(key, json.dumps(json.loads(entry.value) | {"format": 99}).encode())

    report = await house.compare()

    (left,) = report.left_out
    assert (left.partition, "format 99" in left.why, left.since) == (NUMBER, True, well)
    assert reconciled_at() == well
    (same,) = [each for each in report.libraries if each.library == other]
    assert (same.is_right, same.log_entries) == (True, 1)
    await bucket.put(key, entry.value)
    assert differences(await house.compare())["branch"] == (1, 1, 0)
    assert reconciled_at() > well


async def test_what_a_newer_version_says_of_a_library_is_passed_over(house: House) -> None:
    more = config().model_dump(mode="json", by_alias=True)
    more["gates"][0]["said_later"] = more["said_later"] = True
    body = Configured(library="branch", revision=1, at=NOON, config=more).model_dump_json().encode()
    await house.add(subjects.configured(NUMBER), body)
    await house.come(2)

    (branch,) = (await house.look()).libraries

    assert (branch.is_right, branch.log_entries) == (True, 2)


async def test_a_count_that_was_broken_off_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.configure()
    await house.look()
    came = await house.come(6)
    await house.save()
    monkeypatch.setattr("services.auditor.direct.BATCH", 3)
    await house.erase(came[3], came[4])
    real, asked = house.bus.jetstream.get_msg, []

    async def away(*arguments: Any, **more: Any) -> Any:
        if not more.get("next"):
            return await real(*arguments, **more)
        asked.append(more["seq"])
        raise TimeoutError

    monkeypatch.setattr(house.bus.jetstream, "get_msg", away)
    with pytest.raises(BusUnavailable, match="leader of READINGS did not answer"):
        await house.compare()
    assert asked == [came[3]], "what is not there is asked of the leader"
    monkeypatch.setattr(house.bus.jetstream, "get_msg", real)
    await house.tick()

    (branch,) = (await house.look()).libraries
    assert (branch.is_right, branch.log_entries) == (True, 6)


@pytest.mark.parametrize("lacks", [{3, 4}, {9, 10}, {1}, set(range(1, 11)), {2, 7, 10}])
async def test_what_a_replica_leaves_out_is_asked_of_the_leader(
    operator: Bus, monkeypatch: pytest.MonkeyPatch, lacks: set[int]
) -> None:
    for _ in range(12):
        await operator.publish(subjects.TICKS, b"{}")
    await operator.jetstream.delete_msg(subjects.READINGS, 6)
    real = direct._piece

    async def damaged(*arguments: Any) -> tuple[list[LogMessage], bool]:
        messages, _ = await real(*arguments)
        return [each for each in messages if each.sequence not in lacks and each.sequence <= 10], False

    monkeypatch.setattr(direct, "_piece", damaged)

    pieces = [piece async for piece in read(operator, subjects.READINGS, after=0, until=11, are_gaps_asked=True)]

    found = [each.sequence for piece in pieces for each in piece]
    assert found == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
