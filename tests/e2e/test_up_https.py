"""`placelibre up` with a certificate of its own for ingest: everything that asks ingest on this machine still does."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.bus_folder.certificates import new_authority, new_server
from shared.runtime.clock import now
from tests.conftest import ROOT
from tests.e2e.test_up import SERVICES, Up

pytestmark = [
    pytest.mark.xdist_group("up"),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "data", ROOT / "libraries.toml")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_simulation_doctor_and_supervisor_reach_ingest_by_tls_and_devices_verify_it(up: Up, tmp_path: Path) -> None:
    authority = new_authority(now())
    shown = new_server(authority, ["devices.library.example"], now())
    certificate, key, ca = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    for file, body in ((certificate, shown.certificate), (key, shown.key), (ca, authority.certificate)):
        file.write_bytes(body)
    up.start("--ingest-host", "0.0.0.0", "--ingest-certificate", str(certificate), "--ingest-key", str(key))
    assert "without TLS" not in up.output
    assert all(up.ready(service) for service in SERVICES if service != "ingest")
    port = up.ports["ingest-port"]
    assert f"https://127.0.0.1:{port}/v1/readings" in up.output
    with httpx.Client(verify=ssl.create_default_context(cafile=str(ca)), trust_env=False) as device:
        # By the address of this machine and the name for devices, as a name server would have it.
        extensions = {"sni_hostname": "devices.library.example"}
        answer = device.get(f"https://127.0.0.1:{port}/readyz", extensions=extensions)
        assert answer.status_code == 200
    up.until(lambda: up.status("bpi") is not None)  # simulated days come in through that door
    doctor = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor", "--data", str(up.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "service ingest: ready" in doctor.stdout
    assert "/metrics cannot be read" not in doctor.stdout
    trail = subprocess.run(
        [sys.executable, "-m", "cli.main", "audit", "--data", str(up.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert trail.stdout.count("provisioned") == 1  # by the first start
    assert up.interrupt() == 0
