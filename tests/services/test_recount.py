"""The second count of the log: exactly the aggregator's figures on any day, and a difference wherever one is made."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.aggregator.checkpoint import dump
from services.aggregator.fold import Fold, MalformedMessage, Partition
from services.auditor.applied import understood
from services.auditor.recount import Figures, Gone, Part, Purge, Recount, adopted
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Configured, GateCount, Pack, Tick
from shared.runtime.opening_hours import OsmOpeningHours

BEGIN = datetime(2026, 3, 28, 5, tzinfo=UTC)
"""The day before the clocks go forward in Europe."""
BROKEN = b"{not a pack"
LIBRARIES = ("bpi", "bnf", "mazarine")


def library(name: str, *gates: str, clock: str = "wall") -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "time_zone": "Europe/Paris",
        "opening_hours": "Mo-Su 09:00-22:00",
        "capacity": 300,
        "clock": clock,
        "gates": [
            {"id": gate, "from": "outside", "to": "inside"}
            if number % 2 == 0
            else {"id": gate, "from": "inside", "to": "outside"}
            for number, gate in enumerate(gates)
        ],
    }


@dataclass
class Log:
    """A log as the bus would hold it, and what was in it."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def configure(self, name: str, revision: int, at: datetime, config: dict[str, Any] | None) -> None:
        full = None
        if config is not None:
            full = LibraryConfig.model_validate(config).model_dump(mode="json", by_alias=True)
        body = Configured(library=name, revision=revision, at=at, config=full)
        self.messages.append((subjects.configured(subjects.partition_of(name)), body.model_dump_json().encode()))

    def tick(self, at: datetime) -> None:
        self.messages.append((subjects.TICKS, Tick(at=at).model_dump_json().encode()))

    def pack(self, at: datetime, readings: list[dict[str, Any]]) -> None:
        by_partition: dict[int, list[dict[str, Any]]] = {}
        for reading in readings:
            by_partition.setdefault(subjects.partition_of(reading["library"]), []).append(reading)
        for number, own in by_partition.items():
            pack = Pack.model_validate_json(json.dumps({"received_at": at.isoformat(), "readings": own}))
            self.messages.append((subjects.readings(number), pack.model_dump_json(exclude_none=True).encode()))


@dataclass
class Devices:
    """What counters at the gates of one library say in the course of days, with everything that goes wrong there."""

    name: str
    dice: random.Random
    sequence: int = 0
    boot: int = 1
    registers: dict[str, int] = field(default_factory=lambda: {"entries": 4000, "exits": 3900})
    sent: list[dict[str, Any]] = field(default_factory=list)
    held: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def minute(self, at: datetime) -> list[dict[str, Any]]:
        dice = self.dice
        made = list(self._made(at))
        due = [reading for when, reading in self.held if when <= at]
        self.held = [(when, reading) for when, reading in self.held if when > at]
        out = []
        for reading in made:
            if dice.random() < 0.06:  # the line is down: minutes, hours, or longer than anybody waits
                late = timedelta(minutes=dice.choice((2, 5, 80, 600, 1500)))
                self.held.append((at + late, reading))
            else:
                out.append(reading)
        out += due
        if self.sent and dice.random() < 0.2:
            out += dice.sample(self.sent[-300:], k=min(3, len(self.sent)))  # doubles, of now or of hours ago
        self.sent += out
        dice.shuffle(out)
        return out

    def _made(self, at: datetime) -> Iterator[dict[str, Any]]:
        dice = self.dice
        if dice.random() < 0.002:
            self.boot, self.sequence = self.boot + 1, 0
        common = {"library": self.name, "time": at.isoformat()}
        for gate in ("north", "south", "nobody-knows"):
            self.sequence += 1
            yield common | {
                "kind": "gate_count",
                "id": f"{self.name}-{gate}-{self.boot}-{self.sequence}",
                "gate": gate,
                "device": f"{gate}-box",
                "entries": dice.randrange(4),
                "exits": dice.randrange(4),
                "boot": str(self.boot),
                "sequence": self.sequence,
            }
        yield common | {
            "kind": "gate_count",
            "id": f"{self.name}-byid-{at.timestamp():.0f}",
            "gate": "north",
            "device": "other-box",
            "entries": dice.randrange(3),
            "exits": dice.randrange(2),
        }
        for name in self.registers:
            self.registers[name] += dice.randrange(3)
        if dice.random() < 0.003:
            self.registers = {"entries": 0, "exits": 0}
        if dice.random() < 0.3:
            yield common | {
                "kind": "gate_total",
                "id": f"{self.name}-total-{at.timestamp():.0f}",
                "gate": "south",
                "device": "register",
                **self.registers,
            }
        if dice.random() < 0.01:
            yield common | {
                "kind": "head_count",
                "id": f"{self.name}-head-{at.timestamp():.0f}",
                "device": "tablet",
                "people": dice.randrange(200),
                "by": "ab",
            }


def days(seed: int, minutes: int) -> Log:
    """Return a log of some days of three libraries, one of which goes and comes back, and one is set up late."""
    dice = random.Random(seed)
    log = Log()
    devices = {name: Devices(name, dice) for name in LIBRARIES}
    log.configure("bpi", 1, BEGIN, library("bpi", "north", "south"))
    log.configure("bnf", 2, BEGIN, library("bnf", "north"))
    removed_at, back_at, late_at, mended_at = (int(minutes * share) for share in (0.4, 0.6, 0.1, 0.5))
    for minute in range(minutes):
        at = BEGIN + timedelta(minutes=minute, seconds=dice.random() * 20)
        if minute == late_at:  # after its devices have begun to send
            log.configure("mazarine", 3, at, library("mazarine", "north", "south", "nobody-knows"))
        if minute == removed_at:
            log.configure("bnf", 4, at, None)
        if minute == back_at:
            log.configure("bnf", 5, at, library("bnf", "north", "south"))
        if minute == mended_at:
            log.configure("bpi", 6, at, library("bpi", "north", "nobody-knows", "south"))
        for each in range(2):
            log.tick(at + timedelta(seconds=20 * each))
        readings = [reading for device in devices.values() for reading in device.minute(at)]
        for start in range(0, len(readings), 7):
            log.pack(at + timedelta(seconds=dice.random()), readings[start : start + 7])
        if dice.random() < 0.01:
            log.messages.append((subjects.readings(3), BROKEN))
    return log


def applied(log: Log, *, skipped: int = 0) -> Fold:
    """Return what the aggregator makes of a log, or would make of it if it passed a message over."""
    fold = Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours)
    for sequence, (subject, data) in enumerate(log.messages, start=1):
        if sequence != skipped:
            try:
                fold.apply(subject, data, sequence)
            except MalformedMessage:
                continue
        fold.covers(sequence)
    return fold


def forget_who_was_seen(fold: Fold) -> None:
    for kept in fold.all_kept():
        kept.state.seen.devices.clear()


def counted(log: Log) -> Recount:
    recount = Recount(OsmOpeningHours, {number: Part() for number in range(subjects.PARTITIONS)})
    upto = dict.fromkeys(recount.parts, len(log.messages))
    for sequence, (subject, data) in enumerate(log.messages, start=1):
        recount.take(subject, data, sequence, upto)
    return recount


def differences(fold: Fold, recount: Recount) -> dict[str, Figures]:
    found = {}
    for number, partition in fold.partitions.items():
        tallies = recount.parts[number].tallies
        assert set(tallies) == set(partition.libraries)
        for name, kept in partition.libraries.items():
            totals = kept.state.totals
            theirs = Figures(totals.applied, totals.entries, totals.exits, totals.in_gaps)
            found[name] = tallies[name].figures.less(theirs)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_two_hours_of_everything_that_goes_wrong_comes_to_the_same_twice(seed: int) -> None:
    log = days(seed, 120)

    fold, recount = applied(log), counted(log)

    assert differences(fold, recount) == dict.fromkeys(LIBRARIES, Figures())
    bpi = fold.kept("bpi")
    assert bpi is not None
    assert bpi.state.totals.entries > 250
    assert bpi.state.totals.duplicates > 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [11, 12])
def test_days_with_a_change_of_clocks_come_to_the_same_twice(seed: int) -> None:
    log = days(seed, 1700)

    fold, recount = applied(log), counted(log)

    assert differences(fold, recount) == dict.fromkeys(LIBRARIES, Figures())
    totals = [kept.state.totals for kept in fold.all_kept()]
    assert all(each.too_late for each in totals)
    assert all(each.duplicates for each in totals)


@pytest.fixture(scope="module")
def short() -> Log:
    return days(5, 45)


def a_pack_of(log: Log, name: str, *, after: int) -> int:
    """Return the sequence of a pack in which somebody came at a gate that everybody knows."""
    for sequence, (subject, data) in enumerate(log.messages, start=1):
        if sequence > after and subject.startswith("readings.") and data != BROKEN:
            for each in Pack.model_validate_json(data).readings:
                if isinstance(each, GateCount) and (each.library, each.gate) == (name, "north") and each.entries:
                    return sequence
    raise AssertionError(name)


def test_a_message_that_was_passed_over_shows(short: Log) -> None:
    lost = a_pack_of(short, "bpi", after=200)

    found = differences(applied(short, skipped=lost), counted(short))

    assert found["bpi"].readings > 0
    assert found["bpi"].entries > 0


def test_a_message_that_was_applied_twice_shows(short: Log) -> None:
    double = a_pack_of(short, "bpi", after=200)
    fold = applied(short)
    forget_who_was_seen(fold)
    for partition in fold.partitions.values():
        partition.covered = double - 1

    fold.apply(*short.messages[double - 1], double)

    found = differences(fold, counted(short))
    assert found["bpi"].readings < 0
    assert found["bpi"].entries < 0


def test_a_figure_that_was_changed_shows(short: Log) -> None:
    fold = applied(short)
    kept = fold.kept("bpi")
    assert kept is not None
    kept.state.totals.exits ^= 1 << 6

    assert abs(differences(fold, counted(short))["bpi"].exits) == 64


def test_counting_goes_on_from_what_was_applied(short: Log) -> None:
    half = len(short.messages) // 2
    parts = {}
    for number, partition in applied(Log(short.messages[:half])).partitions.items():
        state = understood(number, partition.covered, dump(partition))
        assert state is not None
        tallies = {name: adopted(*each) for name, each in state.libraries.items()}
        parts[number] = Part(half, tallies, state.waiting)
    recount = Recount(OsmOpeningHours, parts)
    for sequence, (subject, data) in enumerate(short.messages, start=1):
        recount.take(subject, data, sequence, dict.fromkeys(parts, len(short.messages)))

    found = differences(applied(short), recount)

    assert found == dict.fromkeys(found, Figures())


def test_a_configuration_is_the_same_in_the_log_and_in_a_checkpoint_with_a_channel_s_own_keys() -> None:
    said = {**library("bpi", "front"), "channels": [{"type": "ntfy", "topic": "bpi-live"}]}
    log, number = Log(), subjects.partition_of("bpi")
    log.configure("bpi", 1, BEGIN, said)
    recount = Recount(OsmOpeningHours, {number: Part()})
    fold = Fold([Partition(number)], OsmOpeningHours)
    for sequence, (subject, data) in enumerate(log.messages, start=1):
        recount.take(subject, data, sequence, {number: len(log.messages)})
        fold.apply(subject, data, sequence)
    applied = understood(number, 1, dump(fold.partitions[number]))
    assert applied is not None
    assert recount.parts[number].tallies["bpi"].config == applied.libraries["bpi"][1]
    assert applied.libraries["bpi"][1] == LibraryConfig.model_validate(said)


def test_readings_that_a_device_numbered_and_that_never_came_are_named() -> None:
    log = Log()
    log.configure("bpi", 1, BEGIN, library("bpi", "north"))
    for number in (*range(1, 40), *range(50, 101)):
        at = BEGIN + timedelta(seconds=number)
        reading: dict[str, Any] = {
            "kind": "gate_count",
            "library": "bpi",
            "id": f"r{number}",
            "gate": "north",
            "device": "box",
        }
        reading |= {"time": at.isoformat(), "entries": 1, "exits": 0, "boot": "a", "sequence": number}
        log.pack(at, [reading])

    (missing,) = counted(log).missing()

    assert (missing.library, missing.device, missing.missing, missing.numbered) == ("bpi", "box", 10, 100)


def test_what_is_gone_concerns_the_partitions_that_a_purge_names_and_else_all() -> None:
    dice = random.Random(7)
    for _ in range(300):
        end = dice.randint(5, 60)
        came = [each for each in range(1, end + 1) if dice.random() < 0.6]
        purges = tuple(
            Purge(dice.randint(0, end + 3), dice.choice([None, frozenset(), frozenset({1}), frozenset({1, 2})]))
            for _ in range(dice.randint(0, 3))
        )
        gone = Gone(dice.randint(0, end // 2), purges)
        upto = {number: dice.randint(0, end) for number in range(4)}
        begun = {number: dice.randint(0, end) for number in range(4)}
        recount = Recount(OsmOpeningHours, {number: Part(begun[number]) for number in range(4)})
        middle = dice.randint(0, end)

        recount.reach([each for each in came if each <= middle], middle, upto, gone)
        recount.reach([each for each in came if each > middle], end, upto, gone)

        for number, part in recount.parts.items():
            missing = [each for each in range(begun[number] + 1, upto[number] + 1) if each not in came]
            told = [each for each in missing if may_be_of(number, each, gone)]
            unexplained = [
                each
                for each in told
                if each >= gone.first
                and not any(each <= purge.up_to and purge.partitions != frozenset() for purge in purges)
            ]
            assert part.covered == max(begun[number], upto[number])
            assert (part.missing, part.unexplained) == (len(told), len(unexplained))


def may_be_of(number: int, sequence: int, gone: Gone) -> bool:
    """Say the same as the recount, sequence by sequence."""
    named = [each.partitions for each in gone.purges if sequence <= each.up_to and each.partitions != frozenset()]
    return sequence < gone.first or not named or any(each is None or number in each for each in named)
