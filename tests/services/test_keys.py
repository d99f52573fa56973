"""Keys: shown once, stored as a hash, and written into the right library's part of the file."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from cli.configuration_check import check_text
from cli.keys import Role, make_key, write_key
from cli.libraries_file import with_table
from cli.terminal import Trouble
from services.ingest.senders import Senders
from shared.runtime.clock import now
from tests.conftest import ROOT

TWO = """\
# All libraries.
[[libraries]]
id = "a"
name = "A"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 10
gates = [{ id = "front" }, { id = "back" }]

[[libraries.channels]]
type = "console"

# The second one.
[[libraries]]
id = "b"
name = "B"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 10"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "libraries.toml"
    path.write_text(TWO)
    return path


def test_the_hash_in_the_file_lets_ingest_recognise_the_key(file: Path) -> None:
    made = make_key("front", Role.GATE, ("front",), None)
    write_key(file, "a", made)
    [a, b] = check_text(file.read_text(), now()).libraries
    senders = Senders()
    senders.put(a)
    senders.put(b)
    sender = senders.authenticate(made.key, now())
    assert sender is not None
    assert sender.library == a
    assert sender.key is not None
    assert sender.key.gates == ("front",)
    assert senders.authenticate(made.key + "x", now()) is None


def test_the_secret_is_not_in_the_file(file: Path) -> None:
    made = make_key("front", Role.GATE, (), None)
    write_key(file, "a", made)
    secret = made.key.partition(".")[2]
    assert secret not in file.read_text()
    assert sha256(secret.encode()).hexdigest() in file.read_text()


def test_a_key_goes_under_its_library_and_nothing_else_changes() -> None:
    table = '[[libraries.keys]]\nid = "k"\n'
    first = with_table(TWO, 0, table)
    assert 'type = "console"\n\n[[libraries.keys]]\nid = "k"\n\n# The second one.' in first
    assert first.replace("\n" + table, "", 1) == TWO
    assert with_table(TWO, 1, table) == TWO + "\n\n" + table


def test_several_keys_may_be_written_one_after_the_other(file: Path) -> None:
    for library in ("b", "a", "b"):
        write_key(file, library, make_key("front", Role.STAFF, (), None))
    [a, b] = check_text(file.read_text(), now()).libraries
    assert (len(a.keys), len(b.keys)) == (1, 2)
    assert len({key.id for key in (*a.keys, *b.keys)}) == 3


def test_a_key_for_a_gate_that_is_not_there_leaves_the_file_as_it_was(file: Path) -> None:
    with pytest.raises(Trouble, match="no gate 'side'"):
        write_key(file, "a", make_key("front", Role.GATE, ("side",), None))
    assert file.read_text() == TWO


def test_keys_in_one_line_are_left_alone_with_advice(file: Path) -> None:
    text = TWO.replace("gates =", "keys = []\ngates =")
    file.write_text(text)
    with pytest.raises(Trouble, match="stays as it is") as caught:
        write_key(file, "a", make_key("front", Role.GATE, (), None))
    assert "[[libraries.keys]]" in caught.value.remedy
    assert file.read_text() == text


def test_a_library_misspelt_is_asked_back(file: Path) -> None:
    with pytest.raises(Trouble, match="has no library 'bb'") as caught:
        write_key(file, "bb", make_key("front", Role.GATE, (), None))
    assert caught.value.remedy == "did you mean b?"


def test_an_expiry_is_written_and_understood(file: Path) -> None:
    expires = datetime(2100, 1, 31, 23, 59, 59, tzinfo=UTC)
    write_key(file, "a", make_key("front", Role.GATE, (), expires))
    [a, _] = check_text(file.read_text(), now()).libraries
    assert a.keys[0].expires == expires


def test_a_key_that_has_expired_already_is_refused() -> None:
    with pytest.raises(Trouble, match="expired already"):
        make_key("front", Role.GATE, (), now() - timedelta(days=1))


@pytest.mark.parametrize("device", ["Front Door", "", "x" * 64])
def test_a_device_that_cannot_be_an_id_is_refused(device: str) -> None:
    with pytest.raises(Trouble, match="cannot be used"):
        make_key(device, Role.GATE, (), None)


def test_the_command_prints_the_key_for_a_program_and_the_file_takes_it(file: Path) -> None:
    arguments = ["keys", "new", "a", "--device", "tablet", "--role", "staff", "--write", str(file), "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    key_id, _, secret = json.loads(result.stdout)["key"].partition(".")
    [a, _] = check_text(file.read_text(), now()).libraries
    assert [(key.id, key.sha256) for key in a.keys] == [(key_id, sha256(secret.encode()).hexdigest())]
