"""Checking `libraries.toml`: every fault with its key, its line and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.configuration_check import check_text
from shared.domain.library import Gate, Library
from shared.runtime.opening_hours import OsmOpeningHours
from tests.conftest import ROOT

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GOOD = """\
[[libraries]]
id = "central"
name = "Central"
time_zone = "Europe/Paris"
country = "FR"
languages = ["fr", "en"]
opening_hours = "Mo-Sa 09:00-19:00; PH off"
capacity = 120
gates = [
  { id = "front" },
]
exceptions = [{ dates = "2026-12-24", hours = "09:00-12:00" }]

[[libraries.keys]]
id = "front-2026"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
device = "front"
role = "gate"

[[libraries.channels]]
type = "console"
"""
ACCOUNT_ON_TWO_SERVERS = "".join(
    f'[[libraries.channels]]\ntype = "mastodon"\naccount = "a"\nserver = "https://{name}.example"\n'
    for name in ("one", "two")
)
STANDS_TWICE = "stands 2 times; give each channel of one type an account of its own name, even where the servers differ"
TOO_SELDOM = (
    "interval_s (1800 s) must be shorter than silent_after_min (20 min), or the gate seems silent between reports"
)
SECOND = GOOD.replace("central", "branch").replace("front-2026", "branch-2026")


def replaced(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after)


FAULTS = {
    "an unknown key close to a known one": (
        replaced("capacity =", "capacty ="),
        [
            (1, "libraries.central.capacity", "is missing", "add capacity = 120"),
            (8, "libraries.central.capacty", "is not a known key", "did you mean capacity?"),
        ],
    ),
    "a table under a name close to the right one": (
        GOOD.replace("[[libraries.keys]]", "[[libraries.key]]"),
        [(14, "libraries.central.key", "is not a known key", "did you mean keys?")],
    ),
    "a key in the wrong table": (
        replaced('{ id = "front" }', '{ id = "front", sha256 = "" }'),
        [
            (
                10,
                "libraries.central.gates.front.sha256",
                "is not a known key here",
                "it belongs in keys; keys here are id, name, from, to, kind, interval_s, silent_after_min",
            )
        ],
    ),
    "one bracket where there must be two": (
        '[libraries]\nid = "central"\n',
        [(1, "libraries", "must be a list", "write [[libraries]] with two brackets on each side")],
    ),
    "a number in quotes": (
        replaced("capacity = 120", 'capacity = "120"'),
        [
            (
                8,
                "libraries.central.capacity",
                "must be a whole number",
                "write it without quotes and without a fraction, like capacity = 120",
            )
        ],
    ),
    "a capacity of nobody": (
        replaced("capacity = 120", "capacity = 0"),
        [(8, "libraries.central.capacity", "must be greater than or equal to 1", "write it like capacity = 120")],
    ),
    "text without quotes that is a number": (
        replaced('name = "Central"', "name = 7"),
        [(3, "libraries.central.name", "must be text", 'put it in double quotes, like name = "Central Library"')],
    ),
    "an id with a space": (
        replaced('{ id = "front" }', '{ id = "Front door" }'),
        [
            (
                10,
                "libraries.central.gates.Front door.id",
                "'Front door' is not written as it must be",
                'use small letters, digits and hyphens only, like "main-door"',
            )
        ],
    ),
    "a language that is not spoken here": (
        replaced('["fr", "en"]', '["fr", "de"]'),
        [
            (
                6,
                "libraries.central.languages.#2",
                "'de' is not one of the choices",
                "choose one of en, fr, nb, nl, uk",
            )
        ],
    ),
    "a time zone misspelt": (
        replaced("Europe/Paris", "Europe/Pairs"),
        [(4, "libraries.central.time_zone", "'Europe/Pairs' is no IANA time zone", 'did you mean "Europe/Paris"?')],
    ),
    "hours that the engine cannot read": (
        replaced("Mo-Sa 09:00-19:00; PH off", "Mo-Sa 09:00 19:00"),
        [
            (
                7,
                "libraries.central.opening_hours",
                "'Mo-Sa 09:00 19:00' is no opening_hours rule: from character 12 on it cannot be read",
                'write it like "Mo-Fr 09:00-12:30,13:30-18:00; PH off"',
            )
        ],
    ),
    "hours of an exception that the engine cannot read": (
        replaced('hours = "09:00-12:00"', 'hours = "morning"'),
        [
            (
                12,
                "libraries.central.exceptions.#1.hours",
                "'morning' are no hours",
                'write it like "10:00-14:00", or "off"',
            )
        ],
    ),
    "a day that does not exist": (
        replaced("2026-12-24", "2026-02-30"),
        [
            (
                12,
                "libraries.central.exceptions.#1.dates",
                "'2026-02-30': day is out of range for month",
                "use days that exist",
            )
        ],
    ),
    "a country without public holidays": (
        replaced('country = "FR"', 'country = "ZZ"'),
        [
            (
                5,
                "libraries.central.country",
                "no public holidays are known for 'ZZ'",
                "use the two letters of a country with public holidays, or leave country out",
            )
        ],
    ),
    "two libraries of one id": (
        GOOD + SECOND.replace("branch-2026", "other").replace('id = "branch"', 'id = "central"'),
        [
            (
                23,
                "libraries.central.id",
                "libraries: the id 'central' stands 2 times; ids must differ",
                "give each an id of its own; an id in use must stay, so change the newer one",
            )
        ],
    ),
    "one key id in two libraries": (
        GOOD + SECOND.replace("branch-2026", "front-2026"),
        [
            (
                36,
                "libraries.branch.keys.front-2026.id",
                "keys: the id 'front-2026' stands 2 times; ids must differ",
                "give each an id of its own; an id in use must stay, so change the newer one",
            )
        ],
    ),
    "a gate to nowhere": (
        replaced('{ id = "front" }', '{ id = "front", to = "cellar" }'),
        [
            (
                10,
                "libraries.central.gates.front.to",
                "gate front: 'cellar' is no place; there are inside, outside",
                "use one of inside, outside, or add the zone",
            )
        ],
    ),
    "a key for a gate that is not there": (
        replaced('role = "gate"', 'role = "gate"\ngates = [\n  "front",\n  "back",\n]'),
        [
            (
                21,
                "libraries.central.keys.front-2026.gates.#2",
                "key front-2026: there is no gate 'back'; there are front",
                "use one of front, or add the gate",
            )
        ],
    ),
    "a key that takes the simulation's name": (
        replaced('id = "front-2026"', 'id = "simulation"'),
        [
            (
                15,
                "libraries.central.keys.simulation.id",
                "'simulation' is the simulation's own id; choose another, like front-2026",
                "put it right and check again",
            )
        ],
    ),
    "one account name on two servers": (
        GOOD.replace('[[libraries.channels]]\ntype = "console"\n', "") + ACCOUNT_ON_TWO_SERVERS,
        [
            (
                20,
                "libraries.central.channels",
                f"the mastodon account 'a' {STANDS_TWICE}",
                "put it right and check again",
            )
        ],
    ),
    "two consoles": (
        GOOD + '\n[[libraries.channels]]\ntype = "console"\nlanguages = ["en"]\n',
        [
            (
                20,
                "libraries.central.channels",
                f"the console channel without an account {STANDS_TWICE}",
                "put it right and check again",
            )
        ],
    ),
    "an expiry without its offset": (
        replaced('role = "gate"', 'role = "gate"\nexpires = 2027-01-01'),
        [
            (
                19,
                "libraries.central.keys.front-2026.expires",
                "'2027-01-01' is no time with its offset",
                "write it like expires = 2027-01-31T00:00:00Z",
            )
        ],
    ),
    "a simulated library that would speak to followers": (
        replaced("capacity = 120", 'capacity = 120\nclock = "simulated"').replace(
            'type = "console"', 'type = "mastodon"\naccount = "a"\nserver = "https://social.example"'
        ),
        [
            (
                22,
                "libraries.central.channels.#1.type",
                (
                    "a simulated library may speak on the console and on servers of this machine only, not on mastodon:"
                    " followers would take it for now"
                ),
                'use type = "console", or remove clock to go live',
            )
        ],
    ),
    "a band that would flap": (
        replaced("capacity = 120", 'capacity = 120\nbands = [{ level = "full", enter = 0.9, leave = 0.95 }]'),
        [
            (
                9,
                "libraries.central.bands.#1.leave",
                "leave (0.95) must be below enter (0.9), or the level would flap",
                "choose leave a few hundredths below enter, like enter = 0.85, leave = 0.80",
            )
        ],
    ),
    "a gate that reports too seldom for its silence": (
        replaced('{ id = "front" }', '{ id = "front", interval_s = 1800 }'),
        [
            (
                10,
                "libraries.central.gates.front.interval_s",
                TOO_SELDOM,
                "let several reports fit, like interval_s = 60, silent_after_min = 10",
            )
        ],
    ),
    "a gate of a kind that does not exist": (
        replaced('{ id = "front" }', '{ id = "front", kind = "beams" }'),
        [
            (
                10,
                "libraries.central.gates.front.kind",
                "'beams' is not one of the choices",
                'did you mean "beam"? choose one of directional, beam',
            )
        ],
    ),
    "a queue that is possible in words": (
        replaced("capacity = 120", 'capacity = 120\nqueue_possible = "no"'),
        [
            (
                9,
                "libraries.central.queue_possible",
                "must be true or false",
                "write it without quotes, like queue_possible = false",
            )
        ],
    ),
    "fewer staff than none, and a last entry in the middle of a minute": (
        replaced("capacity = 120", "capacity = 120\nstaff_inside = -1\nlast_entry_min = 7.5"),
        [
            (
                9,
                "libraries.central.staff_inside",
                "must be greater than or equal to 0",
                "write it like staff_inside = 5",
            ),
            (
                10,
                "libraries.central.last_entry_min",
                "must be a whole number",
                "write it without quotes and without a fraction, like last_entry_min = 15",
            ),
        ],
    ),
    "too many ways to travel": (
        replaced("capacity = 120", "capacity = 120\ntravel_times_min = [10, 20, 30, 40, 50]"),
        [
            (
                9,
                "libraries.central.travel_times_min",
                "has 5 entries where 4 may stand",
                "write it like travel_times_min = [15, 30, 60]",
            )
        ],
    ),
    "a way that takes a day": (
        replaced("capacity = 120", "capacity = 120\ntravel_times_min = [30, 1440]"),
        [
            (
                9,
                "libraries.central.travel_times_min.#2",
                "must be less than or equal to 180",
                "write it like travel_times_min = [15, 30, 60]",
            )
        ],
    ),
    "one way twice": (
        replaced("capacity = 120", "capacity = 120\ntravel_times_min = [30, 30]"),
        [
            (
                9,
                "libraries.central.travel_times_min",
                "travel times must rise, each once",
                "write them like travel_times_min = [15, 30, 60]",
            )
        ],
    ),
    "no TOML": (
        replaced("capacity = 120", "capacity = "),
        [
            (
                8,
                "",
                "this is no TOML at column 12: invalid value",
                "look for a missing quote, bracket or equals sign here or on the line before",
            )
        ],
    ),
    "an open bracket": (
        "[[libraries]]\nlanguages = ['fr'\n",
        [
            (
                2,
                "",
                "this is no TOML: unclosed array",
                "look for a missing quote, bracket or equals sign here or on the line before",
            )
        ],
    ),
    "an empty file": ("", [(None, "libraries", "is missing", "begin with [[libraries]]")]),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_key_its_line_and_a_remedy(
    text: str, expected: list[tuple[int | None, str, str, str]]
) -> None:
    checked = check_text(text, NOW)
    assert [(each.line, each.key, each.problem, each.remedy) for each in checked.findings] == expected
    assert not checked.is_good
    assert checked.libraries == ()


WARNINGS = {
    "nobody can report": (
        GOOD[: GOOD.index("[[libraries.keys]]")],
        (1, "libraries.central.keys", "nothing can report: the library has no live key"),
    ),
    "gates that no key may report": (
        replaced('role = "gate"', 'role = "staff"'),
        (9, "libraries.central.gates", "no live key may report the gates"),
    ),
    "zones that do not add up": (
        replaced("capacity = 120", 'capacity = 120\nzones = [{ id = "inside", name = "All", capacity = 90 }]'),
        (8, "libraries.central.capacity", "the zones hold 90 people together, the library 120"),
    ),
    "a queue at markers that never stands": (
        replaced(
            "capacity = 120",
            'capacity = 120\nqueue_possible = false\nmarkers = [{ id = "door", name = "the door", people = 20 }]',
        ),
        (9, "libraries.central.queue_possible", "there are markers of a queue that is said never to stand"),
    ),
    "more staff than the house holds": (
        replaced("capacity = 120", "capacity = 120\nstaff_inside = 120"),
        (9, "libraries.central.staff_inside", "120 staff in a house for 120 leave no room for visitors"),
    ),
    "a key about to expire": (
        replaced('role = "gate"', 'role = "gate"\nexpires = 2026-12-01T00:00:00Z'),
        (19, "libraries.central.keys.front-2026.expires", "the key expires on 2026-12-01"),
    ),
    "public holidays of no country": (
        replaced('country = "FR"\n', ""),
        (6, "libraries.central.opening_hours", "PH means nothing without a country"),
    ),
    "a day that is over": (
        replaced("2026-12-24", "2026-03-01"),
        (12, "libraries.central.exceptions.#1", "2026-03-01 is over"),
    ),
    "a channel in a language that the page does not have": (
        replaced('type = "console"', 'type = "console"\nlanguages = ["nl"]'),
        (22, "libraries.central.channels.#1.languages", "nl is not among the library's languages"),
    ),
}


@pytest.mark.parametrize(("text", "expected"), WARNINGS.values(), ids=WARNINGS.keys())
def test_what_is_allowed_but_hardly_meant_is_a_warning(text: str, expected: tuple[int, str, str]) -> None:
    checked = check_text(text, NOW)
    assert [(each.line, each.key, each.problem) for each in checked.findings] == [expected]
    assert checked.is_good
    assert [library.id for library in checked.libraries] == ["central"]


def test_an_expired_key_is_named_and_counts_as_none() -> None:
    text = replaced('role = "gate"', 'role = "gate"\nexpires = 2026-11-01T00:00:00Z')
    problems = [each.problem for each in check_text(text, NOW).findings]
    assert problems == ["nothing can report: the library has no live key", "the key has expired on 2026-11-01"]


def test_a_library_whose_counters_send_by_themselves_needs_no_key() -> None:
    source = f'[[libraries.sources]]\nid = "box"\ntype = "url"\ntoken_sha256 = "{"0" * 64}"\n'
    assert not check_text(GOOD[: GOOD.index("[[libraries.keys]]")] + source, NOW).findings


def test_several_faults_are_all_named_in_the_order_of_their_lines() -> None:
    text = replaced("Europe/Paris", "Paris").replace("capacity = 120", "capacity = -1").replace('"gate"', '"door"')
    assert [each.line for each in check_text(text, NOW).findings] == [4, 8, 18]


def test_the_example_configuration_is_good_and_free_of_warnings() -> None:
    checked = check_text((ROOT / "libraries.toml").read_text(), NOW)
    assert checked.findings == ()


def domain_of(text: str) -> Library:
    [library] = check_text(text, NOW).libraries
    return library.to_domain(OsmOpeningHours)


def test_what_a_library_leaves_out_has_the_usual_value() -> None:
    library = domain_of(GOOD)
    assert (library.gates[0].is_beam, library.gates[0].interval) == (False, None)
    assert (library.staff_inside, library.is_queue_possible, library.last_entry) == (0, True, timedelta(0))
    assert library.travel_times == tuple(timedelta(minutes=each) for each in (15, 30, 60))


@pytest.mark.parametrize(
    ("impossible", "reason"),
    [
        ({"destination": "outside"}, "to itself"),
        ({"silent_after": timedelta(0)}, "silent_after must be positive"),
        ({"interval": timedelta(0)}, "interval must be positive"),
    ],
)
def test_a_gate_that_cannot_be_is_not_built(impossible: dict[str, Any], reason: str) -> None:
    gate = Gate("front", "outside", "inside", timedelta(minutes=20))
    with pytest.raises(ValueError, match=reason):
        replace(gate, **impossible)


def test_what_is_said_of_gates_doors_and_ways_reaches_the_domain() -> None:
    keys = "staff_inside = 4\nqueue_possible = false\nlast_entry_min = 20\ntravel_times_min = [10, 45]"
    text = replaced('{ id = "front" }', '{ id = "front", kind = "beam", interval_s = 300 }')
    library = domain_of(text.replace("capacity = 120", f"capacity = 120\n{keys}"))
    assert (library.gates[0].is_beam, library.gates[0].interval) == (True, timedelta(minutes=5))
    assert (library.staff_inside, library.is_queue_possible, library.last_entry) == (4, False, timedelta(minutes=20))
    assert library.travel_times == (timedelta(minutes=10), timedelta(minutes=45))


def placelibre(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_exits_1_for_faults_and_speaks_json(tmp_path: Path) -> None:
    broken = tmp_path / "libraries.toml"
    broken.write_text(replaced("capacity =", "capacty ="))
    result = placelibre("check", str(broken), "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 1
    assert report["ok"] is False
    assert report["findings"][1] == {
        "severity": "error",
        "line": 8,
        "key": "libraries.central.capacty",
        "problem": "is not a known key",
        "remedy": "did you mean capacity?",
    }


def test_the_command_exits_0_for_warnings_alone(tmp_path: Path) -> None:
    file = tmp_path / "libraries.toml"
    file.write_text(WARNINGS["nobody can report"][0])
    result = placelibre("check", str(file))
    assert result.returncode == 0
    assert "warning: line 1: libraries.central.keys: nothing can report" in result.stderr


def test_a_file_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    result = placelibre("check", str(tmp_path / "none.toml"))
    assert result.returncode == 1
    assert "there is no file" in result.stderr
    assert "what to do:" in result.stderr
    assert "Traceback" not in result.stderr
