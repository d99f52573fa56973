"""Bluesky keeps what every channel promises, over a strict stand-in and over a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.suite import CANARY, ChannelSuite, World
from tests.fakes.bluesky import PROFILE, FakePds
from tests.fakes.http_server import Fault, listening


class Fake(World):
    """The stand-in."""

    type = "bluesky"

    def __init__(self, pds: FakePds) -> None:
        self.pds = pds

    @property
    def server(self) -> str:
        return self.pds.base

    @property
    def secret(self) -> str:
        return f'identifier = "{self.pds.identifier}"\npassword = "{self.pds.password}"\n'

    def script(self, *faults: Fault) -> None:
        self.pds.faults.extend(faults)

    async def public(self) -> list[str]:
        return [each["text"] for each in self.pds.posts()]

    async def pinned(self) -> list[str]:
        uri = self.pds.records.get((PROFILE, "self"), {}).get("pinnedPost", {}).get("uri", "")
        return [
            record["text"]
            for place, record in self.pds.records.items()
            if place != (PROFILE, "self") and self.pds.uri(*place) == uri
        ]

    def dialled(self) -> int:
        return len(self.pds.requests)


class TestBluesky(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[Fake]:
        async with listening(FakePds(password=CANARY)) as pds:
            yield Fake(pds)
