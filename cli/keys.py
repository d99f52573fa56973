"""`placelibre keys`: secrets for gates and tablets; the file keeps their hashes only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Annotated

import typer
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from cli.data_folder import sha256_of_secret
from cli.libraries_file import add_table
from cli.terminal import Trouble, command_app, examples, say, say_json
from shared.contracts.configuration import Key
from shared.runtime.clock import now

app = command_app()


@app.callback()
def keys() -> None:
    """Make keys for gates and tablets."""


class Role(StrEnum):
    """What a key may send."""

    GATE = "gate"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as the device gets it, and the lines that let the services recognise it."""

    key: str
    toml: str


@app.command(
    epilog=examples(
        "placelibre keys new central --device front --role gate --gate front",
        "placelibre keys new central --device front-tablet --role staff --expires 2027-01-31",
        "placelibre keys new central --device front --role gate --write libraries.toml",
    )
)
def new(
    library: Annotated[str, typer.Argument(help="The library's id.")],
    *,
    device: Annotated[str, typer.Option(help="The gate or tablet that will hold the key.")],
    role: Annotated[Role, typer.Option(help="gate: counts; staff: head-counts, queues, notices, closings.")],
    gate: Annotated[list[str] | None, typer.Option(help="Only these gates; all of the library's if left out.")] = None,
    expires: Annotated[str, typer.Option(help="The last day of its use, YYYY-MM-DD (UTC).")] = "",
    write: Annotated[Path | None, typer.Option(help="Add its lines to this file, under the library.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key and its lines for a program.")] = False,
) -> None:
    """Make a key. It is shown this once and kept nowhere; only the hash of its secret goes into the file."""
    made = make_key(device, role, tuple(gate or ()), _end_of(expires) if expires else None)
    if write is not None:
        write_key(write, library, made)
    if as_json:
        say_json({"key": made.key, "toml": made.toml, "written_to": str(write) if write else None})
        return
    say("The key, shown this once; put it into the device:\n")
    say(f"  {made.key}\n")
    if write is None:
        say(f"Add these lines to libraries.toml, in the part of {library}, then run `placelibre apply`:\n")
    else:
        say(f"{write} has it now, under {library}; run `placelibre apply`:\n")
    say("\n".join(f"  {line}" for line in made.toml.splitlines()))


def make_key(device: str, role: Role, gates: tuple[str, ...], expires: datetime | None) -> NewKey:
    """Return a new key `<id>.<secret>` and its table for `libraries.toml`.

    Raises:
        Trouble: a name is not written as ids are, or the options do not go together.
    """
    if expires is not None and expires <= now():
        raise Trouble(f"the key would have expired already, on {expires.date()}", "choose a day to come")
    if gates and role is Role.STAFF:
        raise Trouble("--gate goes with --role gate only", "leave it out; a staff key is for the whole library")
    key_id = f"{device[:50]}-{token_hex(3)}"
    key = f"{key_id}.{token_urlsafe(32)}"
    try:
        Key(id=key_id, sha256=sha256_of_secret(key), device=device, role=role.value, gates=gates, expires=expires)
    except ValidationError as error:
        names = ", ".join(repr(each["input"]) for each in error.errors())
        raise Trouble(f"{names} cannot be used", "use small letters, digits and hyphens, like front-tablet") from error
    lines = [
        "[[libraries.keys]]",
        f'id = "{key_id}"',
        f'sha256 = "{sha256_of_secret(key)}"',
        f'device = "{device}"',
        f'role = "{role}"',
    ]
    if gates:
        lines.append(f"gates = [{', '.join(f'{chr(34)}{each}{chr(34)}' for each in gates)}]")
    if expires is not None:
        lines.append(f"expires = {expires.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}")
    return NewKey(key, "\n".join(lines) + "\n")


def write_key(file: Path, library: str, made: NewKey) -> None:
    """Add a key's table at the end of a library's part of a file; nothing else in it changes.

    Raises:
        Trouble: the file is not right before or would not be after, or has no such library. It stays as it is then.
    """
    add_table(file, library, made.toml, "the key")


def _end_of(day: str) -> datetime:
    """Return the end of a day, or the instant if one is given with its offset."""
    try:
        return datetime.combine(date.fromisoformat(day), time(23, 59, 59), UTC)
    except ValueError:
        pass
    try:
        instant: datetime = TypeAdapter(AwareDatetime).validate_python(day)
    except ValidationError as error:
        raise Trouble(f"{day!r} is no date", "write --expires like 2027-01-31") from error
    return instant
