"""`placelibre leaf`: branches with a bus of their own. At the centre: who may connect, and how each is doing."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from cli import diagnosis, judgement
from cli.bus_access import BusAddress, CaFileOption, NatsUrlOption, SeedFileOption, bus_address, operator_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.judgement import Severity
from cli.leaf_bus import LEAF_PORT, LeafGate, LeafKey, LeafListener, Register, host_and_port, new_seed, write_secret
from cli.operator_audit import note_beside_a_file
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json
from shared.contracts.audit import Act
from shared.contracts.leaf import Leaf, LeafState
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import now

app = command_app()

STYLES: Final = {Severity.OK: "green", Severity.LOOK: "yellow", Severity.WRONG: "bold red"}
NameArgument = Annotated[str, typer.Argument(help="The branch: small letters, digits and hyphens, like `east`.")]


@app.callback(
    epilog=examples(
        "placelibre leaf new east --library east --address bus.library.example",
        "placelibre leaf list",
        "placelibre leaf remove east",
    )
)
def leaf() -> None:
    """Branches with a bus of their own, which keep what they count while their line is down."""


@app.command(
    epilog=examples(
        "placelibre leaf new east --library east --address bus.library.example",
        "placelibre leaf new east --library east --library east-annexe --address 192.0.2.7:7422 --out /root/east.leaf",
    )
)
def new(
    name: NameArgument,
    *,
    library: Annotated[list[str], typer.Option(help="A library of which it may bring readings; may be repeated.")],
    address: Annotated[str, typer.Option(help="Where the branch reaches this machine: host, or host:port.")],
    out: Annotated[Path | None, typer.Option(help="The file for its key; <name>.leaf if left out.")] = None,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Let a branch connect. Its key is written once, into a file for the branch; nothing else knows the secret.

    It holds at once where `placelibre up` runs on --data, else from its next start on. It stands in the audit trail if
    the bus runs, and the operator's seed is here.
    """
    folder = DataFolder(data.absolute())
    register = Register(folder.bus_home)
    if register.read().named(name) is not None:
        raise Trouble(
            f"there is a leaf {name} already", f"choose another name, or `placelibre leaf remove {name}` first"
        )
    host, port = host_and_port(address)
    seed, nkey = new_seed()
    try:
        made = Leaf(name=name, nkey=nkey, libraries=tuple(dict.fromkeys(library)), made_at=now())
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        key = LeafKey(leaf=name, address=where, seed=seed, authority=register.authority())
    except ValidationError as error:
        wrong = ", ".join(repr(each["input"]) for each in error.errors())
        raise Trouble(f"{wrong} cannot be used", "names are small letters, digits and hyphens, like east") from error
    except OSError as error:
        raise Trouble(f"{error.filename} cannot be written: {error.strerror}", "see that --data is yours") from error
    file = (out or Path(f"{name}.leaf")).absolute()
    if file.exists():
        raise Trouble(f"there is a file {file} already", "move it away, or name another with --out")
    try:
        register.certificate(host)
        write_secret(file, key.model_dump_json(indent=2).encode())
    except OSError as error:
        raise Trouble(f"{file} cannot be written: {error.strerror}", "name another file with --out") from error
    register.add(made)
    trail = _trail(folder, nats_url, seed_file, ca_file)
    note_beside_a_file(trail, Act.LEAF_ADDED, subject=name, details=[f"library {each}" for each in made.libraries])
    say(f"The branch {name} may connect now, and bring readings of {', '.join(made.libraries)}.\n")
    say(f"Bring {file} to the branch, as you would a password, delete it here, and run there:\n")
    say(f"  placelibre up --leaf-key {file.name} --data /var/lib/placelibre\n")
    say(f"Only the branch has to reach this machine: let TCP port {port} through. Nothing is opened at the branch.")


@app.command(epilog=examples("placelibre leaf libraries east east east-annexe"))
def libraries(
    name: NameArgument,
    library: Annotated[list[str], typer.Argument(help="All libraries of which it may bring readings.")],
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Say anew which libraries a branch has. Its key stays as it is."""
    folder = DataFolder(data.absolute())
    register = Register(folder.bus_home)
    known = _known(register, name)
    try:
        changed = Leaf.model_validate(known.model_dump() | {"libraries": tuple(dict.fromkeys(library))})
    except ValidationError as error:
        wrong = ", ".join(repr(each["input"]) for each in error.errors())
        raise Trouble(f"{wrong} cannot be used", "give the libraries' ids") from error
    register.add(changed)
    details = [f"library {each}: removed" for each in known.libraries if each not in changed.libraries]
    details += [f"library {each}: added" for each in changed.libraries if each not in known.libraries]
    trail = _trail(folder, nats_url, seed_file, ca_file)
    note_beside_a_file(trail, Act.LEAF_CHANGED, subject=name, details=details)
    say(f"The branch {name} may bring readings of {', '.join(changed.libraries)}.")


@app.command(epilog=examples("placelibre leaf remove east"))
def remove(
    name: NameArgument,
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
) -> None:
    """Let a branch connect no more. What it has brought stays; what it still holds stays with it."""
    folder = DataFolder(data.absolute())
    register = Register(folder.bus_home)
    _known(register, name)
    register.remove(name)
    note_beside_a_file(_trail(folder, nats_url, seed_file, ca_file), Act.LEAF_REMOVED, subject=name)
    say(f"The branch {name} may connect no more; nothing is fetched from it any more.")


@app.command(epilog=examples("placelibre leaf gate --data /data", "nats-server -c /data/bus/leaf-gate.conf"))
def gate(
    *,
    data: DataOption = DATA,
    port: Annotated[int, typer.Option(min=1, max=65535, help="For the carrier, on this machine.")] = 4223,
    leaf_port: Annotated[int, typer.Option(min=1, max=65535, help="Where branches connect.")] = LEAF_PORT,
    leaf_host: Annotated[str, typer.Option(help="On which of this machine's addresses.")] = "0.0.0.0",  # noqa: S104
) -> None:
    """Write the gate's configuration with the branches that may connect now.

    `placelibre up` does this by itself; it is for a nats-server that something else starts, as in a cluster. Start that
    anew after a branch was added or removed.
    """
    folder = DataFolder(data.absolute())
    made = LeafGate(Register(folder.bus_home), LeafListener(leaf_port, leaf_host), port)
    try:
        made.prepare()
    except OSError as error:
        raise Trouble(f"{error.filename} cannot be written: {error.strerror}", "see that --data is yours") from error
    names = [each.name for each in made.register.read().leaves]
    say(f"{made.configuration} lets in {', '.join(names) if names else 'no branch yet'}.")


@app.command("list", epilog=examples("placelibre leaf list", "placelibre leaf list --json"))
def list_leaves(
    *,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them for a program.")] = False,
) -> None:
    """Show every branch: connected or since when not, how far behind, how full its log is."""
    folder = DataFolder(data.absolute())
    leaves = Register(folder.bus_home).read().leaves
    addresses = folder.addresses()
    url = nats_url or (addresses.nats if addresses else None)
    states: dict[str, LeafState] = {}
    if url is not None:
        own_seed = folder.seed_file("operator") if nats_url is None else None
        states = asyncio.run(_states(BusAddress(url, seed_file or own_seed, ca_file), [each.name for each in leaves]))
    if as_json:
        say_json([_as_json(each, states.get(each.name)) for each in leaves])
        return
    if not leaves:
        say("There is none; `placelibre leaf new` makes one.")
        return
    if url is None:
        say("`placelibre up` is not running here: nothing is known of how they are doing.")
    _show(leaves, states)


def _trail(folder: DataFolder, nats_url: str | None, seed_file: Path | None, ca_file: Path | None) -> BusAddress | None:
    """Return the bus whose audit trail is meant; None if there is none just now."""
    try:
        return bus_address(folder, nats_url, seed_file, ca_file)
    except Trouble:
        return None


async def _states(address: BusAddress, names: list[str]) -> dict[str, LeafState]:
    async with operator_bus(address) as bus:
        try:
            return await diagnosis.states_of(bus, names)
        except BusUnavailable as error:
            raise Trouble(f"the bus does not answer: {error}", "see `placelibre doctor`") from error


def _known(register: Register, name: str) -> Leaf:
    leaves = register.read()
    found = leaves.named(name)
    if found is None:
        names = ", ".join(each.name for each in leaves.leaves)
        raise Trouble(f"there is no leaf {name!r}", f"there are {names}" if names else "there is none at all")
    return found


def _show(leaves: tuple[Leaf, ...], states: dict[str, LeafState]) -> None:
    table = Table("branch", "libraries", "line", "behind", "log", "clock")
    for each in leaves:
        state = states.get(each.name)
        finding = judgement.of_leaf(each.name, state, now())
        line = Text(judgement.line_of(state, now()), STYLES[finding.severity])
        if state is None:
            table.add_row(each.name, ", ".join(each.libraries), line, "", "", "")
            continue
        behind = f"{state.behind} packs" if state.is_connected else "unknown"
        clock = f"{state.skew_s:+.0f} s" if abs(state.skew_s) >= 1 else "right"
        table.add_row(each.name, ", ".join(each.libraries), line, behind, f"{state.fill:.0%} full", clock)
    OUT.print(table)


def _as_json(leaf: Leaf, state: LeafState | None) -> dict[str, str | int | float | bool | list[str] | None]:
    row: dict[str, str | int | float | bool | list[str] | None] = {
        "name": leaf.name,
        "libraries": list(leaf.libraries),
        "made_at": _moment(leaf.made_at),
    }
    if state is not None:
        row |= {
            "is_connected": state.is_connected,
            "since": _moment(state.since),
            "heard_at": _moment(state.heard_at),
            "carried_at": _moment(state.carried_at),
            "behind": state.behind,
            "fill": round(state.fill, 3),
            "skew_s": state.skew_s,
            "refused": state.refused,
            "told_at": _moment(state.at),
        }
    return row


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else (moment - timedelta(microseconds=moment.microsecond)).isoformat()
