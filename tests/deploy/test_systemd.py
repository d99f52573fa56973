"""The units for a single machine: systemd takes them, they are confined, and the commands in them exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from cli.command_line import app
from tests.conftest import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
INSTALLED: Final = "/opt/placelibre/bin/placelibre"
EXPOSURE_MAX: Final = 1.5
"""Of ten; below two systemd itself says OK. What is left is the network, which a web service needs."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def commands(unit: Path) -> list[list[str]]:
    """Return what a unit starts, without the program's path."""
    found = re.findall(rf"^ExecStart={INSTALLED} (.+)$", unit.read_text(), re.MULTILINE)
    return [each.split() for each in found]


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_every_command_of_a_unit_and_each_of_its_options_exist(unit: Path) -> None:
    [command] = commands(unit)
    help_text = CliRunner().invoke(app, [command[0], "--help"], env={"COLUMNS": "200"}).stdout
    options = [each for each in command if each.startswith("--")]
    assert options
    for option in options:
        assert option in help_text


@pytest.mark.tools
@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    ours = str(Path(sys.executable).parent / "placelibre")
    for unit in UNITS.glob("placelibre*.*"):
        if unit.suffix in {".service", ".timer"}:
            (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, ours))
    files = sorted(str(each) for each in tmp_path.iterdir())
    assert len(files) == 3
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    # What other units of this machine lack is not ours; whatever is said of ours is an error.
    assert done.returncode == 0, done.stderr
    assert "placelibre" not in done.stdout + done.stderr


@pytest.mark.tools
@needs_systemd
@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_the_services_are_confined(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found.group(1)) <= EXPOSURE_MAX


def test_a_backup_goes_to_another_folder_than_the_data() -> None:
    [command] = commands(UNITS / "placelibre-backup.service")
    folder, data = command[1], command[command.index("--data") + 1]
    assert not Path(folder).is_relative_to(data)
    assert f"ReadWritePaths={folder}" in (UNITS / "placelibre-backup.service").read_text()
