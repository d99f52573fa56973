"""Checking a `libraries.toml`: every fault with its key, its line and what to do. Pure: text in, findings out."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cli.plain_words import describe, refine
from cli.toml_lines import Location, line_of, lines_by_location
from services.publisher import channels
from shared.contracts.configuration import LibrariesFile, LibraryConfig
from shared.domain.library import ClockKind
from shared.runtime.opening_hours import OsmOpeningHours

EXPIRES_SOON: Final = timedelta(days=30)
"""Time enough to make a new key and carry it to the device."""
ANY_HOURS: Final = "24/7"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the file. `line` counts from 1, None where the text has no such place."""

    line: int | None
    key: str
    problem: str
    remedy: str
    is_warning: bool = False

    def __str__(self) -> str:
        """Return it as one line for people."""
        place = f"line {self.line}: " if self.line else ""
        subject = f"{self.key}: " if self.key else ""
        kind = "warning: " if self.is_warning else ""
        return f"{kind}{place}{subject}{self.problem}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a text holds; `libraries` is empty when anything in it is wrong, for half a configuration is none."""

    libraries: tuple[LibraryConfig, ...]
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether it may be applied."""
        return all(finding.is_warning for finding in self.findings)


def check_text(text: str, now: datetime) -> Checked:
    """Check a whole file; `now` is for keys that expire."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Checked((), (_syntax_fault(text, str(error)),))
    lines = lines_by_location(text)

    def finding(location: Location, problem: str, remedy: str, *, is_warning: bool = False) -> Finding:
        return Finding(line_of(lines, location), key_name(location, data), problem, remedy, is_warning)

    try:
        # Through JSON, as on the bus: strict there means that "120" is no number, while lists and names of levels pass.
        file = LibrariesFile.model_validate_json(json.dumps(data, default=_iso), strict=True)
    except ValidationError as error:
        faults = [finding(refine(each, data), *describe(each)) for each in _worth_telling(error.errors())]
        return Checked((), tuple(_in_order(faults)))
    findings: list[Finding] = []
    for index, library in enumerate(file.libraries):
        place = ("libraries", index)
        faults = [finding((*place, *where), *words) for where, words in _faults(library)]
        findings += faults
        if not faults:
            findings += [finding((*place, *where), *words, is_warning=True) for where, words in _warnings(library, now)]
    checked = Checked(file.libraries, tuple(_in_order(findings)))
    return checked if checked.is_good else Checked((), checked.findings)


def key_name(location: Location, data: Mapping[str, Any]) -> str:
    """Return a place as people read it, by ids where there are any: `libraries.bpi.gates.front.to`."""
    names: list[str] = []
    value: Any = data
    for each in location:
        try:
            value = value[each]
        except (KeyError, IndexError, TypeError):
            value = None
        if isinstance(each, str):
            names.append(each)
            continue
        own_id = value.get("id") if isinstance(value, dict) else None
        names.append(own_id if isinstance(own_id, str) and own_id else f"#{each + 1}")
    return ".".join(names)


def _syntax_fault(text: str, words: str) -> Finding:
    found = re.search(r" \(at line (\d+), column (\d+)\)| \(at end of document\)", words)
    line = int(found[1]) if found and found[1] else len(text.splitlines()) or None
    problem = words.replace(found[0], "") if found else words
    column = f" at column {found[2]}" if found and found[2] else ""
    remedy = "look for a missing quote, bracket or equals sign here or on the line before"
    if "Cannot overwrite a value" in words or "declare" in words:
        remedy = "the same key or table stands twice; keep one (tables of a list need two brackets)"
    return Finding(line, "", f"this is no TOML{column}: {problem[:1].lower()}{problem[1:]}", remedy)


def _worth_telling(errors: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Leave out that a list is too short when that is only because an element of it was refused."""
    places = [tuple(error["loc"]) for error in errors]
    for error in errors:
        place = tuple(error["loc"])
        has_inner = any(len(other) > len(place) and other[: len(place)] == place for other in places)
        if not (error["type"] == "too_short" and has_inner):
            yield error


def _in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: (each.line or 0, each.is_warning, each.key))


Words = tuple[str, str]


def _faults(library: LibraryConfig) -> Iterator[tuple[Location, Words]]:
    """Yield what the model cannot see by itself: rules that the hours engine refuses, and days that do not exist."""
    zone = ZoneInfo(library.time_zone)
    try:
        OsmOpeningHours(ANY_HOURS, zone, library.country)
    except ValueError as error:
        yield ("country",), (str(error), "use the two letters of a country with public holidays, or leave country out")
        return
    fault = _rule_fault(library.opening_hours, zone)
    if fault:
        yield ("opening_hours",), (fault, 'write it like "Mo-Fr 09:00-12:30,13:30-18:00; PH off"')
    for index, exception in enumerate(library.exceptions):
        try:
            days = [date.fromisoformat(each) for each in exception.dates.split("/")]
        except ValueError as error:
            yield ("exceptions", index, "dates"), (f"{exception.dates!r}: {error}", "use days that exist")
            continue
        if days != sorted(days):
            yield ("exceptions", index, "dates"), (f"{exception.dates!r} ends before it begins", "write first/last")
        alone = library.model_copy(update={"opening_hours": ANY_HOURS, "exceptions": (exception,)})
        if _rule_fault(alone.hours_rule, zone):
            fault = f"{exception.hours!r} are no hours"
            yield ("exceptions", index, "hours"), (fault, 'write it like "10:00-14:00", or "off"')
    for index, channel in enumerate(library.channels):
        for key, reason in channels.faults(channel):
            yield ("channels", index, key), (reason, "docs/reference/channels.md says what each type of channel takes")
    if library.sources:
        # What reads devices takes half a second to load, and most files have none.
        faults_of_sources = importlib.import_module("cli.source_check").faults_of_sources
        yield from faults_of_sources(library)
    for index, period in enumerate(library.capacity_periods):
        fault = _rule_fault(period.when, zone)
        if fault:
            yield ("capacity_periods", index, "when"), (fault, 'write it like "Jul-Aug" or "Mo-Fr 20:00-22:00"')


def _rule_fault(rule: str, zone: ZoneInfo) -> str | None:
    try:
        OsmOpeningHours(rule, zone, None)
    except ValueError as error:
        return str(error)
    return None


def _warnings(library: LibraryConfig, now: datetime) -> Iterator[tuple[Location, Words]]:
    """Yield what is allowed and yet hardly meant."""
    yield from _warnings_of_people(library)
    if re.search(r"\bPH\b", library.hours_rule) and library.country is None:
        yield ("opening_hours",), ("PH means nothing without a country", 'add country = "FR", whichever it is')
    enters = {band.level: band.enter for band in library.bands}
    if len(enters) < len(library.bands) or sorted(enters.values()) != [enters[level] for level in sorted(enters)]:
        yield ("bands",), ("the bands are not one each, few_seats below full", "put them in that order")
    for index, channel in enumerate(library.channels):
        for language in channel.languages:
            if language not in library.languages:
                words = f"{language} is not among the library's languages"
                yield ("channels", index, "languages"), (words, f'add "{language}" to languages')
    for index, exception in enumerate(library.exceptions):
        last = date.fromisoformat(exception.dates.split("/")[-1])
        if last < now.astimezone(ZoneInfo(library.time_zone)).date() and library.clock is ClockKind.WALL:
            yield ("exceptions", index), (f"{exception.dates} is over", "remove it when you next edit the file")
    if library.clock is ClockKind.WALL:
        yield from _warnings_of_keys(library, now)


def _warnings_of_people(library: LibraryConfig) -> Iterator[tuple[Location, Words]]:
    if library.zones:
        total = sum(zone.capacity for zone in library.zones)
        if total != library.capacity:
            words = f"the zones hold {total} people together, the library {library.capacity}"
            yield ("capacity",), (words, "make them add up, or know that the smaller one ends first")
    if library.markers and not library.queue_possible:
        words = "there are markers of a queue that is said never to stand"
        yield ("queue_possible",), (words, "remove the markers, or queue_possible")
    if library.staff_inside >= library.capacity:
        words = f"{library.staff_inside} staff in a house for {library.capacity} leave no room for visitors"
        yield ("staff_inside",), (words, "name only those who are inside all day")


def _warnings_of_keys(library: LibraryConfig, now: datetime) -> Iterator[tuple[Location, Words]]:
    live = [key for key in library.keys if key.expires is None or key.expires > now]
    roles = {key.role for key in live}
    command = f"placelibre keys new {library.id} --device"
    has_devices = bool(library.sources or library.devices)
    if not live and not has_devices:
        words = "nothing can report: the library has no live key"
        yield ("keys",), (words, f"run `{command} front-tablet --role staff`")
    elif library.gates and "gate" not in roles and not has_devices:
        remedy = f"run `{command} front --role gate`, or `placelibre devices new {library.id}` for a counter"
        yield ("gates",), ("no live key may report the gates", remedy)
    elif not library.gates and "staff" not in roles and not has_devices:
        words = "there are no gates and no live staff key: nothing can be counted"
        yield ("keys",), (words, f"run `{command} front-tablet --role staff`")
    for index, key in enumerate(library.keys):
        if key.expires is None:
            continue
        remedy = f"make a new one with `{command} {key.device} --role {key.role}`, then remove this one"
        if key.expires <= now:
            yield ("keys", index, "expires"), (f"the key has expired on {key.expires.date()}", remedy)
        elif key.expires - now < EXPIRES_SOON:
            yield ("keys", index, "expires"), (f"the key expires on {key.expires.date()}", remedy)


def _iso(value: Any) -> str:
    """Return a TOML date or time as text; json knows none."""
    text: str = value.isoformat()
    return text
