"""Who may say and hear what on the bus, tried by every user on a real one.

The tables below say by intent who should; they are not made from `shared.contracts.permissions`, and a right that
somebody adds there turns this red until it is meant here too. MQTT users have tests of their own in
test_mqtt_listener.py, branches in test_leaf.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import nkeys
import pytest
from nats.aio.client import Client

from cli.bus_server import BusServer
from shared.contracts.permissions import SERVICES
from tests.conftest import free_port, settings_for

BUCKETS: Final = (
    *("STATUS", "LIBRARIES", "DELIVERIES", "HISTORY", "CHECKPOINTS", "POSTING", "SENDERS", "SESSIONS", "APPROVALS"),
    *("FEEDS", "SUBSCRIPTIONS", "ACTORS", "CLAIMS", "DEVICES", "POSITIONS", "STAFF", "DESK", "AUDITOR"),
)
LOGS: Final = ("READINGS", "QUARANTINE", "CHANGES", "POSTS", "DEAD", "DEVICE_BODIES", "AUDIT")
STREAMS: Final = (*LOGS, *(f"KV_{each}" for each in BUCKETS))
LANES: Final = ("console", *(f"lane-{each}" for each in range(8)))
DURABLES: Final = {
    "publisher-changes": "CHANGES",
    "ingest-device-bodies": "DEVICE_BODIES",
    **{f"publisher-posts-{lane}": "POSTS" for lane in LANES},
}
RAW: Final = {
    "readings": "readings.v1.3",
    "ticks": "ticks.v1",
    "configured": "configured.v1.3",
    "carried": "carried.v1.east",
    "quarantine": "quarantine.v1.door.7",
    "changes": "changes.v1.3.central",
    "posts": "posts.v1.console.central",
    "bodies": "devices.front-door.state",
    "advisories": "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.POSTS.x",
    **{f"dead of {each}": f"dead.v1.{each}.x" for each in SERVICES},
    **{f"trail of {each}": f"audit.v1.{each}" for each in SERVICES},
}


@dataclass(frozen=True)
class Meant:
    """What one service is for: which logs it adds to, which buckets it writes, what it reads, what it works off."""

    adds: frozenset[str]
    writes: frozenset[str]
    reads: frozenset[str]
    takes: frozenset[str] = frozenset()
    copies: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()


def of(*names: str) -> frozenset[str]:
    return frozenset(names)


def buckets(*names: str) -> frozenset[str]:
    return frozenset(f"KV_{each}" for each in names)


MEANT: Final = {
    # Takes readings in, keeps the staff's keys and the devices' positions, and shows the desk what became of it.
    "ingest": Meant(
        adds=of("readings", "quarantine", "trail of ingest"),
        writes=of("APPROVALS", "STAFF", "CLAIMS", "DEVICES", "POSITIONS"),
        reads=of("QUARANTINE")
        | buckets("LIBRARIES", "STATUS", "DESK", "APPROVALS", "DELIVERIES", "POSTING", "STAFF")
        | buckets("CLAIMS", "DEVICES", "POSITIONS"),
        takes=of("ingest-device-bodies"),
        also=of("$JS.API.DIRECT.GET.AUDIT.audit.v1.ingest"),
    ),
    # Folds the log into states; alone says what the status is.
    "aggregator": Meant(
        adds=of("ticks", "configured", "changes", "dead of aggregator"),
        writes=of("CHECKPOINTS", "STATUS", "HISTORY", "DESK"),
        reads=of("READINGS") | buckets("LIBRARIES", "CHECKPOINTS"),
        also=of("$JS.API.STREAM.MSG.GET.KV_CHECKPOINTS"),
    ),
    # Decides on changes and delivers posts; sees no reading and no key of staff.
    "publisher": Meant(
        adds=of("posts", "dead of publisher"),
        writes=of("POSTING", "DELIVERIES", "SENDERS", "SESSIONS", "FEEDS", "SUBSCRIPTIONS", "ACTORS"),
        reads=buckets("LIBRARIES", "STATUS", "POSTING", "APPROVALS", "DELIVERIES", "SENDERS", "SESSIONS")
        | buckets("FEEDS", "SUBSCRIPTIONS", "ACTORS"),
        takes=frozenset(DURABLES) - of("ingest-device-bodies"),
    ),
    # Shows what there is; of its own it keeps wishes and followers only.
    "api": Meant(
        adds=of(),
        writes=of("ACTORS", "SUBSCRIPTIONS"),
        reads=buckets("STATUS", "LIBRARIES", "HISTORY", "FEEDS", "ACTORS", "SUBSCRIPTIONS"),
    ),
    # Brings the readings of branches into the log.
    "carrier": Meant(
        adds=of("readings", "carried", "quarantine", "dead of carrier"),
        writes=of("DEVICES", "POSITIONS"),
        reads=buckets("LIBRARIES", "CLAIMS", "POSITIONS"),
        also=of("$JS.API.DIRECT.GET.READINGS.carried.v1.east"),
    ),
    # Sees everything, without a consumer of its own; writes what it found.
    "auditor": Meant(
        adds=of("dead of auditor"),
        writes=of("AUDITOR"),
        reads=of(),
        copies=frozenset(STREAMS),
        also=of("$JS.API.INFO", "$JS.API.STREAM.MSG.GET.READINGS")
        | of(*(f"$JS.API.STREAM.MSG.GET.KV_{each}" for each in ("CHECKPOINTS", "LIBRARIES", "STATUS"))),
    ),
}
NOBODY_S: Final = (
    *("$JS.API.STREAM.CREATE.{}", "$JS.API.STREAM.UPDATE.{}", "$JS.API.STREAM.DELETE.{}", "$JS.API.STREAM.PURGE.{}"),
    *("$JS.API.STREAM.MSG.DELETE.{}", "$JS.API.STREAM.MSG.GET.{}", "$JS.API.STREAM.RESTORE.{}"),
    *("$JS.API.STREAM.PEER.REMOVE.{}", "$JS.API.STREAM.LEADER.STEPDOWN.{}", "$JS.API.CONSUMER.NAMES.{}"),
    *("$JS.API.CONSUMER.DURABLE.CREATE.{}.mine", "$JS.API.CONSUMER.PAUSE.{}.mine", "$JS.API.CONSUMER.RESET.{}.mine"),
    *("$JS.API.CONSUMER.LEADER.STEPDOWN.{}.mine", "$JS.API.CONSUMER.UNPIN.{}.mine"),
)
READING: Final = (
    *("$JS.API.CONSUMER.CREATE.{}.mine", "$JS.API.CONSUMER.CREATE.{}.mine.some.subject"),
    *("$JS.API.CONSUMER.DELETE.{}.mine", "$JS.API.CONSUMER.MSG.NEXT.{}.mine"),
)
DIRECT: Final = ("$JS.API.DIRECT.GET.{}", "$JS.API.DIRECT.GET.{}.some.subject")
ANYWHERE: Final = (
    *("$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE"),
    *("$JS.API.ACCOUNT.PURGE.$G", "$JS.API.ACCOUNT.STREAM.MOVE.$G.READINGS", "$SYS.REQ.SERVER.PING"),
    *("$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.ACCOUNT.$G.CONNECT", "$JS.FC.READINGS.mine.x"),
    *("$JSC.R.abc", "_R_.abc", "$MQTT.msgs.x", "$MQTT.sub.x", "some.other.subject", "_INBOX.guessed.x"),
    *("$JS.EVENT.ADVISORY.STREAM.DELETED.READINGS", "$JS.EVENT.METRIC.CONSUMER.ACK.POSTS.x", "$NRG.V.x"),
)


def said_by(user: str) -> dict[str, bool]:
    """Return every subject that a service could think of, and whether it may publish there."""
    meant = MEANT[user]
    table = {subject: family in meant.adds for family, subject in RAW.items()}
    table |= {f"$KV.{bucket}.central.x": bucket in meant.writes for bucket in BUCKETS}
    taken = {DURABLES[each] for each in meant.takes}
    for stream in STREAMS:
        is_read, is_copied = stream in meant.reads, stream in meant.copies
        table |= {each.format(stream): False for each in NOBODY_S}
        table |= {each.format(stream): is_read for each in READING}
        table |= {each.format(stream): is_read or is_copied for each in DIRECT}
        table[f"$JS.API.STREAM.INFO.{stream}"] = is_read or is_copied or stream in taken
        table[f"$JS.API.STREAM.SNAPSHOT.{stream}"] = is_copied
        table[f"$JS.API.CONSUMER.LIST.{stream}"] = is_copied
    for durable, stream in DURABLES.items():
        is_taken = durable in meant.takes
        table[f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"] = is_taken
        table[f"$JS.API.CONSUMER.INFO.{stream}.{durable}"] = is_taken
        table[f"$JS.ACK.{stream}.{durable}.1.1.1.1.1"] = is_taken
        table[f"$JS.API.CONSUMER.DELETE.{stream}.{durable}"] = False
        table[f"$JS.API.CONSUMER.CREATE.{stream}.{durable}"] = False
        table[f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{durable}"] = False
    table |= dict.fromkeys(ANYWHERE, False)
    table |= {f"_INBOX_{other}.x": False for other in SERVICES}
    return table | dict.fromkeys(meant.also, True)


HEARD: Final = (
    *(">", "*", "*.*", "$SYS.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$JS.ACK.>", "$KV.>", "$KV.STAFF.>", "$MQTT.>"),
    *("_INBOX.>", "_INBOX_ingest.*.x.>", "readings.>", "readings.v1.*", "changes.>", "posts.>", "quarantine.>"),
    *("dead.>", "audit.>", "devices.>", "_R_.>", "$NRG.>", "$JSC.>"),
)


def heard_by(user: str) -> dict[str, bool]:
    """Return every subject that a service could wish to overhear, and whether it may."""
    own = {each: each.startswith(f"_INBOX_{user}.") for each in HEARD}
    return own | {f"_INBOX_{other}.>": other == user for other in SERVICES}


class Refusals:
    """What a server has refused a connection, by its own words, which nats-py gives in small letters."""

    def __init__(self) -> None:
        self.publish: set[str] = set()
        self.subscribe: set[str] = set()
        self.others: list[str] = []

    async def on_error(self, error: Exception) -> None:
        found = re.search(r'permissions violation for (publish|subscription) to "([^"]+)"', str(error), re.IGNORECASE)
        if found is None:
            self.others.append(str(error))
            return
        (self.publish if found[1].casefold() == "publish" else self.subscribe).add(found[2].casefold())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that holds nothing: what is allowed has no effect, and no other test's streams get anything."""
    made = BusServer(tmp_path_factory.mktemp("rights"), free_port(), free_port(), sync="2m")
    process = made.start(made.home / "nats-server.log")
    yield made
    process.terminate()
    process.wait(10)


async def settled(client: Client) -> None:
    """Wait until the server has answered all that was sent; nats-py's first ping may overtake what waits to be sent."""
    await client.flush(10)
    await client.flush(10)


async def connection(server: BusServer, user: str, refusals: Refusals) -> Client:
    client = Client()
    seed = settings_for(server, user).nats_seed
    assert seed is not None
    await client.connect(
        server.url, nkeys_seed_str=seed.get_secret_value(), error_cb=refusals.on_error, allow_reconnect=False
    )
    return client


def test_every_service_is_in_the_table() -> None:
    assert set(MEANT) == set(SERVICES) - {"operator"}


@pytest.mark.parametrize("user", sorted(MEANT))
async def test_a_service_says_what_it_is_for_and_nothing_else(server: BusServer, user: str) -> None:
    refusals = Refusals()
    table = said_by(user)
    client = await connection(server, user, refusals)
    try:
        for subject in table:
            await client.publish(subject, b"{")  # no request of the bus's own is so, and so none is carried out
        await settled(client)
    finally:
        await client.close()
    allowed = {subject: subject.casefold() not in refusals.publish for subject in table}
    assert refusals.others == []
    assert refusals.publish <= {each.casefold() for each in table}
    assert {each: allowed[each] for each in table if allowed[each] != table[each]} == {}
    assert len(table) > 500
    assert sum(table.values()) < len(table) / 2


@pytest.mark.parametrize("user", sorted(MEANT))
async def test_a_service_hears_its_own_answers_and_nothing_else(server: BusServer, user: str) -> None:
    refusals = Refusals()
    table = heard_by(user)
    client = await connection(server, user, refusals)
    try:
        for subject in table:
            await client.subscribe(subject)
        await settled(client)
    finally:
        await client.close()
    allowed = {subject: subject.casefold() not in refusals.subscribe for subject in table}
    assert {each: allowed[each] for each in table if allowed[each] != table[each]} == {}


STRANGE: Final = nkeys.from_seed(bytearray(nkeys.encode_seed(b"7" * 32, nkeys.PREFIX_BYTE_USER))).public_key.decode()


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"user": "operator", "pass": ""},
        {"auth_token": "operator"},
        {"nkey": STRANGE, "sig": "AAAA"},
        {"jwt": "eyJ0eXAiOiJKV1QifQ.e30.x", "sig": "AAAA"},
    ],
)
async def test_whoever_shows_no_key_of_ours_is_told_nothing_of_use(server: BusServer, shown: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"INFO ")
            said = json.dumps({"verbose": False, "pedantic": False, "lang": "x", "version": "1", **shown})
            writer.write(f"CONNECT {said}\r\nSUB > 1\r\nPING\r\n".encode())
            assert await reader.read() == b"-ERR 'Authorization Violation'\r\n"  # and the end of the line
    finally:
        writer.close()
