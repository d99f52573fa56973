"""What the ACTORS bucket says, in memory: everything but the notes' words and the private keys."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest
from typing import TypeVar

from shared.contracts.fediverse import (
    OUTBOX_NOTES,
    Actor,
    Featured,
    Follower,
    Inbox,
    Instance,
    Note,
    Summary,
)
from shared.contracts.status import Wire
from shared.runtime.actors import Kept, parsed
from shared.runtime.log_reader import Update


@dataclass(frozen=True, slots=True)
class Standing:
    """How one note stands: its place in every inbox's queue now and at first, and whether it has been taken down."""

    key: str
    revision: int
    first_revision: int
    made_at: datetime
    valid_until: datetime | None
    is_gone: bool

    @property
    def is_edited(self) -> bool:
        """Whether it says, or said, something else than at first."""
        return self.revision != self.first_revision


@dataclass(frozen=True, slots=True)
class Fan:
    """A follower as stored."""

    key: str
    follower: Follower
    revision: int
    stored_at: datetime

    @property
    def waits(self) -> bool:
        """Whether its request to follow has not been answered."""
        return bool(self.follower.follow)


@dataclass(slots=True)
class Account:
    """One account with its notes, followers and inboxes, by their keys in the bucket; notes in the bucket's order."""

    actor: Kept[Actor] | None = None
    featured: Kept[Featured] | None = None
    summary: Kept[Summary] | None = None
    notes: dict[str, Standing] = field(default_factory=dict)
    fans: dict[str, Fan] = field(default_factory=dict)
    inboxes: dict[str, Kept[Inbox]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    """Followers whose request has not been answered."""
    at_inbox: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Followers by the inbox that notes for them go to."""
    latest: int = 0
    """The place of the last thing that inboxes are told of."""
    _summary: Summary | None = None

    def tell_of(self, revision: int) -> None:
        """Note that there is something new to tell."""
        self.latest = max(self.latest, revision)

    def put_note(self, key: str, note: Standing | None) -> None:
        """Take over how a note stands; the last one changed is the last in order."""
        self.notes.pop(key, None)
        if note is not None:
            self.notes[key] = note
            self.tell_of(note.revision)
        self._summary = None

    def put_fan(self, key: str, fan: Fan | None) -> None:
        """Take over a follower."""
        before = self.fans.pop(key, None)
        self.waiting.discard(key)
        if before is not None:
            self.at_inbox[before.follower.delivery].discard(key)
        if fan is not None:
            self.fans[key] = fan
            self.at_inbox[fan.follower.delivery].add(key)
            if fan.waits:
                self.waiting.add(key)
        self._summary = None

    @property
    def summed_up(self) -> Summary:
        """What the API is to tell of it."""
        if self._summary is None:
            alive = [each for each in self.notes.values() if not each.is_gone]
            latest = nlargest(OUTBOX_NOTES, alive, key=lambda each: each.first_revision)
            self._summary = Summary(
                followers=len(self.fans) - len(self.waiting),
                notes=len(alive),
                latest=tuple(each.key for each in latest),
            )
        return self._summary


@dataclass(slots=True)
class Known:
    """Every account, and the last revision of the bucket that is taken into account."""

    accounts: defaultdict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    instance: Kept[Instance] | None = None
    revision: int = 0

    def take(self, update: Update) -> None:
        """Take a change of the bucket over."""
        self.revision = max(self.revision, update.revision)
        kind, _, rest = update.key.partition(".")
        name = rest.partition(".")[0]
        if kind == "instance":
            self.instance = _kept(update, Instance)
            return
        if not name:
            return
        match kind:
            case "actor":
                self.accounts[name].actor = _kept(update, Actor)
                self.accounts[name].tell_of(update.revision)
            case "featured":
                self.accounts[name].featured = _kept(update, Featured)
                self.accounts[name].tell_of(update.revision)
            case "summary":
                self.accounts[name].summary = _kept(update, Summary)
            case "note":
                self.accounts[name].put_note(update.key, _standing(update))
            case "follower":
                self.accounts[name].put_fan(update.key, _fan(update))
            case "inbox" if (inbox := _kept(update, Inbox)) is not None:
                self.accounts[name].inboxes[update.key] = inbox
            case "inbox":
                self.accounts[name].inboxes.pop(update.key, None)
            case _:
                return


_Record = TypeVar("_Record", bound=Wire)


def _kept(update: Update, model: type[_Record]) -> Kept[_Record] | None:
    record = parsed(update.key, update.entry.value, model) if update.entry else None
    return Kept(record, update.revision) if record else None


def _standing(update: Update) -> Standing | None:
    kept = _kept(update, Note)
    if kept is None:
        return None
    note = kept.record
    first = note.first_revision or kept.revision
    return Standing(note.key, kept.revision, first, note.made_at, note.valid_until, note.gone_at is not None)


def _fan(update: Update) -> Fan | None:
    kept = _kept(update, Follower)
    if kept is None or update.entry is None:
        return None
    return Fan(update.key, kept.record, kept.revision, update.entry.stored_at)
