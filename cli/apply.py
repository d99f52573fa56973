"""`placelibre apply`: a checked `libraries.toml` becomes what every service works with, without a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.applying import Action, Change, carry_out, plan
from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.data_folder import DATA, DataFolder, DataOption
from cli.terminal import command_app, examples, say, say_json
from shared.runtime.bus import Bus

app = command_app()

SIGNS: Final[dict[Action, str]] = {"added": "+", "changed": "~", "removed": "-", "kept": "!", "unchanged": "="}


@app.command(
    epilog=examples(
        "placelibre apply",
        "placelibre apply --dry-run",
        "placelibre apply libraries.toml --prune",
        "placelibre apply --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
    )
)
def apply(
    file: Annotated[Path, typer.Argument(help="The configuration.")] = LIBRARIES_FILE,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Also remove libraries that are not in the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the changes for a program.")] = False,
) -> None:
    """Apply a configuration to what runs.

    It is checked first: a file with a fault in it changes nothing at all. No service is restarted.
    """
    libraries = good_libraries_or_trouble(file).libraries
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)

    async def work(bus: Bus) -> list[Change]:
        planned = await plan(bus, libraries, is_pruned=prune)
        if not dry_run:
            await carry_out(bus, planned)
        return planned

    changes = on_bus(address, work, remedy="try again; what was applied already stays, and applying twice does no harm")
    if as_json:
        rows = [{"library": each.library, "action": each.action, "details": list(each.details)} for each in changes]
        say_json({"applied": not dry_run, "changes": rows})
    else:
        show(changes, is_dry=dry_run)


def show(changes: list[Change], *, is_dry: bool) -> None:
    """Print what was done for each library, and the differences."""
    for change in changes:
        word = "not in the file; kept, --prune removes it" if change.action == "kept" else change.action
        say(f"{SIGNS[change.action]} {change.library}: {word}")
        for detail in change.details:
            say(f"    {detail}")
    if is_dry:
        say("nothing was applied: this was a dry run")
