"""What one tablet is shown of its library, put together from what the bus holds. Pure but for reading `Desk`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

from services.ingest.desk_gates import Telling, gates_in_words
from services.ingest.desk_posts import budgets, waiting_posts
from services.ingest.desk_view import DeskAnswer, MarkerPlace, Member, Named, Place
from services.ingest.desk_watch import Desk, clock_of
from services.ingest.normalise import most_people
from services.ingest.senders import Sender
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import DeskRecord, Person
from shared.contracts.devices import Claim, DeviceState
from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.devices.words import DeviceWords
from shared.domain.expiry import expired
from shared.domain.library import ClockKind
from shared.runtime.formats import formats_for
from shared.runtime.wording import sentences_for


def public_now(library: LibraryConfig, desk: Desk, at: datetime) -> PublicStatus | None:
    """Return what the public is told at `at` of the library's time: past its validity no figure is left."""
    status = desk.one(subjects.STATUS, library.id, PublicStatus)
    if status is None or at <= status.valid_until or status.clock.kind is ClockKind.RECORDED:
        return status
    left = expired(status.to_domain(), at)
    languages = [each for each in status.sentences if each in CATALOGS]
    return PublicStatus.of(left, sentences_for(left, languages, library.own_words))


def answer_for(
    sender: Sender,
    desk: Desk,
    people: tuple[Person, ...],
    claims: Mapping[str, Claim],
    words: DeviceWords,
    now: datetime,
) -> DeskAnswer:
    """Return the answer to a tablet, or to who is signed in on it; `words` are those of the language asked for."""
    library, tablet, person = sender.library, sender.tablet, sender.person
    assert library is not None
    assert tablet is not None
    clock = clock_of(library, desk)
    at = now if clock is None else clock.at(now)
    public = public_now(library, desk, at)
    record = desk.one(subjects.DESK, library.id, DeskRecord)
    states = dict(desk.each(subjects.DEVICES, DeviceState))
    formats = formats_for(words.language, library.time_zone)
    return DeskAnswer(
        now=now,
        library_now=at,
        clock=library.clock,
        library=Named(id=library.id, name=library.name),
        time_zone=library.time_zone,
        languages=library.languages,
        capacity=library.capacity if public is None else public.capacity,
        most_people=most_people(library),
        zones=tuple(
            Place(id=each.id, name=each.name, capacity=each.capacity, most_people=most_people(library, each.id))
            for each in library.zones
        ),
        markers=tuple(
            MarkerPlace(id=each.id, name=each.name, people=each.people)
            for each in sorted(library.markers, key=lambda each: each.people)
        ),
        people=tuple(Member(id=each.id, name=each.name, since=each.since) for each in people),
        tablet=Named(id=tablet.id, name=tablet.name),
        person=None if person is None else Named(id=person.id, name=person.name),
        public=public,
        acts=() if record is None else record.acts,
        posts=waiting_posts(library, desk),
        budgets=budgets(library, desk, at),
        gates=gates_in_words(library, public, claims, states, now, Telling(words, formats, at)),
    )


def etag_of(answer: DeskAnswer) -> str:
    """Return what an answer is known by: the same until something of it but the time is different."""
    body = answer.model_dump_json(exclude={"now", "library_now"})
    return f'"{blake2b(body.encode(), digest_size=12).hexdigest()}"'
