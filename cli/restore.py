"""`placelibre restore`: a backup put back on an empty bus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, on_bus
from cli.bus_alone import bus_alone
from cli.data_folder import DATA, DataFolder, DataOption
from cli.operator_audit import note_act
from cli.terminal import Trouble, command_app, examples, say, say_json, warn
from services.auditor.export import exports_in
from services.auditor.manifest import MANIFEST, ExportDamaged, Manifest, read_manifest, verify
from services.auditor.restoring import BusInUse, Found, RestoreFailed, look, restore
from shared.contracts.audit import Act
from shared.runtime.bus import Bus

app = command_app()

MIB = 1024 * 1024
WORD = "replace"


@app.command(
    name="restore",
    epilog=examples(
        "placelibre restore /mnt/backup/placelibre --dry-run",
        "placelibre restore /mnt/backup/placelibre",
        "placelibre restore /mnt/backup/placelibre --at 2026-11-20",
        "placelibre restore /exports --replace --nats-url tls://bus:4222 --seed-file operator.nk --ca-file ca.pem",
    ),
)
def restore_backup(
    folder: Annotated[Path, typer.Argument(help="A backup, or the folder with them: then the newest.", exists=True)],
    *,
    at: Annotated[str, typer.Option(metavar="TIME", help="The newest that is not later than this, in UTC.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the backup and say what would be done.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the bus holds something, which is lost.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    replicas: Annotated[
        int | None, typer.Option(min=1, max=5, help="Copies of each stream; left out: as in the backup.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done for a program.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Put a backup back.

    Services must be stopped. Without --nats-url the bus of --data is started for it, and `placelibre up` must not be
    running there; with it, a bus that runs alone. Every checksum is held to before anything is written, and it is all
    or nothing. What came after the backup is lost, but for what devices send again; nothing that was about to be said
    when it was made is said.
    """
    path = _chosen(folder, at)
    try:
        manifest = read_manifest(path)
        if not as_json:
            warn(f"checking {path} ({manifest.size / MIB:.1f} MiB)", style=None)
        verify(path, manifest)
    except ExportDamaged as fault:
        raise Trouble(
            f"{path} is not as it was written:\n  " + "\n  ".join(fault.faults),
            "nothing was touched; take another backup",
        ) from fault
    damaged = [each.name for each in manifest.streams if each.is_damaged]
    if damaged:
        warn(f"the bus could not read all of {', '.join(damaged)} when this was written; an older backup may have more")
    if dry_run:
        _tell(path, manifest, [], as_json=as_json, is_dry=True)
        return
    data_folder = DataFolder(data.absolute())
    with bus_alone(data_folder, nats_url, seed_file, ca_file) as address:
        found = on_bus(address, look)
        _refuse_readers(found.readers)
        _ask(found, is_replaced=replace, is_sure=yes)

        async def work(bus: Bus) -> list[str]:
            remarks = await restore(
                bus, path, manifest, replicas=replicas, progress=lambda each: warn(f"  {each}", None)
            )
            await note_act(bus, Act.RESTORED, subject=path.name)
            return remarks

        try:
            remarks = on_bus(address, work)
        except BusInUse as error:
            _refuse_readers((str(error),))
        except (RestoreFailed, ExportDamaged) as error:
            raise Trouble(f"it was not restored: {error}", "see the bus's log; then run this again") from error
    where = str(data_folder.path) if nats_url is None else f"the bus at {nats_url}"
    _tell(path, manifest, remarks, as_json=as_json, is_dry=False, where=where)


def _chosen(folder: Path, at: str) -> Path:
    if (folder / MANIFEST).is_file():
        if at:
            raise Trouble(f"{folder} is one backup", "leave --at out, or give the folder with all of them")
        return folder
    wanted = at.replace(":", "").replace(" ", "T")
    fitting = [each for each in exports_in(folder) if not wanted or each.name <= wanted + "~"]
    if not fitting:
        when = f" that is not later than {at}" if at else ""
        raise Trouble(f"there is no whole backup in {folder}{when}", "one is a folder such as 2026-11-22T020000Z")
    return fitting[-1]


def _refuse_readers(readers: tuple[str, ...]) -> None:
    if readers:
        raise Trouble(
            f"services are running on this bus ({', '.join(readers[:3])})", "stop them all; the bus must run alone"
        )


def _ask(found: Found, *, is_replaced: bool, is_sure: bool) -> None:
    if found.is_empty:
        return
    total = sum(found.messages.values())
    most = sorted(found.messages.items(), key=lambda each: -each[1])[:4]
    holds = f"the bus holds {total} messages ({', '.join(f'{name} {count}' for name, count in most if count)})"
    if not is_replaced:
        raise Trouble(
            holds,
            "give --replace if they may be lost for good; `placelibre backup FOLDER`, with the same --data or the same"
            " bus, keeps them first, and needs no service to run",
        )
    if not is_sure and typer.prompt(f"{holds}.\nThey are lost for good. Type `{WORD}` to go on", err=True) != WORD:
        raise Trouble("nothing was done", f"type `{WORD}` if you mean it")


def _tell(path: Path, manifest: Manifest, remarks: list[str], *, as_json: bool, is_dry: bool, where: str = "") -> None:
    if as_json:
        say_json(
            {
                "path": str(path),
                "of": manifest.begun_at.isoformat(),
                "restored": not is_dry,
                "into": where,
                "streams": {each.name: each.messages for each in manifest.streams},
                "remarks": remarks,
            }
        )
        return
    for each in manifest.streams:
        if each.messages:
            say(f"{each.name:<20} {each.messages:>9} messages, the last of {each.last_at[:19]}")
    for remark in remarks:
        say(f"  {remark}")
    if is_dry:
        say(f"{path} is whole and as it was written; nothing was touched.")
        return
    say(f"Restored into {where}, as of {manifest.begun_at:%Y-%m-%d %H:%M:%S} UTC.")
    say("Start the services now; where `placelibre up` runs them all, that.")
    say("What came later is not there: devices that keep their counts send them again, the others' are lost.")
    say("What was posted after the backup is not known here; look at the accounts, and at `placelibre posts`.")
    say(
        "What was taken out after it is back: people, tablets and keys that were removed, what was purged; and times of"
        f" `placelibre retention` are those of {manifest.begun_at:%Y-%m-%d}. Take it out again."
    )
