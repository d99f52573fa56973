"""What pydantic finds wrong in `libraries.toml`, in the words of somebody who writes one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import available_timezones

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from cli.toml_lines import Location
from shared.contracts.configuration import (
    Band,
    CapacityPeriod,
    Channel,
    Exception_,
    Gate,
    Key,
    LibrariesFile,
    LibraryConfig,
    Marker,
    Zone,
)
from shared.contracts.readings import SLUG_PATTERN

TABLES: Final[dict[str, type[BaseModel]]] = {
    "": LibrariesFile,
    "libraries": LibraryConfig,
    "zones": Zone,
    "gates": Gate,
    "markers": Marker,
    "capacity_periods": CapacityPeriod,
    "bands": Band,
    "exceptions": Exception_,
    "keys": Key,
    "channels": Channel,
}
"""The tables of the file by the key they stand under."""

EXAMPLES: Final = {
    "id": 'id = "main-door"',
    "name": 'name = "Central Library"',
    "time_zone": 'time_zone = "Europe/Paris"',
    "country": 'country = "FR"',
    "languages": 'languages = ["fr", "en"]',
    "url": 'url = "https://library.example/"',
    "clock": 'clock = "wall"',
    "opening_hours": 'opening_hours = "Mo-Fr 09:00-18:00; PH off"',
    "capacity": "capacity = 120",
    "people": "people = 40",
    "kind": 'kind = "beam"',
    "interval_s": "interval_s = 60",
    "staff_inside": "staff_inside = 5",
    "queue_possible": "queue_possible = false",
    "last_entry_min": "last_entry_min = 15",
    "travel_times_min": "travel_times_min = [15, 30, 60]",
    "level": 'level = "few_seats"',
    "enter": "enter = 0.85",
    "leave": "leave = 0.80",
    "dates": 'dates = "2026-12-24" or "2026-12-24/2026-12-31"',
    "when": 'when = "Jul-Aug"',
    "sha256": "the line that `placelibre keys new` prints",
    "device": 'device = "front-tablet"',
    "role": 'role = "gate" or "staff"',
    "expires": "expires = 2027-01-31T00:00:00Z",
    "type": 'type = "console"',
    "account": 'account = "library"',
    "server": 'server = "https://social.example"',
    "from": 'from = "outside"',
    "to": 'to = "inside"',
}
SLUG_REMEDY: Final = 'use small letters, digits and hyphens only, like "main-door"'


def known_keys(location: Location) -> list[str]:
    """Return the keys that a table at this place may have."""
    names = [each for each in location if isinstance(each, str)]
    table = TABLES.get(names[-1] if names else "", LibrariesFile)
    return [field.alias or name for name, field in table.model_fields.items()]


def describe(error: ErrorDetails) -> tuple[str, str]:
    """Return what is wrong and what to do, for one of pydantic's errors."""
    key = next((str(each) for each in reversed(error["loc"]) if isinstance(each, str)), "")
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing", "begin with [[libraries]]" if key == "libraries" else f"add {EXAMPLES.get(key, key)}"
        case "extra_forbidden":
            return _unknown_key(error["loc"])
        case "enum" | "literal_error":
            return _choice(str(error["input"]), str(context.get("expected", "")))
        case "string_pattern_mismatch":
            is_slug = context.get("pattern") == SLUG_PATTERN
            return f"{error['input']!r} is not written as it must be", SLUG_REMEDY if is_slug else _like(key)
        case "datetime_parsing" | "datetime_type" | "timezone_aware":
            return f"{error['input']!r} is no time with its offset", _like(key)
        case "too_short" | "string_too_short":
            return "must not be empty", "add a [[libraries]] table" if key == "libraries" else _like(key)
        case "too_long":
            return f"has {context['actual_length']} entries where {context['max_length']} may stand", _like(key)
        case "value_error":
            return _own_words(error["msg"].removeprefix("Value error, "))
        case other:
            words = _lower_first(error["msg"].replace("Input should be", "must be"))
            return _OF_TYPES.get(other, words), _remedy_of_type(other, key)


_OF_TYPES: Final = {
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
}


def _remedy_of_type(error_type: str, key: str) -> str:
    match error_type:
        case "tuple_type":
            return _list_remedy(key)
        case "model_type":
            return f"write {key} = [{{ ... }}] or [[libraries.{key}]]"
        case "string_type":
            return f"put it in double quotes, like {EXAMPLES.get(key, key)}"
        case "int_type" | "int_from_float":
            return f"write it without quotes and without a fraction, like {_number(key)}"
        case "float_type" | "bool_type":
            return f"write it without quotes, like {_number(key)}"
        case _:
            return _like(key)


def refine(error: ErrorDetails, data: Mapping[str, Any]) -> Location:
    """Return the place of an error, narrowed to the key at fault where a rule about a whole table was broken."""
    location: Location = tuple(error["loc"])
    words = error["msg"].removeprefix("Value error, ")
    table = _at(data, location)
    if error["type"] != "value_error" or not isinstance(table, dict):
        return location
    if found := re.match(r"(?P<what>zones|gates|markers|keys|libraries): the id '(?P<id>[^']+)' stands", words):
        return _second_of(table, location, found["what"], found["id"])
    if found := re.match(r"gate (?P<id>\S+): (?:'(?P<place>[^']+)' is no place|leads from (?P<self>\S+) to)", words):
        place = found["place"] or found["self"]
        for index, gate in enumerate(table.get("gates", ())):
            if gate.get("id") == found["id"]:
                end = "from" if gate.get("from", "outside") == place and found["self"] is None else "to"
                return (*location, "gates", index, end)
    if found := re.match(r"key (?P<id>\S+): there is no gate '(?P<gate>[^']+)'", words):
        for index, key in enumerate(table.get("keys", ())):
            if key.get("id") == found["id"]:
                return (*location, "keys", index, "gates", list(key["gates"]).index(found["gate"]))
    if found := re.match(r"a \w+ library may speak on the console .* only, not on (?P<type>\w+)", words):
        types = [channel.get("type") for channel in table.get("channels", ())]
        return (*location, "channels", types.index(found["type"]), "type")
    for words_begin, key in (
        ("leave (", "leave"),
        ("interval_s (", "interval_s"),
        ("a mastodon channel needs server", "server"),
        ("a mastodon channel needs account", "account"),
    ):
        if words.startswith(words_begin):
            return (*location, key)
    return location


def _second_of(table: Mapping[str, Any], location: Location, what: str, wanted: str) -> Location:
    """Return the place of the id that stands a second time; keys must differ over all libraries."""
    places: list[Location] = []
    if what == "keys" and not location:
        for library_index, library in enumerate(table["libraries"]):
            places += [
                ("libraries", library_index, "keys", index, "id")
                for index, key in enumerate(library.get("keys", ()))
                if key.get("id") == wanted
            ]
    else:
        places += [(*location, what, index, "id") for index, each in enumerate(table[what]) if each.get("id") == wanted]
    return places[1]


def _own_words(words: str) -> tuple[str, str]:
    """Return the configuration's own sentence, and the remedy that goes with it."""
    for pattern, remedy in _REMEDIES:
        found = re.search(pattern, words)
        if found:
            return words, remedy.format(*found.groups())
    if found := re.match(r"'(.+)' is no IANA time zone", words):
        close = get_close_matches(found[1], sorted(available_timezones()), n=1, cutoff=0.5)
        return words.partition(";")[0], f'did you mean "{close[0]}"?' if close else _like("time_zone")
    return words, "put it right and check again"


_REMEDIES: Final = (
    (r"ids must differ", "give each an id of its own; an id in use must stay, so change the newer one"),
    (r"is no place; there are (.+)", "use one of {0}, or add the zone"),
    (r"leads from \S+ to itself", 'say where it leads: from = "outside", to = a zone'),
    (r"there is no gate '[^']+'; there are (.+)", "use one of {0}, or add the gate"),
    (r"may speak on the console and on servers", 'use type = "console", or remove clock to go live'),
    (r"must be below enter", "choose leave a few hundredths below enter, like enter = 0.85, leave = 0.80"),
    (r"must be shorter than silent_after_min", "let several reports fit, like interval_s = 60, silent_after_min = 10"),
    (r"must rise", "write them like travel_times_min = [15, 30, 60]"),
    (r"needs server", 'add server = "https://social.example"'),
    (r"needs account", 'add account = "library", the name of its token file'),
)


def _unknown_key(location: Location) -> tuple[str, str]:
    name = str(location[-1])
    known = known_keys(location[:-1])
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return "is not a known key", f"did you mean {close[0]}?"
    holders = [table for table, model in TABLES.items() if name in model.model_fields and table not in {"", name}]
    if holders and len(location) > 1:
        return "is not a known key here", f"it belongs in {' or '.join(holders)}; keys here are {', '.join(known)}"
    return "is not a known key", f"remove it; keys here are {', '.join(known)}"


def _choice(given: str, expected: str) -> tuple[str, str]:
    choices = re.findall(r"'([^']+)'", expected)
    close = get_close_matches(given, choices, n=1, cutoff=0.6)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    return f"{given!r} is not one of the choices", f"{hint}choose one of {', '.join(choices)}"


def _list_remedy(key: str) -> str:
    if key == "libraries":
        return "write [[libraries]] with two brackets on each side"
    if key in TABLES:
        return f"write {key} = [{{ ... }}] or [[libraries.{key}]] with two brackets on each side"
    return f"write it in brackets, like {EXAMPLES.get(key, key + ' = [...]')}"


def _number(key: str) -> str:
    example = EXAMPLES.get(key, "")
    return example if example and '"' not in example else f"{key} = 10"


def _like(key: str) -> str:
    return f"write it like {EXAMPLES[key]}" if key in EXAMPLES else f"see {key} in docs/reference"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _at(data: Mapping[str, Any], location: Sequence[str | int]) -> Any:
    value: Any = data
    for each in location:
        try:
            value = value[each]
        except (KeyError, IndexError, TypeError):
            return None
    return value
