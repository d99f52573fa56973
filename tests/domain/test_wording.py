"""A library's own words stand in place of a catalog's, where they keep what these say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.contracts.configuration import LibraryConfig
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.wording import fault_of_words, with_wording
from shared.runtime.wording import sentences_for
from tests.domain.test_messages import FULL

BASE = {"id": "bib", "name": "Bib", "time_zone": "Europe/Paris", "opening_hours": "24/7", "capacity": 100}


def test_own_words_are_said() -> None:
    wording = {"fr": {"full": "plus une place", "wait_about": "à peu près {duration}"}}
    said = sentences_for(FULL, ("fr", "en"), wording)
    assert "plus une place" in said["fr"].long
    assert "à peu près 20 minutes" in said["fr"].long
    assert "full" in said["en"].long


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wait_about", "about that long"),
        ("wait_about", "about {duration} or {more}"),
        ("wait_about", "about {duration"),
        ("no_such_words", "x"),
        ("seats", "x"),
        ("language", "xx"),
        ("lead", "{name} {time} {words}"),
    ],
)
def test_words_that_lose_what_the_catalog_says_are_refused(name: str, text: str) -> None:
    assert fault_of_words(CATALOGS["en"], name, text)
    assert with_wording(CATALOGS["en"], {name: text}) == CATALOGS["en"]
    with pytest.raises(ValidationError, match=f"wording.en.{name}"):
        LibraryConfig.model_validate({**BASE, "wording": {"en": {name: text}}})


def test_a_configuration_hands_its_words_on() -> None:
    config = LibraryConfig.model_validate({**BASE, "wording": {"nl": {"full": "vol"}}})
    assert config.own_words == {"nl": {"full": "vol"}}
