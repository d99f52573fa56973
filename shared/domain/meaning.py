"""What a figure of a counter means. The same number can be one person, a window's people or all since power-on."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Meaning(StrEnum):
    """What a device's figure means; it is declared or found out once for each of its lines, and then kept."""

    CROSSING = "crossing"
    """Somebody has just gone through."""
    WINDOW = "window"
    """People who went through within a window."""
    TOTAL = "total"
    """A register: people since power-on, which may wrap at its largest value."""
    DAY_TOTAL = "day_total"
    """A register that begins anew at midnight."""
    OCCUPANCY = "occupancy"
    """How many are inside now."""
    QUEUE_LENGTH = "queue_length"
    """How many queue now."""
    QUEUEING_TIME = "queueing_time"
    """How long somebody waits, in minutes."""


COUNTING: Final = (Meaning.CROSSING, Meaning.WINDOW, Meaning.TOTAL, Meaning.DAY_TOTAL)
"""Meanings of the same passages, the best first: only one of them is ever counted, or people would count twice."""
