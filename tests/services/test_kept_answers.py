"""What is kept of answers: for whom, for how long, and who finds no place while others are being drawn."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest

from services.api.documents import Documents
from services.api.pages.rendering import Kept
from services.api.problems import ProblemRaised
from services.api.routes import qr, signs
from shared.domain.level import Level
from shared.domain.occupancy import Estimate
from shared.domain.status import Reason, ReasonCode, State
from shared.runtime.sign import Panel
from tests.services.api_running import NOON, public
from tests.services.views_stage import NO_FIGURES, Stage, configured

CLOSED: Mapping[str, object] = {**NO_FIGURES, "state": State.CLOSED, "reason": Reason(ReasonCode.CLOSED_BY_HOURS)}
LIMIT_S = 10


def stage_with(*libraries: str) -> Stage:
    """Return a stage where these libraries stand at one place."""
    stage = Stage()
    for library in libraries:
        stage.put(public(library=library))
        stage.parts.profiles.put(configured(library))
    return stage


# Renderings


def test_what_is_asked_for_again_outlives_what_came_later() -> None:
    kept = Kept(30)
    for key in ("asked", "once"):
        kept.get(key, lambda: b"x" * 10)
    assert kept.get("asked", lambda: b"made anew") == b"x" * 10
    kept.get("large", lambda: b"x" * 20)
    assert ("asked" in kept, "once" in kept, "large" in kept, kept.size) == (True, False, True, 30)
    kept.get("larger than all", lambda: b"x" * 31)
    assert ("larger than all" in kept, kept.size) == (False, 0)


async def test_no_search_takes_the_place_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.pages.rendering.TYPED_BYTES_MAX", 10_000)
    drawn: list[str] = []
    stage = stage_with("few")

    def links(path: str, *_: object) -> list[object]:
        drawn.append(path)
        return []

    monkeypatch.setattr("services.api.pages.overview.links_to", links)
    for number in range(20):
        await stage.client.get(f"/?lang=en&q=word{number}")
    drawn.clear()
    await stage.client.get("/?lang=en&q=word0")
    assert drawn == ["/"]  # the searches have pushed each other out


async def test_what_is_near_is_not_said_to_hold_longer_than_it_does() -> None:
    stage = stage_with("here", "near")
    stage.put(public(library="here", **CLOSED, valid_until=NOON + timedelta(days=3)))
    stage.put(public(library="near", level=Level.MANY_SEATS, valid_until=NOON + timedelta(seconds=62)))

    async def valid_s() -> int:
        page = (await stage.client.get("/l/here?lang=en&fragment=1")).text
        [found] = re.findall(r'data-library="near"[^>]* data-valid-s="(\d+)"', page)
        return int(found)

    assert await valid_s() == 60
    stage.wall.at = NOON + timedelta(seconds=55)
    assert await valid_s() == 7


async def test_who_gets_a_seat_is_in_another_situation() -> None:
    """A level may stay while the last seat comes or goes, and only a library with seats is offered."""
    stage = stage_with("here", "near")
    stage.put(public(library="here", **CLOSED, valid_until=NOON + timedelta(days=3)))

    async def situations(**changes: object) -> list[str]:
        stage.put(public(library="near", level=Level.FEW_SEATS, **changes))
        return re.findall(r'data-situation="([^"]*)"', (await stage.client.get("/l/here?lang=en")).text)

    [none_left] = await situations(revision=2, people=Estimate(120, 118, 122))
    assert none_left.startswith("open few_seats none")
    later = NOON + timedelta(seconds=1)
    assert await situations(revision=3, as_of=later, people=Estimate(110, 108, 112)) == []
    soon = NOON + timedelta(minutes=30)
    [closing] = await situations(revision=4, as_of=later, people=Estimate(110, 108, 112), next_change=soon)
    assert closing == "open few_seats seats " + public(next_change=soon).model_dump(mode="json")["next_change"]


# Addresses


@pytest.mark.parametrize("host", ["a" * 3000, 'other"<x>.example'])
@pytest.mark.parametrize(
    "path", ["/display/few", "/display?library=few", "/v1/libraries/few/sign.png", "/v1/libraries/few/qr.svg"]
)
async def test_what_is_no_host_is_refused_wherever_an_address_is_drawn(host: str, path: str) -> None:
    answer = await stage_with("few").client.get(path, headers={"host": host})
    assert answer.status_code == 422
    assert host not in answer.text


async def test_an_address_written_otherwise_is_the_same_screen() -> None:
    client = stage_with("few").client
    one = await client.get("/display/few?theme=auto&lang=en&rotate=012&name=on")
    other = await client.get("/display/few?languages=en")
    assert one.content == other.content
    assert (await client.get(f"/display/few?theme={'x' * 2000}&theme=light")).status_code == 422


# Crowds


class Slow:
    """Something that takes until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> bytes:
        """Wait, in a thread."""
        self.begun.set()
        self.may_end.wait(LIMIT_S)
        return b"slow"


async def test_a_crowd_keeps_nobody_from_what_is_there_or_under_way() -> None:
    documents, slow = Documents(2, waiting_max=1), Slow()
    await documents.get("there", lambda: b"there")
    first = asyncio.create_task(documents.get("slow", slow))
    await asyncio.to_thread(slow.begun.wait, LIMIT_S)
    second = asyncio.create_task(documents.get("slow", slow))
    with pytest.raises(ProblemRaised, match="documents-busy"):
        await documents.get("new", lambda: b"new")
    assert (await documents.get("there", lambda: b"anew")).body == b"there"
    slow.may_end.set()
    assert await first is await second
    assert (await documents.get("new", lambda: b"new")).body == b"new"


async def test_a_sign_that_is_drawn_is_given_while_others_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "WAITING_MAX", 1)
    slow, stage = Slow(), stage_with("few")
    small = "/v1/libraries/few/sign.png?width=100&height=50"
    assert (await stage.client.get(small)).status_code == 200

    def drawing(status: object, language: str, panel: Panel) -> bytes:
        return slow(status, language, panel)

    monkeypatch.setattr(signs, "_svg", drawing)
    under_way = asyncio.create_task(stage.client.get("/v1/libraries/few/sign.svg"))
    await asyncio.to_thread(slow.begun.wait, LIMIT_S)
    refused = await stage.client.get("/v1/libraries/few/sign.svg?width=300")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/signs-busy")
    assert refused.headers["retry-after"] == "10"
    assert (await stage.client.get(small)).status_code == 200
    slow.may_end.set()
    assert (await under_way).content == b"slow"


async def test_codes_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qr, "WAITING_MAX", 0)
    refused = await stage_with("few").client.get("/v1/libraries/few/qr.png")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
