"""A drill is silent: a backup with live channels and sources is looked at, and nobody outside hears of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.keys import Role, make_key, write_key
from tests.conftest import ROOT
from tests.daytime import zone_at_noon
from tests.e2e.test_up import Up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up"), pytest.mark.timeout(300)]

LIBRARY = """\
[[libraries]]
id = "central"
name = "Central"
time_zone = "ZONE"
opening_hours = "24/7"
capacity = 100
gates = [{ id = "front" }]
[[libraries.channels]]
type = "ntfy"
server = "http://127.0.0.1:PORT"
topic = "drill"
min_interval_min = 0
[[libraries.sources]]
id = "doors"
type = "poll"
url = "http://127.0.0.1:PORT"
every_s = 1
"""
POLLS = 5
"""So many times the source would have been asked while we wait."""


class Outside:
    """Everybody to whom the house talks, on one port; it remembers who was asked for what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outside.asked.append(f"{self.command} {self.path}")
                body = b"{}" if self.command == "POST" else b"[]"
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer  # noqa: N815  http.server calls them so

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def posts(self) -> int:
        return sum(each.startswith("POST") for each in self.asked)

    @property
    def polls(self) -> int:
        return len(self.asked) - self.posts


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def house(tmp_path: Path, outside: Outside) -> Iterator[Up]:
    config = tmp_path / "libraries.toml"
    config.write_text(LIBRARY.replace("PORT", str(outside.port)).replace("ZONE", zone_at_noon()))
    up = Up(tmp_path / "data", config)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.process.kill()
        up.process.wait()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_restored_house_in_a_drill_shows_its_figures_and_tells_nobody(house: Up, outside: Outside) -> None:
    made = make_key("tablet", Role.STAFF, (), None)
    write_key(house.config, "central", made)
    house.start("--no-simulate")
    send(house, made.key, 98)
    # The house is one that speaks and asks: else the silence of the drill would prove nothing.
    house.until(lambda: outside.posts > 0 and outside.polls > 0)
    backups = house.folder.with_name("backups")
    done = command("backup", str(backups), "--data", str(house.folder))
    assert done.returncode == 0, done.stderr
    assert house.interrupt() == 0

    drill = house.folder.with_name("drill")
    done = command("restore", str(backups), "--data", str(drill))
    assert done.returncode == 0, done.stderr
    assert f"Restored into {drill}" in done.stdout
    outside.asked.clear()
    api = start_drill(house, drill)
    status = httpx.get(f"{api}/v1/libraries/central", trust_env=False)
    assert status.status_code == 200
    assert status.json()["name"] == "Central"
    time.sleep(POLLS)
    assert outside.asked == []
    looked = command("doctor", "--json", "--data", str(drill))
    findings: list[dict[str, Any]] = json.loads(looked.stdout)["findings"]
    assert [each for each in findings if each["severity"] == "wrong"] == []
    assert "drill" in {each["subject"] for each in findings}
    assert not any("ingest" in each["subject"] or "publisher" in each["subject"] for each in findings)
    assert house.interrupt() == 0
    assert outside.asked == []


def send(house: Up, key: str, people: int) -> None:
    answer = httpx.post(
        f"{house.ingest}/v1/readings",
        json={"kind": "head_count", "library": "central", "people": people},
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text


def start_drill(house: Up, folder: Path) -> str:
    """Start `up --drill` as docs/backup.md says, and return the page's address."""
    output = folder.with_suffix(".out")
    with output.open("ab") as file:
        house.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--data", str(folder), "--drill"],
            cwd=ROOT,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    house.until(lambda: "Placelibre is running: drill" in output.read_text() or house.process.poll() is not None)  # type: ignore[union-attr]
    assert house.process.poll() is None, output.read_text()
    api: str = json.loads((folder / "up.json").read_text())["api"]
    return api


def test_a_drill_refuses_what_would_let_something_in(house: Up) -> None:
    done = command("up", "--data", str(house.folder), "--drill", "--mqtt-port", "1883")
    assert done.returncode == 1
    assert "leave --mqtt-port out" in done.stderr
    assert not house.folder.exists()
