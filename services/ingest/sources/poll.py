"""Asking again and again: a source that is polled, by plain GET or in a vendor's way.

Where reading goes on is saved after intake has taken what was heard, so a crash in between asks for the same again,
which counts once. While something is wrong the turn is kept: another process would only ask in vain too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import httpx
from pydantic import AwareDatetime, JsonValue, ValidationError

from services.ingest.body import Body
from services.ingest.positions import Turn
from services.ingest.secrets import NoCredentials
from services.ingest.sources.handing import hand_over
from services.ingest.sources.means import Backoff, Means, Runner, SourceFailed, pause
from services.ingest.sources.polled import api_of, faults
from services.ingest.sources.polled.api import Answer, Authority, Heard, Question, Way
from services.ingest.sources.polled.exchange import Refused, client, exchange
from shared.contracts.devices import PollSource
from shared.contracts.status import Wire
from shared.runtime.clock import monotonic_s, wait_s

SHORTEST_PAUSE_S: Final = 10.0
"""After a failure; a source that is asked more often than that is tried again as soon as it would be."""
LONGEST_PAUSE_S: Final = 300.0
SPREAD_S: Final = 5.0
"""Within which sources begin, that all are started at once."""
MAX_PAGES: Final = 1000
"""Of one answer; a server that never comes to an end is left for the next time."""


class PollPlace(Wire):
    """What is saved of a source that is polled."""

    of: str = ""
    """A hash of its api and address: what was saved for another is not for this one."""
    at: JsonValue = None
    """Where its way of asking goes on."""
    not_before: AwareDatetime | None = None
    """The server has asked to be left alone until then, whichever process asks."""


@dataclass(slots=True)
class Poll:
    """One source while it is this process's turn."""

    source: PollSource
    means: Means
    turn: Turn
    client: httpx.AsyncClient
    way: Way
    authority: Authority
    backoff: Backoff
    last_odd: bytes = field(default=b"")
    """A hash of the last body that was not as expected, so that it is put in quarantine once."""

    async def for_ever(self) -> None:
        """Ask again and again. Raises what intake raises, but for the bus being away, and TurnLost."""
        await self._respect()
        while True:
            begun_s = monotonic_s()
            try:
                await self.once()
            except (SourceFailed, NoCredentials) as error:
                await self._failed(error)
            else:
                self.backoff.succeeded()
                self.means.works()
                # From one beginning to the next, so that a slow answer does not make it rarer; but never at once.
                left_s = begun_s + self.source.every_s - monotonic_s()
                await wait_s(max(left_s, min(self.source.every_s, 1.0)))

    async def once(self) -> None:
        """Ask, and take in what is new. Raises SourceFailed, NoCredentials."""
        place = self._place()
        question: Question | None = self.way.ask(place, self.means.now())
        for _ in range(MAX_PAGES):
            assert question is not None
            answer = await self._ask(question)
            received_at = self.means.now()
            heard = self.way.heard(place, question, answer, received_at)
            if heard.odd:
                await self._odd(heard, received_at)
            for data in heard.bodies:
                await self._take(data, heard.media_type, received_at)
            place, question = heard.place, heard.following
            await self._save(place)
            if question is None:
                return

    async def _ask(self, question: Question) -> Answer:
        """Return the answer; a token that is refused is tried once more with a new one."""
        headers, auth = await self.authority.authorise(self.client)
        try:
            return await self._signed(question, headers, auth)
        except Refused:
            if not self.authority.refused():
                raise
        headers, auth = await self.authority.authorise(self.client)
        return await self._signed(question, headers, auth)

    async def _signed(self, question: Question, headers: dict[str, str], auth: httpx.Auth | None) -> Answer:
        try:
            request = self.client.build_request(
                "GET", question.url, params=dict(question.query) or None, headers={**question.headers, **headers}
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise SourceFailed("its address cannot be used") from error
        return await exchange(self.client, request, auth, self.means.now())

    async def _odd(self, heard: Heard, received_at: datetime) -> None:
        body = b"".join(heard.bodies)
        token = blake2b(body).digest()
        if token != self.last_odd:
            await self._take(body, heard.media_type, received_at)
            self.last_odd = token
        raise SourceFailed(heard.odd)

    async def _take(self, data: bytes, media_type: str, received_at: datetime) -> None:
        await hand_over(Body(self.source, data, media_type, received_at), self.means)

    async def _failed(self, error: SourceFailed | NoCredentials) -> None:
        self.means.trouble(str(error))
        asked_s = error.wait_s if isinstance(error, SourceFailed) else 0.0
        if asked_s:
            await self._save(self._place(), self.means.now() + timedelta(seconds=asked_s))
        await self._pause(self.backoff.failed(asked_s))

    async def _respect(self) -> None:
        """Leave a server alone for as long as it has asked another process, or us before a restart."""
        not_before = self._kept().not_before
        left_s = (not_before - self.means.now()).total_seconds() if not_before else 0.0
        # By a clock that was wrong it may be far away; nobody is asked to wait for longer than a server may ask.
        left_s = min(left_s, 3600.0)
        await self._pause(left_s if left_s > 0 else min(SPREAD_S, self.source.every_s) * self.means.random())

    async def _pause(self, seconds: float) -> None:
        await pause(seconds, self.means.secrets, self.source.credentials)

    def _kept(self) -> PollPlace:
        try:
            found = PollPlace.model_validate(self.turn.place or {})
        except ValidationError:
            return PollPlace()
        return found if found.of == _hash(self.source) else PollPlace()

    def _place(self) -> JsonValue:
        return self._kept().at

    async def _save(self, place: JsonValue, not_before: datetime | None = None) -> None:
        kept = PollPlace(of=_hash(self.source), at=place, not_before=not_before)
        found: Any = kept.model_dump(mode="json")
        await self.turn.save(found)


async def run(source: PollSource, means: Means) -> None:
    """Poll a source for ever, whenever it is this process's turn. Raises SourceFailed for one that cannot be asked."""
    wrong = faults(source)
    if wrong:
        raise SourceFailed("; ".join(f"{key}: {reason}" for key, reason in wrong))
    api = api_of(source)
    way, authority = api.make(source, means.time_zone), api.authority(source, means.secrets)
    backoff = Backoff(means.random, min(SHORTEST_PAUSE_S, source.every_s), max(LONGEST_PAUSE_S, source.every_s))
    async with means.positions.turn(source.id) as turn, client() as asking:
        await Poll(source, means, turn, asking, way, authority, backoff).for_ever()


def _hash(source: PollSource) -> str:
    return blake2b(f"{source.api}\n{source.url}".encode(), digest_size=8).hexdigest()


RUNNER: Final = Runner("poll", run)
