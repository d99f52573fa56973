"""The units for a single machine: systemd takes them, they are confined, and the commands in them exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from cli.command_line import app
from tests.conftest import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
INSTALLED: Final = "/opt/placelibre/bin/placelibre"
OURS: Final = sorted(each for each in UNITS.glob("*.service") if "@" not in each.name)
"""Those that run us; placelibre-tell@ runs what the operator has written."""
EXPOSURE_MAX: Final = 1.5
"""Of ten; below two systemd itself says OK. What is left is the network, which a web service needs."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def commands(unit: Path) -> list[list[str]]:
    """Return what a unit starts, without the program's path."""
    found = re.findall(rf"^ExecStart={INSTALLED} (.+)$", unit.read_text(), re.MULTILINE)
    return [each.split() for each in found]


@pytest.mark.parametrize("unit", OURS, ids=lambda unit: unit.name)
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
            text = unit.read_text().replace(INSTALLED, ours).replace("/etc/placelibre/tell", str(UNITS / "tell"))
            (tmp_path / unit.name).write_text(text)
    files = sorted(str(each) for each in tmp_path.iterdir())
    assert len(files) == 6
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    # What other units of this machine lack is not ours; whatever is said of ours is an error.
    assert done.returncode == 0, done.stderr
    assert "placelibre" not in done.stdout + done.stderr


@pytest.mark.tools
@needs_systemd
@pytest.mark.parametrize("unit", OURS, ids=lambda unit: unit.name)
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


@pytest.mark.parametrize("name", ["placelibre-backup", "placelibre-doctor"])
def test_what_fails_at_night_is_told(name: str) -> None:
    assert (UNITS / f"{name}.timer").is_file()
    assert "\nOnFailure=placelibre-tell@%n.service\n" in (UNITS / f"{name}.service").read_text()
    assert "\nExecStart=/etc/placelibre/tell %i\n" in (UNITS / "placelibre-tell@.service").read_text()


def test_a_backup_beside_what_it_backs_up_is_a_failure_and_not_passed_over() -> None:
    text = (UNITS / "placelibre-backup.service").read_text()
    assert re.search(r"^ExecStartPre=\+/usr/bin/mountpoint -q /var/backups/placelibre$", text, re.MULTILINE)


def a_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_same_is_told_once_in_four_hours(tmp_path: Path) -> None:
    for name in ("wall", "journalctl"):
        a_program(tmp_path / name, f"echo {name}: $*; cat" if name == "wall" else "echo wrong bus: away; echo ok api")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNTIME_DIRECTORY": str(tmp_path / "told")}
    (tmp_path / "told").mkdir()

    def tell(unit: str) -> str:
        command = ["sh", str(UNITS / "tell"), unit]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    said = tell("placelibre-doctor.service")
    assert "placelibre-doctor.service has failed" in said
    assert "wrong bus: away" in said
    assert "ok api" not in said
    assert tell("placelibre-doctor.service") == ""
    assert "placelibre-backup.service has failed" in tell("placelibre-backup.service")
    five_hours_ago = time.time() - 5 * 3600
    os.utime(tmp_path / "told" / "placelibre-doctor.service", (five_hours_ago, five_hours_ago))
    assert "has failed" in tell("placelibre-doctor.service")


@pytest.mark.skipif(os.geteuid() != 0, reason="it becomes another user")
def test_the_operator_s_commands_run_as_the_service_on_its_folder_beside_its_libraries(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="placelibre-wrapper-"))  # pytest's own folders are closed to others
    try:
        home.chmod(0o755)
        a_program(home / "placelibre", 'echo "$(id -un) $(pwd) $PLACELIBRE_DATA $#: $*"')
        text = (UNITS / "placelibre-as-operator").read_text()
        for there, here in (
            (INSTALLED, str(home / "placelibre")),
            ("/etc/placelibre", str(home)),
            ("-u placelibre", "-u nobody"),
        ):
            assert there in text
            text = text.replace(there, here)
        a_program(tmp_path / "wrapper", text)
        done = subprocess.run(
            [str(tmp_path / "wrapper"), "keys", "new", "two words"], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"nobody {home} /var/lib/placelibre 3: keys new two words\n"
    finally:
        shutil.rmtree(home)


def test_a_prometheus_beside_it_has_the_same_jobs_as_that_of_compose() -> None:
    def jobs(path: Path) -> dict[str, str]:
        found = yaml.safe_load(path.read_text())["scrape_configs"]
        return {each["job_name"]: each["static_configs"][0]["targets"][0] for each in found}

    here, there = jobs(UNITS / "prometheus.yml"), jobs(ROOT / "deploy" / "compose" / "prometheus.yml")
    assert here.keys() == there.keys()
    assert all(address.startswith("127.0.0.1:") for address in here.values())
    assert [each.rpartition(":")[2] for each in here.values()] == [each.rpartition(":")[2] for each in there.values()]


def test_a_backup_goes_to_another_folder_than_the_data() -> None:
    [command] = commands(UNITS / "placelibre-backup.service")
    folder, data = command[1], command[command.index("--data") + 1]
    assert not Path(folder).is_relative_to(data)
    assert f"ReadWritePaths={folder}" in (UNITS / "placelibre-backup.service").read_text()
