"""What a way of asking is: which question comes next, and what is to be made of its answer. Pure; the asking is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from services.ingest.secrets import Secrets
from services.ingest.sources.means import SourceFailed
from shared.contracts.devices import PollSource

_Options = TypeVar("_Options", bound="Options")
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A month of hours of a hundred gates has some five."""


class Options(BaseModel):
    """The keys that a way of asking takes in `options`: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Question:
    """One GET request."""

    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None
    """Up to when it asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an answer with a body (2xx), or word that nothing has changed (304)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What is to be made of an answer."""

    bodies: tuple[bytes, ...]
    """To be taken in, in order. Only then is the place saved."""
    media_type: str
    place: JsonValue
    following: Question | None = None
    """To be asked at once: there is more."""
    odd: str = ""
    """What is wrong with the answer, in words that echo nothing; the bodies are then kept in quarantine by intake."""


class Way(Protocol):
    """How one source is asked."""

    def ask(self, place: JsonValue, now: datetime) -> Question:
        """Return what to ask next, from where reading goes on; a place that cannot be read is as none."""
        ...

    def heard(self, place: JsonValue, question: Question, answer: Answer, now: datetime) -> Heard:
        """Return what to take in of an answer, and the place after that. Never raises, whatever the answer is."""
        ...


class Authority(Protocol):
    """What a question is asked with, beside itself."""

    async def authorise(self, client: httpx.AsyncClient) -> tuple[dict[str, str], httpx.Auth | None]:
        """Return headers, and what to sign with. Raises SourceFailed, NoCredentials."""
        ...

    def refused(self) -> bool:
        """Hear that a question was refused (401); return whether asking again at once may help."""
        ...


@dataclass(frozen=True, slots=True)
class Api:
    """One way of asking."""

    name: str
    """As in `api = "…"`."""
    title: str
    options: type[Options]
    make: Callable[[PollSource, ZoneInfo], Way]
    """Raises SourceFailed for options that it does not take."""
    authority: Callable[[PollSource, Secrets], Authority]
    """Likewise."""
    needs_credentials: bool = False
    formats: tuple[str, ...] = ()
    """Formats of the bodies, for the reference; empty for any."""
    notes: str = ""


def options_of(source: PollSource, model: type[_Options]) -> _Options:
    """Return the options of a source. Raises SourceFailed, naming each key and the reason."""
    try:
        return model.model_validate(dict(source.options))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise SourceFailed(f"its options are wrong: {faults}") from error
