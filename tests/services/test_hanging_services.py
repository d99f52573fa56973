"""A service that runs and does not answer is ended and started again; one that is merely slow, or waits, is not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cli.children import Children, Program
from cli.liveness import AWAY_S, Liveness
from cli.service_manager import ServiceManager
from cli.supervisor import Patience, is_hung
from tests.conftest import free_port

QUICK = Patience(first_delay_s=0.05, max_delay_s=1, healthy_after_s=10, stop_s=0.5, hung_after_s=1.5, first_answer_s=20)
SERVICE = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def test_silence_counts_from_the_last_answer_and_a_start_gets_longer() -> None:
    patience = Patience()
    assert not is_hung(0, None, patience.first_answer_s - 1, patience)
    assert is_hung(0, None, patience.first_answer_s, patience)
    assert not is_hung(0, 500, 500 + patience.hung_after_s - 1, patience)
    assert is_hung(0, 500, 500 + patience.hung_after_s, patience)


@pytest.fixture
def children() -> Iterator[tuple[Children, list[str]]]:
    said: list[str] = []
    made = Children(say=said.append, hear=said.append, patience=QUICK)
    yield made, said
    made.stop_requests = 2
    made.stop()


def add(children: Children, folder: Path) -> int:
    port = free_port()
    command = [sys.executable, "-c", SERVICE, str(port)]
    at = ("127.0.0.1", port)
    children.add(Program("service", command, dict(os.environ), folder / "service.log", 1, answers_at=at))
    liveness = children.children["service"].liveness
    assert liveness is not None
    liveness.ask_every_s = 0.1
    return port


def test_a_service_that_hangs_is_ended_said_so_of_and_started_again(
    children: tuple[Children, list[str]], tmp_path: Path
) -> None:
    supervisor, said = children
    add(supervisor, tmp_path)
    child = supervisor.children["service"]
    assert child.liveness is not None
    assert supervisor.tick_until(lambda: has_answered(child.liveness), 20)
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGSTOP)
    assert supervisor.tick_until(lambda: child.starts == 2 and has_answered(child.liveness), 40), said
    assert "service has not answered for" in said[0]
    assert "was ended by SIGKILL; starting it again" in said[1]
    assert len(said) == 2


def has_answered(liveness: Liveness | None) -> bool:
    assert liveness is not None
    return liveness._answered_s is not None


def test_a_service_that_answers_is_left_alone(children: tuple[Children, list[str]], tmp_path: Path) -> None:
    supervisor, said = children
    add(supervisor, tmp_path)
    child = supervisor.children["service"]
    assert supervisor.tick_until(lambda: has_answered(child.liveness), 20)
    supervisor.tick_until(lambda: False, 2 * QUICK.hung_after_s)
    assert (child.starts, said) == (1, [])


class Broken(BaseHTTPRequestHandler):
    """Answers with an error."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_error_is_no_sign_of_life() -> None:
    patience = Patience(first_answer_s=1.0)
    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        liveness = Liveness(("127.0.0.1", server.server_port), patience, ask_every_s=0.05)
        began_s = time.monotonic()
        while not liveness.is_hung(1, time.monotonic()):
            assert time.monotonic() < began_s + 30
            time.sleep(0.01)
        assert time.monotonic() - began_s >= patience.first_answer_s
        liveness.give_up()
        server.shutdown()
        serving.join()


def test_a_supervisor_that_was_stopped_itself_judges_nobody_by_that() -> None:
    liveness = Liveness(("127.0.0.1", free_port()), Patience())
    assert not liveness.is_hung(1, 0.0)
    assert not liveness.is_hung(1, 5000.0)
    for second in range(1, int(AWAY_S)):
        assert not liveness.is_hung(1, 5000.0 + second)


def test_each_start_is_judged_by_itself() -> None:
    patience = Patience(first_answer_s=10)
    liveness = Liveness(("127.0.0.1", free_port()), patience)
    assert [liveness.is_hung(1, float(second)) for second in range(11)] == [False] * 10 + [True]
    assert not liveness.is_hung(2, 11.0)


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_the_start_the_beats_and_the_end(tmp_path: Path, *, is_abstract: bool) -> None:
    name = f"@placelibre-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name[1:]}" if is_abstract else name)
        heard.settimeout(5)
        manager = ServiceManager.of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"})
        manager.ready("the page is on http://127.0.0.1:8000")
        assert heard.recv(200) == b"READY=1\nSTATUS=the page is on http://127.0.0.1:8000"
        manager.beat()
        manager.beat()  # ten seconds have not passed
        manager.stopping()
        assert [heard.recv(200), heard.recv(200)] == [b"WATCHDOG=1", b"STOPPING=1"]


def test_without_a_service_manager_nothing_is_said_and_nothing_fails() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "often"}):
        manager = ServiceManager.of(environment)
        manager.ready("")
        manager.beat()
        manager.stopping()
