"""The bus of a data folder, started for one command: nobody else gets the folder before it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cli import bus_alone as alone
from cli.bus_alone import bus_alone
from cli.bus_server import BusServer
from cli.data_folder import DataFolder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    found: list[subprocess.Popen[bytes]] = []
    real = BusServer.start

    def start(server: BusServer, log_file: Path) -> subprocess.Popen[bytes]:
        found.append(real(server, log_file))
        return found[-1]

    monkeypatch.setattr(BusServer, "start", start)
    return found


def test_a_bus_that_does_not_stop_is_ended_before_the_folder_is_given_up(
    tmp_path: Path,
    started: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(alone, "STOP_S", 0.2)
    with bus_alone(DataFolder(tmp_path / "data"), None, None, None):
        [server] = started
        os.kill(server.pid, signal.SIGSTOP)  # it answers nothing any more, SIGTERM neither
    assert server.returncode == -signal.SIGKILL
    assert "was ended" in capsys.readouterr().err
    with bus_alone(DataFolder(tmp_path / "data"), None, None, None) as address:
        assert address.url


def test_a_bus_does_not_stay_behind_where_its_command_is_broken_off(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen.wait

    def wait(server: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return real(server)

    def work() -> None:
        with bus_alone(DataFolder(tmp_path / "data"), None, None, None):
            os.kill(started[0].pid, signal.SIGSTOP)
            monkeypatch.setattr(subprocess.Popen, "wait", wait)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert started[0].returncode == -signal.SIGKILL
