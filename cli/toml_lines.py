"""Where things stand in a TOML file: from the place of a value in the data to its line in the text."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final

Location = tuple[str | int, ...]
"""A path into the data, as pydantic names it: ("libraries", 1, "gates", 0, "id")."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE: Final = re.compile(r"[^,\]}#\r\n]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)


def lines_by_location(text: str) -> dict[Location, int]:
    """Return the line, counted from 1, of every table, key and array element of a valid TOML text.

    A table that stands in several places has its first line; a value of several lines has that of its key.

    Raises:
        ValueError: the text is not valid TOML (`tomllib.TOMLDecodeError`, which names the line in its words).
    """
    tomllib.loads(text)
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: dict[Location, int], location: Location) -> int | None:
    """Return the line of a place, or of the innermost table around it for what is not in the file at all."""
    for length in range(len(location), 0, -1):
        line = lines.get(location[:length])
        if line is not None:
            return line
    return None


class _Scanner:
    """Walks a valid text once and notes where things begin; what they mean is tomllib's business."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Location, int] = {}
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables: dict[Location, int] = {}
        """How many tables each array of tables has so far."""

    def document(self) -> None:
        table: Location = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Location:
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._dotted_key()
        self._at += 2 if is_array else 1
        location: Location = ()
        for depth, key in enumerate(keys, start=1):
            location = (*location, key)
            self.lines.setdefault(location, line)
            if is_array and depth == len(keys):
                self._tables[location] = self._tables.get(location, 0) + 1
            if location in self._tables:
                location = (*location, self._tables[location] - 1)
                self.lines.setdefault(location, line)
        return location

    def _pair(self, table: Location) -> None:
        line = self._line
        location = table
        for key in self._dotted_key():
            location = (*location, key)
            self.lines.setdefault(location, line)
        self._at += 1  # the equals sign
        self._value(location)

    def _value(self, location: Location) -> None:
        self._skip(_SPACE)
        string = _STRING.match(self._text, self._at)
        if string:
            self._at = string.end()
        elif self._text[self._at] == "[":
            self._elements(location)
        elif self._text[self._at] == "{":
            self._inline_table(location)
        else:
            self._skip(_BARE_VALUE)

    def _elements(self, location: Location) -> None:
        self._at += 1
        index = 0
        while not self._closes("]"):
            element = (*location, index)
            self.lines[element] = self._line
            self._value(element)
            index += 1

    def _inline_table(self, location: Location) -> None:
        self._at += 1
        while not self._closes("}"):
            self._pair(location)

    def _closes(self, bracket: str) -> bool:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == bracket:
            self._at += 1
            return True
        return False

    def _dotted_key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self._text, self._at)
            bare = _BARE_KEY.match(self._text, self._at)
            if quoted:
                keys.append(tomllib.loads(f"key = {quoted.group()}")["key"])
                self._at = quoted.end()
            elif bare:
                keys.append(bare.group())
                self._at = bare.end()
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    @property
    def _line(self) -> int:
        return bisect_right(self._line_starts, self._at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
