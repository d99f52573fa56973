"""A bus that is away when a test says so, and loses answers to what it has stored."""

from __future__ import annotations

from shared.runtime.bus import ACK_TIMEOUT_S, Bus, BusUnavailable


class Moody(Bus):
    """A real connection whose writes can be made to fail, before or after they are done."""

    is_away = False
    loses_answers = 0

    async def publish(self, subject: str, payload: bytes, **more: object) -> int:
        if self.is_away:
            raise BusUnavailable("away")
        sequence = await super().publish(subject, payload, timeout_s=ACK_TIMEOUT_S, **more)  # type: ignore[arg-type]
        if self.loses_answers:
            self.loses_answers -= 1
            raise BusUnavailable("the answer is lost")
        return sequence
