"""Whether the bus takes a command for the operator: in a service's container the environment names that one's seed.

A bus tells nobody who they are. But each user hears answers under a name of its own and is refused under others', and
whoever is not refused is that user. Without this a command would wait for answers that never come, and time out.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Final

import nats.errors

from cli.terminal import Trouble
from shared.contracts.permissions import SERVICES
from shared.runtime.bus import Bus

OPERATOR: Final = "operator"
REFUSED: Final = "permissions violation"
"""As the server says it of a subject that a user may not hear."""
ANSWER_S: Final = 5
"""A round trip; a bus that has just let us in answers in milliseconds."""


async def refuse_a_service(bus: Bus, seed_file: Path | None) -> None:
    """See that a connection is the operator's.

    Raises:
        Trouble: it is somebody else's, or the bus does not answer.
    """
    try:
        if await _may_hear(bus, OPERATOR):
            return
        whose = [each for each in SERVICES if each != OPERATOR and await _may_hear(bus, each)]
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Trouble(f"the bus let us in and does not answer: {type(error).__name__}", "try again") from error
    user = f"of the service {whose[0]}" if whose else "not the operator's"
    raise Trouble(
        f"the seed {seed_file} is {user}, and only the operator may do this",
        "give the operator's with --seed-file (operator.nk of the keys that `placelibre bus init` or `placelibre up`"
        " has made), or run it where PLACELIBRE_NATS_SEED_FILE names it: with Compose by `docker compose run --rm"
        " operator`",
    )


async def _may_hear(bus: Bus, user: str) -> bool:
    """Return whether we may hear what a user is answered. Raises nats.errors.Error, TimeoutError, OSError."""
    before = bus.client.last_error
    heard = await bus.client.subscribe(f"_INBOX_{user}.{token_hex(8)}")
    await bus.client.flush(ANSWER_S)  # nats-py may send this before the subscription, and the next one only after it,
    await bus.client.flush(ANSWER_S)  # so that a refusal comes before the answer to that
    await heard.unsubscribe()
    after = bus.client.last_error
    return after is before or REFUSED not in str(after).casefold()
