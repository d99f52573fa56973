"""The reference of devices says all that there is, as tables that are tables."""

from __future__ import annotations

from cli.device_reference import MEANING_WORDS, devices_page
from services.ingest.devices import formats
from services.ingest.sources import polled
from shared.domain.meaning import Meaning


def test_every_format_and_every_way_of_asking_is_in_it() -> None:
    page = devices_page()
    known = [(each.name, each.title, each.notes) for each in formats().values()]
    known += [(each.name, each.title, each.notes) for each in polled.apis().values()]
    for name, title, notes in known:
        assert f"### `{name}`: {title}\n" in page
        assert notes in page
    for kind in ("url", "poll", "folder", "sftp", "mqtt", "listener", "websocket"):
        assert f'### `type = "{kind}"`\n' in page


def test_every_meaning_has_its_words() -> None:
    assert set(MEANING_WORDS) == set(Meaning)


def test_every_row_has_as_many_cells_as_its_head() -> None:
    rows = [line for line in devices_page().splitlines() if line.startswith("|")]
    assert len(rows) > 50
    assert {line.count("|") for line in rows} <= {3, 4}


def test_nothing_in_it_is_left_open() -> None:
    page = devices_page()
    assert "\n\n\n" not in page
    assert "Undefined" not in page
