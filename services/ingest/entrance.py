"""Who comes with a request, and what to answer to whoever may not come in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastapi import Response

from services.ingest.problems import PROBLEMS
from services.ingest.routes import RETRY_AFTER_S, Door
from services.ingest.senders import Refusal, Sender, is_of_staff
from shared.runtime.clock import now
from shared.runtime.problem import answer

BEARER: Final = re.compile(r"^bearer\s+(\S{1,300})$", re.IGNORECASE)
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="placelibre"'}
WORDS: Final = {
    Refusal.UNKNOWN: "No valid key came with the request.",
    Refusal.SESSION_OVER: "Nobody is signed in under this session any more.",
    Refusal.NOT_YET: "The staff's tablets have not been read yet.",
}
AT_THE_CENTRE: Final = "Tablets are served by the centre; give them its address."


def sender_of(door: Door, headers: Mapping[str, str]) -> Sender | Response:
    """Return who sends a request, or the answer to whoever does."""
    found = BEARER.match(headers.get("authorization", ""))
    if found is None:
        return answer(PROBLEMS["unauthenticated"], WORDS[Refusal.UNKNOWN], headers=CHALLENGE)
    if door.settings.leaf and is_of_staff(found[1]):
        return answer(PROBLEMS["not-at-a-branch"], AT_THE_CENTRE)
    sender = door.senders.judge(found[1], now())
    if isinstance(sender, Sender):
        return sender
    if sender is Refusal.NOT_YET:
        return answer(PROBLEMS["not-ready"], WORDS[sender], retry_after_s=RETRY_AFTER_S)
    return answer(PROBLEMS[sender.value], WORDS[sender], headers=CHALLENGE)


def is_unknown(door: Door, headers: Mapping[str, str]) -> bool:
    """Tell whether a request comes without a key that was ever valid: a session that is over is no guess."""
    found = BEARER.match(headers.get("authorization", ""))
    return found is None or door.senders.judge(found[1], now()) is Refusal.UNKNOWN
