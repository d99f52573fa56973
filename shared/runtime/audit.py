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
REFUSALS_EVERY_S: Final = 60.0
"""Refusals that anybody can cause make one entry a minute, of one kind: a flood must not fill a year's trail."""


@dataclass(slots=True)
class AuditTrail:
    """One process's pen. `bus` is None while there is no connection; `writer` names the chain."""

    writer: str
    bus: Bus | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last_refusal_s: dict[tuple[Act, str, str], float] = field(default_factory=dict)
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
        """Write an entry; say whether it is stored. Never raises for the bus's sake."""
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

    async def refuse(
        self,
        act: Act,
        role: Role,
        *,
        who: str = "",
        library: str = "",
        subject: str = "",
        outcome: Outcome = Outcome.REFUSED,
    ) -> None:
        """Write what anybody can bring about again and again, once a minute at most, with how often it was since."""
        key, at_s = (act, library, subject), monotonic_s()
        last_s = self._last_refusal_s.get(key)
        if last_s is not None and at_s - last_s < REFUSALS_EVERY_S:
            self._swallowed[key] = self._swallowed.get(key, 0) + 1
            return
        self._last_refusal_s[key] = at_s
        missed = self._swallowed.pop(key, 0)
        details = (f"{missed} more of these since the entry before",) if missed else ()
        await self.note(act, role, who=who, library=library, subject=subject, outcome=outcome, details=details)

    async def _append(self, bus: Bus, entry: AuditEntry) -> None:
        """Add to the writer's chain. Raises BusUnavailable, BusFull, Conflict."""
        subject = subjects.audit(self.writer)
        for attempt in range(RACES):
            if attempt:
                await wait_s(RACE_S * attempt)
            last = await _last(bus, subject)
            if last is not None:
                number = last.entry.number + 1 if last.entry else 1
                entry = entry.model_copy(update={"number": number, "before": hash_of(last.body)})
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
