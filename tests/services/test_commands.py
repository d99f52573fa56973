"""What holds for every command: help with examples, plain errors, no colours where none are wanted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.command_line import COMMANDS, app
from tests.conftest import ROOT


def placelibre(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ) | environment,
    )


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS if name != "keys"), ("keys", "new")], ids=" ".join)
def test_every_command_explains_itself_with_examples(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    examples = result.stdout.partition("Examples:")[2]
    assert f"placelibre {' '.join(command)}" in examples


def test_the_help_names_every_command() -> None:
    listed = placelibre("--help").stdout.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line.strip()][
        : len(COMMANDS)
    ] == list(COMMANDS)


def test_a_command_that_is_not_there_is_an_error_without_a_traceback() -> None:
    result = placelibre("chekc")
    assert result.returncode == 2
    assert "No such command" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_colours_are_used_where_they_are_not_wanted() -> None:
    forced = placelibre("check", "none.toml", FORCE_COLOR="1", NO_COLOR="")
    plain = placelibre("check", "none.toml", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[1;31m" in forced.stderr
    assert "31m" not in plain.stderr
