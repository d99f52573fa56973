"""Devices: how their bodies come in, what each of their lines counts, and what is known of their health.

A *source* is a way in which bodies arrive: a secret address, a poll, a folder, a broker. A *device* is a box that a
source speaks for, known by its own serial number, with its lines led to gates, zones or the queue. One source may speak
for many devices (a LoRaWAN application, a broker). A device is in `libraries.toml`, or somebody has claimed it: then it
is in the bucket CLAIMS.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from shared.contracts.readings import Slug
from shared.contracts.table import Table
from shared.domain.meaning import COUNTING, Meaning

ANY_LINE: Final = "*"
MAX_SERIAL: Final = 120
MAX_LINE: Final = 120
MAX_LINES: Final = 64

Serial = Annotated[str, Field(max_length=MAX_SERIAL, pattern=r"^[^\x00-\x1f\x7f]*$")]
LineName = Annotated[str, Field(min_length=1, max_length=MAX_LINE, pattern=r"^[^\x00-\x1f\x7f]*$")]
FormatName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Secret = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,62})?$")]
"""Names a file among ingest's secrets, never the secret itself."""
Address = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^\S+$")]
Seconds = Annotated[float, Field(ge=1, le=86_400)]


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone; one looks like Europe/Paris")
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Mapping(Table):
    """Where the figures stand in a body that no format of ours knows.

    Paths are JSONPath (RFC 9535) for JSON, element paths like `Report/Count/@Enters` for XML (by local name, `..` for
    the one above), column names for CSV (`Date + Time` where a time stands in two). All but `rows` are looked up within
    a row; what says who, where and when is looked up in the whole body where it is not in the row, figures never are.
    """

    body: Literal["json", "xml", "csv"] = "json"
    rows: Annotated[str, Field(max_length=200)] = Field(
        default="", description="Where the rows are: `$.data[*]`, `Report/Count`; the whole body if left out."
    )
    meaning: Meaning = Field(default=Meaning.WINDOW, description="What the figures mean.")
    forward: Annotated[str, Field(max_length=200, alias="in")] = Field(default="", description="People in.")
    backward: Annotated[str, Field(max_length=200, alias="out")] = Field(default="", description="People out.")
    value: Annotated[str, Field(max_length=200)] = Field(
        default="", description="The figure of an occupancy, a queue's length or its time in minutes."
    )
    serial: Annotated[str, Field(max_length=200)] = Field(default="", description="The device's serial number.")
    line: Annotated[str, Field(max_length=200)] = Field(default="", description="The name of the line or zone.")
    start: Annotated[str, Field(max_length=200)] = Field(default="", description="When the window began.")
    end: Annotated[str, Field(max_length=200)] = Field(default="", description="When it ended, or the time.")
    key: Annotated[str, Field(max_length=200, alias="id")] = Field(
        default="", description="What makes a row itself; a row that comes again under the same counts once."
    )
    battery: Annotated[str, Field(max_length=200)] = Field(default="", description="The battery, in per cent.")
    time_format: Annotated[str, Field(max_length=60)] = Field(
        default="iso", description="`iso`, `unix`, `unix_ms`, or as strptime has it: `%d.%m.%Y %H:%M`."
    )
    window_s: Seconds | None = Field(default=None, description="How long a window is, where only one end is given.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(default=",", description="Of CSV.")
    encoding: Annotated[str, Field(max_length=20)] = Field(default="utf-8", description="Of CSV: `cp1252`, `latin-1`.")
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _has_a_figure(self) -> Self:
        if self.meaning in COUNTING:
            if not (self.forward or self.backward) or self.value:
                raise ValueError(f'mapping: a {self.meaning} is given by "in" and "out", at least one of them')
        elif not self.value or self.forward or self.backward:
            raise ValueError(f'mapping: a {self.meaning} is given by "value" alone')
        return self

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.start and not self.end and self.window_s is None:
            raise ValueError('mapping: give "end" or "window_s" beside "start"')
        if (self.start or self.window_s is not None) and self.meaning is not Meaning.WINDOW:
            raise ValueError(f'mapping: a {self.meaning} has no beginning; give "end" for its time')
        return self


class SourceTable(Table):
    """What every source has."""

    id: Slug = Field(description="Its name; no two sources share one, in whichever library they stand.")
    name: Annotated[str, Field(max_length=120)] = Field(default="", description="In words, for staff.")
    format: FormatName | None = Field(
        default=None, description="What its bodies are; docs/reference/devices.md has them. Left out, it is found out."
    )
    time_zone: Zone | None = Field(
        default=None, description="Of times that come without one; the library's if left out."
    )
    mapping: Mapping | None = Field(default=None, description="For bodies that no format knows.")
    leaf: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")] | None = Field(
        default=None, description="The branch with a bus of its own that fetches it; left out, the centre does."
    )

    @model_validator(mode="after")
    def _says_one_format(self) -> Self:
        if self.format is not None and self.mapping is not None:
            raise ValueError("give a format or a mapping, not both")
        return self


class UrlSource(SourceTable):
    """A device, or a vendor's cloud, that sends to a secret address of its own: `/v1/devices/{token}`."""

    type: Literal["url"]
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The SHA-256 of the token in its address; the token itself stands in no file."
    )


class PollSource(SourceTable):
    """Something that is asked again and again."""

    type: Literal["poll"]
    url: Address
    api: FormatName = Field(
        default="plain", description="How it is asked: `plain` GET, or a vendor's way; docs/reference/devices.md."
    )
    every_s: Seconds = Field(default=60.0, description="How often it is asked.")
    credentials: Secret = Field(default="", description="The file `source-<credentials>` among ingest's secrets.")
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="What its way of asking takes."
    )


class FolderSource(SourceTable):
    """A folder into which files are put, by a share or by SFTP."""

    type: Literal["folder"]
    path: Address
    pattern: Annotated[str, Field(max_length=100)] = "*"
    every_s: Seconds = 10.0
    settle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=5.0, description="A file is read once it has not changed for so long: uploads take time."
    )


class SftpSource(SourceTable):
    """A folder on another machine, read by SFTP."""

    type: Literal["sftp"]
    host: Address
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    path: Address = "."
    pattern: Annotated[str, Field(max_length=100)] = "*"
    user: Address
    host_key: Annotated[str, Field(max_length=800)] = Field(
        description="The server's public key, as in known_hosts: `ssh-ed25519 AAAA…`."
    )
    credentials: Secret = Field(description="The file `source-<credentials>`: a private key, or a password.")
    every_s: Seconds = 60.0
    settle_s: Annotated[float, Field(ge=0, le=3600)] = 5.0


class MqttSource(SourceTable):
    """Topics of a broker that the library has."""

    type: Literal["mqtt"]
    url: Annotated[str, Field(max_length=200, pattern=r"^mqtts?://[^\s/]+$")]
    topics: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(min_length=1, max_length=16)
    ]
    serial_level: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="Which level of the topic, from 1, is the serial number, where the body has none."
    )
    credentials: Secret = Field(default="", description="The file `source-<credentials>`: `user:password`.")


class ListenerSource(SourceTable):
    """A device that publishes by MQTT to Placelibre itself, as user `id`, on the topic `devices/<id>` or below it."""

    type: Literal["listener"]
    password_bcrypt: Annotated[str, Field(pattern=r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")]
    serial_level: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="Which level of the topic, from 1, is the serial number, where the body has none."
    )


class WebSocketSource(SourceTable):
    """A vendor's WebSocket, where there is nothing else."""

    type: Literal["websocket"]
    url: Annotated[str, Field(max_length=500, pattern=r"^wss?://\S+$")]
    credentials: Secret = Field(default="", description="The file `source-<credentials>`: a header, `Name: value`.")
    hello: Annotated[str, Field(max_length=4000)] = Field(default="", description="Sent first, to subscribe.")


Source = Annotated[
    UrlSource | PollSource | FolderSource | SftpSource | MqttSource | ListenerSource | WebSocketSource,
    Field(discriminator="type"),
]
AnySource = UrlSource | PollSource | FolderSource | SftpSource | MqttSource | ListenerSource | WebSocketSource


class Line(Table):
    """Where the figures of one line of a device go: to a gate, a zone's occupancy, or the queue."""

    line: LineName = Field(default=ANY_LINE, description="As the device names it; `*` for each that is not named.")
    gate: Slug | None = Field(default=None, description="Passages of this gate.")
    zone: Slug | None = Field(default=None, description="How many are in this zone; `inside` for the whole library.")
    queue: bool = Field(default=False, description="How long the queue is, or takes.")
    invert: bool = Field(default=False, description="The device hangs the other way round: its in is our out.")
    direction: Literal["both", "in", "out"] = Field(
        default="both", description="What a register that counts one way only counts, before `invert`."
    )
    meaning: Meaning | None = Field(default=None, description="What its figures mean; found out if left out.")
    wraps_at: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        default=None, description="The largest value of its register, if the format does not know."
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if (self.gate is not None) + (self.zone is not None) + self.queue != 1:
            raise ValueError(f"line {self.line!r}: give one of gate, zone and queue")
        return self


class Device(Table):
    """A box whose figures count."""

    id: Slug = Field(description="Its name in the log and on pages.")
    source: Slug = Field(description="The source through which its bodies come.")
    serial: Serial = Field(default="", description="Its own serial number; left out where the source has one device.")
    name: Annotated[str, Field(max_length=120)] = Field(default="", description="In words, for staff.")
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=MAX_LINES)]

    @model_validator(mode="after")
    def _names_lines_once(self) -> Self:
        names = [each.line for each in self.lines]
        for each in names:
            if names.count(each) > 1:
                raise ValueError(f"device {self.id}: line {each!r} stands more than once")
        return self

    def line_for(self, name: str) -> Line | None:
        """Return where the figures of one of its lines go, or None."""
        by_name = {each.line: each for each in self.lines}
        return by_name.get(name) or by_name.get(ANY_LINE)


class Claim(BaseModel):
    """A device that somebody has claimed to a library, in the bucket CLAIMS."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    library: Slug
    device: Device
    by: str = Field(description="The key or command that claimed it.")
    at: AwareDatetime


class LineState(BaseModel):
    """What is known of one line of a device."""

    model_config = ConfigDict(extra="ignore")

    meaning: Meaning | None = Field(default=None, description="What its figures were found to mean; kept from then on.")
    counted_until: AwareDatetime | None = Field(default=None, description="The end of the latest figure that counted.")
    since: AwareDatetime | None = Field(
        default=None, description="What was before this has counted in a lesser meaning, and does not count again."
    )
    forward: int = Field(default=0, description="People it has counted in today, before `invert`.")
    backward: int = 0
    forward_register: int | None = Field(default=None, description="What its register showed last.")
    backward_register: int | None = None
    is_mapped: bool = True
    says: Meaning | None = Field(default=None, description="What its figures mean, of a line that leads nowhere.")
    passed_over: int = Field(default=0, description="People told of in a lesser meaning since it counted anybody last.")
    passed_over_since: AwareDatetime | None = None
    label: str = ""


class DeviceState(BaseModel):
    """What is known of one device, in the bucket DEVICES under `<library>.<device>`. Ingest writes it."""

    model_config = ConfigDict(extra="ignore")

    device: str
    source: str
    serial: str = ""
    format: str = ""
    model: str = ""
    last_seen: AwareDatetime | None = Field(default=None, description="When its last body came, whatever was in it.")
    last_counted: AwareDatetime | None = Field(default=None, description="When one came of which something counted.")
    skew_s: float | None = Field(default=None, description="By how much its clock is behind ours; below 0 it is ahead.")
    told: AwareDatetime | None = Field(default=None, description="The latest time that its clock has told.")
    told_since: AwareDatetime | None = Field(default=None, description="Since when it tells no later one.")
    is_clock_standing: bool = Field(default=False, description="Its clock does not move; its time is that of receipt.")
    battery_percent: float | None = None
    flags: tuple[str, ...] = Field(default=(), description="What it says is wrong with itself.")
    lost: int = Field(default=0, description="Reports of today that never came, by its own numbering.")
    sequence: int | None = None
    quarantined: int = Field(default=0, description="Bodies of today that could not be counted, or not whole.")
    day: str = Field(default="", description="The local day of the figures of today.")
    lines: dict[str, LineState] = Field(default_factory=dict)
    recounted: str = Field(default="", description="Of the claim or table after which quarantined bodies were counted.")


class QuarantinedBody(BaseModel):
    """One body of a device that was not counted, or not whole: the body without its pictures, with the reason."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    received_at: AwareDatetime
    library: Slug = Field(description="The library in which its source stands.")
    source: Slug
    serial: str = ""
    format: str = ""
    code: Literal["unclaimed", "unreadable", "unknown-format", "partly", "refused"]
    reason: str
    media_type: str = ""
    topic: str = ""
    body: str = Field(description="The text, without images, base64 and what is personal.")
    is_hex: bool = Field(default=False, description="Whether the body is a short binary one, in hexadecimal.")
    removed: str = Field(default="", description="What was cut out, in words.")


def serial_token(serial: str) -> str:
    """Return a serial number as one token of a subject: a short hash, `none` for a device that names none."""
    return blake2b(serial.encode(), digest_size=8).hexdigest() if serial else "none"


def sources_by_id(libraries: Map[str, tuple[AnySource, ...]]) -> dict[str, tuple[str, AnySource]]:
    """Return each source with the library in which it stands, by its id."""
    return {source.id: (library, source) for library, sources in libraries.items() for source in sources}
