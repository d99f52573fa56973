"""`placelibre up` for real: one command, every process, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.keys import Role, make_key, write_key
from tests.conftest import ROOT, free_port

OWN = """\
[[libraries]]
id = "central"
name = "Central"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 100
"""
OPTIONS = ("port", "ingest-port", "aggregator-port", "publisher-port", "nats-port", "nats-monitor-port", "auditor-port")
SERVICES = ("api", "ingest", "aggregator", "publisher")


@dataclass
class Up:
    """A `placelibre up` on ports and a folder of its own."""

    folder: Path
    config: Path
    ports: dict[str, int] = field(default_factory=lambda: {option: free_port() for option in OPTIONS})
    process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        ports = [part for option, port in self.ports.items() for part in (f"--{option}", str(port))]
        command = [sys.executable, "-m", "cli.main", "up", "--data", str(self.folder), "--config", str(self.config)]
        with self.output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *ports, *arguments], cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )
        starts = self.output.count("Placelibre is running")
        self.until(lambda: self.output.count("Placelibre is running") > starts or self.process.poll() is not None)  # type: ignore[union-attr]
        assert self.process.poll() is None, self.output

    @property
    def output_file(self) -> Path:
        return self.folder.with_suffix(".out")

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    @property
    def ingest(self) -> str:
        return f"http://127.0.0.1:{self.ports['ingest-port']}"

    def ready(self, service: str) -> bool:
        option = "port" if service == "api" else f"{service}-port"
        return answers(f"http://127.0.0.1:{self.ports[option]}/readyz")

    def status(self, library: str) -> Any:
        response = httpx.get(f"{self.api}/v1/libraries/{library}", trust_env=False)
        return response.json() if response.is_success else None

    def descendants(self) -> dict[int, str]:
        assert self.process is not None
        return {pid: command for pid, command in processes() if parent_of(pid) == self.process.pid}

    def pid_of(self, name: str) -> int:
        return next((pid for pid, command in self.descendants().items() if name in command), 0)

    def until(self, is_so: Callable[[], bool], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code; what takes longer than 20 seconds is a failure."""
        assert self.process is not None
        left = {self.process.pid, *self.descendants()}
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        assert [pid for pid in left if is_alive(pid)] == [], self.output
        return code


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue


def parent_of(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc"),
    pytest.mark.xdist_group("up"),  # six processes each: one at a time on a small machine
    pytest.mark.timeout(300),
]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    config = tmp_path / "libraries.toml"
    config.write_text(OWN)
    up = Up(tmp_path / "data", config)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.process.kill()  # its children end with it
        up.process.wait()


def test_everything_answers_and_whatever_is_killed_comes_back(up: Up) -> None:
    up.start("--no-simulate")
    assert answers(f"{up.api}/")
    assert answers(f"{up.api}/v1/libraries")
    assert all(up.ready(service) for service in SERVICES)
    before = {name: up.pid_of(f"run {name}") for name in SERVICES} | {"nats-server": up.pid_of("nats-server")}
    assert all(before.values())
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in before.items():
        wanted = name if name == "nats-server" else f"run {name}"
        up.until(lambda wanted=wanted, pid=pid: up.pid_of(wanted) not in {0, pid})  # type: ignore[misc]
    up.until(lambda: all(up.ready(service) for service in SERVICES))
    assert answers(f"{up.api}/")
    for name in ("bus", *SERVICES):
        assert f"placelibre: {name} was ended by SIGKILL; starting it again" in up.output
    assert up.interrupt() == 0


@pytest.mark.slow
def test_what_was_counted_is_still_known_after_a_stop_and_a_start(up: Up) -> None:
    made = make_key("tablet", Role.STAFF, (), None)
    write_key(up.config, "central", made)
    up.start()
    reading = {"kind": "head_count", "library": "central", "people": 42}
    headers = {"Authorization": f"Bearer {made.key}"}
    assert httpx.post(f"{up.ingest}/v1/readings", json=reading, headers=headers, trust_env=False).status_code == 202

    def knows() -> bool:
        status = up.status("central")
        return bool(status and status["people"] and status["people"]["value"] == 42)

    up.until(knows)
    assert up.interrupt() == 0
    up.start()
    up.until(knows)
    assert up.interrupt() == 0


@pytest.mark.slow
def test_a_second_one_on_the_same_folder_is_refused_and_harms_nothing(up: Up) -> None:
    up.start()
    second = subprocess.run(
        [sys.executable, "-m", "cli.main", "up", "--data", str(up.folder), "--config", str(up.config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert f"another `placelibre up` is running on {up.folder}" in second.stderr
    assert up.api in second.stderr
    assert "Traceback" not in second.stderr
    assert all(up.ready(service) for service in SERVICES)


@pytest.mark.slow
def test_a_taken_port_is_named_with_its_option(up: Up) -> None:
    up.start()
    other = Up(up.folder.with_name("other"), up.config, ports=dict(up.ports))
    with pytest.raises(AssertionError, match=rf"port {up.ports['port']} \(--port\) is taken"):
        other.start()


@pytest.mark.slow
def test_nothing_outlives_an_up_that_is_killed_and_the_next_start_is_clean(up: Up) -> None:
    up.start()
    assert up.process is not None
    children = up.descendants()
    up.process.kill()
    up.process.wait()
    up.until(lambda: not any(is_alive(pid) for pid in children), 20)
    up.start()
    assert up.interrupt() == 0


def test_a_broken_configuration_starts_nothing(up: Up) -> None:
    up.config.write_text(OWN.replace("capacity", "capacty"))
    with pytest.raises(AssertionError, match="did you mean capacity"):
        up.start()
    assert not up.folder.exists()


RECORDED = """\
[[libraries]]
id = "door"
name = "Door (recorded)"
time_zone = "America/Los_Angeles"
opening_hours = "Mo-Su 07:00-22:00"
capacity = 60
clock = "recorded"
gates = [{ id = "front", silent_after_min = 60 }]
[[libraries.channels]]
type = "console"
min_interval_min = 0
"""
DAY = """\
time,in,out
2026-03-02 06:00:00,0,0
2026-03-02 07:00:00,10,0
2026-03-02 07:30:00,45,0
2026-03-02 08:00:00,0,40
2026-03-02 22:00:00,0,15
"""


@pytest.mark.slow
def test_a_recorded_day_takes_the_real_road_to_the_same_statuses_and_posts_as_offline(up: Up) -> None:
    up.config.write_text(RECORDED)
    day = up.folder.with_name("day.csv")
    day.write_text(DAY)
    command = [sys.executable, "-m", "cli.main", "replay", str(day), "--library", "door", "--config", str(up.config)]
    columns = ["--entries", "in", "--exits", "out", "--window-min", "30", "--data", str(up.folder), "--json"]
    up.start()
    sent = subprocess.run([*command, *columns], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(sent.stdout)["readings"] == 5
    again = subprocess.run([*command, *columns], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["stored"] == json.loads(sent.stdout)["stored"]
    offline = subprocess.run([*command, *columns, "--offline"], cwd=ROOT, capture_output=True, text=True, check=True)
    posts = [each["text"] for each in json.loads(offline.stdout)["posts"]]
    assert len(posts) == 5
    up.until(lambda: posts[-1] in up.output)
    printed = [line.partition("en  ")[2] for line in up.output.splitlines() if "door · console" in line]
    assert printed == posts
    last = json.loads(offline.stdout)["changes"][-1]
    assert {name: up.status("door")[name] for name in ("state", "level")} == {
        "state": last["state"],
        "level": last["level"],
    }
    assert up.interrupt() == 0


@pytest.mark.slow
def test_a_simulated_day_reaches_the_page_and_the_posts(up: Up) -> None:
    up.config.write_text((ROOT / "libraries.toml").read_text())
    up.start("--simulate", "--speed", "600")

    def is_busy() -> bool:
        status = up.status("bpi")
        return bool(status and status["people"] and status["people"]["value"] > 100 and status["queue"])

    up.until(is_busy)
    assert up.status("bpi")["clock"] == {"kind": "simulated", "speed": 600.0}
    up.until(lambda: "bpi · console · fr" in up.output)
    first = up.status("bpi")["as_of"]
    assert up.interrupt() == 0
    up.start("--simulate", "--speed", "600")
    # The second run plays the next day on which all are open: time never goes back.
    up.until(lambda: bool(up.status("bpi")["as_of"][:10] > first[:10]))
    doctor = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor", "--data", str(up.folder), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(doctor.stdout)["ok"], doctor.stdout
    assert up.interrupt() == 0
