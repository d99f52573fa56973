"""`placelibre up` as a centre and as its branch, from the key to the figure on the page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.keys import Role, make_key, write_key
from tests.conftest import ROOT, free_port
from tests.e2e.test_up import OWN, Up

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc"),
    pytest.mark.xdist_group("up"),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[tuple[Up, Up]]:
    config = tmp_path / "libraries.toml"
    config.write_text(OWN)
    centre = Up(tmp_path / "centre", config)
    leaf_ports = {option: free_port() for option in ("carrier-port", "gate-port", "leaf-port")}
    centre.ports |= leaf_ports
    branch = Up(tmp_path / "branch", config)
    branch.ports = {option: branch.ports[option] for option in ("ingest-port", "nats-port", "nats-monitor-port")}
    yield centre, branch
    for up in (branch, centre):
        if up.process is not None and up.process.poll() is None:
            up.process.kill()
            up.process.wait()


def placelibre(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def says(up: Up, subject: str) -> str:
    doctor = json.loads(placelibre("doctor", "--json", "--data", str(up.folder)).stdout)
    return " ".join(each["what"] for each in doctor["findings"] if each["subject"] == subject)


def test_a_branch_is_added_counts_and_is_removed_while_the_centre_runs(ups: tuple[Up, Up]) -> None:
    centre, branch = ups
    made = make_key("tablet", Role.STAFF, (), None)
    write_key(centre.config, "central", made)
    centre.start("--leaf-host", "127.0.0.1")
    data = ("--data", str(centre.folder))
    address = f"127.0.0.1:{centre.ports['leaf-port']}"
    key = str(branch.folder.with_name("east.leaf"))
    new = placelibre("leaf", "new", "east", "--library", "central", "--address", address, *data, "--out", key)
    assert new.returncode == 0, new.stderr
    bus = centre.pid_of("nats-server.conf")
    branch.start("--leaf-key", key)
    assert "--config: of no use at a branch" in branch.output
    centre.until(lambda: says(centre, "branch east").startswith("up for"))
    assert says(branch, "centre") == "connected"

    branch.until(lambda: says(branch, "configuration") == "central")
    reading = {"kind": "head_count", "library": "central", "people": 42}
    headers = {"Authorization": f"Bearer {made.key}"}
    sent = httpx.post(f"{branch.ingest}/v1/readings", json=reading, headers=headers, trust_env=False)
    assert sent.status_code == 202

    def knows() -> bool:
        status = centre.status("central")
        return bool(status and status["people"] and status["people"]["value"] == 42)

    centre.until(knows)
    assert placelibre("leaf", "remove", "east", *data).returncode == 0
    branch.until(lambda: says(branch, "centre") == "not connected")
    assert centre.pid_of("nats-server.conf") == bus, "the centre's own bus went on all the while"
    assert branch.interrupt() == 0
    assert centre.interrupt() == 0
