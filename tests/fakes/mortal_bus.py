"""A process that dies at a chosen step of what it stores: from then on it stores nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.runtime.bus import ACK_TIMEOUT_S, Bus


@dataclass(frozen=True)
class Death:
    """Where a process dies: before or after the nth thing it stores under a subject."""

    subject: str
    nth: int
    is_before: bool


class Killed(Exception):  # noqa: N818  what happens to the process, not an error of its own
    """Whatever the process would have done next does not happen."""


class MortalBus(Bus):
    """A real connection of a process that dies at a chosen step."""

    death: Death | None = None
    stored = 0
    is_dead = False

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ACK_TIMEOUT_S,
    ) -> int:
        if self.is_dead:
            raise Killed
        is_step = self.death is not None and subject.startswith(self.death.subject)
        self.stored += is_step
        is_here = is_step and self.death is not None and self.stored == self.death.nth
        if is_here and self.death is not None and self.death.is_before:
            self.is_dead = True
            raise Killed
        sequence = await super().publish(subject, payload, message_id=message_id, headers=headers, timeout_s=timeout_s)
        if is_here:
            self.is_dead = True
            raise Killed
        return sequence
