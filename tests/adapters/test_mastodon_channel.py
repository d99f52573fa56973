"""Servers with Mastodon's API keep what every channel promises, each dialect in its own way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.suite import ChannelSuite, World
from tests.fakes.http_server import Fault
from tests.fakes.mastodon import DIALECTS, TOKEN, FakeMastodon, running


class Mastodon(World):
    type = "mastodon"
    secret = TOKEN

    def __init__(self, fake: FakeMastodon) -> None:
        self.fake = fake

    @property
    def server(self) -> str:
        return self.fake.base

    def script(self, *faults: Fault) -> None:
        self.fake.faults.extend(faults)

    async def public(self) -> list[str]:
        return [post.text for post in self.fake.posts]

    async def pinned(self) -> list[str]:
        return [post.text for post in self.fake.posts if post.is_pinned]

    def dialled(self) -> int:
        return len(self.fake.requests)


@pytest.fixture(params=list(DIALECTS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[Mastodon]:
    async with running(FakeMastodon(dialect=DIALECTS[request.param])) as fake:
        yield Mastodon(fake)


class TestMastodon(ChannelSuite):
    """Over all four dialects."""
