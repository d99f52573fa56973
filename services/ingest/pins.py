"""PINs of the staff: how one is kept, and whether another is the same. Never on the event loop: each takes 50 ms."""

from __future__ import annotations

import asyncio
import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import scrypt
from secrets import token_bytes
from typing import Final

from shared.contracts.desk import PIN_PATTERN

COST: Final = 2**15
BLOCKS: Final = 8
LANES: Final = 1
"""With these one PIN takes 32 MiB and some 50 ms: the limit on tries does the rest, as four digits need it to."""
MEMORY_BYTES: Final = 64 * 1024 * 1024
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
AT_ONCE: Final = 2
"""PINs looked at together; more would take memory and processors that readings need."""
LONGEST: Final = 8
OBVIOUS: Final = frozenset({"1234567890", "0123456789", "9876543210", "0987654321"})


class UnreadablePin(ValueError):  # noqa: N818  named for what is wrong
    """What is kept of a PIN is not in its form."""


def kept(pin: str) -> str:
    """Return what is kept of a PIN: `n$r$p$salt$hash`, the last two in base64."""
    salt = token_bytes(SALT_BYTES)
    return _written(salt, _hash(pin, salt, COST, BLOCKS, LANES))


def is_right(pin: str, stored: str) -> bool:
    """Tell whether a PIN is the one that is kept. Raises UnreadablePin."""
    try:
        cost, blocks, lanes, salt, expected = stored.split("$")
        found = _hash(pin, b64decode(salt, validate=True), int(cost), int(blocks), int(lanes))
        return hmac.compare_digest(found, b64decode(expected, validate=True))
    except (ValueError, MemoryError) as error:
        raise UnreadablePin("what is kept of a PIN cannot be read") from error


def fault_of(pin: str) -> str:
    """Return why a PIN cannot be used, or nothing: the ones that anybody would try first are refused."""
    if not re.fullmatch(PIN_PATTERN.strip("^$"), pin):
        return f"it must be 4 to {LONGEST} digits"
    if len(set(pin)) == 1:
        return "it is one digit again and again"
    if any(pin in row for row in OBVIOUS):
        return "its digits stand in a row"
    half = len(pin) // 2
    if len(pin) % 2 == 0 and pin[:half] == pin[half:] and len(set(pin[:half])) == half == 2:
        return "it is two digits again and again"
    return ""


@dataclass(slots=True)
class PinCheck:
    """Compares PINs in threads, few at a time."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def is_right(self, pin: str, stored: str) -> bool:
        """Tell whether a PIN is the one that is kept; one that cannot be read is nobody's."""
        async with self.free:
            try:
                return await asyncio.to_thread(is_right, pin, stored)
            except UnreadablePin:
                return False


def _written(salt: bytes, digest: bytes) -> str:
    parts = (b64encode(each).decode() for each in (salt, digest))
    return "$".join([str(COST), str(BLOCKS), str(LANES), *parts])


def _hash(pin: str, salt: bytes, cost: int, blocks: int, lanes: int) -> bytes:
    return scrypt(pin.encode(), salt=salt, n=cost, r=blocks, p=lanes, maxmem=MEMORY_BYTES, dklen=HASH_BYTES)


NOBODYS: Final = _written(token_bytes(SALT_BYTES), token_bytes(HASH_BYTES))
"""Compared with where there is no such person, so that it takes as long; no PIN is known to be it."""
