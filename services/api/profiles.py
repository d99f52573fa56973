"""What the public may know of a library beside its status: the part of the configuration that pages and views show.

The API reads the whole configuration from the bus and keeps this much of it; keys, sources and devices are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.contracts import fediverse
from shared.contracts.configuration import Address, Contact, Exception_, LibraryConfig, Location
from shared.domain.level import DEFAULT_BANDS, Level
from shared.domain.library import CapacityPeriod, ClockKind, OpeningHours
from shared.runtime.logs import logger
from shared.runtime.opening_hours import OsmOpeningHours

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Where the library speaks: a channel's type, the page on which people follow it (may be empty), its languages."""

    type: str
    page: str
    server: str
    languages: tuple[str, ...]
    name: str = ""
    """Of an account of our own in the fediverse; elsewhere it names credentials, which are nobody's business."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One library as everybody may know it."""

    id: str
    name: str
    zone: ZoneInfo
    languages: tuple[str, ...]
    country: str | None
    url: str
    address: Address | None
    location: Location | None
    contact: Contact | None
    nearby: tuple[str, ...]
    hours: OpeningHours
    exceptions: tuple[Exception_, ...]
    accounts: tuple[Account, ...]
    clock: ClockKind
    capacity: int
    capacity_periods: tuple[CapacityPeriod, ...] = ()
    full_from: float = DEFAULT_BANDS[-1].enter_ratio
    """The share of the capacity from which on the house is full."""
    last_entry: timedelta = timedelta(0)
    """So long before closing, nobody is let in any more."""

    def capacity_at(self, at: datetime) -> int:
        """Return the people allowed in at this instant, by the configuration of now."""
        return next((each.capacity for each in self.capacity_periods if each.when.is_open(at)), self.capacity)

    @classmethod
    def of(cls, library: LibraryConfig) -> Profile:
        """Return the public part of a configuration. Raises ValueError if the hours engine refuses a rule."""
        zone = ZoneInfo(library.time_zone)
        return cls(
            id=library.id,
            name=library.name,
            zone=zone,
            languages=tuple(library.languages),
            country=library.country,
            url=library.url,
            address=library.address,
            location=library.location,
            contact=library.contact,
            nearby=library.nearby,
            hours=OsmOpeningHours(library.hours_rule, zone, library.country),
            exceptions=library.exceptions,
            accounts=tuple(
                Account(
                    each.type,
                    each.page,
                    each.server,
                    each.languages or tuple(library.languages[:1]),
                    each.account if each.type == fediverse.TYPE else "",
                )
                for each in library.channels
                if each.type != "console"
            ),
            clock=library.clock,
            capacity=library.capacity,
            capacity_periods=tuple(
                CapacityPeriod(OsmOpeningHours(each.when, zone, library.country), each.when, each.capacity)
                for each in library.capacity_periods
            ),
            full_from=next(
                (each.enter for each in library.bands if each.level is Level.FULL), DEFAULT_BANDS[-1].enter_ratio
            ),
            last_entry=timedelta(minutes=library.last_entry_min),
        )


@dataclass(slots=True)
class Profiles:
    """The profiles of all libraries, by id; what is not there yet is None, and a page is whole without it."""

    revision: int = 0
    """Changes with every change of any; what is rendered with a profile depends on it."""
    _by_id: dict[str, Profile] = field(default_factory=dict)

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration; one whose hours cannot be read leaves the old profile."""
        try:
            self._by_id[library.id] = Profile.of(library)
        except ValueError as error:
            log.error("profile_refused", library=library.id, reason=str(error))  # noqa: TRY400  the reason says it all
            return
        self.revision += 1

    def drop(self, library_id: str) -> None:
        """Forget a library."""
        if self._by_id.pop(library_id, None) is not None:
            self.revision += 1

    def get(self, library_id: str) -> Profile | None:
        """Return one library's profile, or None while it is not known."""
        return self._by_id.get(library_id)

    def last_entry(self, library_id: str) -> timedelta:
        """Return how long before closing nobody is let in any more; nothing while it is not known."""
        profile = self._by_id.get(library_id)
        return profile.last_entry if profile else timedelta(0)

    def all(self) -> list[Profile]:
        """Return every profile, by id."""
        return [self._by_id[key] for key in sorted(self._by_id)]
