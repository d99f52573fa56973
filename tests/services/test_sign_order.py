"""A sign says of which day it is, and where one has to wait, the wait first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.queue_wait import NO_WAIT, Wait
from shared.runtime.formats import formats_for
from shared.runtime.sign import Panel, sign_svg
from tests.services.test_signs import SIZES, STATES, words


def test_a_figure_stands_with_its_day() -> None:
    for language in ("en", "fr", "nb", "nl", "uk"):
        day = formats_for(language, "Europe/Paris").short_date(STATES["few"].as_of)
        for size in SIZES:
            assert day in words(sign_svg(STATES["few"], language, Panel(*size))), (language, size)


def test_a_short_date_is_a_day_and_a_month() -> None:
    at = datetime.fromisoformat("2026-03-02T23:30:00+00:00")
    dates = {language: formats_for(language, "Europe/Paris").short_date(at) for language in ("en", "fr", "nb", "nl")}
    assert dates == {"en": "3 Mar", "fr": "3 mars", "nb": "3. mars", "nl": "3 mrt"}


def test_where_one_has_to_wait_the_wait_stands_before_the_seats() -> None:
    status = replace(STATES["few"], wait=Wait(20, 10, 25, 20, overflow=False))
    for size in ((800, 480), (480, 800)):
        said = words(sign_svg(status, "en", Panel(*size)))
        assert said.index("20 minutes") < said.index("free seats"), size
        said = words(sign_svg(replace(status, wait=NO_WAIT), "en", Panel(*size)))
        assert said.index("free seats") < said.index("No queue"), size
