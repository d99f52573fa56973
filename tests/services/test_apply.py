"""Applying a configuration to the real bus: what changes is written, what is broken changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest

from cli.applying import Change, carry_out, differences, plan
from cli.bus_server import BusServer
from cli.check import read_and_check
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.runtime.bus import Bus, Conflict
from tests.conftest import ROOT

LIBRARY = """\
[[libraries]]
id = "{id}"
name = "{id}"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 10
gates = [{{ id = "front" }}]
"""


@dataclass(frozen=True)
class Applied:
    code: int
    changes: dict[str, str]
    error: str


@dataclass(frozen=True)
class Command:
    file: Path
    server: BusServer

    def apply(self, *arguments: str, text: str | None = None) -> Applied:
        if text is not None:
            self.file.write_text(text)
        where = ["--nats-url", self.server.url, "--seed-file", str(self.server.seed_file("operator"))]
        result = subprocess.run(
            [sys.executable, "-m", "cli.main", "apply", str(self.file), *where, "--json", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        changes = json.loads(result.stdout)["changes"] if result.returncode == 0 else []
        return Applied(result.returncode, {each["library"]: each["action"] for each in changes}, result.stderr)


@pytest.fixture
def command(tmp_path: Path, bus_server: BusServer) -> Command:
    return Command(tmp_path / "libraries.toml", bus_server)


async def on_the_bus(operator: Bus) -> dict[str, LibraryConfig]:
    bucket = operator.bucket(subjects.LIBRARIES)
    entries = [await bucket.get(key) for key in await bucket.keys()]
    return {each.key: LibraryConfig.model_validate_json(each.value) for each in entries if each is not None}


async def test_what_is_applied_is_what_the_file_says(operator: Bus, command: Command) -> None:
    command.file.write_text(LIBRARY.format(id="a") + LIBRARY.format(id="b"))
    assert command.apply().changes == {"a": "added", "b": "added"}
    wanted = {each.id: each for each in read_and_check(command.file).libraries}
    assert await on_the_bus(operator) == wanted


async def test_a_library_that_has_not_changed_is_not_written_again(operator: Bus, command: Command) -> None:
    command.apply(text=LIBRARY.format(id="a") + LIBRARY.format(id="b"))
    before = await operator.bucket(subjects.LIBRARIES).get("a")
    changed = LIBRARY.format(id="a") + LIBRARY.format(id="b").replace("capacity = 10", "capacity = 11")
    assert command.apply(text=changed).changes == {"a": "unchanged", "b": "changed"}
    assert await operator.bucket(subjects.LIBRARIES).get("a") == before
    assert (await on_the_bus(operator))["b"].capacity == 11


async def test_a_broken_file_changes_nothing(operator: Bus, command: Command) -> None:
    command.apply(text=LIBRARY.format(id="a"))
    before = await on_the_bus(operator)
    broken = LIBRARY.format(id="a").replace("10", "11") + LIBRARY.format(id="b").replace("24/7", "always")
    result = command.apply(text=broken)
    assert result.code == 1
    assert "line 12: libraries.b.opening_hours" in result.error
    assert "nothing has been changed" in result.error
    assert await on_the_bus(operator) == before


async def test_a_library_that_is_gone_from_the_file_is_kept_until_it_is_pruned(operator: Bus, command: Command) -> None:
    command.apply(text=LIBRARY.format(id="a") + LIBRARY.format(id="b"))
    assert command.apply(text=LIBRARY.format(id="a")).changes == {"a": "unchanged", "b": "kept"}
    assert set(await on_the_bus(operator)) == {"a", "b"}
    assert command.apply("--prune").changes == {"a": "unchanged", "b": "removed"}
    assert set(await on_the_bus(operator)) == {"a"}


@pytest.mark.slow
async def test_a_pruned_library_may_come_back(operator: Bus, command: Command) -> None:
    command.apply(text=LIBRARY.format(id="a") + LIBRARY.format(id="b"))
    command.apply("--prune", text=LIBRARY.format(id="a"))
    assert command.apply(text=LIBRARY.format(id="a") + LIBRARY.format(id="b")).changes["b"] == "added"
    assert set(await on_the_bus(operator)) == {"a", "b"}


async def test_a_library_that_is_removed_takes_its_staff_along_and_no_other_s(standing: Bus) -> None:
    gone, stays = f"lib-{token_hex(4)}", f"lib-{token_hex(4)}"
    bucket = standing.bucket(subjects.STAFF)
    keys = [
        subjects.staff_key(each, what, name)
        for each in (gone, stays, f"{gone}-south")
        for what, name in (("person", "ab"), ("tablet", "desk"), ("tries", "ab.desk"), ("former", "cd"))
    ]
    for key in keys:
        await bucket.put(key, b"{}")
    await carry_out(standing, [Change(gone, "removed"), Change(stays, "kept")])
    left = [key for key in keys if await bucket.get(key) is not None]
    assert left == keys[4:]


async def test_a_dry_run_says_what_would_change_and_changes_nothing(operator: Bus, command: Command) -> None:
    assert command.apply("--dry-run", text=LIBRARY.format(id="a")).changes == {"a": "added"}
    assert await on_the_bus(operator) == {}


async def test_a_value_on_the_bus_that_nobody_can_read_is_replaced(operator: Bus, command: Command) -> None:
    await operator.bucket(subjects.LIBRARIES).put("a", b"{")
    assert command.apply(text=LIBRARY.format(id="a")).changes == {"a": "changed"}
    assert set(await on_the_bus(operator)) == {"a"}


async def test_two_who_apply_at_once_do_not_overwrite_each_other(operator: Bus, command: Command) -> None:
    command.apply(text=LIBRARY.format(id="a"))
    ours = LIBRARY.format(id="a").replace("10", "11")
    command.file.write_text(ours)
    changes = await plan(operator, read_and_check(command.file).libraries, is_pruned=False)
    command.apply(text=LIBRARY.format(id="a").replace("10", "12"))
    with pytest.raises(Conflict):
        await carry_out(operator, changes)
    assert (await on_the_bus(operator))["a"].capacity == 12


def test_a_bus_that_is_away_is_said_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "libraries.toml"
    file.write_text(LIBRARY.format(id="a"))
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", "apply", str(file), "--data", str(tmp_path / "nothing")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "no `placelibre up` is running" in result.stderr
    assert "Traceback" not in result.stderr


def test_differences_are_told_by_name_and_not_by_place_in_a_list(tmp_path: Path) -> None:
    def library(text: str) -> LibraryConfig:
        file = tmp_path / "libraries.toml"
        file.write_text(text)
        return read_and_check(file).libraries[0]

    before = LIBRARY.format(id="a")
    after = before.replace("capacity = 10", "capacity = 12").replace(
        '{ id = "front" }', '{ id = "side" }, { id = "front", silent_after_min = 30 }'
    )
    assert list(differences(library(before), library(after))) == [
        "capacity: 10 -> 12",
        "gates.front.silent_after_min: 20.0 -> 30.0",
        "gates.side: added",
    ]
