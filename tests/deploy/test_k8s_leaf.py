"""The gate for branches in a cluster: what `placelibre leaf gate` writes is what the pod's containers look for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from typer.testing import CliRunner

from cli.bus_server import nats_server
from cli.leaf import app as leaf
from tests.conftest import free_port
from tests.deploy.manifests import built, environment, workloads


def placelibre_leaf(*arguments: str) -> str:
    done = CliRunner().invoke(leaf, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_pod_finds_what_leaf_gate_has_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    new = ("new", "east", "--library", "east", "--address", "bus.library.example")
    placelibre_leaf(*new, "--data", str(data), "--out", str(tmp_path / "east.leaf"))
    pod = workloads(built("everything"))["carrier"]
    args = [str(data) if each == "/data" else each for each in pod.container("gate-configuration")["args"]]
    assert args[0] == "leaf"
    assert "east" in placelibre_leaf(*args[1:], "--port", str(free_port()))
    carrier = environment(pod.container("carrier"))
    for path in (
        pod.container("gate")["command"][-1],
        carrier["PLACELIBRE_GATE_SEED_FILE"],
        carrier["PLACELIBRE_LEAVES_FILE"],
    ):
        assert (data / Path(str(path)).relative_to("/data")).exists(), path
    # nats-server reads it through, certificate and all, and starts nothing.
    checked = subprocess.run(
        [*nats_server(data / "bus" / "leaf-gate.conf"), "-t"], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_carrier_finds_the_gate_where_leaf_gate_puts_it() -> None:
    pod = workloads(built("everything"))["carrier"]
    assert environment(pod.container("carrier"))["PLACELIBRE_GATE_URL"] == "nats://127.0.0.1:4223", (
        "the default of --port"
    )
    assert pod.ports["leaf"] == 7422, "the default of --leaf-port"


def test_without_a_branch_the_gate_lets_nobody_in(tmp_path: Path) -> None:
    assert "no branch yet" in placelibre_leaf("gate", "--data", str(tmp_path))
