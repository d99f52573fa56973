"""Whose a message is: what a purge takes out, and what it leaves because it is somebody else's."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cli.purging.erasing import erase, look
from cli.purging.places import Place, Share, of_device, of_library, of_person
from services.ingest.bodies import Fault
from services.ingest.store import quarantine
from shared.contracts import subjects
from shared.runtime.bus import Bus
from shared.runtime.clock import now

READINGS = subjects.readings(subjects.partition_of("north"))


def judged(places: list[Place], stream: str, subject: str, body: dict[str, Any]) -> list[Share]:
    value = json.dumps(body, separators=(",", ":")).encode()
    found = [each.judge(subject, value) for each in places if each.stream == stream and looks_at(each, subject)]
    return [each for each in found if each is not Share.NONE]


def looks_at(place: Place, subject: str) -> bool:
    patterns = [each.replace(".", r"\.").replace("*", "[^.]+").replace(">", ".+") for each in place.filters]
    return any(re.fullmatch(each, subject) for each in patterns)


def said(library: str, by: str, kind: str = "head_count") -> dict[str, Any]:
    return {"kind": kind, "library": library, "id": "h", "people": 3, "by": by, "note": "by the stairs"}


@pytest.mark.parametrize("stream", [subjects.READINGS, subjects.DEAD])
@pytest.mark.parametrize("kind", ["head_count", "of-a-later-version"])
@pytest.mark.parametrize(
    ("readings", "share"),
    [
        ([said("north", "ab")], [Share.WHOLE]),
        ([said("north", "ab"), said("north", "cd")], [Share.SHARED]),
        ([said("north", "cd")], []),
        ([said("south", "ab")], []),
        ([{"library": "north", "by": {"not": "a name"}}], []),
    ],
)
def test_what_a_person_said_is_found_in_the_log_and_among_what_was_given_up_on(
    stream: str, kind: str, readings: list[dict[str, Any]], share: list[Share]
) -> None:
    """A reading of a later version is given up on by this one, and must be found by it all the same."""
    body = {"received_at": "2026-11-23T11:00:00Z", "readings": [{**each, "kind": kind} for each in readings]}
    subject = READINGS if stream == subjects.READINGS else subjects.dead_letter("aggregator", "reading")
    assert judged(of_person("north", "ab"), stream, subject, body) == share


async def test_a_device_s_requests_go_and_those_of_a_device_of_the_same_name_elsewhere_stay(operator: Bus) -> None:
    for library in ("north", "south"):
        raw = json.dumps({"kind": "gate_count", "library": library, "gate": "nope"}).encode()
        await quarantine(operator, [Fault(0, "unknown-gate", "no such gate", raw)], library, "front", now(), 5)
    garbage = [Fault(0, "not-json", "not JSON", b"\xff\xfe")]
    await quarantine(operator, garbage, "south", "front", now(), 5)
    older = {"device": "front", "items": [{"raw": "bm8gSlNPTg=="}]}  # of a version that did not say whose it is
    await operator.publish(subjects.quarantined("front"), json.dumps(older).encode())

    async def of(library: str) -> int:
        found = await look(operator, of_library(library, []))
        return sum(each.values for each in found if each.place.stream == subjects.QUARANTINE)

    assert (await of("north"), await of("south")) == (1, 2)
    found = await look(operator, of_device("north", "front", []))
    assert sum(each.shared for each in found) == 1  # nobody knows whose the older one is, so it is told with its end
    assert await erase(operator, found) == {subjects.QUARANTINE: 1}
    assert (await of("north"), await of("south")) == (0, 2)
    assert (await operator.jetstream.stream_info(subjects.QUARANTINE)).state.messages == 3


def test_what_another_library_s_sender_said_of_this_one_is_its_own_too() -> None:
    raw = {"library": "south", "device": "front", "items": [{"raw": "eyJsaWJyYXJ5Ijoibm9ydGgifQ=="}]}
    subject = subjects.quarantined("front")
    assert judged(of_library("north", []), subjects.QUARANTINE, subject, raw) == [Share.SHARED]


@pytest.mark.parametrize(
    ("body", "share"),
    [
        ({"items": [{"raw": "bm8gSlNPTg=="}]}, [Share.SHARED]),
        ({"items": []}, [Share.SHARED]),
        ({"items": [{"raw": "eyJsaWJyYXJ5Ijoibm9ydGgifQ=="}]}, [Share.WHOLE]),
        ({"library": "", "items": [{"raw": "bm8gSlNPTg=="}]}, []),
        ({"library": "south", "items": [{"raw": "bm8gSlNPTg=="}]}, []),
    ],
    ids=["of nobody", "empty", "names it", "of a source of many", "of another"],
)
def test_what_an_older_version_has_put_into_quarantine_of_a_device_is_told_where_it_names_no_library(
    body: dict[str, Any], share: list[Share]
) -> None:
    subject = subjects.quarantined("front")
    assert judged(of_device("north", "front", []), subjects.QUARANTINE, subject, {"device": "front", **body}) == share
    of_all = judged(of_library("north", []), subjects.QUARANTINE, subject, {"device": "front", **body})
    assert of_all == [each for each in share if each is Share.WHOLE]
