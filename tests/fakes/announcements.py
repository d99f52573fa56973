"""Intents and changes of a made-up library, for tests of what speaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex

from shared.contracts.configuration import Channel, LibraryConfig
from shared.contracts.posts import PostIntent
from shared.contracts.status import Clock, Sentences, StatusChanged
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.posting import post_key
from shared.domain.status import Change, Situation, State, Status
from shared.runtime.wording import sentences_for

URL = "https://places.example/bib"


def now() -> datetime:
    return datetime.now(UTC)


def new_library() -> str:
    """Return an id no other test uses: the bus remembers message ids for two minutes, whatever is purged."""
    return f"bib-{token_hex(4)}"


def intent_of(
    revision: int = 2,
    *,
    library: str = "bib",
    channel: str = "mastodon",
    account: str = "bib",
    server: str = "",
    language: str = "fr",
    url: str = URL,
    clock: ClockKind = ClockKind.WALL,
    valid_for: timedelta = timedelta(minutes=10),
    long: str = "Bib, 14:05: few seats left, about 40 of 100. No queue. Getting fuller.",
    shortest: str = "Bib, 14:05: few seats.",
) -> PostIntent:
    at = now()
    name = f"{channel}-{account}" if account else channel
    return PostIntent(
        key=post_key(f"{library}.{revision}", name, language),
        library=library,
        channel=channel,
        account=account,
        server=server,
        language=language,
        slot=language,
        revision=revision,
        at=at,
        valid_until=at + valid_for,
        clock=Clock(kind=clock, speed=1.0),
        texts=Sentences(long=long, short="Bib, 14:05: few seats left. No queue.", shortest=shortest),
        url=url,
        changed_at=at,
        decided_at=at,
    )


def configuration(library: str, *channels: Channel, clock: ClockKind = ClockKind.WALL) -> LibraryConfig:
    return LibraryConfig(
        id=library,
        name="Bib",
        time_zone="Europe/Paris",
        languages=("fr", "en"),
        url=URL,
        clock=clock,
        opening_hours="24/7",
        capacity=100,
        channels=channels,
    )


def status_of(
    library: str, revision: int, situation: Situation, at: datetime, clock: ClockKind = ClockKind.WALL
) -> Status:
    return Status(
        library=library,
        name="Bib",
        time_zone="Europe/Paris",
        languages=("fr", "en"),
        revision=revision,
        state=situation.state,
        reason=None,
        level=situation.level,
        people=None,
        capacity=100,
        usable_seats=None,
        trend=None,
        queue=None,
        wait=None,
        zones=(),
        hours_today=(),
        next_change=None,
        notice=situation.notice,
        notice_until=None,
        muted=False,
        as_of=at,
        valid_until=at + timedelta(minutes=10),
        last_recount=None,
        entries_today=0,
        exits_today=0,
        clock=clock,
        speed=1.0,
        url=URL,
    )


OPEN = Situation(State.OPEN, Level.MANY_SEATS)
FEW = Situation(State.OPEN, Level.FEW_SEATS)
FULL = Situation(State.OPEN, Level.FULL)


def change_of(
    library: str,
    revision: int,
    situation: Situation,
    at: datetime,
    before: Situation = OPEN,
    clock: ClockKind = ClockKind.WALL,
) -> StatusChanged:
    status = status_of(library, revision, situation, at, clock)
    return StatusChanged.of(Change(library, at, before, status), sentences_for(status))
