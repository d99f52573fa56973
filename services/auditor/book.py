"""The streams' own book: what has been seen of each, so that what is gone before its age is noticed. Pure.

A bus that has lost messages says nothing of it: it starts, and holds fewer. So it is remembered how far each stream
went and when, and what a stream must still hold is worked out from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MARK_EVERY: Final = timedelta(hours=1)
"""How finely it is remembered when a stream had come how far, at the finest."""
MARKS_MAX: Final = 720
"""Of a stream: a month of them. One that keeps things for longer is remembered less finely."""
SLACK: Final = timedelta(minutes=5)
"""By which clocks, and the bus's looks for what is too old, may be off."""
LOSSES_MAX: Final = 200
"""Remembered until somebody accepts them; of more the oldest of a kind are put together into one."""


class Rule(StrEnum):
    """What always holds of a stream while nothing is lost."""

    LOG = "log"
    """Every message stays until its age: no holes, and what is young is there."""
    KEYS = "keys"
    """The latest value of each key stays for ever: never fewer messages."""
    ONWARD = "onward"
    """Messages come and go; the sequence alone never goes back."""


class LossKind(StrEnum):
    """In which way messages are gone."""

    HOLE = "hole"
    """Between messages that are there."""
    YOUNG = "young"
    """From the beginning, before they were old enough."""
    ROLLED_BACK = "rolled-back"
    """From the end: the stream ends before a place that it had reached."""
    KEYS = "keys"
    """Fewer keys than there were."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A stream as the bus says it is."""

    name: str
    rule: Rule
    max_age: timedelta
    created: str
    messages: int
    first: int
    last: int
    missing: int
    """Sequences between first and last without a message."""


class Mark(BaseModel):
    """How far a stream had come at a time: what is beyond `last` was stored after `at`."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    last: int


class Page(BaseModel):
    """What is remembered of one stream."""

    created: str
    messages: int
    first: int
    last: int
    missing: int
    max_age_s: float | None = None
    """How long messages were kept then; None in a book of before."""
    marks: list[Mark] = Field(default_factory=list)


class Loss(BaseModel):
    """Messages that are gone, as noticed at a time."""

    model_config = ConfigDict(frozen=True)

    stream: str
    kind: LossKind
    messages: int
    at: AwareDatetime
    detail: str


class Book(BaseModel):
    """What is remembered of all streams, and the losses that nobody has accepted yet."""

    pages: dict[str, Page] = Field(default_factory=dict)
    losses: list[Loss] = Field(default_factory=list)
    looked_at: AwareDatetime | None = None
    """When anything was entered last."""

    def enter(self, sight: Sight, now: datetime) -> list[Loss]:
        """Take in how a stream looks now; return what is newly found to be gone, which is remembered too."""
        page = self.pages.get(sight.name)
        self.looked_at = now
        found = [] if page is None else [loss for loss in _losses(page, sight, now) if loss.messages > 0]
        if page is None and sight.rule is Rule.LOG and sight.missing:
            detail = f"{sight.missing} sequences between {sight.first} and {sight.last} have no message"
            found = [Loss(stream=sight.name, kind=LossKind.HOLE, messages=sight.missing, at=now, detail=detail)]
        self.pages[sight.name] = _next_page(page, sight, now)
        self.losses = _put_together(self.losses + found)
        return found

    def accept(self, until: datetime, since: datetime | None = None) -> int:
        """Forget the losses noticed up to a time: somebody knows of them. Return how many there were."""
        before = len(self.losses)
        self.losses = [loss for loss in self.losses if loss.at > until or (since is not None and loss.at < since)]
        return before - len(self.losses)

    def lost(self, stream: str) -> int:
        """Return how many messages of a stream are gone that nobody has accepted."""
        return sum(loss.messages for loss in self.losses if loss.stream == stream)


def merged(one: Book, other: Book) -> Book:
    """Return of two copies of a book, kept in two places, what each knows best: a bus put back forgets with its book.

    Of each stream the page that has seen it go farther is right, for a sequence never goes back.
    """
    pages = dict(one.pages)
    for name, page in other.pages.items():
        if name not in pages or page.last > pages[name].last:
            pages[name] = page
    losses = {(loss.stream, loss.kind, loss.at): loss for loss in (*one.losses, *other.losses)}
    looks = [book.looked_at for book in (one, other) if book.looked_at is not None]
    losses_in_order = sorted(losses.values(), key=lambda loss: loss.at)
    return Book(pages=pages, losses=losses_in_order, looked_at=max(looks, default=None))


def _losses(page: Page, sight: Sight, now: datetime) -> list[Loss]:
    def loss(kind: LossKind, messages: int, detail: str) -> Loss:
        return Loss(stream=sight.name, kind=kind, messages=messages, at=now, detail=detail)

    found: list[Loss] = []
    if sight.last < page.last:
        detail = f"it ends at {sight.last}, and had come to {page.last}"
        found.append(loss(LossKind.ROLLED_BACK, page.last - sight.last, detail))
    age = _kept_for(page, sight)
    if sight.rule is Rule.KEYS and not age and sight.messages < page.messages and sight.last >= page.last:
        detail = f"{sight.messages} keys, of {page.messages}"
        found.append(loss(LossKind.KEYS, page.messages - sight.messages, detail))
    if sight.rule is Rule.LOG:
        grown = sight.missing - (page.missing if sight.created == page.created else 0)
        detail = f"{sight.missing} sequences between {sight.first} and {sight.last} have no message"
        found.append(loss(LossKind.HOLE, grown, detail))
        needed = _must_begin_by(page, age, now)
        if needed is not None and sight.first > needed and sight.last >= page.last:
            detail = f"it begins at {sight.first}, and what is from {needed} on is not {_in_words(age)} old"
            found.append(loss(LossKind.YOUNG, sight.first - needed, detail))
    return found


def _kept_for(page: Page, sight: Sight) -> timedelta:
    """Return how long messages have been kept since the last look, 0 for ever: where that was changed, the shorter."""
    ages = {sight.max_age, sight.max_age if page.max_age_s is None else timedelta(seconds=page.max_age_s)}
    return min(ages - {timedelta(0)}, default=timedelta(0))


def _must_begin_by(page: Page, age: timedelta, now: datetime) -> int | None:
    """Return the sequence from which on every message is too young to have been dropped; None while that is unknown."""
    if not age:
        return page.first
    young = [mark.last for mark in page.marks if mark.at - SLACK > now - age]
    return max(min(young) + 1, page.first) if young else None


def _next_page(page: Page | None, sight: Sight, now: datetime) -> Page:
    marks = [] if page is None else [mark for mark in page.marks if mark.last <= sight.last]
    if sight.rule is Rule.LOG and sight.max_age:
        every = max(MARK_EVERY, sight.max_age / MARKS_MAX)
        marks = [mark for mark in marks if mark.at > now - sight.max_age - every]
        if not marks or now - marks[-1].at >= every:
            marks.append(Mark(at=now, last=sight.last))
    else:
        marks = []
    return Page(
        created=sight.created,
        messages=sight.messages,
        first=sight.first,
        last=sight.last,
        missing=sight.missing,
        max_age_s=sight.max_age.total_seconds(),
        marks=marks,
    )


def _put_together(losses: list[Loss]) -> list[Loss]:
    """Return no more than `LOSSES_MAX`, of which the sums by stream are the same."""
    losses = list(losses)
    while len(losses) > LOSSES_MAX:
        kinds = [(each.stream, each.kind) for each in losses]
        # There are far fewer streams and kinds than losses, so there are always two alike.
        first = next(index for index, kind in enumerate(kinds) if kind in kinds[index + 1 :])
        second = kinds.index(kinds[first], first + 1)
        messages = losses[first].messages + losses[second].messages
        losses[second] = losses[second].model_copy(update={"messages": messages})
        del losses[first]
    return losses


def _in_words(age: timedelta) -> str:
    return f"{age.days} days" if age >= timedelta(days=1) else f"{age / timedelta(minutes=1):g} min"
