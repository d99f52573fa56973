"""What the runbook says to look for in the bus's log is what nats-server writes there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import nats.errors

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.runtime.bus import connected
from tests.conftest import ROOT, free_port, settings_for

PAGES = (ROOT / "docs" / "runbook.md", *(ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
TO_BE_FOUND = {"authentication error", "Publish Violation", "Subscription Violation"}
REFUSED_S = 1.5
"""For a key that the bus does not know: it is tried again for ever, so somebody has to stop."""


async def refused(server: BusServer, stranger: BusServer) -> None:
    """Come with a key of another bus, and say with a right one what it is not for."""
    try:
        async with (
            asyncio.timeout(REFUSED_S),
            connected([server.url], settings_for(stranger, "api").nats_seed, "api"),
        ):
            raise AssertionError("let in with a key of another bus")
    except (TimeoutError, nats.errors.Error):
        pass
    async with connected([server.url], settings_for(server, "api").nats_seed, "api") as bus:
        await bus.client.publish(subjects.readings(0), b"x")
        await bus.client.subscribe(subjects.ANY_READINGS)
        await bus.client.flush()


async def test_a_refusal_is_in_the_bus_s_log_in_the_words_of_the_runbook(tmp_path: Path) -> None:
    server = BusServer(tmp_path / "bus", free_port(), free_port(), sync="2m")
    stranger = BusServer(tmp_path / "stranger", free_port(), free_port(), sync="2m")
    stranger.prepare()
    process = await asyncio.to_thread(server.start, tmp_path / "bus.log")
    try:
        await refused(server, stranger)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
    log = (tmp_path / "bus.log").read_text()
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for words in TO_BE_FOUND:
        assert words in log
        assert f"`{words}" in pages
    assert re.search(r'authentication error - Nkey "U[A-Z2-7]{55}"', log), "the runbook says how to find whose it is"
    # These two are in the log of a branch's own bus, which is told so by ours.
    told = set(re.findall(r"`([A-Za-z' ]*[Vv]iolation'?)", pages)) - TO_BE_FOUND
    assert told <= {"Authorization Violation", "Leafnode Error 'Authorization Violation'"}, told
