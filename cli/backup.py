"""`placelibre backup`: a whole, consistent copy of what cannot be worked out again, while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, on_bus
from cli.bus_alone import bus_at_rest_or_running
from cli.data_folder import DATA, DataFolder, DataOption
from cli.operator_audit import note_act
from cli.terminal import Trouble, command_app, examples, say, say_json, warn
from services.auditor.export import ExportFailed, export, exports_in
from services.auditor.manifest import Manifest
from shared.contracts.audit import Act
from shared.runtime.bus import Bus

app = command_app()

MIB = 1024 * 1024
KEEP = 14
"""As many as the auditor keeps where nobody says otherwise."""


@app.command(
    epilog=examples(
        "placelibre backup /mnt/backup/placelibre",
        "placelibre backup /mnt/backup/placelibre --keep 30",
        "placelibre backup /exports --keep 14 --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
    )
)
def backup(
    folder: Annotated[
        Path, typer.Argument(help="Where backups are kept, each in a folder of its own.", file_okay=False)
    ],
    *,
    keep: Annotated[
        int,
        typer.Option(
            min=0,
            max=400,
            envvar="PLACELIBRE_EXPORT_KEEP",
            help=f"How many stay there, the newest. 0 is {KEEP}: in the variable it says that the auditor writes none.",
            # Whoever has the auditor keep three must not find fourteen, nor the other way round, after one by hand.
            callback=lambda said: said or KEEP,
        ),
    ] = KEEP,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written for a program.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but what goes wrong.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Copy what is on the bus into a folder, while everything runs, or while nothing does.

    The copy is checked against the bus as it is made, is there whole or not at all, and holds what cannot be worked
    out again: counts, changes, days, what was said, configuration, staff. It also holds hashes of keys and the private
    keys of fediverse accounts: keep it closed to others. `placelibre restore` puts it back. Nothing is written where
    less than 256 MiB would stay free. Where no `placelibre up` runs on --data, its bus is started for it, alone.

    Of the older ones the newest --keep stay, and besides them what no newer one has: the newest that is undamaged, the
    one that reaches furthest, and the last from before a loss that nobody has accepted.
    """
    data_folder = DataFolder(data.absolute())

    def progress(stream: str) -> None:
        if not quiet and not as_json:
            warn(f"  {stream}", style=None)

    async def work(bus: Bus) -> tuple[Path, Manifest]:
        path, manifest = await export(bus, folder.absolute(), keep=keep, progress=progress)
        await note_act(bus, Act.BACKED_UP, subject=path.name)
        return path, manifest

    try:
        with bus_at_rest_or_running(data_folder, nats_url, seed_file, ca_file) as address:
            path, manifest = on_bus(address, work)
    except ExportFailed as error:
        raise Trouble(f"no backup was written: {error}", "what was there before is untouched") from error
    damaged = list(manifest.damaged)
    if as_json:
        say_json(
            {
                "path": str(path),
                "bytes": manifest.size,
                "messages": sum(each.messages for each in manifest.streams),
                "begun_at": manifest.begun_at.isoformat(),
                "ended_at": manifest.ended_at.isoformat(),
                "damaged": damaged,
            }
        )
    elif not quiet:
        took_s = (manifest.ended_at - manifest.begun_at).total_seconds()
        messages = sum(each.messages for each in manifest.streams)
        say(f"{path}: {messages} messages of {len(manifest.streams)} streams")
        say(f"{manifest.size / MIB:.1f} MiB, {took_s:.1f} s")
        besides = [each.name for each in exports_in(folder)[:-keep]]
        if besides:
            say(f"kept besides the newest {keep}, for what they alone hold: {', '.join(besides)}")
    if damaged:
        raise Trouble(
            f"the bus has found messages that it cannot read in {', '.join(damaged)}; the rest is in the backup",
            "keep the backups of before, and see `placelibre doctor` and the bus's log",
        )
