"""What `placelibre devices` lists, makes, previews, claims and reads."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import bcrypt
import pytest
from typer.testing import CliRunner, Result

from cli.bus_server import BusServer
from cli.configuration_check import check_text
from cli.devices import app
from cli.gates.claims import Wishes, lines_for
from cli.libraries_file import add_gate
from cli.terminal import Trouble
from services.ingest.preview import Figures, LinePreview, Preview
from services.ingest.registry import Registry
from shared.contracts import subjects
from shared.contracts.devices import Claim, DeviceState
from shared.domain.meaning import Meaning
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.conftest import ROOT
from tests.devices.suite import FormatSuite
from tests.services.test_device_inlet import Inlet, configuration, passage, running

LIBRARY = """\
[[libraries]]
id = "a"
name = "A"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 10
"""
GATES = {
    "one line": 'gates = [{ id = "front" }]\n',
    "with a comma": 'gates = [{ id = "front" }, ]\n',
    "empty": "gates = []\n",
    "several lines": 'gates = [\n  { id = "front", from = "outside" },  # the door\n  { id = "back" } # ]\n]\n',
    "several lines with a comma": 'gates = [\n  { id = "front" },\n]\n',
    "tables": '\n[[libraries.gates]]\nid = "front"\n',
    "none": "",
    "brackets in words": 'gates = [{ id = "front" }]\nurl = "https://a.example/]"\n',
}


@dataclass
class Console:
    """The command line beside a running ingest."""

    inlet: Inlet
    server: BusServer

    async def run(self, *arguments: str) -> Result:
        seed = self.server.seed_file("operator")
        bus = ["--nats-url", self.server.url, "--seed-file", str(seed)]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*arguments, *bus]))

    async def said(self, *arguments: str) -> str:
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.exception or result.output
        return result.stdout

    async def told(self, *arguments: str) -> Any:
        return json.loads(await self.said(*arguments, "--json"))

    async def trouble(self, *arguments: str) -> Trouble:
        result = await self.run(*arguments)
        assert isinstance(result.exception, Trouble)
        return result.exception

    async def claimed(self) -> Claim:
        [key] = await self.inlet.bus.bucket(subjects.CLAIMS).keys(f"{self.inlet.name}.")
        entry = await self.inlet.bus.bucket(subjects.CLAIMS).get(key)
        assert entry is not None
        return Claim.model_validate_json(entry.value)


@pytest.fixture
async def console(operator: Bus, bus_server: BusServer) -> AsyncIterator[Console]:
    async with running(bus_server, operator, f"lib-{token_hex(4)}") as inlet:
        yield Console(inlet, bus_server)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "libraries.toml"
    path.write_text(LIBRARY + GATES["one line"])
    return path


async def test_what_sends_and_does_not_count_is_listed_with_what_to_do(console: Console) -> None:
    inlet = console.inlet
    source = f"{inlet.name}-box"
    assert f"nothing has come on source {source}" in await console.said()
    await inlet.send([passage(1), passage(2)])
    shown = await console.said()
    assert "footfallcam" in shown
    assert f"placelibre devices claim {inlet.name} {source} --serial 'S1'" in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith(("look:", "claim:", "boxes"))) <= 80
    told = await console.told()
    assert [(each["serial"], each["bodies"], each["code"]) for each in told["unclaimed"]] == [("S1", 1, "unclaimed")]
    assert told["unused_sources"] == []


async def test_a_preview_shows_what_would_be_counted_both_ways_round(console: Console) -> None:
    inlet = console.inlet
    await inlet.send([passage(1), passage(2, MetricId=2), passage(3), passage(4)])
    shown = await console.said("preview", f"{inlet.name}-box")
    assert re.search(r"crossing\s+4\s+3\s+1\s+1/3\s+would count", shown)
    told = await console.told("preview", f"{inlet.name}-box")
    [line] = told["preview"]["lines"]
    assert line["meanings"] == [
        {"meaning": "crossing", "figures": 4, "in": 3, "out": 1, "value": None, "registers": None}
    ]


async def test_one_line_and_one_gate_need_no_option_and_what_came_before_counts(console: Console) -> None:
    inlet = console.inlet
    await inlet.configure(gates=[{"id": "front"}])
    await inlet.send([passage(1), passage(2, MetricId=2), passage(3)])
    shown = await console.said("claim", inlet.name, f"{inlet.name}-box")
    assert "1=front" in shown
    assert "2 forward and 1 backward" in shown
    await inlet.until_entries(2)
    told = await console.told()
    assert told["unclaimed"] == []
    [device] = told["devices"]
    assert (device["today"], device["health"]) == ({"in": 2, "out": 1}, "well")
    claim = await console.claimed()
    assert (claim.device.serial, claim.by) == ("S1", "placelibre devices")


async def test_options_lead_each_line_where_it_belongs(console: Console) -> None:
    inlet = console.inlet
    await inlet.send([passage(1), passage(2, RoiId=2), passage(3, RoiId=3)])
    options = ["--line", "1=front", "--line", "2=garden", "--invert", "2", "--meaning", "1=crossing", "--name", "Hall"]
    await console.said("claim", inlet.name, f"{inlet.name}-box", *options)
    claim = await console.claimed()
    assert (claim.device.id, claim.device.name) == ("hall", "Hall")
    assert [(each.line, each.gate, each.invert, each.meaning) for each in claim.device.lines] == [
        ("1", "front", False, "crossing"),
        ("2", "garden", True, None),
    ]


def test_a_line_may_be_named_as_the_device_s_own_page_has_it() -> None:
    figures = Figures(Meaning.CROSSING, 1, 1, 0, None)
    seen = Preview(
        "S1", lines=(LinePreview("uuid-1", "Left", (figures,), ""), LinePreview("uuid-2", "", (figures,), ""))
    )
    wishes = Wishes(("Left=front", "uuid-2=garden"), inverted=("Left",), directions=("Left=in",))
    [left, right] = lines_for(seen, configuration("lib"), wishes)
    assert (left.line, left.gate, left.invert, left.direction) == ("uuid-1", "front", True, "in")
    assert (right.line, right.gate, right.invert) == ("uuid-2", "garden", False)


async def test_a_gate_that_is_not_there_is_made_in_the_file_and_on_the_bus(console: Console, tmp_path: Path) -> None:
    inlet = console.inlet
    await inlet.send(passage(1))
    path = tmp_path / "libraries.toml"
    text = LIBRARY.replace('"a"', f'"{inlet.name}"') + 'gates = [{ id = "front" }, { id = "garden" }]\n'
    source = inlet.door.registry.sources()[f"{inlet.name}-box"]
    path.write_text(
        f'{text}\n[[libraries.sources]]\nid = "{source.id}"\ntype = "url"\n'
        f'token_sha256 = "{source.model_dump()["token_sha256"]}"\n'
    )
    told = await console.trouble("claim", inlet.name, f"{inlet.name}-box", "--gate", "cellar", "--file", str(path))
    assert "--from outside" in told.remedy
    await console.said(
        "claim", inlet.name, f"{inlet.name}-box", "--gate", "cellar", "--to", "inside", "--file", str(path)
    )
    [library] = check_text(path.read_text(), now()).libraries
    assert [gate.id for gate in library.gates] == ["front", "garden", "cellar"]
    assert [each.gate for each in (await console.claimed()).device.lines] == ["cellar"]
    await inlet.until_entries(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "could go to several places"),
        (["--gate", "attic"], "no gate 'attic'"),
        (["--line", "front"], "--line LINE=GATE"),
        (["--gate", "front", "--invert", "9"], "which is not led anywhere"),
        (["--gate", "front", "--meaning", "1=many"], "choose one of crossing"),
        (["--gate", "front", "--zone", "attic", "--id", "Not An Id"], "cannot be claimed so"),
        (["--line", "1=zone:attic"], "no zone 'attic'"),
        (["--serial", "S9"], "nothing with the serial number"),
    ],
)
async def test_a_claim_that_cannot_be_says_what_would_do(console: Console, options: list[str], words: str) -> None:
    await console.inlet.send(passage(1))
    trouble = await console.trouble("claim", console.inlet.name, f"{console.inlet.name}-box", *options)
    assert words in f"{trouble.what} {trouble.remedy}"
    assert trouble.remedy


async def test_names_that_are_not_there_are_answered_with_those_that_are(console: Console) -> None:
    name = console.inlet.name
    assert name in (await console.trouble("claim", "elsewhere", f"{name}-box")).remedy
    assert f"{name}-box" in (await console.trouble("preview", f"{name}-bax")).remedy
    assert "placelibre devices" in (await console.trouble("preview", f"{name}-box")).remedy
    assert "no device" in (await console.trouble("show", "nothing")).what


async def test_one_of_several_boxes_of_a_source_has_to_be_named(console: Console) -> None:
    inlet = console.inlet
    await inlet.send([passage(1, serial="S1"), passage(2, serial="S2")])
    trouble = await console.trouble("claim", inlet.name, f"{inlet.name}-box", "--gate", "front")
    assert "S1, S2" in trouble.remedy
    await console.said("claim", inlet.name, f"{inlet.name}-box", "--gate", "front", "--serial", "S2")
    assert [each["serial"] for each in (await console.told())["unclaimed"]] == ["S1"]


async def test_claiming_again_leads_the_same_device_elsewhere(console: Console) -> None:
    inlet, source = console.inlet, f"{console.inlet.name}-box"
    await inlet.send([passage(1), passage(2)])
    await console.said("claim", inlet.name, source, "--gate", "front", "--id", "door")
    await console.said("claim", inlet.name, source, "--gate", "garden", "--invert", "1")
    claim = await console.claimed()  # one, not two
    assert claim.device.id == "door"
    assert [(each.line, each.gate, each.invert) for each in claim.device.lines] == [("1", "garden", True)]
    assert "no line 'side'" in (await console.trouble("claim", inlet.name, source, "--line", "side=front")).what
    assert "'TYPO'" in (await console.trouble("claim", inlet.name, source, "--serial", "TYPO")).what
    assert (await inlet.send(passage(9))).json()["stored"] == 1
    assert len(await inlet.readings()) == 3  # nobody twice


async def test_a_device_is_shown_whole_and_released(console: Console) -> None:
    inlet = console.inlet
    await inlet.send(passage(1))
    await console.said("claim", inlet.name, f"{inlet.name}-box", "--gate", "front", "--id", "door")
    state = DeviceState.model_validate(
        {"device": "door", "source": f"{inlet.name}-box", "skew_s": 400.0, "battery_percent": 9, "last_seen": now()}
    )
    await inlet.bus.bucket(subjects.DEVICES).put(f"{inlet.name}.door", state.model_dump_json().encode())
    shown = await console.said("show", "door")
    assert "its clock is 400 s slow" in shown
    assert "battery 9 %" in shown
    assert {each["code"] for each in (await console.told("show", f"{inlet.name}.door"))["findings"]} >= {
        "wrong-clock",
        "low-battery",
    }
    assert "counts no more" in await console.said("release", "door")
    assert "no device" in (await console.trouble("release", "door")).what


def test_a_new_source_has_a_secret_address_that_ingest_recognises(file: Path) -> None:
    arguments = ["new", "a", "--name", "Front “door” 1", "--ingest", "https://in.example/", "--write", str(file)]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["url"].startswith("https://in.example/v1/devices/")
    token = told["url"].rpartition("/")[2]
    assert len(token) >= 43
    assert token not in file.read_text()
    [library] = check_text(file.read_text(), now()).libraries
    registry = Registry()
    registry.put(library)
    found = registry.source_of_token(token)
    assert found is not None
    assert (found.id, found.name) == ("front-door-1", "Front “door” 1")
    again = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert again["source"].startswith("front-door-1-")


def test_a_new_source_of_the_mqtt_listener_has_a_password_whose_hash_is_in_the_file(file: Path) -> None:
    result = CliRunner().invoke(app, ["new", "a", "--id", "cellar", "--mqtt", "--write", str(file), "--json"])
    told = json.loads(result.stdout)
    assert (told["user"], told["topic"]) == ("cellar", "devices/cellar")
    [library] = check_text(file.read_text(), now()).libraries
    hashed = library.sources[0].model_dump()["password_bcrypt"]
    assert bcrypt.checkpw(told["password"].encode(), hashed.encode())
    assert told["password"] not in file.read_text()


def test_without_a_file_the_lines_are_printed_to_be_pasted() -> None:
    result = CliRunner().invoke(app, ["new", "a", "--name", "Door"])
    assert "/v1/devices/" in result.stdout
    lines = result.stdout.partition("[[libraries.sources]]")[2].partition("\n\n")[0]
    assert tomllib.loads("\n".join(line.strip() for line in lines.splitlines()))["id"] == "door"


@pytest.mark.parametrize("gates", GATES.values(), ids=GATES.keys())
def test_a_gate_is_added_however_the_library_writes_its_gates(tmp_path: Path, gates: str) -> None:
    path = tmp_path / "libraries.toml"
    path.write_text(LIBRARY + gates + "\n# The second one.\n" + LIBRARY.replace('"a"', '"b"'))
    before = check_text(path.read_text(), now()).libraries
    library = add_gate(path, "a", "side", "outside", "inside")
    after = check_text(path.read_text(), now()).libraries
    assert [gate.id for gate in library.gates] == [*(gate.id for gate in before[0].gates), "side"]
    assert after[1] == before[1]
    assert after[0].model_copy(update={"gates": before[0].gates}) == before[0]
    add_gate(path, "a", "third", "outside", "inside")
    assert len(check_text(path.read_text(), now()).libraries[0].gates) == len(before[0].gates) + 2


def test_a_gate_that_cannot_be_leaves_the_file_as_it_was(file: Path) -> None:
    text = file.read_text()
    with pytest.raises(Trouble, match="stays as it is"):
        add_gate(file, "a", "front", "outside", "inside")
    with pytest.raises(Trouble, match="no library"):
        add_gate(file, "b", "side", "outside", "inside")
    assert file.read_text() == text


def test_a_captured_body_is_read_without_a_bus(tmp_path: Path) -> None:
    path = tmp_path / "capture.json"
    path.write_text(json.dumps([passage(1, PeopleId="p-1"), passage(2, MetricId=2), passage(3, Value="many")]))
    result = CliRunner().invoke(app, ["read", str(path)])
    assert result.exit_code == 0
    for words in ("footfallcam", "serial number S1", "would count", "[2].Value", "never kept: the field PeopleId"):
        assert words in result.stdout
    told = json.loads(CliRunner().invoke(app, ["read", str(path), "--json"]).stdout)
    [device] = told["devices"]
    assert device["lines"][0]["recommended"] == "crossing"


def test_a_body_of_every_format_is_read(tmp_path: Path) -> None:
    for module in (ROOT / "tests" / "devices").glob("test_*.py"):
        importlib.import_module(f"tests.devices.{module.stem}")
    suites = FormatSuite.__subclasses__()
    assert len(suites) > 20
    for suite in suites:
        case = next((each for each in suite.cases if each.mapping is None), None)
        if case is None:
            continue
        path = tmp_path / suite.format
        path.write_bytes(case.body)
        options = ["--media-type", case.media_type, *(["--topic", case.topic] if case.topic else [])]
        result = CliRunner().invoke(app, ["read", str(path), "--format", suite.format, *options])
        assert result.exit_code == 0, f"{suite.format}: {result.stdout} {result.exception}"
        assert suite.format in result.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"hello": 1}', "no format recognises this JSON"),
        ("nothing at all", "no format recognises this text"),
        (b"\x00\x01\x02", "binary"),
        ("<a><b/></a>", "no format recognises this XML"),
    ],
)
def test_an_unreadable_body_says_why_and_what_to_do(tmp_path: Path, body: str | bytes, words: str) -> None:
    path = tmp_path / "capture"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    result = CliRunner().invoke(app, ["read", str(path)])
    assert result.exit_code == 1
    assert words in result.stdout
    assert "--format" in result.stdout


def test_what_a_register_shows_is_told_for_one_reading_counts_nobody(tmp_path: Path) -> None:
    path = tmp_path / "capture.json"
    total = {"in_counted": 8442, "out_counted": 15583, "capacity_counted": -7141}
    body = {"device_info": {"device_sn": "6537F2854522"}, "line_total_data": [{"line": 1, "total": total}]}
    path.write_text(json.dumps(body))
    result = CliRunner().invoke(app, ["read", str(path), "--format", "milesight"])
    assert "its register shows 8442/15583" in result.stdout


def test_a_file_or_a_zone_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["read", str(tmp_path / "no")])
    assert isinstance(missing.exception, Trouble)
    zone = CliRunner().invoke(app, ["read", str(tmp_path / "no"), "--time-zone", "Mars/North"])
    assert isinstance(zone.exception, Trouble)
    assert "Europe/Paris" in zone.exception.remedy


def test_every_format_is_listed_within_80_columns() -> None:
    shown = CliRunner().invoke(app, ["formats"]).stdout
    assert "footfallcam" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    told = json.loads(CliRunner().invoke(app, ["formats", "--json"]).stdout)
    assert {"format", "title", "meanings", "notes"} <= told[0].keys()
