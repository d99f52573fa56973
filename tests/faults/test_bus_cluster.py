"""Three real nodes under load: killed, isolated, parted, paused, slowed, restarted. Nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final

import pytest

from shared.contracts import subjects
from shared.runtime.provision import provision
from tests.faults.cluster import NODES, Cluster, Namespaces, network, replicated
from tests.faults.figures import note
from tests.faults.promise import Load, Onlooker, account, end, keeps_its_promise, library, ready_again, settles, weights
from tests.faults.replicas import Copy, copy_of

LONGER_THAN_AN_ELECTION_S: Final = 11.0
"""A follower that hears nothing calls an election after four to nine seconds."""
NO_QUORUM_S: Final = 8.0
REFUSED_S: Final = 60.0
"""For a refusal to reach every sender: one that had to wait for its line's end has to try again first."""
LIBRARIES: Final = ("north", "south", "east", "west")
SEEDS: Final = (7, 71, 717)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

Fault = Callable[[Cluster, Load, Random], Awaitable[None]]
_done: list[tuple[int, int, int, int]] = []
"""Of each seed that held: faults, acknowledged readings, answers that were no 202, posts."""


async def kill_leader(house: Cluster, _load: Load, _rng: Random) -> None:
    await killed(house, await house.leader())


async def kill_follower(house: Cluster, _load: Load, rng: Random) -> None:
    leader = await house.leader()
    await killed(house, rng.choice([node for node in NODES if node != leader]))


async def kill_meta_leader(house: Cluster, _load: Load, _rng: Random) -> None:
    await killed(house, await house.has_leader())


async def killed(house: Cluster, node: int) -> None:
    await house.kill(f"bus-{node}")
    await asyncio.sleep(4)
    house.start_node(node)


async def kill_two(house: Cluster, load: Load, rng: Random) -> None:
    victims = rng.sample(NODES, 2)
    for node in victims:
        await house.kill(f"bus-{node}")
    await asyncio.sleep(0.5)  # for answers that are on their way
    acknowledged, answers = load.acknowledged, load.answers
    await asyncio.sleep(NO_QUORUM_S)
    async with asyncio.timeout(REFUSED_S):
        while (load.answers - answers)["503"] < len(LIBRARIES):
            await asyncio.sleep(0.1)
    assert load.acknowledged == acknowledged, "one node of three cannot promise anything"
    assert (load.answers - answers)["202"] == 0
    for node in victims:
        house.start_node(node)


async def isolate_leader(house: Cluster, _load: Load, _rng: Random) -> None:
    await isolated(house, await house.leader())


async def isolate_follower(house: Cluster, _load: Load, rng: Random) -> None:
    leader = await house.leader()
    await isolated(house, rng.choice([node for node in NODES if node != leader]))


async def isolated(house: Cluster, node: int) -> None:
    house.network.isolate(node)
    await asyncio.sleep(LONGER_THAN_AN_ELECTION_S)
    house.network.heal()


async def part_a_pair(house: Cluster, _load: Load, rng: Random) -> None:
    leader = await house.leader()
    house.network.part(leader, rng.choice([node for node in NODES if node != leader]))
    await asyncio.sleep(LONGER_THAN_AN_ELECTION_S)
    house.network.heal()


async def part_one_way(house: Cluster, _load: Load, rng: Random) -> None:
    leader = await house.leader()
    other = rng.choice([node for node in NODES if node != leader])
    house.network.part(leader, other, both_ways=not house.network.can_part_one_way)
    await asyncio.sleep(LONGER_THAN_AN_ELECTION_S)
    house.network.heal()


async def pause_leader(house: Cluster, _load: Load, _rng: Random) -> None:
    leader = await house.leader()
    house.signal_node(leader, signal.SIGSTOP)
    await asyncio.sleep(LONGER_THAN_AN_ELECTION_S)
    house.signal_node(leader, signal.SIGCONT)


async def slow_node(house: Cluster, _load: Load, rng: Random) -> None:
    """A node that runs a third of the time: every answer of it is late, and it is never quite away."""
    node = rng.choice(NODES)
    for _ in range(40):
        house.signal_node(node, signal.SIGSTOP)
        await asyncio.sleep(0.15)
        house.signal_node(node, signal.SIGCONT)
        await asyncio.sleep(0.07)


async def rolling_restart(house: Cluster, _load: Load, rng: Random) -> None:
    for node in rng.sample(NODES, 3):
        await house.retire_node(node)
        house.start_node(node)
        await house.whole()


FAULTS: Final[tuple[Fault, ...]] = (
    kill_leader,
    kill_follower,
    kill_meta_leader,
    kill_two,
    isolate_leader,
    isolate_follower,
    part_a_pair,
    part_one_way,
    pause_leader,
    slow_node,
    rolling_restart,
)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_cluster_keeps_the_promise_through_every_fault(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    faults = rng.sample(FAULTS, len(FAULTS))
    names = [each.__name__ for each in faults]
    print(f"seed {seed}: {', '.join(names)}")
    async with account(tmp_path) as server, network() as net:
        house = Cluster(tmp_path, net, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        load, onlooker = Load(house, LIBRARIES, seed), Onlooker(house, LIBRARIES[0])
        try:
            await house.start("ingest", "aggregator", "publisher", "api")
            await house.apply(library(LIBRARIES[0], server.base), *(library(name) for name in LIBRARIES[1:]))
            load.start()
            onlooker.start()
            await house_goes_on(load)
            before = weights(house)
            for fault in faults:
                print(f"  {fault.__name__}: {load.acknowledged} acknowledged before", flush=True)
                await fault(house, load, rng)
                await house.whole()  # so that each fault meets a cluster that could bear it
                print(f"    ready again {await ready_again(house):.1f} s after the cluster", flush=True)
                await house_goes_on(load)
            await load.stop()
            kept = await keeps_its_promise(house, load, server, onlooker)
            grown = settles(before, house)
            print(f"seed {seed}: {kept}, grown {grown}, answers {dict(load.answers)}, seen {dict(onlooker.seen)}")
            for name in [each for each in house.processes if each in house.ports]:
                await end(house, name)
            await house.whole()
            await agree(house)
            _done.append((len(faults), kept.acknowledged, kept.refused, kept.posts))
        finally:
            await onlooker.stop()
            await load.end()
            net.heal()
            for node in NODES:
                if f"bus-{node}" in house.processes:
                    house.signal_node(node, signal.SIGCONT)
            await house.stop()
    if len(_done) == len(SEEDS):
        sums = [sum(column) for column in zip(*_done, strict=True)]
        way = "network namespaces" if Namespaces.are_allowed() else "lines that can be cut (no root)"
        note(
            "cluster faults, three nodes, three seeds",
            f"{sums[0]} faults by {way}, {sums[1]:,} acknowledged, 0 lost, {sums[2]:,} refused and repeated,"
            f" {sums[3]} posts, none twice, replicas equal",
            "at least 20 faults, 0 lost, 0 twice",
        )


async def house_goes_on(load: Load) -> None:
    """Wait until every gate has had something acknowledged once more."""
    before = {name: tally.acknowledged for name, tally in load.tallies.items()}
    async with asyncio.timeout(60):
        while any(tally.acknowledged <= before[name] for name, tally in load.tallies.items()):
            await asyncio.sleep(0.1)


async def agree(house: Cluster) -> None:
    """Assert that every node holds the same messages of every stream, by asking each for its own copy of them."""
    for stream in replicated():
        copies: dict[int, Copy] = {}
        for node in NODES:
            async with house.operator_at(node) as bus:
                copies[node] = await copy_of(bus, stream)
        assert copies[1] == copies[2] == copies[3], f"{stream}: {[len(each) for each in copies.values()]} messages"


@pytest.mark.parametrize("seed", SEEDS)
async def test_provisioning_survives_the_loss_of_the_node_that_leads(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    async with network() as net:
        house = Cluster(tmp_path, net)
        try:
            for node in NODES:
                house.start_node(node)
            victim = await house.has_leader()
            making = asyncio.create_task(house.provisioned())
            await asyncio.sleep(rng.uniform(0.2, 1.5))
            await house.kill(f"bus-{victim}")
            await asyncio.sleep(1)
            house.start_node(victim)
            await making
            await house.whole()
            async with house.operator() as bus:
                again = await provision(bus, replicas=len(NODES), is_dry=True)
            assert {each.action for each in again} == {"as it should be"}, again
            async with house.operator() as bus:
                assert await bus.last_sequence(subjects.READINGS) == 0
        finally:
            await house.stop()
