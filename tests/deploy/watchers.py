"""Debian's Prometheus and Alertmanager over a real house, with the rules as they are but for their patience."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml  # type: ignore[import-untyped]

from tests.conftest import ROOT, free_port
from tests.house import House

RULES: Final = ROOT / "deploy" / "prometheus" / "rules"
ALERTMANAGER: Final = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
START_S: Final = 60.0
IS_INSTALLED: Final = all(shutil.which(each) for each in ("prometheus", "prometheus-alertmanager"))


@dataclass(frozen=True)
class Watched:
    """A Prometheus that scrapes every two seconds; asks it."""

    address: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression comes to now."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.address}/api/v1/query", params={"query": expression}, timeout=30)
        body = answer.json()
        assert body["status"] == "success", f"{expression}: {body.get('error')}"
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    async def until(self, expression: str, timeout_s: float = START_S) -> None:
        """Wait until an expression comes to something."""
        async with asyncio.timeout(timeout_s):
            while not await self.query(expression):
                await asyncio.sleep(0.3)


@asynccontextmanager
async def watched(house: House, home: Path, webhook: str | None = None) -> AsyncIterator[Watched]:
    """Run Prometheus over a house, and with a webhook Alertmanager too, which sends everything there."""
    prometheus, alertmanager = free_port(), free_port()
    _write(home, house, alertmanager, webhook)
    options = [f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}"]
    ports = {prometheus: ["prometheus", *options]}
    if webhook:
        options = [f"--config.file={home / 'alertmanager.yml'}", f"--storage.path={home / 'alerts'}"]
        ports[alertmanager] = ["prometheus-alertmanager", *options, "--cluster.listen-address="]
    processes: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for port, command in ports.items():
            processes[port] = _start([*command, f"--web.listen-address=127.0.0.1:{port}"], home)
        for port, process in processes.items():
            await _ready(f"http://127.0.0.1:{port}/-/ready", process)
        yield Watched(f"http://127.0.0.1:{prometheus}")
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            await asyncio.to_thread(process.wait, 30)


def _write(home: Path, house: House, alertmanager: int, webhook: str | None) -> None:
    (home / "rules").mkdir(parents=True)
    for path in RULES.glob("*.yml"):
        text = re.sub(r"^(\s+for:) \w+$", r"\1 5s", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (home / "rules" / path.name).write_text(text)
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [house.url(name).removeprefix("http://")]}]}
        for name in house.ports
    ]
    target = {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(home / "rules" / "*.yml")],
        "scrape_configs": jobs,
        "alerting": {"alertmanagers": [target]} if webhook else {},
    }
    (home / "prometheus.yml").write_text(yaml.safe_dump(config))
    if webhook:
        (home / "alertmanager.yml").write_text(yaml.safe_dump(hurried(webhook)))


def _start(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    with (home / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def hurried(webhook: str) -> dict[str, Any]:
    """Return Alertmanager's configuration as it is, but for its pauses and for where it sends."""
    config: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    route = config["route"]
    for each in (route, *route["routes"]):
        each.update({"group_wait": "2s", "group_interval": "2s"})
    config["receivers"] = [
        {
            "name": each["name"],
            "webhook_configs": [{"url": f"{webhook}/{each['name']}", "send_resolved": True}],
        }
        for each in config["receivers"]
    ]
    for each in route["routes"]:
        if each["receiver"] == "dead-mans-switch":
            each["repeat_interval"] = "2s"
    return config


async def _ready(address: str, process: subprocess.Popen[bytes]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_S):
        while True:
            assert process.poll() is None, address
            try:
                if (await client.get(address)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
