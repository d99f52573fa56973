"""A time zone in which it is day now: at night nothing is posted, whatever a test waits for."""

from __future__ import annotations

from datetime import UTC, datetime


def zone_at_noon() -> str:
    """Return the name of a zone where it is between twelve and one o'clock."""
    ahead_h = 12 - datetime.now(UTC).hour  # -11 to 12
    return "Etc/GMT" if not ahead_h else f"Etc/GMT{-ahead_h:+d}"  # their signs are those of POSIX: west is plus
