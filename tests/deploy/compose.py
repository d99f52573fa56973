"""A whole installation by docker-compose.yml for a test: started, looked at and removed with podman."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx

from tests.conftest import free_port
from tests.deploy.standins import IMAGE, ROOT, podman, podman_environment, run

PROGRAM: Final = ROOT / ".tools" / "podman-compose"
PODMAN_COMPOSE: Final = "podman-compose==1.6.0"
"""Debian's is too old for secrets and conditions of containers that end."""
SERVICES: Final = ("ingest", "aggregator", "publisher", "api", "auditor")
RUN_HERE: Final = ("bus", "provision", *SERVICES, "prometheus", "alertmanager")
"""All but Grafana, of which there is no package to make a stand-in from."""
HEALTHY_S: Final = 180.0


class Site:
    """docker-compose.yml in a folder of its own, with keys of its own; everything in it is this test's."""

    def __init__(self, folder: Path, libraries: str) -> None:
        """Copy what an operator has after a clone."""
        self.folder = folder
        shutil.copy(ROOT / "docker-compose.yml", folder)
        shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("bus", "credentials", "k8s"))
        self.write_libraries(libraries)
        self.project = f"placelibre-{os.getpid()}"
        self.ports = {name: free_port() for name in ("api", "ingest", "prometheus", "alertmanager", "grafana")}
        self._environment = {
            **podman_environment(),
            "COMPOSE_PROJECT_NAME": self.project,
            "IMAGE": IMAGE,
            "API_ADDRESS": f"127.0.0.1:{self.ports['api']}",
            "INGEST_ADDRESS": f"127.0.0.1:{self.ports['ingest']}",
            "PROMETHEUS_PORT": str(self.ports["prometheus"]),
            "ALERTMANAGER_PORT": str(self.ports["alertmanager"]),
            "GRAFANA_PORT": str(self.ports["grafana"]),
            # Another than the usual one, which an installation beside this test may have.
            "FRONT_SUBNET": f"172.30.{67 + os.getpid() % 180}.0/24",
        }

    def write_libraries(self, text: str) -> None:
        """Write libraries.toml, readable for the operator's container; in place, for that is what it has mounted."""
        file = self.folder / "libraries.toml"
        file.write_text(text)
        file.chmod(0o644)

    def compose(self, *arguments: str, is_well: bool = True, **environment: str) -> str:
        """Run podman-compose and return what it printed; `is_well` says whether it is to exit with 0."""
        done = subprocess.run(
            [str(podman_compose()), *arguments],
            cwd=self.folder,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is is_well, f"{arguments}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def init(self) -> None:
        """Do what `docker compose run --rm init` does; podman-compose wants the profile named."""
        self.compose("--profile", "tools", "run", "--rm", "init")

    def operator(self, *arguments: str, is_well: bool = True) -> str:
        """Do what `docker compose run --rm operator ...` does, and return what it printed."""
        run_it = ("--profile", "tools", "run", "--rm", "--no-deps", "-T", "operator")
        return self.compose(*run_it, *arguments, is_well=is_well)

    def tar(self, archive: Path, *arguments: str, is_put_in: bool = False) -> None:
        """Do what `docker compose run --rm -T --entrypoint tar operator ...` does, from or into a file here."""
        command = [str(podman_compose()), "--profile", "tools", "run", "--rm", "--no-deps", "-T", "--entrypoint", "tar"]
        with archive.open("rb" if is_put_in else "wb") as file:
            subprocess.run(
                [*command, "operator", *arguments],
                cwd=self.folder,
                env=self._environment,
                stdin=file if is_put_in else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if is_put_in else file,
                check=True,
            )

    def up(self) -> None:
        """Start everything and wait until all are healthy."""
        self.compose("up", "--detach", *RUN_HERE)
        for name in RUN_HERE:
            if name != "provision":
                wait_for(lambda name=name: self.is_healthy(name), f"{name} is healthy", HEALTHY_S)  # type: ignore[misc]

    def down(self, *, is_data_kept: bool = True) -> None:
        """Stop and remove the containers, and the volumes too if nothing is to be kept."""
        self.compose("down", *(() if is_data_kept else ("--volumes",)))

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.project}_{service}_1"

    def is_healthy(self, service: str) -> bool:
        """Run a health check by hand, for podman's own need systemd's timers, and tell how it went."""
        command = ["podman", "healthcheck", "run", self.container(service)]
        return subprocess.run(command, env=self._environment, capture_output=True, check=False).returncode == 0

    def log(self, service: str) -> str:
        """Return what a container has printed."""
        command = ["podman", "logs", self.container(service)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def inspect(self, service: str) -> dict[str, Any]:
        """Return how a container was made."""
        [about] = json.loads(podman("container", "inspect", self.container(service)))
        answer: dict[str, Any] = about
        return answer

    def process(self, service: str) -> dict[str, str]:
        """Return the status of a container's first process, as the kernel has it on this side of the wall."""
        pid = self.inspect(service)["State"]["Pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def get(self, service: str, path: str) -> httpx.Response:
        """Get something of a published port."""
        return httpx.get(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10, trust_env=False)


def podman_compose() -> Path:
    """Return podman-compose, installed into .tools where it is missing."""
    program = PROGRAM / "bin" / "podman-compose"
    if not program.exists():
        run([sys.executable, "-m", "venv", str(PROGRAM)])
        run([str(PROGRAM / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PODMAN_COMPOSE])
    return program


def wait_for(is_so: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until something is so, and say what if it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not in {timeout_s:g} s: {what}"
        time.sleep(0.5)
