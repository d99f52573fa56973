"""What the staff's tablet shows: the answer of `GET /v1/staff/desk`."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.contracts.desk import Act
from shared.contracts.status import PublicStatus
from shared.domain.library import ClockKind


class Answer(BaseModel):
    """Frozen: it is written out once."""

    model_config = ConfigDict(frozen=True)


class Named(Answer):
    """An id and what people call it."""

    id: str
    name: str


class Member(Named):
    """Somebody of the staff."""

    since: AwareDatetime
    """When they were let in, or got their PIN: another person of the same id has another one."""


class Place(Named):
    """A zone, with how many it may hold."""

    capacity: int
    most_people: int
    """The largest count that is taken; a larger one is a typing error."""


class MarkerPlace(Named):
    """A place that the queue may reach, and how many people that means; in the order from the door."""

    people: int


class WaitingPost(Answer):
    """A post that waits: for staff's word (`awaiting`), or for its interval to end (`held`)."""

    key: str
    """For `POST /v1/approvals`; empty where nobody needs to say anything."""
    channel: str
    language: str
    state: str
    text: str
    since: AwareDatetime
    until: AwareDatetime | None
    """When a held one is judged again, or until when an awaiting one is of use, where that is known."""
    approved: bool | None = None
    """What staff have said of it already."""


class Budget(Answer):
    """What one channel may still say today."""

    channel: str
    spent: int
    daily_budget: int
    next_at: AwareDatetime | None
    """Before this it says nothing; null where it may now."""


class GateWords(Answer):
    """A gate in plain words of the language asked for."""

    id: str
    name: str
    is_well: bool
    words: str
    """One sentence: that it counts, or what is wrong with it and since when."""
    last_heard: AwareDatetime | None


class DeskAnswer(Answer):
    """One library as its staff see it at `now`, the server's clock: tablets set theirs by it.

    Readings are sent with times of that clock, `until` included. All other times here are the library's own, which is
    at `library_now`: for a real library that is the same; a simulated day goes faster.
    """

    now: AwareDatetime
    library_now: AwareDatetime
    clock: ClockKind
    library: Named
    time_zone: str
    languages: tuple[str, ...]
    capacity: int
    most_people: int
    """The largest count of the whole library that is taken, whatever its capacity is today."""
    zones: tuple[Place, ...]
    markers: tuple[MarkerPlace, ...]
    people: tuple[Member, ...]
    """Who may sign in on this tablet."""
    tablet: Named
    person: Named | None
    """Who is signed in, by the session that asked; null for the tablet's own key."""
    public: PublicStatus | None
    """What the public is told now; null while nothing is known of the library."""
    acts: tuple[Act, ...]
    """What staff have said, the newest first; `by` is a person's id."""
    posts: tuple[WaitingPost, ...]
    budgets: tuple[Budget, ...]
    gates: tuple[GateWords, ...]
