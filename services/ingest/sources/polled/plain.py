"""Plain GET: an address is asked, and what it answers is taken in as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import Field, JsonValue

from services.ingest.secrets import Secrets
from services.ingest.sources.polled.api import Answer, Api, Authority, Heard, Options, Question, options_of
from services.ingest.sources.polled.authority import Fixed, Scheme
from services.ingest.sources.polled.exchange import UNCHANGED
from shared.contracts.devices import PollSource


class PlainOptions(Options):
    """What plain GET takes."""

    auth: Scheme | None = Field(
        default=None,
        description="`basic` or `digest` (the file holds user:password), `bearer` (a token), `header` (Name: value)."
        " `basic` if left out and credentials are named.",
    )
    accept: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")] = Field(
        default="*/*", description="The Accept header."
    )
    repeat: bool = Field(
        default=True,
        description="Where the server says that nothing has changed (304), take the last body in again as of now: so"
        " many are still inside. Turn it off where a body says who went through, without saying when.",
    )


@dataclass(slots=True)
class Plain:
    """One address. The last body is kept in memory, for a server that says that it still holds."""

    url: str
    options: PlainOptions
    _last: Heard | None = None

    def ask(self, place: JsonValue, now: datetime) -> Question:  # noqa: ARG002  nothing here goes by the time
        """Return the question: with the tag of the last body, if that is at hand or not wanted twice."""
        headers = {"Accept": self.options.accept}
        if isinstance(place, dict) and (self._last is not None or not self.options.repeat):
            for name in ("If-None-Match", "If-Modified-Since"):
                value = place.get(name)
                if isinstance(value, str) and value:
                    headers[name] = value
        return Question(self.url, headers=headers)

    def heard(self, place: JsonValue, question: Question, answer: Answer, now: datetime) -> Heard:  # noqa: ARG002
        """Return the body, and the tags by which it is known."""
        if answer.status == UNCHANGED:
            if self.options.repeat and self._last is not None:
                return self._last
            return Heard((), "", place)
        tags: dict[str, JsonValue] = {
            name: value
            for name, header in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
            if (value := answer.headers.get(header, "")) and len(value) < 500 and value.isascii()
        }
        heard = Heard((answer.body,) if answer.body else (), answer.media_type, tags)
        self._last = heard if tags and self.options.repeat else None
        return heard


def _make(source: PollSource, _: ZoneInfo) -> Plain:
    return Plain(source.url, options_of(source, PlainOptions))


def _authority(source: PollSource, secrets: Secrets) -> Authority:
    options = options_of(source, PlainOptions)
    return Fixed(secrets, source.credentials, options.auth or ("basic" if source.credentials else "none"))


API: Final = Api(
    name="plain",
    title="A plain GET",
    options=PlainOptions,
    make=_make,
    authority=_authority,
    notes="Cameras that are asked for their counters, a status page, SpaceAPI. The body is of any format.",
)
