"""`placelibre staff`: the people who may speak for a library, their tablets, and what was said."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import segno
import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.staffing.people import (
    Staff,
    add_person,
    invite,
    pauses_of,
    person_called,
    record_of,
    remove_person,
    renew_pin,
    revoke_tablet,
    staff_of,
)
from cli.staffing.record import became, fields, said
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from services.ingest.pins import fault_of
from shared.contracts.desk import INVITED_FOR, DeskRecord, Person
from shared.contracts.readings import on_one_line
from shared.runtime.bus import Bus
from shared.runtime.clock import now

app = command_app()
people = command_app()
tablets = command_app()
app.add_typer(people, name="people")
app.add_typer(tablets, name="tablets")

LibraryArgument = Annotated[str, typer.Argument(help="The library's id.")]
PersonArgument = Annotated[str, typer.Argument(help="The person's id, or their name.")]
PinOption = Annotated[bool, typer.Option("--pin-stdin", help="Read the PIN from standard input instead of asking.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it for a program.")]


@app.callback(
    epilog=examples(
        "placelibre staff people add bpi --name AB",
        "placelibre staff enrol bpi --name 'Front desk' --address https://staff.example.org",
        "placelibre staff tablets list bpi",
        "placelibre staff log bpi",
    )
)
def staff() -> None:
    """Let people and tablets of the staff speak for a library, and see who said what."""


@people.callback(
    epilog=examples("placelibre staff people add bpi --name AB", "placelibre staff people list bpi"),
)
def of_people() -> None:
    """The people who sign in on the tablets, each with a PIN."""


@people.command(
    epilog=examples(
        "placelibre staff people add bpi --name AB",
        "placelibre staff people add bpi --name 'Evening desk' --id evening --pin-stdin < pin.txt",
    )
)
def add(
    library: LibraryArgument,
    *,
    name: Annotated[str, typer.Option(help="As colleagues know them; initials will do.")],
    person_id: Annotated[str, typer.Option("--id", help="Made from the name if left out.")] = "",
    pin_stdin: PinOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let somebody sign in. The PIN is asked for, and only what it takes to recognise it is kept."""
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    on_bus(address, lambda bus: staff_of(bus, library))  # before anybody types a PIN for nothing
    pin = asked_pin(from_stdin=pin_stdin)
    person = on_bus(address, lambda bus: add_person(bus, library, name, person_id, pin, now()))
    if as_json:
        say_json({"library": library, "id": person.id, "name": person.name})
        return
    say(f"{person.name} ({person.id}) may sign in on the tablets of {library}")


@people.command("list", epilog=examples("placelibre staff people list bpi", "placelibre staff people list bpi --json"))
def list_people(
    library: LibraryArgument,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who may sign in, and who has to wait after wrong PINs."""
    at = now()

    async def look(bus: Bus) -> list[tuple[Person, datetime | None]]:
        found = sorted((await staff_of(bus, library)).people.values(), key=lambda each: each.name.casefold())
        pauses = await pauses_of(bus, library, at)
        return [(each, pauses.get(each.id)) for each in found]

    found = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), look)
    if as_json:
        say_json(
            [
                {
                    "id": each.id,
                    "name": each.name,
                    "since": each.since.isoformat(),
                    "paused_until": until.isoformat() if until else None,
                }
                for each, until in found
            ]
        )
        return
    if not found:
        say(f"nobody may sign in at {library}; begin with: placelibre staff people add {library} --name AB")
        return
    table = Table("id", "name", "PIN since", "", box=SIMPLE)
    for each, until in found:
        pause = f"wrong PINs; waits until {until.astimezone():%H:%M}" if until else ""
        _add_row(table, each.id, each.name, f"{each.since.astimezone():%Y-%m-%d}", pause)
    OUT.print(table)


@people.command(epilog=examples("placelibre staff people pin bpi ab", "placelibre staff people pin bpi ab --pin-stdin"))
def pin(
    library: LibraryArgument,
    person: PersonArgument,
    *,
    pin_stdin: PinOption = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Give somebody a new PIN. Their sessions end, and so does a pause after wrong ones."""
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    known = person_called(on_bus(address, lambda bus: staff_of(bus, library)), person)
    chosen = asked_pin(from_stdin=pin_stdin)
    renewed = on_bus(address, lambda bus: renew_pin(bus, library, known.id, chosen, now()))
    say(f"{renewed.name} ({renewed.id}) has a new PIN and has to sign in again")


@people.command(epilog=examples("placelibre staff people remove bpi ab"))
def remove(
    library: LibraryArgument,
    person: PersonArgument,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Let somebody sign in no more. What they have said stays on record."""
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    removed = on_bus(address, lambda bus: remove_person(bus, library, person, now()))
    say(f"{removed.name} ({removed.id}) is signed out everywhere and cannot sign in any more")


@app.command(
    epilog=examples(
        "placelibre staff enrol bpi --name 'Front desk' --address https://staff.example.org",
        "placelibre staff enrol bpi --name 'Front desk' --replace",
        "placelibre staff enrol bpi --name 'Front desk' --json",
    )
)
def enrol(
    library: LibraryArgument,
    *,
    name: Annotated[str, typer.Option(help="Where the tablet lies: 'Front desk'.")],
    address: Annotated[
        str, typer.Option(help="Under which address tablets reach ingest; that of --data if left out.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="In place of the tablet of this name.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite a tablet: print a QR code to be scanned with it, once, within a quarter of an hour."""
    folder = DataFolder(data)
    origin = _origin(address or _own_address(folder))
    bus_at = bus_address(folder, nats_url, seed_file, ca_file)
    invited = on_bus(bus_at, lambda bus: invite(bus, library, name, now(), replaces=replace))
    url = f"{origin}/staff#{invited.code}"
    expires = invited.invitation.expires
    if as_json:
        content = {"library": library, "tablet": invited.invitation.tablet, "name": invited.invitation.name}
        say_json({**content, "url": url, "expires": expires.isoformat()})
        return
    say(qr_code(url), style="#ffffff on #000000")  # a phone wants dark on light, whatever the terminal is
    say(f"Scan this with the tablet, or open there:\n\n  {url}\n")
    minutes = round(INVITED_FOR.total_seconds() / 60)
    say(f"It works once, until {expires.astimezone():%H:%M} ({minutes} minutes). Whoever sees it can use it.")
    if urlsplit(origin).hostname in {"127.0.0.1", "localhost"}:
        say("This address is of this machine alone; for a tablet elsewhere see docs/staff.md.")


@tablets.callback(
    epilog=examples("placelibre staff tablets list bpi", "placelibre staff tablets revoke bpi front-desk")
)
def of_tablets() -> None:
    """The tablets that were enrolled."""


@tablets.command(
    "list", epilog=examples("placelibre staff tablets list bpi", "placelibre staff tablets list bpi --json")
)
def list_tablets(
    library: LibraryArgument,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a library's tablets, who is signed in on each, and invitations that are open."""
    at = now()
    found = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), lambda bus: staff_of(bus, library))
    rows = sorted(found.tablets.values(), key=lambda each: each.name.casefold())
    open_ones = found.unused(at)
    if as_json:
        say_json(_tablet_fields(found, at))
        return
    if not rows and not open_ones:
        say(f"{library} has no tablet; begin with: placelibre staff enrol {library} --name 'Front desk'")
        return
    table = Table("id", "name", "since", "signed in", box=SIMPLE)
    for each in rows:
        signed_in = ", ".join(person.name for person in found.signed_in(each, at)) or "nobody"
        _add_row(table, each.id, each.name, f"{each.enrolled_at.astimezone():%Y-%m-%d %H:%M}", signed_in)
    for invitation in open_ones:
        until = f"invited until {invitation.expires.astimezone():%H:%M}"
        _add_row(table, invitation.tablet, invitation.name, until, "")
    OUT.print(table)


@tablets.command(epilog=examples("placelibre staff tablets revoke bpi front-desk"))
def revoke(
    library: LibraryArgument,
    tablet: Annotated[str, typer.Argument(help="The tablet's id, or its name.")],
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """End a tablet's key, and the session of everybody who is signed in on it."""
    revoked = on_bus(
        bus_address(DataFolder(data), nats_url, seed_file, ca_file), lambda bus: revoke_tablet(bus, library, tablet)
    )
    say(f"{revoked.name} ({revoked.id}) neither shows nor says anything of {library} any more")


@app.command(epilog=examples("placelibre staff log bpi", "placelibre staff log bpi --json"))
def log(
    library: LibraryArgument,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what staff have said, who it was, and what has become of it; the newest last."""

    async def look(bus: Bus) -> tuple[Staff, DeskRecord | None]:
        return await staff_of(bus, library), await record_of(bus, library)

    found, record = on_bus(bus_address(DataFolder(data), nats_url, seed_file, ca_file), look)
    names = {each.id: each.name for each in found.people.values()}
    if as_json:
        say_json(fields(record, names))
        return
    if record is None or not record.acts:
        say(f"staff have said nothing of {library} yet")
        return
    table = Table("when", "who", "where", "what", "", box=SIMPLE)
    for each in reversed(record.acts):
        note = f' ("{each.note}")' if each.note else ""
        who = names.get(each.by, each.by) or "a key"
        _add_row(table, f"{each.at:%m-%d %H:%M}", who, each.device, said(each) + note, became(each, names))
    OUT.print(table)


def asked_pin(*, from_stdin: bool) -> str:
    """Return a PIN that was typed twice, unseen, or stands in standard input. Raises Trouble."""
    if from_stdin:
        chosen = sys.stdin.readline().strip()
    else:
        chosen = typer.prompt("PIN, 4 to 8 digits", hide_input=True, err=True)
    fault = fault_of(chosen)
    if fault:
        raise Trouble(f"this PIN cannot be used: {fault}", "choose another one")
    if not from_stdin and typer.prompt("the same again", hide_input=True, err=True) != chosen:
        raise Trouble("the two are not the same", "begin again")
    return chosen


def qr_code(text: str) -> str:
    """Return a QR code in half blocks; what is light in it is drawn."""
    drawn = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()


def _add_row(table: Table, *cells: str) -> None:
    """Add cells as they are: brackets in what people wrote are no markup, and nothing in it moves the cursor."""
    table.add_row(*(Text(on_one_line(each)) for each in cells))


def _tablet_fields(found: Staff, at: datetime) -> list[dict[str, str | list[str] | None]]:
    return [
        {
            "id": each.id,
            "name": each.name,
            "enrolled_at": each.enrolled_at.isoformat(),
            "signed_in": [person.id for person in found.signed_in(each, at)],
        }
        for each in sorted(found.tablets.values(), key=lambda each: each.id)
    ]


def _own_address(folder: DataFolder) -> str:
    addresses = folder.addresses()
    if addresses is None:
        raise Trouble(
            "nobody said under which address tablets reach ingest", "say --address, like https://staff.example.org"
        )
    return addresses.ingest


def _origin(address: str) -> str:
    """Return an address without its path. Raises Trouble."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise Trouble(f"{address!r} is no address", "write --address like https://staff.example.org")
    return address.rstrip("/").removesuffix("/staff")
