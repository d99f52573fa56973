"""The console keeps what every channel promises."""

from __future__ import annotations

import io

import pytest

from services.publisher.channels.console import ConsoleChannel
from tests.adapters.suite import ChannelSuite, World
from tests.fakes.http_server import Fault


class Console(World):
    type = "console"
    account = ""
    secret = ""

    def __init__(self, printed: io.StringIO) -> None:
        self.printed = printed

    def script(self, *faults: Fault) -> None:
        """Standard output does not fail in these ways."""

    async def public(self) -> list[str]:
        return [line for line in self.printed.getvalue().splitlines() if not line.startswith(" ")]


class TestConsole(ChannelSuite):
    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch) -> World:
        printed = io.StringIO()
        original = ConsoleChannel.__init__
        monkeypatch.setattr(ConsoleChannel, "__init__", lambda self, stream=None: original(self, stream or printed))
        return Console(printed)
