"""`placelibre probe`: the same answer by the short way of health checks and by the whole command, and cheap."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cli.asking import probed, what_is_wrong
from cli.bus_folder.certificates import new_authority, new_server
from shared.runtime.clock import now
from shared.runtime.https import OwnCertificate
from tests.conftest import ROOT, free_port


class Answer(BaseHTTPRequestHandler):
    """Ready, not ready, or somewhere else."""

    def do_GET(self) -> None:
        status = {"/readyz": 200, "/elsewhere": 307}.get(self.path, 503)
        self.send_response(status)
        self.send_header("Location", "/readyz")
        self.end_headers()
        self.wfile.write(b"waiting:\n the bus")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(server: HTTPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def port() -> Iterator[int]:
    yield from serving(HTTPServer(("127.0.0.1", 0), Answer))


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    signed = new_server(new_authority(now()), ["devices.library.example"], now())
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_bytes(signed.certificate)
    key.write_bytes(signed.key)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.socket = OwnCertificate(certificate, key, "ingest").context.wrap_socket(server.socket, server_side=True)
    yield from serving(server)


def placelibre(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [("readyz", 0, "answers"), ("livez", 1, "answers 503: waiting: the bus"), ("elsewhere", 1, "answers 307")],
)
def test_both_ways_say_the_same(port: int, path: str, code: int, words: str) -> None:
    url = f"http://127.0.0.1:{port}/{path}"
    short = placelibre("probe", url)
    whole = placelibre("probe", "--timeout=3", url)  # a way of writing that the short one leaves to the whole command
    assert (short.returncode, short.stdout, short.stderr) == (whole.returncode, whole.stdout, whole.stderr)
    assert short.returncode == code
    assert words in short.stdout + short.stderr


def test_nobody_there_is_told() -> None:
    assert "does not answer" in str(what_is_wrong(f"http://127.0.0.1:{free_port()}/readyz", 3))
    assert "is no address" in str(what_is_wrong("127.0.0.1:8000", 3))


def test_a_certificate_is_looked_at_unless_it_is_one_s_own(tls_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"https://127.0.0.1:{tls_port}/readyz"
    assert probed([url]) == 1
    assert "certificate verify failed" in capsys.readouterr().err
    assert probed(["--own", url]) == 0
    assert probed([url, "--own", "--timeout", "5"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["-h"], ["a", "b"], ["--timeout", "soon", "http://a"], ["--timeout", "99", "http://a"], ["-x"]],
    ids=" ".join,
)
def test_what_no_health_check_writes_is_left_to_the_whole_command(arguments: list[str]) -> None:
    assert probed(arguments) is None
    told = placelibre("probe", *arguments)
    assert "Usage: placelibre probe" in told.stdout + told.stderr
    assert told.returncode == (0 if arguments in (["--help"], ["-h"]) else 2)


def test_a_health_check_reads_no_library_but_python_s_own(port: int) -> None:
    program = (
        "import sys; known = set(sys.modules); from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({each.partition('.')[0] for each in set(sys.modules) - known} - sys.stdlib_module_names)"
    )
    command = [sys.executable, "-c", program, "probe", f"http://127.0.0.1:{port}/readyz"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "{'cli'}"
