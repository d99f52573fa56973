"""The staff of a library on the bus: who there is, which tablets, and what is changed about them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from cli.operator_audit import note_act
from cli.terminal import Trouble
from services.ingest.device_overview import values_of
from services.ingest.pins import fault_of, kept
from services.ingest.sign_in import invitation_name, open_code
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import (
    FORMER,
    ID_KEPT_FOR,
    INVITATION,
    INVITATIONS_MAX,
    INVITED_FOR,
    PEOPLE_MAX,
    PERSON,
    SESSION,
    SESSION_FOR,
    TABLET,
    TABLETS_MAX,
    TRIES_OF,
    DeskRecord,
    Former,
    Invitation,
    Person,
    Session,
    Tablet,
    Tries,
)
from shared.runtime.bus import Bus, Entry

ID_LENGTH: Final = 40

_Model = TypeVar("_Model", bound=BaseModel)
_Named = TypeVar("_Named", Person, Tablet)


@dataclass(frozen=True, slots=True)
class Staff:
    """All that the bus has of a library's staff, by the keys of the bucket's last part."""

    library: LibraryConfig
    people: dict[str, Person]
    tablets: dict[str, Tablet]
    invitations: dict[str, Invitation]
    sessions: dict[str, Session]
    formers: dict[str, Former]

    def unused(self, at: datetime) -> list[Invitation]:
        """Return the invitations that are open."""
        return [each for each in self.invitations.values() if each.expires > at and each.used_at is None]

    def left_lately(self, at: datetime) -> set[str]:
        """Return the ids of people who have left not long ago."""
        return {each.id for each in self.formers.values() if at - each.since < ID_KEPT_FOR}

    def signed_in(self, tablet: Tablet, at: datetime) -> list[Person]:
        """Return who has a session on a tablet that has not ended."""
        found = []
        for each in self.sessions.values():
            person = self.people.get(each.person)
            is_here = each.tablet == tablet.id and each.tablet_since == tablet.enrolled_at
            if is_here and person and person.since == each.person_since and at - each.begun_at <= SESSION_FOR:
                found.append(person)
        return sorted(found, key=lambda each: each.name.casefold())


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation and its code, which is kept nowhere."""

    invitation: Invitation
    code: str


async def staff_of(bus: Bus, library: str) -> Staff:
    """Return a library's staff. Raises Trouble, BusUnavailable."""
    config = _read(await bus.bucket(subjects.LIBRARIES).get(library), LibraryConfig)
    if config is None:
        raise Trouble(f"no library {library} has been applied", "see `placelibre check`, then `placelibre apply`")

    async def each(what: str, model: type[_Model]) -> dict[str, _Model]:
        found = await values_of(bus, subjects.STAFF, subjects.staff_key(library, what, "*"), model)
        return {key.rpartition(".")[2]: value for key, value in found.items()}

    return Staff(
        config,
        await each(PERSON, Person),
        await each(TABLET, Tablet),
        await each(INVITATION, Invitation),
        await each(SESSION, Session),
        await each(FORMER, Former),
    )


async def add_person(bus: Bus, library: str, name: str, person_id: str, pin: str, at: datetime) -> Person:
    """Let somebody sign in from now on. Raises Trouble, BusUnavailable."""
    staff = await staff_of(bus, library)
    if len(staff.people) >= PEOPLE_MAX:
        raise Trouble(f"{library} has {PEOPLE_MAX} people already", "remove those who have left")
    same = next((each for each in staff.people.values() if each.name.casefold() == name.strip().casefold()), None)
    if same is not None:
        raise Trouble(
            f"{same.name} ({same.id}) is among the people of {library} already",
            f"choose another name, or give a new PIN: placelibre staff people pin {library} {same.id}",
        )
    if person_id in staff.people:
        raise Trouble(f"{person_id} is {staff.people[person_id].name} already", "choose another --id")
    left = staff.left_lately(at)
    if person_id in left:
        free_on = staff.formers[person_id].since + ID_KEPT_FOR
        reason = f"somebody else was {person_id} of late, and is named so on record until {free_on:%Y-%m-%d}"
        raise Trouble(reason, "choose another --id")
    for old in set(staff.formers) - left:
        await bus.bucket(subjects.STAFF).delete(subjects.staff_key(library, FORMER, old))
    chosen = person_id or free_id(name, {*staff.people, *left}, "person")
    person = _made(Person, {"id": chosen, "name": name.strip(), "pin": _kept(pin), "since": at})
    await _put(bus, library, PERSON, person.id, person)
    await _forgive(bus, library, person.id)
    await note_act(bus, Act.PERSON_ADDED, library=library, subject=person.id)
    return person


async def renew_pin(bus: Bus, library: str, name: str, pin: str, at: datetime) -> Person:
    """Give somebody a new PIN, which ends their sessions and any pause after wrong ones. Raises Trouble."""
    person = person_called(await staff_of(bus, library), name)
    renewed = person.model_copy(update={"pin": _kept(pin), "since": at})
    await _put(bus, library, PERSON, person.id, renewed)
    await _forgive(bus, library, person.id)
    await note_act(bus, Act.PIN_CHANGED, library=library, subject=person.id)
    return renewed


async def remove_person(bus: Bus, library: str, name: str, at: datetime) -> Person:
    """Let somebody sign in no more, and end their sessions. Raises Trouble, BusUnavailable."""
    person = person_called(await staff_of(bus, library), name)
    await _put(bus, library, FORMER, person.id, Former(id=person.id, since=at))
    await bus.bucket(subjects.STAFF).delete(subjects.staff_key(library, PERSON, person.id))
    await note_act(bus, Act.PERSON_REMOVED, library=library, subject=person.id)
    return person


async def pauses_of(bus: Bus, library: str, at: datetime) -> dict[str, datetime]:
    """Return until when who has to wait after wrong PINs, on one tablet or on all, by person. Raises BusUnavailable."""
    prefix = subjects.staff_key(library, TRIES_OF, "")
    pauses: dict[str, datetime] = {}
    for key, tries in (await values_of(bus, subjects.STAFF, f"{prefix}>", Tries)).items():
        person = key.removeprefix(prefix).partition(".")[0]
        if tries.locked_until is not None and tries.locked_until > at:
            pauses[person] = max(tries.locked_until, pauses.get(person, at))
    return pauses


async def invite(bus: Bus, library: str, name: str, at: datetime, *, replaces: bool) -> Invited:
    """Make an invitation for one tablet. Raises Trouble, BusUnavailable."""
    staff = await staff_of(bus, library)
    wanted = name.strip()
    same = next((each for each in staff.tablets.values() if each.name.casefold() == wanted.casefold()), None)
    if same is not None and not replaces:
        raise Trouble(
            f"{library} has a tablet called {same.name} ({same.id})",
            "choose another name, or say --replace: the old key ends when the new tablet is enrolled",
        )
    if same is None and replaces:
        raise Trouble(f"{library} has no tablet called {wanted}", "leave --replace out")
    if same is None and len(staff.tablets) >= TABLETS_MAX:
        raise Trouble(f"{library} has {TABLETS_MAX} tablets already", "revoke those that are out of use")
    bucket = bus.bucket(subjects.STAFF)
    for old, each in staff.invitations.items():
        if each.expires <= at:
            await bucket.delete(subjects.staff_key(library, INVITATION, old))
    open_ones = staff.unused(at)
    if len(open_ones) >= INVITATIONS_MAX:
        soonest = min(each.expires for each in open_ones)
        wait_min = (soonest - at) // timedelta(minutes=1) + 1
        raise Trouble(f"{INVITATIONS_MAX} invitations of {library} are open", f"the first ends in {wait_min} min")
    taken = {each.device for each in staff.library.keys} | {each.id for each in staff.library.devices}
    taken |= {each.id for each in staff.library.gates} | set(staff.tablets) | {each.tablet for each in open_ones}
    code = open_code(library)
    digest = sha256(code.encode()).hexdigest()
    tablet = same.id if same else free_id(wanted, taken, "tablet")
    fields = {"sha256": digest, "tablet": tablet, "name": wanted, "expires": at + INVITED_FOR}
    invitation = _made(Invitation, fields)
    await _put(bus, library, INVITATION, invitation_name(digest), invitation)
    await note_act(bus, Act.TABLET_INVITED, library=library, subject=tablet)
    return Invited(invitation, code)


async def revoke_tablet(bus: Bus, library: str, name: str) -> Tablet:
    """End a tablet's key, every session on it, and the invitations for it. Raises Trouble, BusUnavailable."""
    staff = await staff_of(bus, library)
    tablet = _called(staff.tablets, name)
    if tablet is None:
        known = ", ".join(sorted(staff.tablets)) or "none"
        raise Trouble(f"{library} has no tablet {name!r}; it has {known}", "see `placelibre staff tablets list`")
    for code, each in staff.invitations.items():  # first: none of them may bring it back
        if each.tablet == tablet.id:
            await bus.bucket(subjects.STAFF).delete(subjects.staff_key(library, INVITATION, code))
    await bus.bucket(subjects.STAFF).delete(subjects.staff_key(library, TABLET, tablet.id))
    await note_act(bus, Act.TABLET_REVOKED, library=library, subject=tablet.id)
    return tablet


async def record_of(bus: Bus, library: str) -> DeskRecord | None:
    """Return what staff have said of a library, or None if they never have. Raises BusUnavailable."""
    return _read(await bus.bucket(subjects.DESK).get(library), DeskRecord)


def person_called(staff: Staff, name: str) -> Person:
    """Return a person by id or name. Raises Trouble."""
    found = _called(staff.people, name)
    if found is None:
        known = ", ".join(sorted(staff.people)) or "nobody"
        raise Trouble(f"{staff.library.id} has nobody called {name!r}; it has {known}", "name one of them by the id")
    return found


def free_id(name: str, taken: Collection[str], otherwise: str) -> str:
    """Return an id made from a name that is not taken yet."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    wanted = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:ID_LENGTH].strip("-") or otherwise
    if wanted not in taken:
        return wanted
    return next(each for number in range(2, len(taken) + 3) if (each := f"{wanted}-{number}") not in taken)


def _called(known: dict[str, _Named], name: str) -> _Named | None:
    if name in known:
        return known[name]
    same = [each for each in known.values() if each.name.casefold() == name.casefold()]
    return same[0] if len(same) == 1 else None


def _kept(pin: str) -> str:
    fault = fault_of(pin)
    if fault:
        raise Trouble(f"this PIN cannot be used: {fault}", "choose another one")
    return kept(pin)


def _made(model: type[_Model], fields: dict[str, object]) -> _Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        names = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise Trouble(
            f"this cannot be used: {names}", "names have 1 to 40 characters, ids small letters, digits and hyphens"
        ) from error


def _read(entry: Entry | None, model: type[_Model]) -> _Model | None:
    return None if entry is None else model.model_validate_json(entry.value)


async def _forgive(bus: Bus, library: str, person: str) -> None:
    """End the pauses of a person after wrong PINs."""
    key = subjects.staff_key(library, TRIES_OF, person)
    for each in {key, *await values_of(bus, subjects.STAFF, f"{key}.*", Tries)}:
        await bus.bucket(subjects.STAFF).put(each, Tries(wrong=0).model_dump_json().encode())


async def _put(bus: Bus, library: str, what: str, name: str, value: BaseModel) -> None:
    await bus.bucket(subjects.STAFF).put(subjects.staff_key(library, what, name), value.model_dump_json().encode())
