"""`placelibre staff`: people and tablets are let in and out, and what they said can be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.bus_server import BusServer
from cli.staff import app, qr_code
from cli.staffing.people import free_id
from cli.staffing.record import became, said
from cli.terminal import Trouble
from services.ingest.pins import fault_of, is_right, kept
from shared.contracts import subjects
from shared.contracts.desk import ID_KEPT_FOR, INVITATIONS_MAX, Act, DeskRecord, Former, Person
from shared.domain.acts import ActState
from shared.runtime.bus import Bus
from tests.services.test_desk_routes import Front, bearer, problem, running, until

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Console:
    """The command line beside a running ingest."""

    front: Front
    server: BusServer

    async def run(self, *arguments: str, stdin: str = "") -> Result:
        seed = self.server.seed_file("operator")
        bus = ["--nats-url", self.server.url, "--seed-file", str(seed)]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*arguments, *bus], input=stdin))

    async def said(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.exception or result.output
        return result.stdout

    async def told(self, *arguments: str) -> Any:
        return json.loads(await self.said(*arguments, "--json"))

    async def trouble(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert isinstance(result.exception, Trouble)
        return result.exception.what

    async def invited(self, *more: str) -> str:
        fields = await self.told(
            "enrol", self.front.name, "--name", "Front desk", "--address", "https://a.example", *more
        )
        url: str = fields["url"]
        return url.removeprefix("https://a.example/staff#")


@pytest.fixture
async def console(standing: Bus, bus_server: BusServer) -> AsyncIterator[Console]:
    async with running(bus_server, standing) as front:
        yield Console(front, bus_server)


async def test_somebody_is_let_in_and_signs_in_on_a_tablet_that_was_invited(console: Console) -> None:
    front = console.front
    words = await console.said("people", "add", front.name, "--name", "Åse B.", stdin="2580\n2580\n")
    assert "Åse B. (ase-b)" in words
    assert "2580" not in words
    enrolled = await front.enrol(await console.invited())
    key = enrolled.json()["key"]
    assert (await front.sign_in(key, "ase-b")).status_code == 201
    [tablet] = await console.told("tablets", "list", front.name)
    assert (tablet["id"], tablet["signed_in"]) == ("front-desk", ["ase-b"])
    [person] = await console.told("people", "list", front.name)
    assert (person["id"], person["paused_until"]) == ("ase-b", None)
    assert "Åse B." in await console.said("tablets", "list", front.name)
    assert "Åse B." in await console.said("people", "list", front.name)


async def test_a_new_pin_ends_sessions_and_a_pause(console: Console) -> None:
    front = console.front
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    for _ in range(5):
        await front.sign_in(key, pin="9999")
    assert "wrong PINs" in await console.said("people", "list", front.name)
    await console.said("people", "pin", front.name, "ab", "--pin-stdin", stdin="8024\n")
    async with asyncio.timeout(10):
        while (await front.sign_in(key, pin="8024")).status_code != 201:
            await asyncio.sleep(0.05)
    assert problem(await front.say(session)) == "session-over"


async def test_a_removed_person_and_a_revoked_tablet_are_out(console: Console) -> None:
    front = console.front
    await front.person()
    key = await front.tablet()
    session = await front.session(key)
    await console.said("people", "remove", front.name, "AB")
    await until(lambda: not front.door.senders.staff.people(front.name))
    assert problem(await front.say(session)) == "session-over"
    await console.said("tablets", "revoke", front.name, "Front desk")
    await until(lambda: not front.door.senders.staff.tablets(front.name))
    assert problem(await front.desk(key)) == "unauthenticated"
    assert "no tablet" in await console.trouble("tablets", "revoke", front.name, "front-desk")
    assert "nobody called" in await console.trouble("people", "remove", front.name, "ab")


async def test_a_revoked_tablet_is_not_brought_back_by_an_invitation_that_was_open(console: Console) -> None:
    front = console.front
    await front.tablet()
    replacing = await console.invited("--replace")
    await console.said("tablets", "revoke", front.name, "front-desk")
    assert problem(await front.enrol(replacing)) == "invitation-over"
    await until(lambda: not front.door.senders.staff.tablets(front.name))
    assert "no tablet" in await console.said("tablets", "list", front.name)


async def test_an_invitation_that_was_used_is_not_open(console: Console) -> None:
    await console.front.enrol(await console.invited(), nonce=token_hex(12))
    assert "invited until" not in await console.said("tablets", "list", console.front.name)
    code = await console.invited("--replace")
    assert (await console.front.enrol(code, nonce=token_hex(12))).status_code == 201


async def test_the_id_of_who_has_left_is_nobody_else_s_for_a_while(console: Console) -> None:
    front = console.front
    await console.said("people", "add", front.name, "--name", "AB", "--pin-stdin", stdin="2580\n")
    await console.said("people", "remove", front.name, "ab")
    taken = await console.trouble(
        "people", "add", front.name, "--name", "AB", "--id", "ab", "--pin-stdin", stdin="2580\n"
    )
    assert "of late" in taken
    assert "(ab-2)" in await console.said("people", "add", front.name, "--name", "AB", "--pin-stdin", stdin="2580\n")
    await console.said("people", "remove", front.name, "ab-2")
    for name in ("ab", "ab-2"):
        await front.put("former", name, Former(id=name, since=datetime.now(UTC) - ID_KEPT_FOR - timedelta(hours=1)))
    assert "(ab)" in await console.said("people", "add", front.name, "--name", "AB", "--pin-stdin", stdin="2580\n")
    former = subjects.staff_key(front.name, "former", "ab")
    assert await front.bus.bucket(subjects.STAFF).get(former) is None


async def test_what_people_wrote_is_no_markup_and_moves_no_cursor(console: Console) -> None:
    front = console.front
    await front.person()
    words = ("lift [red] broken", "see [/hall]", "a\x1b]0;b\x07\x1b[31mc")
    acts = tuple(
        Act(id=str(n), device="desk", by="ab", at=TEN, kind="closing", state=ActState.PAST, text=text, until=TEN + HOUR)
        for n, text in enumerate(words)
    )
    record = DeskRecord(library=front.name, as_of=TEN, acts=acts)
    await front.bus.bucket(subjects.DESK).put(front.name, record.model_dump_json().encode())
    shown = " ".join((await console.said("log", front.name)).split())
    for each in ("[red]", "[/hall]", "]0;b"):
        assert each in shown
    assert "\x1b" not in shown
    person = await front.person("cd")
    await front.put("person", "cd", person.model_copy(update={"name": "[/cd]"}))
    assert "[/cd]" in await console.said("people", "list", front.name)


async def test_a_tablet_that_takes_another_s_place_ends_its_key(console: Console) -> None:
    front = console.front
    old = await front.tablet()
    assert "a tablet called" in await console.trouble(
        "enrol", front.name, "--name", "front DESK", "--address", "https://a.example"
    )
    answer = await front.enrol(await console.invited("--replace"))
    assert answer.json()["tablet"]["id"] == "front-desk"
    assert problem(await front.desk(old)) == "unauthenticated"
    assert (await front.client.get("/v1/staff/desk", headers=bearer(answer.json()["key"]))).status_code == 200


async def test_a_tablet_gets_an_id_that_no_key_device_or_gate_has(console: Console) -> None:
    await console.front.configure(
        keys=[{"id": f"{console.front.name}-k", "sha256": "0" * 64, "device": "front-desk", "role": "staff"}]
    )
    assert (await console.front.enrol(await console.invited())).json()["tablet"]["id"] == "front-desk-2"


async def test_invitations_that_are_open_are_few(console: Console) -> None:
    for _ in range(INVITATIONS_MAX):
        await console.front.invite(tablet=token_hex(4))
    assert "open" in await console.trouble(
        "enrol", console.front.name, "--name", "One more", "--address", "https://a.example"
    )


async def test_what_cannot_be_used_is_refused_before_anything_is_kept(console: Console) -> None:
    name = console.front.name
    assert "no library" in await console.trouble("people", "add", "nowhere", "--name", "AB", stdin="2580\n2580\n")
    assert "PIN" in await console.trouble("people", "add", name, "--name", "AB", stdin="1234\n1234\n")
    assert "not the same" in await console.trouble("people", "add", name, "--name", "AB", stdin="2580\n2581\n")
    assert "name" in await console.trouble("people", "add", name, "--name", "A" * 41, stdin="2580\n2580\n")
    assert "id" in await console.trouble("people", "add", name, "--name", "A", "--id", "A b", stdin="2580\n2580\n")
    assert "address" in await console.trouble("enrol", name, "--name", "Desk", "--address", "staff.example")
    assert "nobody may sign in" in await console.said("people", "list", name)
    await console.said("people", "add", name, "--name", "AB", "--pin-stdin", stdin="2580\n")
    assert "already" in await console.trouble("people", "add", name, "--name", "ab", stdin="2580\n2580\n")


async def test_the_log_says_who_said_what_and_what_became_of_it(console: Console) -> None:
    name = console.front.name
    assert "nothing" in await console.said("log", name)
    await console.front.person()
    common: dict[str, Any] = {"device": "front-desk", "by": "ab", "at": TEN}
    acts = (
        Act(id="3", kind="notice", state=ActState.HOLDS, text="Lift broken", until=TEN + timedelta(hours=1), **common),
        Act(
            id="2",
            kind="head_count",
            state=ActState.TAKEN_BACK,
            people=400,
            note="typing",
            taken_back_at=TEN,
            taken_back_by="cd",
            **common,
        ),
        Act(id="1", kind="not_admitting", state=ActState.PAST, on=True, **common),
    )
    record = DeskRecord(library=name, as_of=TEN, acts=acts)
    await console.front.bus.bucket(subjects.DESK).put(name, record.model_dump_json().encode())
    words = await console.said("log", name)
    assert words.index("nobody") < words.index("400") < words.index("notice")  # a narrow terminal breaks lines
    fields = await console.told("log", name)
    assert fields["people"] == {"ab": "AB"}
    assert fields["acts"][0]["text"] == "Lift broken"
    assert became(acts[1], {"cd": "CD"}) == "taken back 10:00 by CD"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kind": "head_count", "people": 9, "zone": "hall"}, "9 people in hall"),
        ({"kind": "queue_at_marker", "marker": "tree"}, "the queue ends at tree"),
        ({"kind": "queue_length", "people": 0}, "nobody queues"),
        ({"kind": "queueing_time", "minutes": 12.0}, "a wait of 12 min"),
        ({"kind": "ticket", "joined": TEN}, "somebody got in who queued since 10:00"),
        ({"kind": "held_seats", "seats": 3}, "3 seats held"),
        ({"kind": "notice", "text": ""}, "no notice any more"),
        (
            {"kind": "closing", "until": TEN + timedelta(hours=30), "text": "burst pipe"},
            "closed until 2026-11-24 16:00",
        ),
        ({"kind": "closing", "until": TEN}, "not closed any more"),
        ({"kind": "evacuation", "on": False}, "people may come back"),
        ({"kind": "mute", "until": TEN + timedelta(hours=1)}, "no posts until 11:00"),
        ({"kind": "mute", "until": TEN}, "posts again"),
    ],
)
def test_every_kind_is_said_in_plain_words(more: dict[str, Any], words: str) -> None:
    act = Act(id="1", device="tablet", at=TEN, state=ActState.PAST, **more)
    assert said(act).startswith(words)


@pytest.mark.parametrize("pin", ["0000", "1234", "98765432", "1212", "123", "12 45", "abcd", "123456789"])
def test_pins_that_anybody_would_try_first_are_refused(pin: str) -> None:
    assert fault_of(pin)


def test_a_pin_is_known_again_and_no_other_is() -> None:
    assert fault_of("2580") == ""
    stored = kept("2580")
    assert "2580" not in stored
    assert is_right("2580", stored)
    assert not is_right("2581", stored)
    assert kept("2580") != stored
    assert Person(id="ab", name="AB", pin=stored, since=TEN).pin == stored


def test_ids_are_made_from_names() -> None:
    assert free_id("Front desk", (), "tablet") == "front-desk"
    assert free_id("Front desk", {"front-desk", "front-desk-2"}, "tablet") == "front-desk-3"
    assert free_id("Читальна зала", (), "tablet") == "tablet"


def test_the_code_is_drawn_small_enough_for_a_terminal() -> None:
    drawn = qr_code("https://staff.example.org/staff#bpi." + "x" * 32)
    lines = drawn.splitlines()
    assert len(lines) < 24
    assert {len(line) for line in lines} == {len(lines[0])}
    assert set(drawn) <= set(" █▀▄\n")
