"""English."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.curve.words import CurveWords

WORDS: Final = CurveWords(
    language="en",
    so_far="So far, with its range",
    usual="Usual on this weekday",
    expected="Expected: an estimate",
    capacity=lambda n: "The only seat taken" if n == 1 else "All {capacity} seats taken",
    seats=lambda n: "{capacity} seat" if n == 1 else "{capacity} seats",
    now="Now",
    alt_usual="Curve of the people who are usually inside {library} on a day like {date}.",
    usual_peak=lambda n: (
        "Usually fullest around {time}, with about {people} person."
        if n == 1
        else "Usually fullest around {time}, with about {people} people."
    ),
    expected_peak=lambda n: (
        "For the rest of the day at most about {people} person is expected, around {time}."
        if n == 1
        else "For the rest of the day at most about {people} people are expected, around {time}."
    ),
    basis=lambda n: (
        "Usual is what was seen on {count} day like this in the last eight weeks."
        if n == 1
        else "Usual is what was seen on {count} days like this in the last eight weeks; half of them lie in the band."
    ),
    table="The figures as a table",
    usual_column="Usual",
    expected_column="Expected",
    usual_wait="Usual wait in minutes",
    between="{middle} ({low} to {high})",
    kept="No connection. This is the last known state, from {time}.",
    offline="No connection",
    offline_text="This page was not opened on this device before, so nothing of it is kept here. It loads by itself as soon as there is a connection.",
    offline_kept="Kept on this device",
    offline_again="Try again",
)
