"""All commands of `placelibre`. Each is a module of its own, loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from cli.terminal import Trouble, tell

COMMANDS: Final = (
    "up",
    "check",
    "apply",
    "keys",
    "devices",
    "staff",
    "doctor",
    "explain",
    "posts",
    "statistics",
    "leaf",
    "bus",
    "audit",
    "purge",
    "retention",
    "backup",
    "restore",
    "reconcile",
    "simulate",
    "replay",
    "bench",
    "accuracy",
    "estimate",
    "run",
    "probe",
)
"""In the order in which people meet them. The module `cli.<name>` holds a typer application named `app`."""

MODULES: Final = {
    "accuracy": "cli.accuracy_command",
    "statistics": "cli.statistics_command",
    "probe": "cli.probe_command",
}
"""Commands whose module is named otherwise, for a package has their name."""

EPILOG: Final = """\
Begin with: placelibre up
"""


class _Commands(TyperGroup):
    """Finds a command's module by its name: a service that is started must not wait for all the others' imports."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, for the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """Return a command, or None if there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = MODULES.get(cmd_name, f"cli.{cmd_name}")
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            return None
        command: TyperCommand | TyperGroup = typer.main.get_command(module.app)  # type: ignore[assignment]
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def placelibre() -> None:
    """Live library status: is there a seat, how long is the queue, as of when."""


def run() -> None:
    """Run the command line; an expected error ends it with one sentence and what to do next."""
    try:
        app(prog_name="placelibre")
    except Trouble as trouble:
        tell(trouble)
        sys.exit(1)
