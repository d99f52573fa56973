"""The configuration of one library: a table in `libraries.toml`, a value in the LIBRARIES bucket.

Everything is checked here, once; a service that takes a value from the bus checks it again and keeps the old one
if it is broken. Durations say their unit in their name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AwareDatetime, ConfigDict, Field, field_validator, model_validator

from shared.contracts.devices import Device, Source
from shared.contracts.readings import GATE_KINDS, STAFF_KINDS, Slug
from shared.contracts.table import Table
from shared.domain import level
from shared.domain import library as domain
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.wording import fault_of_words
from shared.domain.level import Level
from shared.domain.library import INSIDE, OUTSIDE, ClockKind, OpeningHours, Says
from shared.domain.small_numbers import BELOW_BY_DEFAULT

LANGUAGES: Final = tuple(CATALOGS)
SIMULATION_KEY_ID: Final = "simulation"
"""The id with which ingest knows the key that may set the time; it stands in no configuration."""
DIGEST_BY_DEFAULT: Final = {"facebook": Says.DIGEST, "linkedin": Says.DIGEST, "email": Says.DIGEST}
"""Where a word a day is what people follow; elsewhere announcements are."""
NIGHT: Final = "23:00-06:00"
QUIET_HOURS: Final = r"^((([01]\d|2[0-3]):[0-5]\d)-(([01]\d|2[0-3]):[0-5]\d))?$"
EngineFactory = Callable[[str, ZoneInfo, str | None], OpeningHours]
"""Builds the hours engine from a rule, a time zone and a country for public holidays; raises ValueError."""

if TYPE_CHECKING:
    Language = str
else:
    # One of the catalogs, so that a new one is known here by itself.
    Language = Literal[LANGUAGES]
Capacity = Annotated[int, Field(ge=1, le=100_000)]
Ratio = Annotated[float, Field(gt=0.0, le=1.5)]
Name = Annotated[str, Field(min_length=1, max_length=120)]
TravelTime = Annotated[int, Field(ge=1, le=180)]
Rule = Annotated[str, Field(min_length=1, max_length=1000)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Hashtag = Annotated[str, Field(pattern=r"^\w{1,40}$")]


class Zone(Table):
    """A part of the library with its own capacity: a floor, a room."""

    id: Slug
    name: Name
    capacity: Capacity


class Gate(Table):
    """A counted passage. `entries` of its readings go from `from` to `to`."""

    id: Slug
    name: Annotated[str, Field(max_length=120)] = Field(
        default="", description='As people call it: "the garden door". Where it is left out they read the id.'
    )
    origin: Slug = Field(default=OUTSIDE, alias="from", description="`outside`, or a zone's id.")
    destination: Slug = Field(default=INSIDE, alias="to", description="A zone's id; `inside` without zones.")
    kind: Literal["directional", "beam"] = Field(
        default="directional", description="A `beam` counts crossings and knows no direction; it may send `count`."
    )
    interval_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None,
        description="How often it reports, zeros included. Left out, its silence cannot be told from nobody coming,"
        " and nothing is put in for it.",
    )
    silent_after_min: Annotated[float, Field(gt=0, le=1440)] = Field(
        default=20.0,
        description="Without a report for this long the gate is said to be silent, and with all of them silent the"
        " library's figures are unknown; longer than it takes to report.",
    )
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _reports_in_time(self) -> Self:
        if self.interval_s is not None and self.interval_s >= self.silent_after_min * 60:
            raise ValueError(
                f"interval_s ({self.interval_s} s) must be shorter than silent_after_min"
                f" ({self.silent_after_min:g} min), or the gate seems silent between reports"
            )
        return self

    def to_domain(self) -> domain.Gate:
        """Return the domain's gate."""
        return domain.Gate(
            id=self.id,
            name=self.name,
            origin=self.origin,
            destination=self.destination,
            silent_after=timedelta(minutes=self.silent_after_min),
            is_beam=self.kind == "beam",
            interval=None if self.interval_s is None else timedelta(seconds=self.interval_s),
        )


class Marker(Table):
    """A place people know, and how many people stand in a queue that reaches it."""

    id: Slug
    name: Name
    people: Annotated[int, Field(ge=1, le=100_000)]


class Address(Table):
    """Where the library is, as one writes it on a letter."""

    street: Annotated[str, Field(max_length=120)] = ""
    postal_code: Annotated[str, Field(max_length=20)] = ""
    city: Annotated[str, Field(max_length=80)] = ""

    @property
    def line(self) -> str:
        """The address on one line."""
        town = " ".join(part for part in (self.postal_code, self.city) if part)
        return ", ".join(part for part in (self.street, town) if part)


class Location(Table):
    """Where the library is on the globe (WGS 84), for the map, for what is near, and for other systems."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]


class Contact(Table):
    """How the public reaches the library itself; shown on its page, so no person's own address."""

    email: Annotated[str, Field(max_length=120, pattern=r"^([^@\s]+@[^@\s]+)?$")] = ""
    phone: Annotated[str, Field(max_length=40, pattern=r"^(\+[0-9 ()./-]+)?$")] = Field(
        default="", description="With the country: +33 1 44 78 12 75."
    )
    website: Annotated[str, Field(max_length=200, pattern=r"^(https?://\S+)?$")] = ""


class CapacityPeriod(Table):
    """A capacity for the times at which a rule in opening_hours syntax holds."""

    when: Rule = Field(description='In OSM opening_hours syntax: "Jul-Aug", "Mo-Fr 20:00-22:00".')
    capacity: Capacity


class Band(Table):
    """A level, the share of capacity at which it begins, and the lower one at which it ends."""

    level: Literal[Level.FEW_SEATS, Level.FULL]
    enter: Ratio
    leave: Ratio

    @model_validator(mode="after")
    def _leaves_below(self) -> Self:
        if self.leave >= self.enter:
            raise ValueError(f"leave ({self.leave}) must be below enter ({self.enter}), or the level would flap")
        return self


class Exception_(Table):  # noqa: N801  `Exception` is taken
    """A day or a span of days with hours of its own."""

    dates: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}(/\d{4}-\d{2}-\d{2})?$")] = Field(
        description="A date, or first/last: 2026-12-24 or 2026-12-24/2026-12-31."
    )
    hours: Annotated[str, Field(max_length=200)] = Field(
        default="off", description='Hours of these days ("10:00-14:00"), or "off".'
    )
    reason: Annotated[str, Field(max_length=120)] = ""


class Key(Table):
    """A sender's key, by its id and the SHA-256 of its secret; the secret itself is nowhere."""

    id: Slug
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    device: Slug = Field(description="The device or tablet that holds it; two keys of one device may live at once.")
    role: Literal["gate", "staff"] = Field(
        description="`gate`: a device that counts, at a gate or in the queue; `staff`: what people say."
    )
    gates: tuple[Slug, ...] = Field(default=(), description="Gates it may report; empty for all of the library.")
    expires: AwareDatetime | None = None

    @field_validator("id")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value == SIMULATION_KEY_ID:
            raise ValueError(f"{value!r} is the simulation's own id; choose another, like front-2026")
        return value

    def may_send(self, kind: str) -> bool:
        """Tell whether this key's role covers a kind of reading."""
        return kind in (GATE_KINDS if self.role == "gate" else STAFF_KINDS)


class Channel(Table):
    """How the library speaks on one channel.

    The keys below are common to all types; a type may take more of its own, which docs/reference/channels.md lists and
    `placelibre check` checks.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")] = Field(
        description="`console`, `mastodon`, `bluesky`; docs/reference/channels.md has them all."
    )
    account: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")] = Field(
        default="",
        description="Names the publisher's credentials: the file `<type>-<account>` among its secrets.",
    )
    server: Annotated[str, Field(max_length=200)] = Field(default="", description="The address of the server.")
    languages: tuple[Language, ...] = Field(default=(), description="One post each; the library's first if left out.")
    says: Says | None = Field(
        default=None,
        description="`announcements` when something happens, or a `digest` at closing; else what the type is for.",
    )
    min_interval_min: Annotated[float, Field(ge=0, le=1440)] = Field(
        default=10.0, description="Two announcements are at least so far apart."
    )
    daily_budget: Annotated[int, Field(ge=0, le=200)] = Field(default=12, description="Announcements a day, at most.")
    page: Annotated[str, Field(max_length=200, pattern=r"^(https?://\S+)?$")] = Field(
        default="", description="Where people follow it: the account's own page. Shown on the library's page."
    )
    approval: bool = Field(default=False, description="Whether a post waits until staff have approved it.")
    hashtags: tuple[Hashtag, ...] = Field(
        default=(), max_length=4, description="Without #, at the end of posts that have room for them."
    )
    quiet_hours: Annotated[str, Field(pattern=QUIET_HOURS)] | None = Field(
        default=None,
        description='No announcements at night, in the library\'s time: "23:00-06:00", as where it is left out; "" for'
        " no night, as on the console.",
    )
    update_interval_min: Annotated[float, Field(ge=0, le=1440)] = Field(
        default=5.0, description="Two edits of the live post are so far apart, unless it has become untrue."
    )
    refresh_min: Annotated[float, Field(ge=1, le=1440)] = Field(
        default=30.0, description="How old the figures of the live post may get while its situation holds."
    )
    token_expires: date | None = Field(
        default=None,
        description="The day on which the account's token ends, where it does: LinkedIn's after 60 days. Nobody else"
        " tells; an alert does two weeks before.",
    )

    @property
    def options(self) -> dict[str, object]:
        """The keys that only this type of channel knows."""
        return dict(self.model_extra or {})

    @property
    def is_of_this_machine(self) -> bool:
        """Whether its server, or itself where it has none, is on this machine: then no follower takes play for now."""
        return self.type in {"console", "feed"} or urlsplit(self.server).hostname in {"127.0.0.1", "localhost", "::1"}

    def to_domain(self, languages: tuple[str, ...]) -> domain.ChannelRule:
        """Return the domain's rule; `languages` are the library's."""
        night = ("" if self.type == "console" else NIGHT) if self.quiet_hours is None else self.quiet_hours
        start, _, end = night.partition("-")
        return domain.ChannelRule(
            channel=self.type,
            account=self.account,
            languages=self.languages or languages[:1],
            min_interval=timedelta(minutes=self.min_interval_min),
            daily_budget=self.daily_budget,
            server=self.server,
            says=self.says or DIGEST_BY_DEFAULT.get(self.type, Says.ANNOUNCEMENTS),
            needs_approval=self.approval,
            hashtags=self.hashtags,
            quiet_from=time.fromisoformat(start or "00:00"),
            quiet_until=time.fromisoformat(end or "00:00"),
            update_interval=timedelta(minutes=self.update_interval_min),
            refresh_after=timedelta(minutes=self.refresh_min),
            options=self.options,
        )


class EventCalendar(Table):
    """A calendar of the library's events, each of which is announced once, some time before it begins."""

    url: Annotated[
        str, Field(max_length=500, pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost)\S*|file:\S+)$")
    ] = Field(description="An iCalendar (.ics) address: https, or file:events.ics among the publisher's secrets.")
    remind_min: Annotated[int, Field(ge=5, le=1440)] = Field(
        default=60, description="So many minutes before it begins."
    )
    refresh_min: Annotated[int, Field(ge=1, le=1440)] = Field(default=15, description="How often it is read again.")
    daily_budget: Annotated[int, Field(ge=0, le=20)] = Field(default=3, description="Reminders a day, at most.")


class LibraryConfig(Table):
    """One library."""

    id: Slug
    name: Name
    time_zone: Annotated[str, Field(description="An IANA name: Europe/Paris.")]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, description="Whose public holidays `PH` means; two letters."
    )
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    url: Annotated[str, Field(max_length=200, pattern=r"^(https?://\S+)?$")] = Field(
        default="", description="The page that posts link to."
    )
    address: Address | None = None
    location: Location | None = None
    contact: Contact | None = None
    nearby: Annotated[tuple[Slug, ...], Field(max_length=8)] = Field(
        default=(),
        description="Libraries to offer in its place when it is full; left out: those near by their locations.",
    )
    clock: ClockKind = Field(
        default=ClockKind.WALL, description="`wall`; `simulated` or `recorded` for days that are not now."
    )
    opening_hours: Rule = Field(description='In OSM syntax: "Mo-Fr 09:00-12:30,13:30-18:00; PH off".')
    exceptions: tuple[Exception_, ...] = ()
    capacity: Capacity
    capacity_periods: tuple[CapacityPeriod, ...] = ()
    zones: tuple[Zone, ...] = ()
    gates: tuple[Gate, ...] = ()
    markers: tuple[Marker, ...] = ()
    bands: tuple[Band, ...] = Field(default=(), description="When seats are few and when the library is full.")
    dwell_min: Annotated[float, Field(ge=0, le=120)] = 4.0
    empty_after_min: Annotated[float, Field(ge=0, le=240)] = 10.0
    valid_for_min: Annotated[float, Field(ge=1, le=240)] = 10.0
    recount_valid_for_min: Annotated[float, Field(ge=5, le=1440)] = 60.0
    queue_valid_for_min: Annotated[float, Field(ge=5, le=240)] = Field(
        default=45.0, description="How long it is believed that nobody queues, once somebody looked and saw nobody."
    )
    mean_stay_min: Annotated[float, Field(ge=5, le=1440)] = 150.0
    door_rate_per_min: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=20.0, description="How many people the door lets in per minute while there is room and a queue."
    )
    staff_inside: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0, description="People whom gates and head-counts see all day, and who are not visitors."
    )
    small_numbers_below: Annotated[int, Field(ge=0, le=100)] = Field(
        default=BELOW_BY_DEFAULT,
        description="Where fewer people than this are inside, the public is told just that, and nobody learns whether"
        " a certain person is there; 0 to tell every figure. Of simulated and recorded days every figure is told.",
    )
    queue_possible: bool = Field(default=True, description="Whether people ever wait outside to get in.")
    last_entry_min: Annotated[int, Field(ge=0, le=240)] = Field(
        default=0, description="Nobody is let in for so many minutes before closing."
    )
    wording: dict[Language, dict[str, Words]] = Field(
        default_factory=dict,
        description="Words of your own, by language and by their name in the catalog (docs/adding-a-language.md).",
    )
    events: EventCalendar | None = Field(default=None, description="Reminders of events in the library.")
    travel_times_min: Annotated[tuple[TravelTime, ...], Field(max_length=4)] = Field(
        default=(15, 30, 60), description="If you leave now: minutes on the way, each once, rising; at most four."
    )
    channels: tuple[Channel, ...] = ()
    keys: tuple[Key, ...] = ()
    sources: tuple[Source, ...] = Field(default=(), description="How bodies of devices come in.")
    devices: tuple[Device, ...] = Field(
        default=(), description="Devices whose figures count; others are claimed with `placelibre devices`."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone; one looks like Europe/Paris")
        return value

    @field_validator("wording")
    @classmethod
    def _are_in_the_catalog(cls, value: dict[Language, dict[str, str]]) -> dict[Language, dict[str, str]]:
        for language, words in value.items():
            for name, text in words.items():
                fault = fault_of_words(CATALOGS[language], name, text)
                if fault:
                    raise ValueError(f"wording.{language}.{name}: {fault}")
        return value

    @field_validator("travel_times_min")
    @classmethod
    def _rises(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("travel times must rise, each once")
        return value

    @field_validator("channels")
    @classmethod
    def _differ_by_name(cls, value: tuple[Channel, ...]) -> tuple[Channel, ...]:
        # A channel's name is the key of its memory and its deliveries, and names its token file: two would share all.
        for (type_, account), times in Counter((each.type, each.account) for each in value).items():
            if times > 1:
                what = f"the {type_} account {account!r}" if account else f"the {type_} channel without an account"
                raise ValueError(
                    f"{what} stands {times} times; give each channel of one type an account of its own name,"
                    " even where the servers differ"
                )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        places = {zone.id for zone in self.zones} or {INSIDE}
        for what, ids in (
            ("zones", [zone.id for zone in self.zones]),
            ("gates", [gate.id for gate in self.gates]),
            ("markers", [marker.id for marker in self.markers]),
            ("keys", [key.id for key in self.keys]),
            ("sources", [source.id for source in self.sources]),
            ("devices", [device.id for device in self.devices]),
            ("nearby", list(self.nearby)),
        ):
            _refuse_doubles(what, ids)
        for gate in self.gates:
            for place in (gate.origin, gate.destination):
                if place not in places | {OUTSIDE}:
                    raise ValueError(f"gate {gate.id}: {place!r} is no place; there are {_names(places | {OUTSIDE})}")
            if gate.origin == gate.destination:
                raise ValueError(f"gate {gate.id}: leads from {gate.origin} to itself")
        gates = {gate.id for gate in self.gates}
        for key in self.keys:
            for unknown in sorted(set(key.gates) - gates):
                raise ValueError(f"key {key.id}: there is no gate {unknown!r}; there are {_names(gates)}")
        if self.clock is not ClockKind.WALL:
            for channel in self.channels:
                if not channel.is_of_this_machine:
                    raise ValueError(
                        f"a {self.clock} library may speak on the console and on servers of this machine only, not on"
                        f" {channel.type}: followers would take it for now"
                    )
        return self

    def fault_of(self, device: Device) -> str:
        """Return why a device cannot count here: a gate or zone that is not there; nothing if it can."""
        gates = {gate.id for gate in self.gates}
        places = {zone.id for zone in self.zones} | {INSIDE}
        for line in device.lines:
            if line.gate is not None and line.gate not in gates:
                return f"device {device.id}: there is no gate {line.gate!r}; there are {_names(gates)}"
            if line.zone is not None and line.zone not in places:
                return f"device {device.id}: there is no zone {line.zone!r}; there are {_names(places)}"
        return ""

    @model_validator(mode="after")
    def _leads_devices_somewhere(self) -> Self:
        for device in self.devices:
            fault = self.fault_of(device)
            if fault:
                raise ValueError(fault)
        return self

    @property
    def hours_rule(self) -> str:
        """The opening hours and their exceptions as one rule in OSM syntax; later rules override earlier ones."""
        return "; ".join([self.opening_hours, *(_exception_rule(each) for each in self.exceptions)])

    @property
    def own_words(self) -> dict[str, dict[str, str]]:
        """The library's own words, by language and by their name in the catalog."""
        return {str(language): dict(words) for language, words in self.wording.items()}

    @property
    def channel_rules(self) -> tuple[domain.ChannelRule, ...]:
        """How the library speaks, channel by channel: all that a service which only posts needs to know."""
        return tuple(each.to_domain(self.languages) for each in self.channels)

    def to_domain(self, engine: EngineFactory) -> domain.Library:
        """Return the domain's library. Raises ValueError if the hours engine refuses a rule."""
        zone = ZoneInfo(self.time_zone)
        languages = tuple(self.languages)
        return domain.Library(
            id=self.id,
            name=self.name,
            time_zone=zone,
            hours=engine(self.hours_rule, zone, self.country),
            hours_rule=self.hours_rule,
            capacity=self.capacity,
            languages=languages,
            clock=self.clock,
            zones=tuple(domain.Zone(each.id, each.name, each.capacity) for each in self.zones),
            gates=tuple(each.to_domain() for each in self.gates),
            markers=tuple(domain.Marker(each.id, each.name, each.people) for each in self.markers),
            capacity_periods=tuple(
                domain.CapacityPeriod(engine(each.when, zone, self.country), each.when, each.capacity)
                for each in self.capacity_periods
            ),
            bands=tuple(level.Band(each.level, each.enter, each.leave) for each in self.bands) or level.DEFAULT_BANDS,
            dwell=timedelta(minutes=self.dwell_min),
            empty_after=timedelta(minutes=self.empty_after_min),
            valid_for=timedelta(minutes=self.valid_for_min),
            recount_valid_for=timedelta(minutes=self.recount_valid_for_min),
            queue_valid_for=timedelta(minutes=self.queue_valid_for_min),
            mean_stay=timedelta(minutes=self.mean_stay_min),
            door_rate_per_min=self.door_rate_per_min,
            staff_inside=self.staff_inside,
            small_numbers_below=self.small_numbers_below if self.clock is ClockKind.WALL else 0,
            is_queue_possible=self.queue_possible,
            last_entry=timedelta(minutes=self.last_entry_min),
            travel_times=tuple(timedelta(minutes=each) for each in self.travel_times_min),
            url=self.url,
            channels=self.channel_rules,
            wording=self.own_words,
            staff_devices=frozenset(each.device for each in self.keys if each.role == "staff"),
        )


class LibrariesFile(Table):
    """The whole of `libraries.toml`."""

    libraries: Annotated[tuple[LibraryConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        _refuse_doubles("libraries", [library.id for library in self.libraries])
        _refuse_doubles("keys", [key.id for library in self.libraries for key in library.keys])
        sources = [source.id for library in self.libraries for source in library.sources]
        _refuse_doubles("sources", sources)
        for library in self.libraries:
            for device in library.devices:
                if device.source not in sources:
                    raise ValueError(
                        f"device {device.id} of {library.id}: there is no source {device.source!r};"
                        f" there are {_names(sources)}"
                    )
        boxes = [f"{each.source}/{each.serial}" for library in self.libraries for each in library.devices]
        _refuse_doubles("devices (source/serial)", boxes)
        return self


def _refuse_doubles(what: str, ids: Iterable[str]) -> None:
    for each, times in Counter(ids).items():
        if times > 1:
            raise ValueError(f"{what}: the id {each!r} stands {times} times; ids must differ")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _exception_rule(exception: Exception_) -> str:
    spans = [_osm_date(each) for each in exception.dates.split("/")]
    return f"{'-'.join(spans)} {exception.hours}"


def _osm_date(iso: str) -> str:
    year, month, day = iso.split("-")
    if not 1 <= int(month) <= len(MONTHS):
        raise ValueError(f"{iso}: there is no month {month}")
    return f"{year} {MONTHS[int(month) - 1]} {int(day):02d}"
