"""The conformance suite: what every format promises. A format's test module gives `FormatSuite` its cases.

class TestFootfallCam(FormatSuite):
    format = "footfallcam"
    cases = (case("one-in", '{"RoiId": 1, …}', (report(…),)), …)
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.fields import MAX_PEOPLE, MAX_REGISTER
from services.ingest.devices.format import FLAGS, Context, DeviceReport, Measurement, Unreadable
from shared.contracts.devices import Mapping
from shared.domain.meaning import COUNTING, Meaning

FUZZED = int(os.environ.get("FUZZED_BODIES", "200"))
"""Fuzzed bodies per format; `make test-devices` tries ten thousand."""
RECEIVED_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
CANARY = "CanaryPicture7f3aCanaryPicture7f3a"
"""Stands wherever a device sends what must not be kept: pictures, ages, ids of people."""


@dataclass(frozen=True)
class Case:
    """One body as a device sends it, and what it says."""

    name: str
    body: bytes
    reports: tuple[DeviceReport, ...]
    media_type: str = "application/json"
    topic: str = ""
    mapping: Mapping | None = field(default=None, repr=False)

    @property
    def context(self) -> Context:
        """A library in Paris, at noon UTC."""
        return Context(PARIS, RECEIVED_AT, self.mapping)


def case(
    name: str,
    body: str | bytes | object,
    reports: Sequence[DeviceReport],
    media_type: str = "application/json",
    topic: str = "",
    mapping: Mapping | None = None,
) -> Case:
    """Return a case; a body that is neither text nor bytes is written as JSON."""
    if not isinstance(body, str | bytes):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return Case(name, data, tuple(reports), media_type, topic, mapping)


class FormatSuite:
    """Subclass it with a format's name and cases; the first case is the richest one."""

    format: str
    cases: tuple[Case, ...]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=[each.name for each in self.cases])

    def test_a_body_says_what_its_maker_documents(self, case: Case) -> None:
        found = self._read(case, case.body)
        assert [_plain(each) for each in found] == [_plain(each) for each in case.reports]

    def test_no_other_format_takes_it_for_its_own(self, case: Case) -> None:
        if case.mapping is not None or document_of(case.body, case.media_type, case.topic).is_binary:
            pytest.skip("such a source names its format")
        names = devices.recognised(document_of(case.body, case.media_type, case.topic))
        assert names == [self.format]

    def test_a_body_cut_anywhere_is_refused_or_read_in_part(self, case: Case) -> None:
        whole = {_identity(each) for report in self._read(case, case.body) for each in report.measurements}
        for end in range(0, len(case.body), max(1, len(case.body) // 60)):
            for report in self._read_if_it_can_be(case, case.body[:end]):
                for each in report.measurements:
                    assert _identity(each) in whole, f"cut at {end} it says what the whole does not"

    def test_the_same_body_says_the_same(self, case: Case) -> None:
        assert self._read(case, case.body) == self._read(case, case.body)

    def test_nothing_personal_comes_out(self, case: Case) -> None:
        assert CANARY not in repr(self._read(case, case.body))

    def test_fuzzed_bodies_never_count_what_cannot_be(self) -> None:
        generator = random.Random(self.format)  # so that a failure comes again
        for number, (case, body) in enumerate(fuzzed(self.cases, generator, FUZZED)):
            for report in self._read_if_it_can_be(case, body):
                for each in report.measurements:
                    fault = _fault_of(each)
                    assert not fault, f"body {number} of {case.name}: {fault}: {body[:2000]!r}"
                assert set(report.flags) <= FLAGS.keys()

    def _read(self, case: Case, body: bytes) -> tuple[DeviceReport, ...]:
        document = document_of(body, case.media_type, case.topic)
        return devices.read(document, case.context, None if case.mapping else self.format).reports

    def _read_if_it_can_be(self, case: Case, body: bytes) -> tuple[DeviceReport, ...]:
        document = document_of(body, case.media_type, case.topic)
        for each in devices.formats().values():
            each.recognises(document)  # never raises
        try:
            return devices.read(document, case.context, None if case.mapping else self.format).reports
        except Unreadable as error:
            words = str(error)
        assert CANARY not in words
        assert len(words) < 2000
        return ()


def _plain(report: DeviceReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__slots__ if name != "faults"} | {
        "faults": [each.place for each in report.faults]
    }


def _identity(each: Measurement) -> tuple[object, ...]:
    return (each.line, each.meaning, each.forward, each.backward, each.value, each.start, each.end, each.key)


def _fault_of(each: Measurement) -> str:
    """Return what cannot be right about a figure, or nothing."""
    if not each.line or len(each.line) > 120 or not each.line.isprintable():
        return "its line has no usable name"
    is_counting = each.meaning in COUNTING
    counts = [count for count in (each.forward, each.backward) if count is not None]
    if is_counting != bool(counts) or is_counting == (each.value is not None):
        return "passages belong in forward and backward, the rest in value"
    most = MAX_REGISTER if each.meaning in {Meaning.TOTAL, Meaning.DAY_TOTAL} else MAX_PEOPLE
    if not all(type(count) is int and 0 <= count <= most for count in counts):
        return "a count is out of range"
    if each.value is not None and not 0 <= each.value <= MAX_PEOPLE:
        return "a figure is out of range"
    if each.start is not None and (each.end is None or each.start > each.end):
        return "a window ends before it begins"
    if any(at is not None and at.tzinfo is None for at in (each.start, each.end)):
        return "a time without a zone"
    return ""


def fuzzed(cases: Sequence[Case], generator: random.Random, count: int) -> Iterator[tuple[Case, bytes]]:
    """Yield bodies with something broken: values of other kinds, keys gone, bytes turned, parts doubled or cut."""
    for _ in range(count):
        case = generator.choice(cases)
        body = case.body
        for _ in range(generator.randint(1, 4)):
            body = generator.choice(_BREAKERS)(body, generator)
        yield case, body


VALUES = (
    "-1", "0", "1e400", "-0", "3.5", "99999999999999999999", "true", "false", "null", '""', '"x"', '"-7"', "[]", "{}",
    "[[]]", '"\\u0000"', '"\\ud800"', '"1.0"', "1e3", "NaN", '"2026-02-30T25:61:00Z"', '"9999-12-31T23:59:59Z"',
    '"0001-01-01"', "1e18", '"' + "9" * 300 + '"',
)  # fmt: skip
TOKENS = (*(value.strip('"') for value in VALUES), "<a>", "&amp;", "&x;", "]]>", "\x00", "\xff", "{", "}", ",")


def _byte(body: bytes, generator: random.Random) -> bytes:
    if not body:
        return body
    at = generator.randrange(len(body))
    return body[:at] + bytes([generator.randrange(256)]) + body[at + 1 :]


def _cut(body: bytes, generator: random.Random) -> bytes:
    start, end = sorted((generator.randint(0, len(body)), generator.randint(0, len(body))))
    return body[:start] + body[end:]


def _double(body: bytes, generator: random.Random) -> bytes:
    start, end = sorted((generator.randint(0, len(body)), generator.randint(0, len(body))))
    return body[:end] + body[start:]


def _token(body: bytes, generator: random.Random) -> bytes:
    at = generator.randint(0, len(body))
    return body[:at] + generator.choice(TOKENS).encode() + body[at:]


def _number(body: bytes, generator: random.Random) -> bytes:
    """Put another value in the place of a number or a text."""
    places = [at for at, byte in enumerate(body) if chr(byte).isdigit()]
    if not places:
        return body
    start = generator.choice(places)
    end = start
    while end < len(body) and chr(body[end]).isdigit():
        end += 1
    return body[:start] + generator.choice(VALUES).encode() + body[end:]


def _json(body: bytes, generator: random.Random) -> bytes:
    """Change one value somewhere in a JSON tree; leave other bodies alone."""
    try:
        tree = json.loads(body)
    except ValueError:
        return _number(body, generator)
    spots: list[tuple[object, object]] = []
    stack = [tree]
    while stack:
        each = stack.pop()
        inner = (
            list(each.items()) if isinstance(each, dict) else list(enumerate(each)) if isinstance(each, list) else []
        )
        for key, value in inner:
            spots.append((each, key))
            stack.append(value)
    if not spots:
        return body
    holder, key = generator.choice(spots)
    if isinstance(holder, dict):
        if generator.random() < 0.3:
            del holder[key]
        else:
            holder[key] = _value(generator)
    elif isinstance(holder, list) and isinstance(key, int):
        holder[key] = _value(generator)
    return json.dumps(tree).encode()


def _value(generator: random.Random) -> object:
    try:
        value: object = json.loads(generator.choice(VALUES))
    except ValueError:
        return None
    return value


_BREAKERS = (_byte, _cut, _double, _token, _number, _json, _json, _json)
