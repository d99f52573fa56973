"""`placelibre keys`: secrets for gates and tablets; the file keeps their hashes only."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Annotated

import typer
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from cli.check import good_libraries_or_trouble, read
from cli.configuration_check import check_text
from cli.data_folder import sha256_of_secret
from cli.terminal import Trouble, command_app, examples, say, say_json, warn
from cli.toml_lines import lines_by_location
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
    names = [each.id for each in good_libraries_or_trouble(file).libraries]
    if library not in names:
        close = get_close_matches(library, names, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise Trouble(f"{file} has no library {library!r}", remedy)
    text = with_key(read(file), names.index(library), made.toml)
    try:
        checked = check_text(text, now())
    except tomllib.TOMLDecodeError:
        checked = None
    if checked is None or not checked.is_good:
        faults = [str(each) for each in checked.findings if not each.is_warning] if checked else []
        raise Trouble(
            f"{file} would not be right with the key in it, and stays as it is: {'; '.join(faults)}",
            "if the library lists its keys as `keys = [...]`, write each as a [[libraries.keys]] table instead",
        )
    for finding in checked.findings:
        warn(f"{file}: {finding}")
    replace_file(file.resolve(), text)


def with_key(text: str, library: int, table: str) -> str:
    """Return a file's text with a table added at the end of a library's part (libraries counted from 0)."""
    lines = text.splitlines(keepends=True)
    following = lines_by_location(text).get(("libraries", library + 1))
    end = len(lines) if following is None else following - 1
    # What stands right before the next library, a comment or a blank, speaks of that one.
    while end > 0 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    if lines and not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    return "".join([*lines[:end], "\n", table, *lines[end:]])


def replace_file(file: Path, text: str) -> None:
    """Put a new text in a file's place at once: whoever reads meanwhile has the old or the new one."""
    beside = file.with_name(f".{file.name}.{token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(file.stat().st_mode)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Trouble(f"{file} cannot be written: {error.strerror}", "leave out --write and paste the lines") from error


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
