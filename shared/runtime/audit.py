"""Writing the audit trail.

An entry is written after the act, before it is answered, and never stands in its way: where the bus is away or the
stream full the act stands, the entry goes to the log as an error, with all that would have been stored, and
`placelibre_audit_not_stored_total` counts it, on which there is an alert. Refusing the act instead would let whoever
fills the stream lock everybody out, operators first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import nats.errors
from nats.js.errors import APIError, NotFoundError

from shared.contracts import subjects
from shared.contracts.audit import FIRST, Act, AuditEntry, Outcome, Role, Stored, hash_of, shortened
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

RACES: Final = 8
"""Of one writer's processes against each other for the next number."""
RACE_S: Final = 0.05
WITHIN_S: Final = 2.0
"""So long an act waits for its entry at most: a person stands before the tablet."""
ANYBODYS_EVERY_S: Final = 60.0
"""What anybody can cause makes one entry a minute of one kind: a flood must not fill a year's trail. That is what
somebody with nothing valid tries, and tries while none is taken; wrong PINs end in the latter."""


@dataclass(slots=True)
class AuditTrail:
    """One process's pen. `bus` is None while there is no connection; `writer` names the chain."""

    writer: str
    bus: Bus | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last_of_kind_s: dict[tuple[Act, str, str], float] = field(default_factory=dict)
    """By act, library and tablet: as many as there are."""
    _swallowed: dict[tuple[Act, str, str], int] = field(default_factory=dict)

    async def note(
        self,
        act: Act,
        role: Role,
        *,
        who: str = "",
        library: str = "",
        subject: str = "",
        outcome: Outcome = Outcome.DONE,
        details: Iterable[str] = (),
    ) -> bool:
        """Write an entry; say whether it is stored. Never raises for the bus's sake.

        What anybody can bring about again and again makes one entry a minute, which says how many went before it.
        """
        if role is Role.NOBODY or outcome is Outcome.LOCKED:
            missed = self._missed((act, library, subject))
            if missed is None:
                return False
            details = (f"{missed} more of these since the entry before",) if missed else ()
        entry = AuditEntry(
            at=now(),
            number=1,
            before=FIRST,
            role=role,
            who=who,
            act=act,
            outcome=outcome,
            library=library,
            subject=subject,
            details=shortened(details),
        )
        reason = "no connection to the bus"
        if self.bus is not None and self.bus.is_connected:
            try:
                async with asyncio.timeout(WITHIN_S), self._turn:
                    await self._append(self.bus, entry)
            except (BusUnavailable, Conflict, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            else:
                return True
        metrics.AUDIT_NOT_STORED.inc()
        fields = entry.model_dump(mode="json", exclude={"number", "before"}, exclude_defaults=True)
        log.error("audit_entry_not_stored", reason=reason, entry=fields)
        return False

    def _missed(self, kind: tuple[Act, str, str]) -> int | None:
        """Return how many of a kind made no entry since the last that did; None where this one makes none either."""
        at_s, last_s = monotonic_s(), self._last_of_kind_s.get(kind)
        if last_s is not None and at_s - last_s < ANYBODYS_EVERY_S:
            self._swallowed[kind] = self._swallowed.get(kind, 0) + 1
            return None
        self._last_of_kind_s[kind] = at_s
        return self._swallowed.pop(kind, 0)

    async def _append(self, bus: Bus, entry: AuditEntry) -> None:
        """Add to the writer's chain. Raises BusUnavailable, BusFull, Conflict."""
        subject = subjects.audit(self.writer)
        for attempt in range(RACES):
            if attempt:
                await wait_s(RACE_S * attempt)
            last = await _last(bus, subject)
            if last is not None:
                number, at = (last.link.number + 1, last.link.at) if last.link else (1, None)
                entry = entry.model_copy(update={"number": number, "before": hash_of(last.body), "before_at": at})
            headers = {"Nats-Expected-Last-Subject-Sequence": str(last.sequence if last else 0)}
            try:
                body = entry.model_dump_json(exclude_defaults=True).encode()
                await bus.publish(subject, body, headers=headers, timeout_s=WITHIN_S)
            except Conflict:
                continue  # another process of this writer was first
            return
        raise Conflict(f"others keep writing {subject}")


async def _last(bus: Bus, subject: str) -> Stored | None:
    try:
        message = await bus.jetstream.get_last_msg(subjects.AUDIT, subject, direct=True)
    except NotFoundError:
        return None
    except (nats.errors.Error, APIError, TimeoutError, OSError) as error:
        raise BusUnavailable(f"no answer for {subject}: {type(error).__name__}") from error
    return Stored.of(subject, int(message.seq or 0), message.data or b"")
