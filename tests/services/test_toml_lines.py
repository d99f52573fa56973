"""Lines of a TOML file: whatever way a value is written, its place in the data leads to its line."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.toml_lines import Location, line_of, lines_by_location
from tests.conftest import ROOT

KEYS = st.sampled_from(["a", "b-c", "d_1", '"quoted key"', "'lit.eral'", '"\\u00e9 ]="'])
TRICKY = [
    '"plain"',
    '"a # no comment [ { = , ] }"',
    "'C:\\path\\'",
    '"escaped \\" quote ]"',
    '"""one\ntwo ] " "" }\n= three"""',
    '"""ends in quotes""\\""""',
    '"""two quotes at the end"""""',
    "'''raw \\ '\n[x]\nkey = 1'''",
    "1979-05-27 07:32:00Z",
    "true",
    "-1_000.5e3",
    "[]",
    "{}",
    "[ # comment ]\n  1, # two ]\n  [2, '3]'],\n\n  { x = 4, y.z = [5] },\n]",
]


class Writer:
    """Writes a document and knows from its own counting where it put everything."""

    def __init__(self) -> None:
        self.text = ""
        self.places: dict[Location, int] = {}

    def line(self) -> int:
        return self.text.count("\n") + 1

    def put(self, text: str) -> None:
        self.text += text


def unquoted(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 1")))


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer()
    fillers = st.sampled_from(["", "\n", "# a comment = [\n", "   \n\n", "\t# [[libraries]]\n"])

    def value(location: Location, depth: int) -> None:
        form = draw(st.sampled_from(["tricky", "array", "inline"] if depth < 3 else ["tricky"]))
        if form == "array":
            writer.put("[")
            for index in range(draw(st.integers(0, 3))):
                writer.put(draw(st.sampled_from(["", " ", "\n", " # note ]\n  "])))
                writer.places[(*location, index)] = writer.line()
                value((*location, index), depth + 1)
                writer.put(draw(st.sampled_from([",", " ,\n", ", # end\n"])))
            writer.put("]")
        elif form == "inline":
            writer.put("{")
            for index, key in enumerate(draw(st.lists(KEYS, max_size=3, unique_by=unquoted))):
                writer.put(", " if index else " ")
                place = (*location, unquoted(key))
                writer.places[place] = writer.line()
                writer.put(f"{key} = ")
                value(place, depth + 1)
            writer.put(" }")
        else:
            writer.put(draw(st.sampled_from(TRICKY)))

    def pairs(location: Location) -> None:
        for key in draw(st.lists(KEYS, max_size=4, unique_by=unquoted)):
            writer.put(draw(fillers))
            place = (*location, unquoted(key))
            writer.places[place] = writer.line()
            writer.put(f"{key} = ")
            value(place, 0)
            writer.put(draw(st.sampled_from(["\n", " # after\n", "  \n"])))

    pairs(())
    for index in range(draw(st.integers(0, 3))):
        writer.put(draw(fillers))
        writer.places[("tables", index)] = writer.line()
        writer.put("[[tables]]\n")
        pairs(("tables", index))
        for inner in range(draw(st.integers(0, 2))):
            writer.places[("tables", index, "inner", inner)] = writer.line()
            writer.put(draw(st.sampled_from(["[[tables.inner]]\n", "[[ tables . 'inner' ]] # x\n"])))
            pairs(("tables", index, "inner", inner))
        if draw(st.booleans()):
            writer.places[("tables", index, "sub")] = writer.line()
            writer.put("[tables.sub]\n")
            pairs(("tables", index, "sub"))
    return writer


@given(documents())
def test_every_place_that_was_written_is_found_on_its_line(written: Writer) -> None:
    lines = lines_by_location(written.text)
    assert {place: lines.get(place) for place in written.places} == written.places


def locations(value: Any, at: Location = ()) -> list[Location]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, child in children for place in locations(child, (*at, key)))]


@given(documents())
def test_every_place_of_the_data_has_a_line_and_there_are_no_others(written: Writer) -> None:
    assert {(), *lines_by_location(written.text)} == set(locations(tomllib.loads(written.text)))


def test_the_example_configuration_is_covered() -> None:
    text = (ROOT / "libraries.toml").read_text()
    lines = lines_by_location(text)
    assert {(), *lines} == set(locations(tomllib.loads(text)))
    line = lines["libraries", 2, "gates", 1, "id"]
    assert "stairs-1" in text.splitlines()[line - 1]


def test_what_is_not_in_the_file_has_the_line_of_the_table_around_it() -> None:
    lines = lines_by_location('[[libraries]]\nid = "a"\n[[libraries]]\nid = "b"\n')
    assert line_of(lines, ("libraries", 1, "capacity")) == 3
    assert line_of(lines, ("nothing",)) is None


def test_windows_line_ends_count_as_one() -> None:
    assert lines_by_location('a = 1\r\nb = """x\r\ny"""\r\nc = 3\r\n') == {("a",): 1, ("b",): 2, ("c",): 4}


def test_a_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        lines_by_location("a = ")
