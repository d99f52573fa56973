"""The aggregator in one process with the test: the fold, checkpoints, partitions, configuration, dead letters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.bus_server import BusServer
from services.aggregator import checkpoint
from services.aggregator.checkpoint import AnotherWriter, Checkpoints, dump, restore
from services.aggregator.fold import MAX_WAITING, Fold, MalformedMessage, Partition
from services.aggregator.settings import Settings
from services.aggregator.work import aggregate
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.contracts.status import PublicStatus
from shared.contracts.stored import read_stored
from shared.domain.status import State
from shared.runtime.bus import Bucket, Bus, BusUnavailable, Conflict, Entry, NotAllowed, connected
from shared.runtime.health import Readiness
from shared.runtime.opening_hours import OsmOpeningHours
from tests.conftest import settings_for
from tests.house import changes_of

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)


def config(library_id: str = "branch", **more: Any) -> LibraryConfig:
    settings = {
        "id": library_id,
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 100,
        "gates": [{"id": "front", "silent_after_min": 600}],
        **more,
    }
    return LibraryConfig.model_validate(settings)


def configured(each: LibraryConfig, revision: int = 1, at: datetime = NOON) -> bytes:
    body = Configured(library=each.id, revision=revision, at=at, config=each.model_dump(mode="json", by_alias=True))
    return body.model_dump_json().encode()


def pack(*readings: dict[str, Any], at: datetime = NOON) -> bytes:
    whole = [
        READING.validate_json(json.dumps({"device": "front", "time": at.isoformat(), "id": f"r{number}", **reading}))
        for number, reading in enumerate(readings)
    ]
    return Pack(received_at=at, readings=tuple(whole)).model_dump_json(exclude_none=True).encode()


def heads(people: int, **more: Any) -> dict[str, Any]:
    return {"kind": "head_count", "library": "branch", "people": people, **more}


def empty_fold(partitions: range = range(subjects.PARTITIONS)) -> Fold:
    return Fold([Partition(number) for number in partitions], OsmOpeningHours)


def test_a_message_covered_by_a_checkpoint_is_not_applied_again() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config()), 1)
    fold.apply(subjects.readings(number), pack(heads(30)), 2)
    fold.covers(2)
    assert fold.apply(subjects.readings(number), pack(heads(99, id="other")), 2).outcomes == []
    kept = fold.kept("branch")
    assert kept is not None
    assert kept.state.totals.applied == 1


def test_partitions_of_others_are_left_alone() -> None:
    mine = subjects.partition_of("branch")
    fold = empty_fold(range(mine + 1, subjects.PARTITIONS))
    fold.apply(subjects.configured(mine), configured(config()), 1)
    assert fold.kept("branch") is None


def test_a_removed_library_is_gone_and_an_older_configuration_does_not_bring_it_back() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config(), revision=5), 1)
    older = fold.apply(subjects.configured(number), configured(config(name="Old name"), revision=4), 2)
    assert older.outcomes == []
    gone = Configured(library="branch", revision=6, at=NOON, config=None).model_dump_json().encode()
    assert fold.apply(subjects.configured(number), gone, 3).removed == ["branch"]
    assert fold.kept("branch") is None


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        (subjects.readings(1), b"{"),
        (subjects.readings(1), b"{}"),
        (subjects.TICKS, b'{"at": "never"}'),
        (subjects.configured(1), b'{"library": "x", "revision": 1, "at": "2026-11-23T00:00:00Z", "config": {"id": 1}}'),
    ],
)
def test_a_message_that_cannot_be_read_changes_nothing_and_echoes_nothing(subject: str, data: bytes) -> None:
    fold = empty_fold()
    with pytest.raises(MalformedMessage) as fault:
        fold.apply(subject, data, 1)
    assert "never" not in str(fault.value)
    assert list(fold.all_kept()) == []


def test_ticks_move_the_wall_clock_only() -> None:
    fold = empty_fold()
    for library, clock in (("branch", "wall"), ("played", "recorded")):
        fold.apply(subjects.configured(subjects.partition_of(library)), configured(config(library, clock=clock)), 1)
    fold.apply(subjects.TICKS, Tick(at=NOON + timedelta(hours=1)).model_dump_json().encode(), 2)
    times = {kept.library.id: kept.state.now for kept in fold.all_kept()}
    assert times == {"branch": NOON + timedelta(hours=1), "played": None}


def test_readings_that_come_before_their_librarys_configuration_wait_for_it() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    for sequence in range(1, MAX_WAITING + 3):
        effects = fold.apply(subjects.readings(number), pack(heads(30, id=f"h{sequence}")), sequence)
    assert effects.given_up == ["branch"]
    effects = fold.apply(subjects.configured(number), configured(config()), 1000)
    kept = fold.kept("branch")
    assert kept is not None
    assert kept.state.totals.applied == MAX_WAITING
    assert fold.partitions[number].waiting == {}


def test_what_a_newer_version_has_said_of_a_library_is_passed_over_and_taken_when_it_says_it_again() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    more = config().model_dump(mode="json", by_alias=True)
    more["gates"][0]["said_later"] = more["said_later"] = True
    body = Configured(library="branch", revision=4, at=NOON, config=more).model_dump_json().encode()
    fold.apply(subjects.configured(number), body, 1)
    kept = fold.kept("branch")
    assert kept is not None
    assert kept.config == config()
    assert fold.apply(subjects.configured(number), body, 2).outcomes == []
    whole = configured(config(capacity=70), revision=4)  # as a version says it that knows a key more
    assert fold.apply(subjects.configured(number), whole, 3).outcomes != []
    kept = fold.kept("branch")
    assert kept is not None
    assert (kept.config.capacity, kept.revision) == (70, 4)


def test_a_channel_s_own_keys_are_kept_so_that_the_configuration_is_not_said_again_at_each_start() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    applied = config(channels=[{"type": "ntfy", "topic": "branch-live"}])
    fold.apply(subjects.configured(number), configured(applied), 1)
    kept = fold.kept("branch")
    assert kept is not None
    assert kept.config == read_stored(LibraryConfig, applied.model_dump_json(by_alias=True))  # as announce compares
    restored = restore(number, 1, dump(fold.partitions[number]), OsmOpeningHours)
    assert restored is not None
    assert restored.libraries["branch"].config == applied


async def test_what_an_older_version_has_left_out_of_its_checkpoint_is_said_again(
    operator: Bus, bus_server: BusServer
) -> None:
    await operator.bucket(subjects.LIBRARIES).put(
        "branch", config(opening_hours="off").model_dump_json(by_alias=True).encode()
    )
    number = subjects.partition_of("branch")
    fold = empty_fold()  # an aggregator to which closing hours were unknown
    fold.apply(subjects.configured(number), configured(config(), revision=1), 1)
    checkpoints = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    await checkpoints.load(number)
    fold.covers(0)
    await checkpoints.save(fold.partitions[number])
    async with running(bus_server):
        await eventually(operator, "branch", None, State.CLOSED)
    async with running(bus_server):
        await eventually(operator, "branch", None, State.CLOSED)
    info = await operator.jetstream.stream_info(subjects.READINGS, subjects_filter=subjects.CONFIGURED_ANY)
    assert info.state.subjects == {subjects.configured(number): 1}


async def test_a_checkpoint_brings_everything_back(operator: Bus) -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config()), 1)
    fold.apply(subjects.readings(number), pack(heads(30), heads(31, id="again")), 2)
    fold.partitions[number].waiting["unheard"] = [Pack.model_validate_json(pack(heads(1)))]
    fold.covers(2)
    checkpoints = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    await checkpoints.load(number)
    for _ in range(3):
        await checkpoints.save(fold.partitions[number])
    loaded = await Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours).load(number)
    assert loaded.covered == 2
    kept, again = fold.kept("branch"), loaded.libraries["branch"]
    assert kept is not None
    assert loaded.waiting == fold.partitions[number].waiting
    assert (again.state, again.config, again.revision) == (kept.state, kept.config, kept.revision)


def test_whatever_was_said_comes_back_from_a_checkpoint_as_the_kind_it_was() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config()), 1)
    later = (NOON + timedelta(hours=1)).isoformat()
    said: list[dict[str, Any]] = [
        {"kind": "head_count", "people": 30},
        {"kind": "queue_length", "people": 3},
        {"kind": "queueing_time", "minutes": 12},
        {"kind": "ticket", "joined": (NOON - timedelta(hours=1)).isoformat()},
        {"kind": "not_admitting", "on": False},
        {"kind": "throttle", "on": False},
        {"kind": "evacuation", "on": False},
        {"kind": "mute", "until": later},
        {"kind": "closing", "until": later},
    ]
    fold.apply(subjects.readings(number), pack(*({"library": "branch", "note": "drill", **each} for each in said)), 2)
    kept = fold.kept("branch")
    restored = restore(number, 2, dump(fold.partitions[number]), OsmOpeningHours)
    assert kept is not None
    assert restored is not None
    entries = restored.libraries["branch"].state.staff.entries
    assert entries == kept.state.staff.entries
    assert {(each.kind, each.note) for each in entries} == {(each["kind"], "drill") for each in said}


async def test_checkpoints_take_turns_and_leave_nothing_behind(operator: Bus) -> None:
    checkpoints = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    partition = await checkpoints.load(3)
    for covered in range(1, 8):
        partition.covered = covered
        await checkpoints.save(partition)
    assert await operator.bucket(subjects.CHECKPOINTS).keys("p3") == ["p3", "p3.a.0", "p3.b.0"]
    info = await operator.jetstream.stream_info(subjects.bucket_stream(subjects.CHECKPOINTS))
    assert info.state.messages == 3
    assert (await Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours).load(3)).covered == 7


async def test_a_second_writer_of_a_partition_is_found_out(operator: Bus) -> None:
    first = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    second = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    partition = await first.load(3)
    await first.save(partition)
    theirs = await second.load(3)
    await second.save(theirs)
    theirs.covered = 5
    await second.save(theirs)
    with pytest.raises(AnotherWriter, match="ordinal"):
        await first.save(partition)
    assert (await second.load(3)).covered == 5


async def test_a_lost_acknowledgement_of_our_own_is_no_second_writer(operator: Bus) -> None:
    checkpoints = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    partition = await checkpoints.load(3)
    await checkpoints.save(partition)
    stored = checkpoints.revisions[3]
    checkpoints.revisions[3] = 0  # as if the acknowledgement had never come
    await checkpoints.save(partition)
    assert checkpoints.revisions[3] > stored


class BehindBucket(Bucket):
    """A bucket of which reads are answered by a replica that is behind, as often as `stale` holds answers."""

    def __init__(self, bus: Bus, name: str) -> None:
        super().__init__(bus, name)
        self.stale: list[Entry | None] = []

    async def get(self, key: str) -> Entry | None:
        return self.stale.pop(0) if self.stale else await super().get(key)


async def test_a_late_write_of_our_own_that_a_replica_does_not_know_yet_is_no_second_writer(operator: Bus) -> None:
    bucket = BehindBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    await checkpoints.save(partition)
    before, known = await bucket.get("p3"), checkpoints.revisions[3]
    partition.covered = 4
    await checkpoints.save(partition)
    checkpoints.revisions[3] = known  # as if the acknowledgement had never come
    partition.covered = 5
    bucket.stale = [before, before]  # at the look for others, and once after the conflict
    await checkpoints.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 5


async def test_a_replica_that_still_shows_a_writer_of_before_is_no_second_writer(operator: Bus) -> None:
    bucket = BehindBucket(operator, subjects.CHECKPOINTS)
    former = Checkpoints(bucket, OsmOpeningHours)
    await former.save(await former.load(3))
    theirs = await bucket.get("p3")
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    await checkpoints.save(partition)
    bucket.stale = [theirs]
    await checkpoints.save(partition)


async def test_a_conflict_that_no_replica_can_explain_leaves_the_older_checkpoint(operator: Bus) -> None:
    bucket = BehindBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    await checkpoints.save(partition)
    before = await bucket.get("p3")
    other = Checkpoints(bucket, OsmOpeningHours)
    await other.save(await other.load(3))
    bucket.stale = [before] * 100
    with pytest.raises(BusUnavailable, match="nobody knows"):
        await checkpoints.save(partition)
    bucket.stale = [before]
    with pytest.raises(AnotherWriter):
        await checkpoints.save(partition)


class SilentBucket(Bucket):
    """A bucket whose leader does not answer the next `silences` questions, with replicas that still have `behind`."""

    silences = 0
    behind: Entry | None = None

    async def get(self, key: str) -> Entry | None:
        return self.behind if self.behind and self.behind.key == key else await super().get(key)

    async def get_of_leader(self, key: str) -> Entry | None:
        if self.silences:
            self.silences -= 1
            raise BusUnavailable(f"no answer for {key}")
        return await super().get_of_leader(key)


class ForbiddenBucket(BehindBucket):
    """The same, with rights of a version that did not ask the leader."""

    asked = 0

    async def get_of_leader(self, key: str) -> Entry | None:
        self.asked += 1
        raise NotAllowed(f"not allowed to ask for {key}")


async def test_pieces_of_a_replica_that_is_behind_do_not_cost_a_good_checkpoint(operator: Bus) -> None:
    bucket = BehindBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    for partition.covered in (10, 20, 30):
        partition.gone = {f"gone-{number}": number for number in range(partition.covered)}
        await checkpoints.save(partition)
    older = await bucket.get("p3.b.0")
    for answers in ([older], [None], [older] * 20):  # the last is damaged for good, and the leader is whole
        bucket.stale = list(answers)
        loaded = await Checkpoints(bucket, OsmOpeningHours).load(3)
        assert (loaded.covered, len(loaded.gone)) == (30, 30)
    bucket.stale = []
    without_a_right = ForbiddenBucket(operator, subjects.CHECKPOINTS)
    newest = await bucket.get("p3")
    without_a_right.stale = [newest, older]
    again = Checkpoints(without_a_right, OsmOpeningHours)
    assert (await again.load(3)).covered == 30
    assert (await again.load(3)).covered == 30
    assert without_a_right.asked == 1  # each costs the time of an answer that does not come


async def test_an_election_during_one_load_does_not_leave_the_others_to_replicas_that_are_behind(
    operator: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = SilentBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = 10
    await checkpoints.save(partition)
    older = await bucket.get("p3")
    partition.covered = 20
    await checkpoints.save(partition)
    again = Checkpoints(bucket, OsmOpeningHours)
    bucket.behind = older

    bucket.silences = 2
    assert (await again.load(3)).covered == 20  # it has waited for the leader
    bucket.silences = 1000
    with monkeypatch.context() as impatient:
        impatient.setattr(checkpoint, "ELECTION_S", 0.5)
        assert (await again.load(3)).covered == 10  # what is newer nobody knows
    bucket.silences = 1
    assert (await again.load(3)).covered == 20  # and the next one waits for the leader again


async def test_a_checkpoint_that_is_damaged_everywhere_is_given_up(
    operator: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_EVERY_S", 0.01)
    bucket = operator.bucket(subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = 7
    await checkpoints.save(partition)
    await bucket.put("p3.a.0", b"not what was written")
    again = Checkpoints(bucket, OsmOpeningHours)
    assert (await again.load(3)).covered == 0
    await again.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 7


class UnheardBucket(BehindBucket):
    """A bucket that acknowledges no manifest while it is deaf; each may come through later."""

    def __init__(self, bus: Bus, name: str) -> None:
        super().__init__(bus, name)
        self.is_deaf = False
        self.is_late = False
        """Whether the first one comes through just before the next."""
        self.late: list[tuple[bytes, int]] = []
        self.is_deaf_to = -1
        """To the manifest that covers this much."""

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        if self.is_late:
            self.is_late = False
            await super().update(key, self.late[0][0], revision=self.late[0][1])
            raise Conflict
        if self.is_deaf or checkpoint.Manifest.model_validate_json(value).covered == self.is_deaf_to:
            self.late.append((value, revision))
            raise BusUnavailable("no acknowledgement")
        return await super().update(key, value, revision=revision)


async def test_a_manifest_that_comes_through_late_names_pieces_that_are_still_there(operator: Bus) -> None:
    """Nothing is lost wherever the process is killed: between two attempts, or while the second one is written."""
    bucket = UnheardBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = 10
    await checkpoints.save(partition)
    bucket.is_deaf = True
    for partition.covered in (20, 30):
        partition.gone = {f"gone-{partition.covered}": 1}  # so that no piece is like another
        with pytest.raises(BusUnavailable):
            await checkpoints.save(partition)
    bucket.is_deaf = False
    value, revision = bucket.late[0]
    await bucket.update("p3", value, revision=revision)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 20
    partition.covered, partition.forgotten = 40, 35
    await checkpoints.save(partition)
    # What was forgotten is in no slot, and the third one is free again.
    assert len([each for each in await bucket.keys("p3.") if await bucket.get(each) is not None]) == 2
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 40


async def test_a_manifest_that_a_conflict_has_told_of_keeps_its_pieces_though_the_next_is_not_heard_either(
    operator: Bus,
) -> None:
    bucket = UnheardBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = 10
    await checkpoints.save(partition)
    before = await bucket.get("p3")
    bucket.is_deaf = True
    partition.covered, partition.gone = 20, {"gone-20": 1}  # so that no piece is like another
    with pytest.raises(BusUnavailable):
        await checkpoints.save(partition)
    bucket.is_late = True
    bucket.stale = [before]  # so the next one learns of it by a conflict, and then is not heard
    partition.covered, partition.gone = 30, {"gone-30": 1}
    with pytest.raises(BusUnavailable):
        await checkpoints.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 20
    partition.covered, partition.gone = 40, {"gone-40": 1}
    with pytest.raises(BusUnavailable):  # the pieces are written, and what names them does not come
        await checkpoints.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 20


@pytest.mark.parametrize("is_heard_again", [True, False])
async def test_of_three_manifests_that_nobody_acknowledged_the_one_that_came_through_keeps_its_pieces(
    operator: Bus, *, is_heard_again: bool
) -> None:
    bucket = UnheardBucket(operator, subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = 10
    await checkpoints.save(partition)
    before = await bucket.get("p3")
    bucket.is_deaf = True
    for partition.covered in (20, 30):
        partition.gone = {f"gone-{partition.covered}": 1}  # so that no piece is like another
        with pytest.raises(BusUnavailable):
            await checkpoints.save(partition)
    bucket.is_deaf = False
    await bucket.update("p3", bucket.late[0][0], revision=bucket.late[0][1])
    bucket.is_deaf = not is_heard_again
    bucket.is_deaf_to = 40
    bucket.stale = [before]  # a replica that does not know of it yet is looked at
    partition.covered, partition.gone = 40, {"gone-40": 1}
    with pytest.raises(BusUnavailable):
        await checkpoints.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 20
    bucket.is_deaf, bucket.is_deaf_to = False, -1
    await checkpoints.save(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == 40


async def test_where_no_manifest_came_through_there_is_room_again_for_the_next(operator: Bus) -> None:
    """However many were lost, and whether there was a checkpoint of a writer before or none."""
    bucket = UnheardBucket(operator, subjects.CHECKPOINTS)
    for first in (10, 50):
        checkpoints = Checkpoints(bucket, OsmOpeningHours)
        partition = await checkpoints.load(3)
        bucket.is_deaf = True
        for partition.covered in range(first, first + 5):
            with pytest.raises(BusUnavailable):
                await checkpoints.save(partition)
        bucket.is_deaf = False
        await checkpoints.save(partition)
        assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).covered == first + 4


async def test_after_a_younger_log_what_is_forgotten_is_written_over_again(operator: Bus) -> None:
    bucket = operator.bucket(subjects.CHECKPOINTS)
    checkpoints = Checkpoints(bucket, OsmOpeningHours)
    partition = await checkpoints.load(3)
    partition.covered = partition.forgotten = 10_000
    await checkpoints.save(partition)
    assert not checkpoints.owes(partition)
    checkpoints.begin_anew(partition)
    assert (partition.covered, partition.forgotten) == (0, 0)
    assert checkpoints.owes(partition)
    await checkpoints.save(partition)
    partition.forgotten = 50
    assert checkpoints.owes(partition)
    assert (await Checkpoints(bucket, OsmOpeningHours).load(3)).forgotten == 0


def test_a_library_that_comes_back_counts_its_revisions_on() -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config()), 1)
    fold.apply(subjects.readings(number), pack(heads(30)), 2)
    before = fold.kept("branch")
    assert before is not None
    gone = Configured(library="branch", revision=2, at=NOON, config=None).model_dump_json().encode()
    fold.apply(subjects.configured(number), gone, 3)
    restored = restore(number, 3, dump(fold.partitions[number]), OsmOpeningHours)
    assert restored is not None
    again = Fold([restored], OsmOpeningHours)
    again.apply(subjects.configured(number), configured(config(), revision=3), 4)
    after = again.kept("branch")
    assert after is not None
    assert after.state.revision > before.state.revision >= 2


@pytest.mark.parametrize(
    "reading",
    [
        {"kind": "closing", "library": "branch", "until": "9999-12-31T00:00:00Z", "reason": ""},
        {"kind": "notice", "library": "branch", "until": "9999-12-31T23:59:59Z", "text": "x"},
        {
            "kind": "gate_count",
            "library": "branch",
            "gate": "front",
            "entries": 1,
            "exits": 0,
            "time": "9999-12-31T00:00:00Z",
        },
        {
            "kind": "gate_count",
            "library": "branch",
            "gate": "front",
            "entries": 1,
            "exits": 0,
            "start": "0001-01-01T00:00:00Z",
        },
    ],
)
def test_a_time_beyond_the_calendar_in_the_log_is_malformed_not_a_crash(reading: dict[str, Any]) -> None:
    fold = empty_fold()
    number = subjects.partition_of("branch")
    fold.apply(subjects.configured(number), configured(config()), 1)
    body = {"device": "front", "time": NOON.isoformat(), "id": "r", **reading}
    with pytest.raises(MalformedMessage):
        fold.apply(
            subjects.readings(number), json.dumps({"received_at": NOON.isoformat(), "readings": [body]}).encode(), 2
        )


@asynccontextmanager
async def running(server: BusServer, **more: Any) -> AsyncIterator[Readiness]:
    """Run an aggregator until the block ends, then stop it as a signal would."""
    settings = Settings(checkpoint_every_s=0.1, tick_every_s=0.5, **more)
    readiness = Readiness()
    async with connected([server.url], settings_for(server, "aggregator").nats_seed, "aggregator", readiness) as bus:
        task = asyncio.create_task(aggregate(bus, settings, readiness))
        try:
            yield readiness
        finally:
            assert not task.done(), task.exception()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def eventually(bus: Bus, library: str, people: int | None, state: State = State.OPEN) -> PublicStatus:
    async with asyncio.timeout(10):
        while True:
            entry = await bus.bucket(subjects.STATUS).get(library)
            status = PublicStatus.model_validate_json(entry.value) if entry else None
            found = status.people.value if status and status.people else None
            if status is not None and found == people and status.state is state:
                return status
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("operator")
async def test_a_stop_is_heard_at_any_moment_of_the_start(bus_server: BusServer) -> None:
    for moment in range(12):
        seed = settings_for(bus_server, "aggregator").nats_seed
        async with connected([bus_server.url], seed, "aggregator") as bus, asyncio.timeout(20):
            task = asyncio.create_task(aggregate(bus, Settings(), Readiness()))
            await asyncio.sleep(0.004 * moment)  # the loading of 64 checkpoints takes some forty milliseconds
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


async def test_a_reading_on_the_bus_becomes_a_public_status_and_a_change(operator: Bus, bus_server: BusServer) -> None:
    await operator.bucket(subjects.LIBRARIES).put("branch", config().model_dump_json(by_alias=True).encode())
    async with running(bus_server):
        await eventually(operator, "branch", None, State.UNKNOWN)
        at = datetime.now(UTC)
        await operator.publish(subjects.readings(subjects.partition_of("branch")), pack(heads(40), at=at))
        status = await eventually(operator, "branch", 40)
    assert status.sentences["en"].shortest
    changes = await changes_of(operator, "branch")
    assert [change.status.state for change in changes.values()] == [State.UNKNOWN, State.OPEN]


async def test_a_configuration_applied_while_running_is_taken_and_a_removed_library_disappears(
    operator: Bus, bus_server: BusServer
) -> None:
    libraries = operator.bucket(subjects.LIBRARIES)
    async with running(bus_server):
        await libraries.put("branch", config().model_dump_json(by_alias=True).encode())
        await eventually(operator, "branch", None, State.UNKNOWN)
        await libraries.put("branch", b'{"broken": true}')
        await libraries.put("branch", config(opening_hours="off").model_dump_json(by_alias=True).encode())
        await eventually(operator, "branch", None, State.CLOSED)
        await libraries.delete("branch")
        async with asyncio.timeout(10):
            while await operator.bucket(subjects.STATUS).get("branch") is not None:
                await asyncio.sleep(0.02)


async def test_a_malformed_message_becomes_a_dead_letter_and_the_next_is_applied(
    operator: Bus, bus_server: BusServer
) -> None:
    await operator.bucket(subjects.LIBRARIES).put("branch", config().model_dump_json(by_alias=True).encode())
    subject = subjects.readings(subjects.partition_of("branch"))
    async with running(bus_server):
        await eventually(operator, "branch", None, State.UNKNOWN)
        await operator.publish(subject, b"not a pack")
        await operator.publish(subject, pack(heads(12), at=datetime.now(UTC)))
        await eventually(operator, "branch", 12)
    info = await operator.jetstream.stream_info(subjects.DEAD)
    assert info.state.messages == 1


async def test_a_full_archive_does_not_stop_the_present(operator: Bus, bus_server: BusServer) -> None:
    stream = subjects.bucket_stream(subjects.HISTORY)
    info = await operator.jetstream.stream_info(stream)
    original = info.config.max_bytes
    info.config.max_bytes = 1
    await operator.jetstream.update_stream(info.config)
    await operator.bucket(subjects.LIBRARIES).put("branch", config().model_dump_json(by_alias=True).encode())
    subject = subjects.readings(subjects.partition_of("branch"))
    try:
        async with running(bus_server):
            late = datetime.now(UTC) - timedelta(hours=23)
            count = {"kind": "gate_count", "library": "branch", "gate": "front", "entries": 5, "exits": 0, "id": "late"}
            await operator.publish(subject, pack({**count, "time": late.isoformat()}, at=datetime.now(UTC)))
            await operator.publish(subject, pack(heads(12), at=datetime.now(UTC)))
            await eventually(operator, "branch", 12)
    finally:
        info.config.max_bytes = original
        await operator.jetstream.update_stream(info.config)


async def test_two_aggregators_share_the_partitions_and_each_library_has_one_writer(
    operator: Bus, bus_server: BusServer
) -> None:
    names = [f"branch-{number}" for number in range(6)]
    assert len({subjects.partition_of(name) % 2 for name in names}) == 2
    for name in names:
        await operator.bucket(subjects.LIBRARIES).put(name, config(name).model_dump_json(by_alias=True).encode())
    async with running(bus_server, ordinal=0, replicas=2), running(bus_server, ordinal=1, replicas=2):
        for name in names:
            await eventually(operator, name, None, State.UNKNOWN)
    for name in names:
        assert len(await changes_of(operator, name)) == 1
    owned = [set(Settings(ordinal=ordinal, replicas=3).partitions) for ordinal in range(3)]
    assert set.union(*owned) == set(range(subjects.PARTITIONS))
    assert sum(map(len, owned)) == subjects.PARTITIONS


@pytest.mark.parametrize(("ordinal", "replicas"), [(1, 1), (2, 2), (5, 3)])
def test_an_ordinal_beyond_the_replicas_is_refused(ordinal: int, replicas: int) -> None:
    """`kubectl scale` alone would make one: it would own what another one owns already."""
    with pytest.raises(ValueError, match="PLACELIBRE_REPLICAS has to be the number of aggregators"):
        Settings(ordinal=ordinal, replicas=replicas)


async def test_a_restart_goes_on_where_the_checkpoint_ends(operator: Bus, bus_server: BusServer) -> None:
    await operator.bucket(subjects.LIBRARIES).put("branch", config().model_dump_json(by_alias=True).encode())
    subject = subjects.readings(subjects.partition_of("branch"))
    async with running(bus_server):
        await operator.publish(subject, pack(heads(40), at=datetime.now(UTC)))
        await eventually(operator, "branch", 40)
    at = datetime.now(UTC)
    count = {"kind": "gate_count", "library": "branch", "gate": "front", "entries": 5, "exits": 0, "id": "later"}
    later = at + timedelta(minutes=1)
    await operator.publish(subject, pack(count, at=later))
    async with running(bus_server):
        await eventually(operator, "branch", 45)
