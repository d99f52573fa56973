"""Whether there is anything of what is to be purged: a slip of the pen must not be told "taken out"."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from contextlib import suppress

from cli.purging.erasing import Found
from cli.terminal import Trouble
from services.aggregator.checkpoint import Manifest, chunk_key
from services.ingest.device_overview import values_of
from shared.contracts import subjects
from shared.contracts.desk import PERSON
from shared.contracts.devices import Claim
from shared.contracts.readings import SLUG_PATTERN
from shared.runtime.bus import Bus


def refuse_no_id(word: str, what: str) -> None:
    """Refuse what cannot be an id: it would be no part of any name on the bus. Raises Trouble."""
    if not re.fullmatch(SLUG_PATTERN, word):
        raise Trouble(
            f"{word!r} is no id of a {what}", "ids are of small letters, digits and hyphens, such as `ab` or `front-2`"
        )


async def refuse_a_stranger(bus: Bus, library: str, person: str, found: Iterable[Found]) -> None:
    """Refuse a person of whom nothing is stored, and say who there is.

    Raises:
        Trouble: nobody is known by this id.
        BusUnavailable: the bus does not answer.
    """
    if any(each.whole or each.shared for each in found) or await _is_named(bus, library, person):
        return
    prefix = subjects.staff_key(library, PERSON, "")
    known = [key.removeprefix(prefix) for key in await bus.bucket(subjects.STAFF).keys(prefix)]
    raise Trouble(
        f"nothing is stored of a person {person!r} of {library}",
        f"its people are {', '.join(known)}" if known else "see `placelibre staff people list LIBRARY`",
    )


async def _is_named(bus: Bus, library: str, person: str) -> bool:
    """Tell whether a person stands in what is kept of others: claims, the desk's record, the aggregator's state."""
    word = f'"{person}"'.encode()
    desk = await bus.bucket(subjects.DESK).get(library)
    if desk is not None and word in desk.value:
        return True
    claims = await values_of(bus, subjects.CLAIMS, subjects.device_key(library, "*"), Claim)
    if any(each.by == person for each in claims.values()):
        return True
    return word in await _state_of(bus, library)


async def _state_of(bus: Bus, library: str) -> bytes:
    """Return what the newest checkpoint holds of a library, nothing where it cannot be read."""
    bucket, number = bus.bucket(subjects.CHECKPOINTS), subjects.partition_of(library)
    entry = await bucket.get(subjects.checkpoint_key(number))
    if entry is None:
        return b""
    body = b""
    with suppress(ValueError, KeyError, TypeError, zlib.error):  # pydantic's errors are ValueErrors, too
        manifest = Manifest.model_validate_json(entry.value)
        for index in range(manifest.chunks):
            chunk = await bucket.get(chunk_key(number, manifest.slot, index))
            body += chunk.value if chunk else b""
        content = json.loads(zlib.decompress(body))
        states = [each["state"] for each in content["libraries"] if each["config"]["id"] == library]
        return json.dumps([states, content["waiting"].get(library)]).encode()
    return b""
