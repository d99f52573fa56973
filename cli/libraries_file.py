"""Adding a key, a source or a gate to `libraries.toml`; nothing else in it changes, and nothing wrong is written."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from secrets import token_hex
from typing import Final

from cli.check import good_libraries_or_trouble, read
from cli.configuration_check import check_text
from cli.terminal import Trouble, warn
from cli.toml_lines import lines_by_location
from shared.contracts.configuration import LibraryConfig
from shared.runtime.clock import now

QUOTES: Final = {'"', "'"}


def add_table(file: Path, library: str, table: str, what: str) -> LibraryConfig:
    """Add a table at the end of a library's part of a file; return the library as it is then.

    Raises:
        Trouble: the file is not right before or would not be after, or has no such library. It stays as it is then.
    """
    index = _index(file, library)
    return _write(file, with_table(read(file), index, table), library, what, table.partition("\n")[0])


def add_gate(file: Path, library: str, gate: str, origin: str, destination: str) -> LibraryConfig:
    """Add a gate, in the way in which the library writes its gates. Raises Trouble as `add_table` does."""
    index = _index(file, library)
    text = read(file)
    where = lines_by_location(text)
    fields = f'id = "{gate}", from = "{origin}", to = "{destination}"'
    line = where.get(("libraries", index, "gates"))
    is_inline = line is not None and not text.splitlines()[line - 1].lstrip().startswith("[")
    if is_inline and line is not None:
        changed = _with_element(text, line, "{ " + fields + " }")
    else:
        table = "[[libraries.gates]]\n" + "".join(f"{each}\n" for each in fields.split(", "))
        changed = with_table(text, index, table)
    return _write(file, changed, library, f"the gate {gate}", "[[libraries.gates]]")


def _index(file: Path, library: str) -> int:
    names = [each.id for each in good_libraries_or_trouble(file).libraries]
    if library not in names:
        close = get_close_matches(library, names, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise Trouble(f"{file} has no library {library!r}", remedy)
    return names.index(library)


def _write(file: Path, text: str, library: str, what: str, head: str) -> LibraryConfig:
    try:
        checked = check_text(text, now())
    except tomllib.TOMLDecodeError:
        checked = None
    if checked is None or not checked.is_good:
        faults = [str(each) for each in checked.findings if not each.is_warning] if checked else []
        raise Trouble(
            f"{file} would not be right with {what} in it, and stays as it is: {'; '.join(faults)}",
            f"if the library lists such things in brackets, write each as a {head} table of its own instead",
        )
    for finding in checked.findings:
        warn(f"{file}: {finding}")
    _replace(file.resolve(), text)
    return next(each for each in checked.libraries if each.id == library)


def _with_element(text: str, line: int, element: str) -> str:
    """Return a text with an element added at the end of the array that begins on a line, counted from 1."""
    lines = text.splitlines(keepends=True)
    at = sum(len(each) for each in lines[: line - 1])
    begin = text.index("[", at)
    end, last = _end_of_array(text, begin)
    separator = "" if last in {"[", ","} else ","
    if "\n" in text[begin:end]:
        head = text[:end].rstrip()
        return f"{_with_comma(head, separator)}\n  {element},\n{text[end:]}"
    return f"{text[:end].rstrip()}{separator} {element}{text[end:]}"


def _with_comma(head: str, separator: str) -> str:
    """Return the text before the end of an array with a comma after its last element, and before a comment there."""
    start = head.rfind("\n") + 1
    place = _comment_in(head[start:])
    if not separator or place is None:
        return head + separator
    code = head[start : start + place].rstrip()
    return f"{head[:start]}{code}{separator if code else ''}  {head[start + place :]}"


def _comment_in(line: str) -> int | None:
    quote = ""
    for index, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif character == "#":
            return index
    return None


def _end_of_array(text: str, begin: int) -> tuple[int, str]:
    """Return where an array closes, and the last character of what stands in it."""
    depth, index, last, quote = 0, begin, "", ""
    while index < len(text):
        character = text[index]
        if quote:
            if character == "\\" and quote == '"':
                index += 1
            elif character == quote:
                quote = ""
        elif character in QUOTES:
            quote = last = character
        elif character == "#":
            index = text.index("\n", index)
        elif character in "]}":
            depth -= 1
            if not depth:
                return index, last
            last = character
        else:
            depth += character in "[{"
            last = last if character.isspace() else character
        index += 1
    raise ValueError("the text is valid TOML, so every array closes")


def with_table(text: str, library: int, table: str) -> str:
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


def _replace(file: Path, text: str) -> None:
    """Put a new text in a file's place at once: whoever reads meanwhile has the old or the new one."""
    beside = file.with_name(f".{file.name}.{token_hex(4)}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(file.stat().st_mode)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Trouble(f"{file} cannot be written: {error.strerror}", "leave out --write and paste the lines") from error
