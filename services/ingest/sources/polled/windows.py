"""Which rows of a report are new: each window is taken in once, when it is over, and later only by what it has grown.

Vendors' reports are asked for again and again, and say the same windows again and again: while they fill, when they are
over, and once more when a counter that was away has sent the rest. What is known of each window of the last hours is
kept with the place, so that nothing is taken in twice, and nothing that comes late is left out. Pure.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from services.ingest.devices.fields import Malformed, WallClock, moment, people, table
from services.ingest.sources.polled.api import Answer, Heard, Question
from shared.contracts.status import Wire

MAX_SEEN: Final = 2500
"""Windows remembered of one source, of some 40 bytes each: three hours of a dozen gates by the minute."""
MAX_BODY_BYTES: Final = 24 * 1024
"""Of one body that is taken in: quarantine has room for it once for each device that nobody has claimed."""
MAX_DEVICES: Final = 25
"""In one body: of many more that nobody has claimed, quarantine keeps it once and not for each."""
REVISION: Final = "revision"
"""The key under which a row says the how manieth word on its window it is, where it is not the first."""
LONGEST_BEHIND: Final = timedelta(days=30)
"""What is older than that is not asked for any more: vendors answer for a month at once, and our own log ends there."""


class ReportPlace(Wire):
    """Up to where a report was read."""

    after: AwareDatetime
    """Windows that ended by then are done with."""
    seen: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """The others, by a short hash: when each ends (s since 1970), the number of the last word on it, and its counts."""


@dataclass(frozen=True, slots=True)
class Row:
    """What makes a row itself."""

    key: str
    """Names its line and its window."""
    end: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """How a vendor's report is read, and how long its windows stay open."""

    rows_of: Callable[[Any], list[Any]]
    """Returns the rows of a body. Raises Malformed."""
    body_of: Callable[[list[Any]], Any]
    """Returns a body with these rows alone."""
    row_of: Callable[[dict[str, Any]], Row]
    """Raises Malformed."""
    counts: tuple[tuple[str, ...], ...]
    """The fields that grow, each under the names that it may have."""
    settle: timedelta
    """How long after its end a window is left alone: until then it still fills."""
    overlap: timedelta
    """For how long after that it is looked at again."""
    span: timedelta = timedelta(days=7)
    """Asked for at once."""
    only: frozenset[str] = field(default=frozenset())
    """Ids of which the rows are wanted; empty for all."""
    ids: tuple[str, ...] = ()
    """The fields that may hold such an id, the device's first."""

    def begin(self, place: JsonValue, now: datetime, first: datetime) -> ReportPlace:
        """Return where reading goes on; `first` for a source that was never read."""
        try:
            found = ReportPlace.model_validate(place)
        except ValidationError:
            found = ReportPlace(after=first)
        if not now - LONGEST_BEHIND <= found.after <= now:
            found = ReportPlace(after=min(max(found.after, now - LONGEST_BEHIND), now))
        return found

    def until(self, place: ReportPlace, now: datetime) -> datetime:
        """Return up to when to ask."""
        return min(now, place.after + self.span)

    def heard(
        self, place: ReportPlace, question: Question, answer: Answer, now: datetime, *, is_last: bool = True
    ) -> Heard:
        """Return the rows that are new, or say more than before; `is_last` unless there is more of the same answer."""
        kept = place.model_dump(mode="json")
        try:
            rows = self.rows_of(json.loads(answer.body))
        except (ValueError, RecursionError):
            return Heard((answer.body,), answer.media_type, kept, odd="its answer is no JSON")
        except Malformed as error:
            return Heard((answer.body,), answer.media_type, kept, odd=f"its answer is not as expected: {error}")
        seen = dict(place.seen)
        new = [row for each in rows for row in self._news(each, place, seen, now)]
        until = min(question.until or now, now - self.settle)
        after = max(place.after, until - self.overlap) if is_last else place.after
        later = _later(after, seen)
        bodies = tuple(json.dumps(self.body_of(part)).encode() for part in self._parts(new))
        return Heard(bodies, "application/json", later.model_dump(mode="json"))

    def _news(self, raw: Any, place: ReportPlace, seen: dict[str, tuple[int, ...]], now: datetime) -> Iterator[Any]:
        """Yield a row if it is new, what it says more if it is known; note it."""
        try:
            row = self.row_of(table(raw, "row"))
            counts = self._counts(raw)
        except Malformed:  # for quarantine, once
            token = _token(json.dumps(raw, sort_keys=True))
            if token not in seen:
                seen[token] = (int(now.timestamp()), 0)
                yield raw
            return
        if self.only and not self.only.intersection(str(raw.get(each)) for each in self.ids):
            return
        if not place.after < row.end <= now - self.settle:
            return
        token = _token(row.key)
        known = seen.get(token)
        if known is None:
            seen[token] = (int(row.end.timestamp()), 0, *counts)
            yield raw
            return
        end_s, word, *before = known
        pairs = list(zip(counts, before, strict=False))
        grown = [max(later - earlier, 0) for later, earlier in pairs]
        if any(grown):  # a count that has shrunk stays: what was told of people who passed is not taken back
            seen[token] = (end_s, word + 1, *(max(pair) for pair in pairs))
            yield {**raw, **dict(zip(self._names(raw), grown, strict=True)), REVISION: word + 1}

    def _parts(self, rows: list[Any]) -> Iterator[list[Any]]:
        """Yield the rows in parts that are not too large, those of one device together and in their order."""
        part: list[Any] = []
        size, devices = 0, set[str]()
        for row in sorted(rows, key=self._device):
            row_size = len(json.dumps(row)) + 2
            if part and (size + row_size > MAX_BODY_BYTES or len(devices | {self._device(row)}) > MAX_DEVICES):
                yield part
                part, size, devices = [], 0, set()
            part.append(row)
            size += row_size
            devices.add(self._device(row))
        if part:
            yield part

    def _device(self, row: Any) -> str:
        return next((str(row[each]) for each in self.ids if row.get(each)), "") if isinstance(row, dict) else ""

    def _names(self, raw: dict[str, Any]) -> list[str]:
        return [next((each for each in names if raw.get(each) is not None), names[0]) for names in self.counts]

    def _counts(self, raw: dict[str, Any]) -> list[int]:
        return [people(raw.get(name) or 0, name) for name in self._names(raw)]


def first_of_day(now: datetime, zone: ZoneInfo) -> datetime:
    """Return the beginning of the local day: where a source begins that was never read, so that the day is whole."""
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def told_apart(rows: list[Any], zone: ZoneInfo, line: Sequence[str], times: Sequence[str]) -> list[Any]:
    """Return the rows, those of the second half of autumn's doubled hour with the offset behind their local times.

    The rows of each line, which the fields `line` name, are in the order of time.
    """
    clocks: dict[tuple[str, ...], WallClock] = {}
    found = []
    for row in rows:
        if not isinstance(row, dict):
            found.append(row)
            continue
        named = tuple(str(row.get(each)) for each in line)
        marked = dict(row)
        for name in times:
            clock = clocks.setdefault((*named, name), WallClock(zone))
            with suppress(Malformed):
                at = clock.moment(row.get(name), name)
                if at != moment(row.get(name), name, zone):
                    marked[name] = f"{row[name]}{at.astimezone(zone):%z}"
        found.append(marked)
    return found


def listed(words: str) -> frozenset[str]:
    """Return the ids of a list with commas."""
    return frozenset(each.strip() for each in words.split(",") if each.strip())


def _later(after: datetime, seen: dict[str, tuple[int, ...]]) -> ReportPlace:
    """Return the place: windows that are done with are forgotten, and the oldest ones if there are too many."""
    after_s = int(after.timestamp())
    kept: Sequence[tuple[str, tuple[int, ...]]] = sorted(
        ((token, each) for token, each in seen.items() if each[0] > after_s), key=lambda item: item[1][0]
    )
    if len(kept) > MAX_SEEN:
        after_s = kept[-MAX_SEEN - 1][1][0]
        kept = [each for each in kept if each[1][0] > after_s]
        after = datetime.fromtimestamp(after_s, UTC)
    return ReportPlace(after=after, seen=dict(kept))


def _token(key: str) -> str:
    return blake2b(key.encode(errors="replace"), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Reported(ABC):
    """A way of asking for a report, again and again; what a vendor's own comes to is its question."""

    url: str
    zone: ZoneInfo
    """Of the days by which the vendor is asked."""
    report: Report

    def ask(self, place: JsonValue, now: datetime) -> Question:
        """Return the question for the rows that are not done with."""
        begin = self.begin(place, now)
        return self.question(begin.after, self.report.until(begin, now))

    @abstractmethod
    def question(self, after: datetime, until: datetime) -> Question:
        """Return the question for what ended after one time, until another."""

    def heard(self, place: JsonValue, question: Question, answer: Answer, now: datetime) -> Heard:
        """Return the rows that are new."""
        return self.report.heard(self.begin(place, now), question, answer, now)

    def begin(self, place: JsonValue, now: datetime) -> ReportPlace:
        """Return from where reading goes on; from the beginning of the day where it has not begun."""
        return self.report.begin(place, now, first_of_day(now, self.zone))
