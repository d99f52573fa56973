"""`placelibre check`: is a `libraries.toml` right, and if not, which key, which line, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.configuration_check import Checked, Finding, check_text
from cli.terminal import JsonValue, Trouble, command_app, examples, say, say_json, warn
from shared.runtime.clock import now

app = command_app()

LIBRARIES_FILE: Final = Path("libraries.toml")
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Thousands of libraries; what is larger is some other file."""


@app.command(epilog=examples("placelibre check", "placelibre check other.toml --json"))
def check(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = LIBRARIES_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings for a program.")] = False,
) -> None:
    """Check a configuration without applying it.

    Every fault is named with its key, its line and what to do. Exit 1 if there is one; warnings alone exit 0.
    """
    checked = read_and_check(file)
    if as_json:
        findings = [as_fields(each) for each in checked.findings]
        say_json({"file": str(file), "ok": checked.is_good, "findings": findings})
    else:
        show(file, checked)
    if not checked.is_good:
        raise typer.Exit(1)


def read_and_check(file: Path) -> Checked:
    """Read a file and check it. Raises Trouble if it cannot be read."""
    return check_text(read(file), now())


def read(file: Path) -> str:
    """Return a configuration's text, or raise Trouble."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise Trouble(f"{file} is larger than {MAX_FILE_BYTES} bytes", "give the path of a libraries.toml")
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        remedy = "run the command where libraries.toml is, or give its path"
        raise Trouble(f"there is no file {file}", remedy) from error
    except UnicodeDecodeError as error:
        raise Trouble(f"{file} is not in UTF-8", "save it as UTF-8") from error
    except OSError as error:
        raise Trouble(f"{file} cannot be read: {error.strerror}", "give the path of a libraries.toml") from error


def show(file: Path, checked: Checked) -> None:
    """Print findings and the verdict for people."""
    for finding in checked.findings:
        (warn if finding.is_warning else _fault)(f"{file}: {finding}")
    faults = sum(not finding.is_warning for finding in checked.findings)
    if faults:
        say(f"{file}: {faults} {'fault' if faults == 1 else 'faults'}; nothing of it can be applied")
    else:
        names = ", ".join(library.id for library in checked.libraries)
        count = len(checked.libraries)
        say(f"{file}: good, {count} {'library' if count == 1 else 'libraries'} ({names})")


def good_libraries_or_trouble(file: Path) -> Checked:
    """Read and check a file for a command that needs a good one; show its faults and raise Trouble if it is not."""
    checked = read_and_check(file)
    for finding in checked.findings:
        (warn if finding.is_warning else _fault)(f"{file}: {finding}")
    if not checked.is_good:
        raise Trouble(f"{file} is not right; nothing has been changed", "mend the lines above and try again")
    return checked


def as_fields(finding: Finding) -> dict[str, JsonValue]:
    """Return a finding for a program."""
    return {
        "severity": "warning" if finding.is_warning else "error",
        "line": finding.line,
        "key": finding.key,
        "problem": finding.problem,
        "remedy": finding.remedy,
    }


def _fault(text: str) -> None:
    warn(text, style="red")
