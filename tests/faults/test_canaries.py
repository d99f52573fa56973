"""Secrets stay where they are: every kind is a unique word here, everything is done with them, and nothing shows one.

A real house at the most talkative level; what it logs, prints, answers, measures, keeps on the bus and shows in its
command lines is searched for each of the words.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from services.ingest.pins import kept
from services.ingest.sign_in import invitation_name, open_code
from services.publisher.push import KEY
from shared.contracts import subjects
from shared.contracts.desk import Invitation, Person
from tests.conftest import free_port
from tests.faults.figures import note
from tests.house import SERVICES, House


class Canaries:
    """The secrets, by what they are."""

    def __init__(self) -> None:
        """Make those that this test may choose; others are added as the house makes them."""
        names = (
            "gate key", "staff key", "expired key", "wrong key", "source token", "wrong token", "simulation key",
            "mastodon token", "telegram token", "ntfy token", "bluesky password", "mail password", "matrix password",
            "mqtt password", "webhook in apprise", "poll password", "broker password", "socket header",
            "calendar address", "discord address", "slack address", "linkedin token", "facebook token", "wrong session",
        )  # fmt: skip
        self.by_name = {name: f"cnry{token_hex(12)}" for name in names}
        self.by_name["webhook secret"] = f"whsec_{token_hex(24)}"
        self.by_name["PIN"] = "73905128"

    def __getitem__(self, name: str) -> str:
        return self.by_name[name]

    def __setitem__(self, name: str, value: str) -> None:
        self.by_name[name] = value

    def found_in(self, text: bytes, *allowed: str) -> list[str]:
        """Return the kinds of secrets that stand in a text, apart from those that may."""
        kinds = [name for name, value in self.by_name.items() if name not in allowed]
        return [name for name in kinds if self.by_name[name].encode() in text]


def hashed(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def channels(here: str) -> dict[str, dict[str, Any]]:
    return {
        "mastodon": {"server": f"http://{here}"},
        "telegram": {"server": f"http://{here}", "chat": "@branch"},
        "ntfy": {"server": f"http://{here}", "topic": "branch"},
        "bluesky": {"server": f"http://{here}"},
        "email": {"sender": "seats@library.example", "recipients": ["reader@library.example"]},
        "matrix": {"server": f"http://{here}", "room": "!a:library.example"},
        "mqtt": {"server": f"mqtt://{here}"},
        "webhook": {"server": f"http://{here}/hook"},
        "apprise": {},
        "discord": {},
        "slack": {},
        "linkedin": {"server": f"http://{here}", "organization": "1"},
        "facebook": {"server": f"http://{here}"},
    }


def library(canaries: Canaries, nowhere: int) -> dict[str, Any]:
    """Return a library whose every connection leads to a port on which nobody listens."""
    here = f"127.0.0.1:{nowhere}"
    gone = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    return {
        "id": "branch",
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 100,
        "gates": [{"id": "north"}],
        "keys": [
            {"id": "gate", "sha256": hashed(canaries["gate key"]), "device": "north", "role": "gate"},
            {"id": "staff", "sha256": hashed(canaries["staff key"]), "device": "desk", "role": "staff"},
            {"id": "old", "sha256": hashed(canaries["expired key"]), "device": "old", "role": "gate", "expires": gone},
        ],
        "sources": [
            {"id": "box", "type": "url", "token_sha256": hashed(canaries["source token"])},
            {"id": "asked", "type": "poll", "url": f"http://{here}/counts", "credentials": "asked", "every_s": 5},
            {"id": "broker", "type": "mqtt", "url": f"mqtt://{here}", "topics": ["a/#"], "credentials": "broker"},
            {"id": "socket", "type": "websocket", "url": f"ws://{here}/live", "credentials": "socket"},
        ],
        "events": {"url": f"http://{here}/{canaries['calendar address']}.ics", "refresh_min": 1},
        "channels": [
            {"type": "console", "min_interval_min": 0, "daily_budget": 100},
            *(
                {"type": name, "account": "canary", "quiet_hours": "", "min_interval_min": 0, **more}
                for name, more in channels(here).items()
            ),
            {"type": "webpush", "contact": "mailto:it@library.example"},
        ],
    }


def secret_files(canaries: Canaries, nowhere: int) -> dict[str, str]:
    here = f"127.0.0.1:{nowhere}"
    return {
        "source-asked": f"counter:{canaries['poll password']}",
        "source-broker": f"counter:{canaries['broker password']}",
        "source-socket": f"Authorization: {canaries['socket header']}",
        "mastodon-canary": canaries["mastodon token"],
        "telegram-canary": f"123456:{canaries['telegram token']}",
        "ntfy-canary": canaries["ntfy token"],
        "bluesky-canary": f'identifier = "a.example"\npassword = "{canaries["bluesky password"]}"',
        "email-canary": f'host = "127.0.0.1"\nport = {nowhere}\nusername = "a"\ntls = "none"\n'
        f'password = "{canaries["mail password"]}"',
        "matrix-canary": f'user = "a"\npassword = "{canaries["matrix password"]}"',
        "mqtt-canary": f'username = "a"\npassword = "{canaries["mqtt password"]}"',
        "webhook-canary": f'secret = "{canaries["webhook secret"]}"',
        "apprise-canary": f"json://user:{canaries['webhook in apprise']}@{here}/",
        "discord-canary": f"http://{here}/api/webhooks/1/{canaries['discord address']}",
        "slack-canary": f"http://{here}/services/T/B/{canaries['slack address']}",
        "linkedin-canary": canaries["linkedin token"],
        "facebook-canary": canaries["facebook token"],
    }


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
async def house(tmp_path: Path, canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    folder, nowhere = tmp_path / "secrets", free_port()
    folder.mkdir()
    for name, content in secret_files(canaries, nowhere).items():
        (folder / name).write_text(content)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    house = House(
        tmp_path,
        PLACELIBRE_LOG_LEVEL="debug",
        PLACELIBRE_SECRETS_DIR=str(folder),
        PLACELIBRE_SIMULATION_KEY_SHA256=hashed(canaries["simulation key"]),
        PLACELIBRE_RETRY_MIN_S="0.2",
    )
    try:
        await house.start(*SERVICES)
        await house.apply(library(canaries, nowhere))
        yield house
    finally:
        await house.stop()


Answers = list[tuple[str, bytes]]


async def everything(  # noqa: C901  it does everything
    house: House, canaries: Canaries
) -> Answers:
    """Do everything that there is to do, also what fails; return every answer, with what it may hold."""
    answers: Answers = []
    async with house.operator() as bus, httpx.AsyncClient(trust_env=False, timeout=30) as http:
        ingest, api = house.url("ingest"), house.url("api")

        async def ask(verb: str, address: str, key: str = "", may_hold: str = "", **more: Any) -> httpx.Response:
            headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
            answer = await http.request(verb, address, headers=headers, **more)
            answers.append((may_hold, str(answer.headers).encode() + answer.content))
            return answer

        staff, gate = f"staff.{canaries['staff key']}", f"gate.{canaries['gate key']}"
        count = {"kind": "gate_count", "library": "branch", "gate": "north", "entries": 1, "exits": 0}
        heads = {"kind": "head_count", "library": "branch", "people": 99}
        async with asyncio.timeout(30):
            while (await ask("POST", f"{ingest}/v1/readings", gate, json=count)).status_code != 202:
                await asyncio.sleep(0.1)
        person = Person(id="ab", name="AB", pin=kept(canaries["PIN"]), since=datetime.now(UTC))
        await bus.bucket(subjects.STAFF).put("branch.person.ab", person.model_dump_json().encode())
        code = canaries["enrolment code"] = open_code("branch")
        invitation = Invitation(
            sha256=hashed(code), tablet="desk-1", name="Desk", expires=datetime.now(UTC) + timedelta(minutes=9)
        )
        key = subjects.staff_key("branch", "invitation", invitation_name(hashed(code)))
        await bus.bucket(subjects.STAFF).put(key, invitation.model_dump_json().encode())
        enrolments, sessions = f"{ingest}/v1/staff/enrolments", f"{ingest}/v1/staff/sessions"
        await ask("POST", enrolments, json={"code": code[:-3]})
        await ask("POST", enrolments, json={"code": code, "odd": canaries["wrong key"]})
        tablet = (await ask("POST", enrolments, may_hold="tablet key", json={"code": code})).json()["key"]
        canaries["tablet key"] = tablet.rpartition(".")[2]
        async with asyncio.timeout(20):
            while (await ask("POST", sessions, tablet, json={"person": "ab", "pin": "0000"})).status_code != 403:
                await asyncio.sleep(0.1)
        await ask("POST", sessions, tablet, json={"person": "ab", "pin": canaries["PIN"] + "9"})
        signed_in = await ask("POST", sessions, tablet, "session", json={"person": "ab", "pin": canaries["PIN"]})
        session = signed_in.json()["session"]
        canaries["session"] = session.rpartition(".")[2]
        wrong = f"gate.{canaries['wrong key']}"
        old, other = f"old.{canaries['expired key']}", f"branch.session.0123.{canaries['wrong session']}"
        bodies: list[Any] = [heads, {}, [], {"session": session, canaries["wrong key"]: 1}]
        for who in (staff, gate, wrong, old, tablet, session, other, f"simulation.{canaries['simulation key']}"):
            for path in ("/v1/readings", "/v1/approvals", "/v1/claims", "/v1/staff/readings"):
                for body in bodies:
                    await ask("POST", f"{ingest}{path}", who, json=body)
                await ask("POST", f"{ingest}{path}", who, content=b"{" + canaries["wrong key"].encode())
            for path in ("/v1/devices", "/v1/staff/desk", "/v1/staff/card.svg", "/metrics", "/readyz", "/openapi.json"):
                await ask("GET", f"{ingest}{path}", who)
            await ask("GET", f"{api}/v1/libraries/branch", who)
        together = {"readings": [{"session": session, "reading": heads}]}
        await ask("POST", f"{ingest}/v1/staff/readings", tablet, json=together)
        for token in (canaries["source token"], canaries["wrong token"]):
            for data in (b"", b"{", b'{"a": 1}', b"\xff\xfe", b"<a/>"):
                await ask("POST", f"{ingest}/v1/devices/{token}", content=data)
            await ask("GET", f"{ingest}/v1/devices/{token}")
        for people in (99, 5, 98, 3, 97):  # levels change, and everybody is to be told
            await ask("POST", f"{ingest}/v1/readings", staff, json={**heads, "people": people})
            await asyncio.sleep(2.5)
        for path in ("/", "/l/branch", "/v1/libraries", "/metrics", "/readyz", "/v1/push/branch", "/nothing"):
            await ask("GET", f"{api}{path}")
        for name in SERVICES:
            await ask("GET", f"{house.url(name)}/metrics")
        await ask("DELETE", f"{sessions}/current", session)
    return answers


def commands(house: House, canaries: Canaries, folder: Path) -> Iterator[bytes]:
    """Run what an operator runs, also on what is wrong; yield all that is printed."""
    bus = ["--nats-url", house.server.url, "--seed-file", str(house.server.seed_file("operator"))]
    good, bad = folder / "good.toml", folder / "bad.toml"
    good.write_text("[[libraries]]\nid = 'branch'\nname = 'Branch'\ntime_zone = 'Europe/Paris'\ncapacity = 9\n")
    bad.write_text(f"[[libraries]]\nid = 'branch'\ntoken = '{canaries['wrong key']}'\n")
    services = ",".join(f"{name}={house.url(name)}" for name in SERVICES)
    for arguments in (
        ["doctor", "--json", *bus, "--services", services],
        ["doctor", *bus],
        ["check", str(good)],
        ["check", str(bad)],
        ["devices", "--json", *bus],
        ["posts", "--json", *bus],
        ["posts", "dead", *bus],
        ["explain", "branch", *bus],
        ["bench", "--help"],
    ):
        command = [sys.executable, "-m", "cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=folder)
        yield done.stdout + done.stderr


def crashes(house: House, canaries: Canaries, folder: Path) -> Iterator[bytes]:
    """Start services with settings that are wrong; yield what they say as they end."""
    seed = folder / "wrong.nk"
    seed.write_text(f"SU{canaries['wrong key'].upper()}")
    for name, wrong in (
        ("ingest", {"PLACELIBRE_SIMULATION_KEY_SHA256": canaries["simulation key"]}),
        ("ingest", {"PLACELIBRE_MAX_BODY_BYTES": canaries["wrong key"]}),
        ("api", {"PLACELIBRE_NATS_SEED_FILE": str(seed)}),
        ("publisher", {"PLACELIBRE_NATS_URL": f"nats://user:{canaries['wrong key']}@127.0.0.1:1"}),
        ("aggregator", {"PLACELIBRE_NATS_SEED_FILE": str(folder)}),
    ):
        environment = {
            **os.environ,
            "PLACELIBRE_PORT": str(free_port()),
            "PLACELIBRE_NATS_URL": house.server.url,
            **wrong,
        }
        environment["PLACELIBRE_LOG_LEVEL"] = "debug"
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{name}.main"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:  # it waits for a bus that would let it in
            process.terminate()
            yield process.communicate(timeout=20)[0]


async def on_the_bus(house: House) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every message of every stream, with its stream's name."""
    async with house.operator() as bus:
        for stream in await bus.jetstream.streams_info():
            name = stream.config.name or ""
            if not stream.state.messages or name == subjects.DEVICE_BODIES:
                continue
            for sequence in range(stream.state.first_seq, stream.state.last_seq + 1):
                try:
                    message = await bus.jetstream.get_msg(name, sequence)
                except Exception:  # noqa: BLE001  one that is deleted: a newer value of its key has come
                    continue
                yield name, (message.data or b"") + json.dumps(message.headers or {}).encode()


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_no_secret_leaves_its_place(house: House, canaries: Canaries, tmp_path: Path) -> None:
    for name in SERVICES:
        seed = house.server.seed_file(name).read_text().strip()
        canaries[f"nkey seed of {name}"] = seed
    found: list[str] = []
    searched = 0

    def search(where: str, text: bytes, *allowed: str) -> None:
        nonlocal searched
        searched += len(text)
        found.extend(f"{name} in {where}: {text[:300]!r}" for name in canaries.found_in(text, *allowed))

    for number, (may_hold, answer) in enumerate(await everything(house, canaries)):
        search(f"answer {number}", answer, *([may_hold] if may_hold else []))
    async with house.operator() as bus:
        entry = await bus.bucket(subjects.SESSIONS).get(KEY)
    assert entry is not None, "the publisher has made its key"
    canaries["VAPID key"] = json.loads(entry.value)["private"]
    for number, printed in enumerate(await asyncio.to_thread(lambda: list(commands(house, canaries, tmp_path)))):
        assert printed, "every command says something"
        search(f"command {number}", printed)
    for number, printed in enumerate(await asyncio.to_thread(lambda: list(crashes(house, canaries, tmp_path)))):
        assert printed, "every service says why it ends"
        search(f"crash {number}", printed)
    for process in house.processes.values():
        search("a command line", Path(f"/proc/{process.pid}/cmdline").read_bytes())  # noqa: ASYNC240
    async for stream, message in on_the_bus(house):
        # The applied configuration holds the calendar's address, as libraries.toml does; nobody but services reads it.
        allowed = {"KV_SESSIONS": "VAPID key", "KV_LIBRARIES": "calendar address", "READINGS": "calendar address"}
        search(f"stream {stream}", message, allowed.get(stream, ""))
    logs = await asyncio.to_thread(
        lambda: {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in {".log", ".out"}}
    )
    for name, text in logs.items():
        search(name, text)
    assert not found, "\n".join(dict.fromkeys(found))
    assert b"calendar_unreadable" in logs["publisher.log"], "what fails is told, without why in its address"
    assert sum(b"warning" in text for text in logs.values()) >= 2
    note(
        "secrets in logs, metrics, answers, streams",
        f"{len(canaries.by_name)} kinds searched for in {searched / 1024 / 1024:.1f} MiB, none found",
        "none",
    )
