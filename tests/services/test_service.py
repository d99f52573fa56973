"""A service's end: by a signal in good order, by a failure with an error."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port

PROGRAM = """
import asyncio, sys
from pathlib import Path
from shared.runtime import service
from shared.runtime.health import Readiness, health_app

async def work() -> None:
    try:
        Path(sys.argv[2]).write_text("working")
        if sys.argv[3] == "fails":
            raise RuntimeError("out of paper")
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.2)
        Path(sys.argv[2]).write_text("finished")

asyncio.run(service.run(health_app(Readiness()), "127.0.0.1", int(sys.argv[1]), [work()]))
"""


def start(note: Path, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(free_port()), str(note), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_work_finish_and_the_exit_is_clean(tmp_path: Path, number: signal.Signals) -> None:
    note = tmp_path / "note"
    process = start(note, "waits")
    while not note.exists() or note.read_text() != "working":
        assert process.poll() is None
    process.send_signal(number)
    errors, _ = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert note.read_text() == "finished"


def test_work_that_fails_ends_the_process_with_an_error(tmp_path: Path) -> None:
    process = start(tmp_path / "note", "fails")
    errors, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"out of paper" in errors
