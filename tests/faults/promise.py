"""The promise, as questions that every fault is followed by, and the load under which it is broken.

A run has several senders at once, each with a gate of its own, that repeat a request until it is acknowledged, as
devices do; somebody who looks at the public page all the time; and an account on a server that would show a post made
twice. After the faults `keeps_its_promise` asks: is every acknowledged reading in the log exactly once, and in what the
aggregator has applied by its own checkpoint; does the log give the same statuses, changes and days again; does the
auditor, where one runs, find no difference and no loss; is nothing said twice; has nobody been shown an old figure as a
new one.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

import httpx

from services.aggregator.checkpoint import Manifest
from services.aggregator.fold import Fold, Partition
from services.auditor.applied import applied
from services.auditor.report import RECONCILIATION, Reconciliation
from shared.contracts import subjects
from shared.contracts.status import DayHistory, PublicStatus, StatusChanged
from shared.domain.library_state import Totals
from shared.domain.status import Change
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogMessage, LogReader
from shared.runtime.opening_hours import OsmOpeningHours
from shared.runtime.wording import sentences_for
from tests.fakes.mastodon import DIALECTS, TOKEN, FakeMastodon, running
from tests.house import House, changes_of, status_of

SECRET: Final = "made-up-secret"
REST_S: Final = 240.0
"""For everything to come to rest after a fault: an intent in hand when the bus died comes again after its 60 s."""
READY_AGAIN_S: Final = 120.0
"""For all services to be ready after the last fault: a half-open connection is noticed after 30 s, and a log may have
to be read on from its checkpoint. Stated generously, for a machine that does other things as well."""
DESCRIPTORS_MORE: Final = 12
"""Open files that a service may have more after the faults than before: connections kept for a while by clients."""
MEMORY_MORE_MIB: Final = 64
"""Resident memory that a service may have more: what a Python process keeps of a burst."""
NEWS_EVERY_S: Final = 2.0
"""A post or an edit each time, within a day's budget of 200 over the longest run."""
PATIENCE_S: Final = 12.0
"""A request's: more than ingest takes to give up on the bus."""


def library(name: str, server: str = "") -> dict[str, Any]:
    """Return a library with one gate and two keys: its door's and its staff's; it posts where a server is named."""
    digest = sha256(SECRET.encode()).hexdigest()
    channels: list[dict[str, Any]] = [{"type": "console", "min_interval_min": 0, "daily_budget": 200}]
    if server:
        rule = {"min_interval_min": 0, "daily_budget": 200, "quiet_hours": "", "languages": ["en"]}
        channels.append({"type": "mastodon", "account": "bib", "server": server, **rule})
    return {
        "id": name,
        "name": name.capitalize(),
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 2000,
        "small_numbers_below": 0,  # what is told is what was counted, and can be held against it
        "gates": [{"id": "door", "silent_after_min": 30}],
        "keys": [
            {"id": f"{name}-box", "sha256": digest, "device": f"{name}-box", "role": "gate"},
            {"id": f"{name}-desk", "sha256": digest, "device": f"{name}-desk", "role": "staff"},
        ],
        "channels": channels,
    }


@dataclass(slots=True)
class Tally:
    """What one gate has sent, has had acknowledged, and was told meanwhile."""

    sent: list[tuple[int, int]] = field(default_factory=list)
    """Entries and exits by sequence."""
    acknowledged: int = 0
    """Sequences below this one are acknowledged."""
    answers: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def total(self, upto: int | None = None) -> tuple[int, int]:
        """Return the sum of entries and exits of the first readings, or of all."""
        part = self.sent[:upto]
        return sum(each[0] for each in part), sum(each[1] for each in part)


@dataclass
class Load:
    """Several senders, each of one library's gate; every request is repeated until a 202."""

    house: House
    libraries: tuple[str, ...]
    seed: int
    pause_s: float = 0.05
    tallies: dict[str, Tally] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin to send."""
        for name in self.libraries:
            tally = self.tallies.setdefault(name, Tally())
            self._tasks.append(asyncio.create_task(self._door(name, tally, Random(f"{self.seed}-{name}"))))
        self._tasks.append(asyncio.create_task(self._desk(self.libraries[0])))

    async def stop(self) -> None:
        """End when everything that was sent is acknowledged."""
        self._stop.set()
        async with asyncio.timeout(120):
            await asyncio.gather(*self._tasks)

    async def end(self) -> None:
        """End at once, whatever is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def acknowledged(self) -> int:
        """Readings of gates acknowledged by now."""
        return sum(tally.acknowledged for tally in self.tallies.values())

    @property
    def answers(self) -> Counter[str]:
        """Every answer by its status, and failures of the line by their name."""
        return sum((tally.answers for tally in self.tallies.values()), Counter[str]())

    async def _door(self, name: str, tally: Tally, rng: Random) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            while not self._stop.is_set():
                readings = []
                for _ in range(rng.choice((1, 1, 2, 5))):
                    counts = (rng.randint(0, 4), rng.randint(0, 3))
                    readings.append(_count(name, len(tally.sent), counts))
                    tally.sent.append(counts)
                began = monotonic()
                await self._until_acknowledged(client, f"{name}-box", readings, tally.answers, rng)
                tally.longest_s = max(tally.longest_s, monotonic() - began)
                tally.acknowledged = len(tally.sent)
                await asyncio.sleep(self.pause_s * rng.uniform(0.5, 1.5))

    async def _desk(self, name: str) -> None:
        """Count heads once, so that something is known, and then put up one notice after the other: news each time."""
        number, rng = 0, Random(f"{self.seed}-desk")
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            while not self._stop.is_set():
                at = datetime.now(UTC)
                said = {"library": name, "sequence": number, "boot": "b1", "time": at.isoformat()}
                if number == 0:
                    said |= {"kind": "head_count", "people": 100}
                else:
                    until = (at + timedelta(hours=1)).isoformat()
                    said |= {"kind": "notice", "text": f"Notice {number}", "until": until}
                await self._until_acknowledged(client, f"{name}-desk", [said], Counter(), rng)
                number += 1
                await asyncio.sleep(NEWS_EVERY_S)

    async def _until_acknowledged(
        self, client: httpx.AsyncClient, key: str, readings: list[dict[str, Any]], answers: Counter[str], rng: Random
    ) -> None:
        headers = {"Authorization": f"Bearer {key}.{SECRET}"}
        while True:
            try:
                url = f"{self.house.url('ingest')}/v1/readings"
                answer = await client.post(url, json=readings, headers=headers)
            except httpx.TransportError as error:
                answers[type(error).__name__] += 1
            else:
                answers[str(answer.status_code)] += 1
                if answer.status_code == 202:
                    return
                # 401 while the configuration is on its way to an ingest that has just begun.
                assert answer.status_code in {401, 503}, answer.text
                assert answer.status_code == 401 or "retry-after" in answer.headers
            await asyncio.sleep(rng.uniform(0.1, 0.3))


def _count(name: str, sequence: int, counts: tuple[int, int]) -> dict[str, Any]:
    fields = {"kind": "gate_count", "library": name, "gate": "door", "boot": "b1", "sequence": sequence}
    return {**fields, "time": datetime.now(UTC).isoformat(), "entries": counts[0], "exits": counts[1]}


@dataclass
class Onlooker:
    """Somebody who asks the api for a library's status all the time, and looks at how old it is."""

    house: House
    library: str
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
            while True:
                await asyncio.sleep(0.25)
                try:
                    answer = await client.get(f"{self.house.url('api')}/v1/libraries/{self.library}")
                except httpx.TransportError as error:
                    self.seen[type(error).__name__] += 1
                    continue
                if answer.status_code != 200:
                    self.seen[str(answer.status_code)] += 1
                    continue
                self._judge(answer.json())

    def _judge(self, status: dict[str, Any]) -> None:
        late_s = (datetime.now(UTC) - datetime.fromisoformat(status["valid_until"])).total_seconds()
        self.seen["expired" if status["expired"] else "current"] += 1
        if status["expired"] and status["people"] is not None:
            self.faults.append("an expired status has a figure")
        if late_s > 2 and not status["expired"]:  # 2 s: the answer's own way here, on a machine that is busy
            self.faults.append(f"shown {late_s:.1f} s after {status['valid_until']}")


@dataclass(frozen=True, slots=True)
class Weight:
    """What a process holds."""

    descriptors: int
    memory_mib: float

    @classmethod
    def of(cls, pid: int) -> Weight:
        """Ask the kernel."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return cls(len(list(Path(f"/proc/{pid}/fd").iterdir())), resident / 1024)


def weights(house: House) -> dict[int, Weight]:
    """Return what each service holds now, by its process."""
    return {process.pid: Weight.of(process.pid) for name, process in house.processes.items() if name in house.ports}


async def ready_again(house: House) -> float:
    """Wait until every service is ready and stays so; return the seconds that took. Fails after READY_AGAIN_S."""
    began = monotonic()
    async with asyncio.timeout(READY_AGAIN_S):
        for name in (each for each in house.processes if each in house.ports):
            await house.ready(name)
    return monotonic() - began


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found when the promise was kept."""

    acknowledged: int
    refused: int
    changes: int
    posts: int


async def keeps_its_promise(
    house: House, load: Load, server: FakeMastodon | None = None, onlooker: Onlooker | None = None
) -> Kept:
    """Ask everything of a house whose faults are over and whose senders have ended; the aggregator starts anew."""
    await ready_again(house)
    for name, tally in load.tallies.items():
        assert tally.acknowledged == len(tally.sent), f"{name} was not acknowledged in the end"
    async with house.operator() as bus:
        await at_rest(house, bus)
        all_of_it = await bus.last_sequence(subjects.READINGS)
        again = await compared_with_its_log(house, bus, load)
        if "auditor" in house.processes:
            await the_auditor_agrees(house, bus, load, all_of_it)
        if server is not None:
            await said_once(bus, server)
    newest_last(house.printed("publisher"))
    if onlooker is not None:
        await onlooker.stop()
        assert not onlooker.faults, onlooker.faults[:5]
        assert onlooker.seen["current"] > 0
    refused = sum(count for answer, count in load.answers.items() if answer != "202")
    return Kept(load.acknowledged, refused, len(again.changes), 0 if server is None else len(server.posts))


async def at_rest(house: House, bus: Bus) -> None:
    """Wait until the log is applied, every change decided on and every post delivered."""

    async def is_at_rest() -> bool:
        last = await bus.last_sequence(subjects.READINGS)
        if await house.metric("aggregator", "placelibre_aggregator_applied_sequence") < last:
            return False
        changes = await bus.jetstream.consumer_info(subjects.CHANGES, subjects.CHANGES_DURABLE)
        posts = await bus.jetstream.stream_info(subjects.POSTS)
        return not (changes.num_pending or changes.num_ack_pending or posts.state.messages)

    async with asyncio.timeout(REST_S):
        while not await is_at_rest():  # a tick comes each second, so this catches a moment between two
            await asyncio.sleep(0.05)


async def end(house: House, name: str) -> None:
    """End one service by SIGTERM."""
    process = house.processes.pop(name)
    process.terminate()
    await asyncio.to_thread(process.wait, 30)


@dataclass(slots=True)
class Again:
    """What the log comes to when it is read from its beginning, as an aggregator would make it public."""

    fold: Fold
    changes: list[Change] = field(default_factory=list)
    days: dict[str, DayHistory] = field(default_factory=dict)
    """As of the message that had them stored, by the key in HISTORY."""

    def take(self, message: LogMessage) -> None:
        """Apply one more message."""
        effects = self.fold.apply(message.subject, message.data, message.sequence)
        for library, outcome in effects.outcomes:
            self.changes += outcome.changes
            kept = self.fold.kept(library)
            assert kept is not None
            for date, day in outcome.days.items():
                key = subjects.history_key(library, date)
                self.days[key] = DayHistory.of(library, date, day, kept.library.time_zone)


async def folded(bus: Bus, upto: int) -> Again:
    """Read the log from its beginning to a sequence."""
    again = Again(Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours))
    filters = [subjects.ANY_READINGS, subjects.CONFIGURED_ANY, subjects.TICKS]
    async for batch in LogReader(bus, subjects.READINGS, filters).batches():
        for message in batch.messages:
            if message.sequence <= upto:
                again.take(message)
        if batch.is_caught_up:
            return again
    raise AssertionError


TRIES: Final = 4
"""An aggregator that is told to end in the middle of a batch has made some of it public and leaves no checkpoint of
it: then there is nothing to compare, and it has to be ended at a better moment."""


async def compared_with_its_log(house: House, bus: Bus, load: Load) -> Again:
    """Assert that the aggregator has taken in what was acknowledged, and made public what its log gives once more.

    Three are held against each other, for each gate: what the sender was told is stored, what the log comes to when it
    is read by nobody but this test, and what stands in the checkpoint that the aggregator itself has left.
    """
    for attempt in range(1, TRIES + 1):
        await end(house, "aggregator")  # in good order: its last checkpoint says up to where it came
        again = await folded(bus, await covered(bus))
        try:
            for name, tally in load.tallies.items():
                kept = again.fold.kept(name)
                assert kept is not None, f"the log does not know {name}"
                assert counted(kept.state.totals) == tally.total(), f"{name}: the log is not what was acknowledged"
                state = await checkpointed(bus, name)
                assert counted(state) == tally.total(), f"{name}: what was applied is not what was acknowledged"
                assert state.applied == kept.state.totals.applied, f"{name}: readings applied, and in the log"
                await same_in_public(bus, again, name)
        except AssertionError:
            if attempt == TRIES:
                raise
        else:
            return again
        finally:
            await house.start("aggregator")
        await at_rest(house, bus)
    raise AssertionError


async def covered(bus: Bus) -> int:
    """Return up to where the newest checkpoint of any partition covers the log."""
    bucket = bus.bucket(subjects.CHECKPOINTS)
    entries = [await bucket.get(subjects.checkpoint_key(number)) for number in range(subjects.PARTITIONS)]
    return max(Manifest.model_validate_json(entry.value).covered for entry in entries if entry is not None)


async def checkpointed(bus: Bus, library: str) -> Totals:
    """Return what the aggregator says in its newest checkpoint that has become of a library's readings."""
    found = await applied(bus, subjects.partition_of(library))
    assert found is not None, f"no checkpoint of {library} can be read"
    return found.libraries[library][2].totals


def counted(totals: Totals) -> tuple[int, int]:
    """Return the entries and exits of a library; each has one gate here, so these are the gate's."""
    assert totals.too_late == totals.ignored == 0
    return totals.entries, totals.exits


async def the_auditor_agrees(house: House, bus: Bus, load: Load, upto: int) -> None:
    """Assert that the auditor has counted the same once it has come to `upto`, and that the bus has lost nothing."""
    messages = (await bus.jetstream.stream_info(subjects.READINGS)).state.messages
    async with asyncio.timeout(REST_S):
        while (report := await reconciled(bus, upto, load)) is None:
            await asyncio.sleep(0.1)
        while await house.metric("auditor", "placelibre_bus_stream_messages", stream=subjects.READINGS) < messages:
            await asyncio.sleep(0.1)
    for each in report.libraries:
        assert each.is_right, f"the auditor counts otherwise than the aggregator: {each}"
        if each.library not in load.tallies:
            continue
        total = load.tallies[each.library].total()
        assert (each.log_entries, each.log_exits) == total, f"{each.library}: the auditor counts other people"
        assert each.gates == {"door": total}, f"{each.library}: the auditor counts others at the gate"
    figures = await gauges(house, "auditor")
    for name in ("placelibre_reconciliation_difference", "placelibre_bus_stream_lost_messages"):
        said = {line: value for line, value in figures.items() if line.startswith(f"{name}{{")}
        assert said, f"the auditor does not say {name}"
        assert not any(said.values()), f"the auditor's false alarm, or a true one: {said}"


async def reconciled(bus: Bus, upto: int, load: Load) -> Reconciliation | None:
    """Return the auditor's last comparison, once it goes up to a sequence for every library that was sent to."""
    entry = await bus.bucket(subjects.AUDITOR).get(RECONCILIATION)
    if entry is None:
        return None
    report = Reconciliation.model_validate_json(entry.value)
    reached = {each.library for each in report.libraries if each.sequence >= upto}
    return report if reached >= load.tallies.keys() else None


async def gauges(house: House, service: str) -> dict[str, float]:
    """Return every line of a service's metrics, with its labels, and its figure."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        text = (await client.get(f"{house.url(service)}/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def same_in_public(bus: Bus, again: Again, library: str) -> None:
    """Assert that a library's status, changes and days on the bus are those that the log gives once more."""
    kept = again.fold.kept(library)
    assert kept is not None
    assert kept.state.status is not None
    wording = kept.library.wording
    status = PublicStatus.of(kept.state.status, sentences_for(kept.state.status, wording=wording))
    told = await status_of(bus, library)
    other = {name: (value, getattr(status, name)) for name, value in told if value != getattr(status, name)}
    assert not other, f"{library}: the log gives another status (told, by the log): {other}"
    changes = {
        change.status.revision: StatusChanged.of(change, sentences_for(change.status, wording=wording))
        for change in again.changes
        if change.library == library
    }
    assert await changes_of(bus, library) == changes, f"{library}: the log gives other changes"
    history = bus.bucket(subjects.HISTORY)
    keys = await history.keys(f"{library}.")
    assert keys == sorted(key for key in again.days if key.startswith(f"{library}.")), f"{library}: other days"
    for key in keys:
        entry = await history.get(key)
        assert entry is not None
        day, least = DayHistory.model_validate_json(entry.value), again.days[key]
        most = DayHistory.of(library, least.date, kept.state.days[least.date], kept.library.time_zone)
        assert day.samples == least.samples, f"{key}: the log gives another curve"
        # A day is stored after the batch that it was due in, with what the rest of that batch has brought.
        assert least.entries <= day.entries <= most.entries, f"{key}: the log gives other entries"
        assert least.exits <= day.exits <= most.exits, f"{key}: the log gives other exits"


async def said_once(bus: Bus, server: FakeMastodon) -> None:
    """Assert that no post stands on the server twice, and that there are some.

    By the key under which each was sent, and by what it said: a change that was decided on twice would have two keys,
    but the same words, and no two changes here have the same: each notice has its number, each library closes once.
    """
    keys = Counter(each.headers.get("idempotency-key", "") for each in server.asked("POST", "/api/v1/statuses"))
    assert keys, "nothing was said at all"
    assert server.made == len(keys), f"{server.made} posts were made of {len(keys)}: {keys.most_common(3)}"
    said = Counter(post.versions[0] for post in server.posts)
    assert said, "nothing stands on the server"
    twice = {text: count for text, count in said.items() if count > 1}
    assert not twice, f"said more than once: {twice}"
    dead = await bus.jetstream.stream_info(subjects.DEAD, subjects_filter=">")
    given_up = [each for each in dead.state.subjects or {} if subjects.is_given_up(each)]
    assert not given_up, f"something was given up on: {given_up}"


def newest_last(lines: Sequence[str]) -> None:
    """Assert that nothing was said on the console after something newer of the same library, but that much was said."""
    said: dict[str, int] = {}
    for line in lines:
        found = re.search(r"  (\w+) · console · .* Notice (\d+)", line)
        if found is not None:
            assert int(found[2]) >= said.get(found[1], 0), f"said after Notice {said[found[1]]}: {line}"
            said[found[1]] = int(found[2])
    assert said, f"no notice was said on the console, or in other words than these: {lines[-3:]}"


@asynccontextmanager
async def account(home: Path) -> AsyncIterator[FakeMastodon]:
    """Run a server that shows whatever is sent twice, and lay its secret where the publisher looks."""
    secrets = home / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "mastodon-bib").write_text(TOKEN)
    async with running(FakeMastodon(dialect=DIALECTS["gotosocial"])) as server:
        yield server


def settles(before: dict[int, Weight], house: House) -> str:
    """Assert that services that ran all along hold little more than before; return the most that any grew."""
    now = weights(house)
    grown = [(now[pid], weight) for pid, weight in before.items() if pid in now]
    assert grown, "no service has outlived the faults"
    descriptors = max(after.descriptors - weight.descriptors for after, weight in grown)
    memory = max(after.memory_mib - weight.memory_mib for after, weight in grown)
    assert descriptors <= DESCRIPTORS_MORE, f"{descriptors} open files more than before the faults"
    assert memory <= MEMORY_MORE_MIB, f"{memory:.0f} MiB more than before the faults"
    return f"{descriptors:+d} files, {memory:+.0f} MiB"
