"""`placelibre devices`: what counts and whether it does, what sends and does not count yet, and claiming it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.table import Table

from cli.applying import carry_out, plan
from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.check import LIBRARIES_FILE, good_libraries_or_trouble
from cli.data_folder import DATA, DataFolder, DataOption
from cli.gates import captured, listing
from cli.gates.claims import Wishes, claim_for, counted, device_for, lines_again, lines_for
from cli.gates.sight import preview_of_box, sight
from cli.gates.sources import make_source
from cli.libraries_file import add_gate, add_table
from cli.operator_audit import note_act
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from services.ingest import devices as device_formats
from services.ingest.claiming import claim as write_claim
from services.ingest.claiming import fault_of_claim
from services.ingest.claiming import release as write_release
from services.ingest.device_view import preview_fields, title_of
from services.ingest.preview import Preview
from shared.contracts.audit import Act
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import AnySource, Claim, Device
from shared.domain.library import INSIDE, OUTSIDE
from shared.runtime.bus import Bus
from shared.runtime.clock import now

app = command_app()

INGEST: Final = "https://your-ingest.example"
"""Stands in an address where nobody said under which name devices reach ingest."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print it for a program.")]
SerialOption = Annotated[
    str | None, typer.Option("--serial", help="The box's serial number; needed where several send through one source.")
]
FileOption = Annotated[Path, typer.Option("--file", help="The libraries.")]


@app.callback(
    invoke_without_command=True,
    epilog=examples(
        "placelibre devices",
        "placelibre devices --json",
        "placelibre devices new central --name 'Front door' --write libraries.toml",
        "placelibre devices preview front-door",
        "placelibre devices claim central front-door --gate front",
        "placelibre devices read capture.json",
    ),
)
def devices(
    context: typer.Context,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every device, what is wrong with it, and the boxes that nobody has claimed."""
    if context.invoked_subcommand is not None:
        return
    at = now()
    seen = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), lambda bus: sight(bus, at))
    if as_json:
        say_json(listing.as_fields(seen, at))
    else:
        listing.show(seen, at)


@app.command(
    epilog=examples(
        "placelibre devices new central --name 'Front door'",
        "placelibre devices new central --name 'Front door' --write libraries.toml",
        "placelibre devices new central --id cellar --mqtt --write libraries.toml",
    )
)
def new(
    library: Annotated[str, typer.Argument(help="The library's id.")],
    *,
    name: Annotated[str, typer.Option(help="In words, for staff: 'Front door, left'.")] = "",
    source_id: Annotated[str, typer.Option("--id", help="Its id; made from the name if left out.")] = "",
    mqtt: Annotated[bool, typer.Option("--mqtt", help="A user of our MQTT listener instead of an address.")] = False,
    ingest: Annotated[
        str, typer.Option("--ingest", help="Under which address devices reach ingest; that of --data if left out.")
    ] = "",
    write: Annotated[Path | None, typer.Option(help="Add its lines to this file, under the library.")] = None,
    data: DataOption = DATA,
    as_json: Annotated[bool, typer.Option("--json", help="Print the secret and its lines for a program.")] = False,
) -> None:
    """Make a secret address for a device. It is shown this once and kept nowhere; only its hash goes into the file."""
    taken: list[str] = []
    if write is not None:
        libraries = good_libraries_or_trouble(write).libraries
        taken = [source.id for each in libraries for source in each.sources]
    made = make_source(library, name, source_id, taken, is_mqtt=mqtt)
    if write is not None:
        add_table(write, library, made.toml, f"the source {made.id}")
    addresses = DataFolder(data).addresses()
    address = made.address(ingest or (addresses.ingest if addresses else INGEST))
    if as_json:
        secret = {"user": made.id, "password": made.secret, "topic": f"devices/{made.id}"} if mqtt else {"url": address}
        say_json({"source": made.id, **secret, "toml": made.toml, "written_to": str(write) if write else None})
        return
    if mqtt:
        say("What the device needs, shown this once:\n")
        say(f"  user      {made.id}\n  password  {made.secret}\n  topic     devices/{made.id}\n")
        say("How it reaches the listener: docs/mqtt.md\n")
    else:
        say("The address, shown this once; the device sends there by HTTP POST:\n")
        say(f"  {address}\n")
        if urlsplit(address).hostname == "127.0.0.1":
            say("That is of this machine alone; for devices elsewhere see `placelibre up --ingest-host`.\n")
    if write is None:
        say(f"Add these lines to libraries.toml, in the part of {library}, then run `placelibre apply`:\n")
    else:
        say(f"{write} has it now, under {library}; run `placelibre apply`:\n")
    say("\n".join(f"  {line}" for line in made.toml.splitlines()))
    say("\nOnce it has sent something: placelibre devices")


@app.command(epilog=examples("placelibre devices show front-door", "placelibre devices show central.front-door --json"))
def show(
    device: Annotated[str, typer.Argument(help="The device's id, or library.device.")],
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of one device."""
    at = now()
    row = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), lambda bus: sight(bus, at)).device(device)
    if as_json:
        say_json(listing.device_fields(row, at))
    else:
        listing.show_device(row, at)


@app.command(
    epilog=examples("placelibre devices preview front-door", "placelibre devices preview lorawan --serial A84041FFFF")
)
def preview(
    source: Annotated[str, typer.Argument(help="The source's id.")],
    *,
    serial: SerialOption = None,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be counted of a box that nobody has claimed, line by line and under each meaning.

    Only one meaning of a line ever counts. `swapped` is what in and out would be if it hangs the other way round.
    """
    at = now()

    async def look(bus: Bus) -> tuple[dict[str, object], Preview]:
        seen = await sight(bus, at)
        library, found = seen.source(source)
        box = seen.box(source, serial)
        if box is None:
            raise Trouble(f"nothing of source {source} waits in quarantine", "see `placelibre devices`")
        shown = await preview_of_box(bus, box, library, found, at)
        return listing.box_fields(box, shown), shown

    fields, shown = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), look)
    if as_json:
        say_json(fields)  # type: ignore[arg-type]  # fields are JSON
    else:
        listing.show_preview(shown)


@app.command(
    epilog=examples(
        "placelibre devices claim central front-door",
        "placelibre devices claim central front-door --gate front --name 'Front door, left'",
        "placelibre devices claim central ceiling --line 1=front --line 2=garden --invert 2",
        "placelibre devices claim central ceiling --gate cellar --from outside --to inside",
        "placelibre devices claim central hall --zone reading-room",
        "placelibre devices claim central register --meaning 1=total --direction 1=in --gate front",
    )
)
def claim(
    library: Annotated[str, typer.Argument(help="The library for which it counts.")],
    source: Annotated[str, typer.Argument(help="The source through which it sends.")],
    *,
    serial: SerialOption = None,
    gate: Annotated[str | None, typer.Option("--gate", help="The gate of all lines that count passages.")] = None,
    line: Annotated[
        list[str] | None,
        typer.Option("--line", help="LINE=GATE, LINE=zone:ZONE or LINE=queue; only the lines named count."),
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="The zone of lines that say how many are inside.")] = None,
    invert: Annotated[
        list[str] | None, typer.Option("--invert", help="This LINE hangs the other way round: in is out.")
    ] = None,
    meaning: Annotated[
        list[str] | None, typer.Option("--meaning", help="LINE=window: what its figures mean; else it is found out.")
    ] = None,
    direction: Annotated[
        list[str] | None, typer.Option("--direction", help="LINE=in: a register that counts one way only.")
    ] = None,
    origin: Annotated[str, typer.Option("--from", help="Of a gate that has to be made: where it leads from.")] = "",
    destination: Annotated[str, typer.Option("--to", help="Of a gate that has to be made: where it leads to.")] = "",
    name: Annotated[str, typer.Option(help="In words, for staff.")] = "",
    device_id: Annotated[str, typer.Option("--id", help="Its id in the log; made up if left out.")] = "",
    file: FileOption = LIBRARIES_FILE,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a box count: it, and what it sent before, as far as that is not older than a day.

    With one line and one gate nothing more has to be said. A gate that does not exist is made, in the file and on the
    bus, where --from or --to says between which places it stands.
    """
    wishes = Wishes(tuple(line or ()), gate, zone, tuple(invert or ()), tuple(meaning or ()), tuple(direction or ()))
    ends = (origin or OUTSIDE, destination or INSIDE) if origin or destination else None
    at = now()

    async def do(bus: Bus) -> tuple[Claim, LibraryConfig, AnySource, Preview, bool]:
        seen = await sight(bus, at)
        config = await _with_gates(bus, seen.library(library), wishes, ends, file)
        where, found = seen.source(source)
        box = seen.box(source, serial)
        again = None if box else seen.claimed(library, source, serial)
        if again is not None:
            device = again.device
            shown, lines = Preview(device.serial), lines_again(again, wishes)
            wanted = claim_for(library, _device(device.id, source, device.serial, name or device.name, lines), at)
        else:
            shown = await preview_of_box(bus, box, where, found, at) if box else Preview(serial or "")
            lines = lines_for(shown, config, wishes)
            chosen = device_for(seen, config, source, shown.serial, name, device_id)
            wanted = claim_for(library, _device(chosen, source, shown.serial, name, lines), at)
        fault = fault_of_claim(wanted, {**seen.libraries, library: config}, seen.found.claims)
        if fault:
            raise Trouble(f"it cannot be claimed so: {fault}", "see `placelibre devices` and libraries.toml")
        await write_claim(bus, wanted)
        await note_act(bus, Act.DEVICE_CLAIMED, library=library, subject=wanted.device.id)
        return wanted, config, found, shown, box is not None

    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    wanted, config, found, shown, has_waited = on_bus(address, do, remedy="try again; claiming twice does no harm")
    if not as_json:
        say(f"{wanted.device.id} counts for {library} now: {listing.device_words(wanted.device)}")
        if has_waited:
            say(f"counting what it sent before (bodies: {shown.bodies}) ...")
    state = on_bus(address, lambda bus: counted(bus, config, found, wanted))
    if as_json:
        say_json(
            {
                "library": library,
                "device": wanted.device.model_dump(mode="json", exclude_none=True),
                "recounted": state is not None,
                "lines": {
                    each: {"in": of_line.forward, "out": of_line.backward}
                    for each, of_line in (state.lines if state else {}).items()
                },
            }
        )
    elif state is None:
        say("ingest has not said yet that it has; see that it runs, and `placelibre devices` in a minute", "yellow")
    elif has_waited:
        row = next(
            each
            for each in on_bus(address, lambda bus: sight(bus, now())).overview.rows
            if (each.library.id, each.device.id) == (library, wanted.device.id)
        )
        listing.show_device(row, now())


@app.command(epilog=examples("placelibre devices release front-door", "placelibre devices release central.front-door"))
def release(
    device: Annotated[str, typer.Argument(help="The device's id, or library.device.")],
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Take a claim back. What has been counted stays; what the device sends from now on goes to quarantine."""

    async def do(bus: Bus) -> str:
        row = (await sight(bus, now())).device(device)
        if not row.is_claimed:
            raise Trouble(f"{row.key} stands in libraries.toml", "take it out there, then run `placelibre apply`")
        await write_release(bus, row.library.id, row.device.id)
        await note_act(bus, Act.DEVICE_RELEASED, library=row.library.id, subject=row.device.id)
        return row.key

    say(f"{on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), do)} counts no more")


@app.command(epilog=examples("placelibre devices formats", "placelibre devices formats --json"))
def formats(*, as_json: JsonOption = False) -> None:
    """List what devices may send; a source finds its format out by itself."""
    known = device_formats.formats().values()
    if as_json:
        say_json(
            [
                {
                    "format": each.name,
                    "title": each.title,
                    "meanings": [meaning.value for meaning in each.meanings],
                    "envelope": each.is_envelope,
                    "examples": list(each.examples),
                    "notes": each.notes,
                }
                for each in known
            ]
        )
        return
    table = Table(box=SIMPLE, width=min(OUT.width, 110), padding=(0, 1, 0, 0))
    table.add_column("format", no_wrap=True)
    table.add_column("what it is", ratio=3)
    table.add_column("what its figures may mean", ratio=2)
    for each in known:
        meanings = "whatever is inside" if each.is_envelope else ", ".join(meaning.value for meaning in each.meanings)
        table.add_row(each.name, each.title, meanings)
    OUT.print(table)
    say("how each is set up: docs/reference/devices.md")


@app.command(
    epilog=examples(
        "placelibre devices read capture.json",
        "placelibre devices read day.xml --time-zone Europe/Paris",
        "placelibre devices read uplink.bin --format milesight-lorawan --json",
        "placelibre devices read first.json second.json third.json",
    )
)
def read(
    files: Annotated[list[Path], typer.Argument(help="Captured bodies; several of one device in their order.")],
    *,
    format_name: Annotated[str | None, typer.Option("--format", help="What they are; found out if left out.")] = None,
    media_type: Annotated[str, typer.Option("--media-type", help="Their Content-Type, for multipart bodies.")] = "",
    topic: Annotated[str, typer.Option(help="Their MQTT topic, where that says the serial number.")] = "",
    time_zone: Annotated[str, typer.Option(help="Of times that come without one.")] = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Read captured bodies without a bus: which format, devices and lines, what would count, what would be cut out.

    Exit 1 if one of them cannot be read.
    """
    zone, at = captured.zone_named(time_zone), now()
    found = [captured.read_file(each, format_name, media_type, topic, zone, at) for each in files]
    previews = captured.previews_of(found, zone, at)
    if as_json:
        say_json(
            {
                "files": [
                    {"file": str(each.file), "format": each.format, "removed": each.removed, "fault": each.fault}
                    for each in found
                ],
                "devices": [preview_fields(each) for each in previews.values()],
            }
        )
    else:
        for each in found:
            _show_captured(each)
        for seen in previews.values():
            listing.show_preview(seen)
            listing.show_reports([report for each in found for report in each.reports if report.serial == seen.serial])
    if any(each.fault for each in found):
        raise typer.Exit(1)


def _show_captured(each: captured.Captured) -> None:
    if each.fault:
        say(f"{each.file}: cannot be read: {each.fault}", "red")
        say("  ingest would keep it in quarantine for seven days; give its format with --format if you know it,")
        say("  or the source a mapping (docs/reference/devices.md)")
    else:
        say(f"{each.file}: {title_of(each.format)} ({each.format})")
    if each.others:
        say(f"  it may be {', '.join(each.others)} as well; give the source its format")
    if each.removed:
        say(f"  never kept: {each.removed}")


async def _with_gates(
    bus: Bus, library: LibraryConfig, wishes: Wishes, ends: tuple[str, str] | None, file: Path
) -> LibraryConfig:
    """Return a library with every gate that is named; those it lacks are made if it was said where they stand."""
    missing = [each for each in wishes.gates if each not in {gate.id for gate in library.gates}]
    if not missing:
        return library
    if ends is None:
        names = ", ".join(gate.id for gate in library.gates) or "none"
        raise Trouble(
            f"{library.id} has no gate {missing[0]!r}; there are {names}",
            "name one of them, or make it: --from outside --to inside",
        )
    for each in missing:
        library = add_gate(file, library.id, each, *ends)
        say(f"{file} has gate {each} now, from {ends[0]} to {ends[1]}")
    # Only this library: whoever claims a device does not mean to apply what else has changed in the file.
    await carry_out(bus, await plan(bus, [library], is_pruned=False))
    return library


def _device(chosen: str, source: str, serial: str, name: str, lines: tuple[object, ...]) -> Device:
    try:
        return Device.model_validate(
            {"id": chosen, "source": source, "serial": serial, "name": name, "lines": list(lines)}
        )
    except ValidationError as error:
        faults = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise Trouble(f"it cannot be claimed so: {faults}", "see `placelibre devices claim --help`") from error
