"""An afternoon of twelve kinds of boxes at once, over HTTP, MQTT, polling and files, counted exactly by `up`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import bcrypt
import httpx
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import free_port
from tests.devices.boxes import (
    AxisLive,
    AxisPush,
    Box,
    Brickstream,
    ChirpStack,
    Eurecam,
    FootfallCam,
    Hikvision,
    Imbuildings,
    Irisys,
    Milesight,
    Minute,
    Sent,
    Spreadsheet,
    Xovis,
    afternoon,
)
from tests.e2e.test_up import Up
from tests.servers import mosquitto

BY_HTTP: dict[str, type[Box]] = {
    "xovis": Xovis,
    "hikvision": Hikvision,
    "milesight": Milesight,
    "imbuildings": Imbuildings,
    "axispush": AxisPush,
    "irisys": Irisys,
}
BY_MQTT: dict[str, type[Box]] = {"footfallcam": FootfallCam, "brickstream": Brickstream}
BY_BROKER: dict[str, type[Box]] = {"chirpstack": ChirpStack}
BY_POLL: dict[str, type[Box]] = {"axislive": AxisLive}
BY_FILE: dict[str, type[Box]] = {"eurecam": Eurecam, "spreadsheet": Spreadsheet}
ALL = BY_HTTP | BY_MQTT | BY_BROKER | BY_POLL | BY_FILE
MINUTES = 30
ASKED = 12
"""How often the camera that is asked is asked, a second apart."""
PASSWORD = "made-up-password"


@dataclass
class Told:
    """One box, what it will send minute by minute, and what is true."""

    box: Box
    days: list[Minute]
    sends: list[list[Sent]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sends = [self.box.minute(each) for each in self.days]

    @property
    def true(self) -> tuple[int, int]:
        counted = self.days[1:] if self.box.is_register else self.days
        return sum(each.entered for each in counted), sum(each.left for each in counted)


def zone_of_the_afternoon(now: datetime) -> str:
    """Return a time zone in which it is the middle of the day now, so that the afternoon is on one date."""
    hours = (13 - now.hour + 11) % 24 - 11
    return "Etc/GMT" if hours == 0 else f"Etc/GMT{-hours:+d}"


def configuration(told: dict[str, Told], zone: str, folder: Path, camera: int, broker: int) -> str:
    gates = "".join(f'[[libraries.gates]]\nid = "{name}"\n' for name in told)
    head = f'[[libraries]]\nid = "central"\nname = "Central"\ntime_zone = "{zone}"\nopening_hours = "24/7"'
    parts = [f"{head}\ncapacity = 5000\n{gates}"]
    for name, each in told.items():
        parts.append(f'[[libraries.sources]]\nid = "{name}"\n{source(name, folder, camera, broker)}\n')
        lines = ", ".join(inline({"gate": name, **line}) for line in each.box.lines)
        parts.append(f'[[libraries.devices]]\nid = "{name}"\nsource = "{name}"\nlines = [{lines}]\n')
    return "\n".join(parts)


def source(name: str, folder: Path, camera: int, broker: int) -> str:
    if name in BY_MQTT:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        return f'type = "listener"\npassword_bcrypt = "{hashed}"'
    if name in BY_BROKER:
        return f'type = "mqtt"\nurl = "mqtt://127.0.0.1:{broker}"\ntopics = ["application/+/device/+/event/up"]'
    if name in BY_POLL:
        return f'type = "poll"\nurl = "http://127.0.0.1:{camera}/local/people-counter/.api?live-sum.json"\nevery_s = 1'
    if name in BY_FILE:
        mapping = f"\nmapping = {inline(Spreadsheet.MAPPING)}" if name == "spreadsheet" else ""
        return f'type = "folder"\npath = "{folder / name}"\nevery_s = 1\nsettle_s = 0.2{mapping}'
    return f'type = "url"\ntoken_sha256 = "{sha256(f"{name}-made-up-token".encode()).hexdigest()}"'


def inline(table: dict[str, Any]) -> str:
    """Return a table on one line of TOML, which writes these values as JSON does."""
    return "{ " + ", ".join(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in table.items()) + " }"


@contextmanager
def camera_that_is_asked(sends: list[Sent]) -> Iterator[int]:
    """Serve a camera that shows one minute more whenever it is asked, and the last one for ever."""
    left = list(sends)
    turn = threading.Lock()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with turn:
                body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(200)
            self.send_header("Content-Type", body.media_type)
            self.send_header("Content-Length", str(len(body.data)))
            self.end_headers()
            self.wfile.write(body.data)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_by_http(up: Up, name: str, told: Told, generator: Random) -> None:
    """Send as a box does: in order, each until it is told that it was stored, some twice."""
    with httpx.Client(trust_env=False, timeout=10) as client:
        for each in (body for minute in told.sends for body in minute):
            for _ in range(generator.choice((1, 1, 2))):
                until_taken(client, f"{up.ingest}/v1/devices/{name}-made-up-token", each)


def until_taken(client: httpx.Client, url: str, body: Sent) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = client.post(url, content=body.data, headers={"Content-Type": body.media_type})
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            assert answer.json()["quarantined"] == 0, answer.text
            return
        assert answer.status_code in {404, 503}, answer.text  # 404: ingest has not read the configuration again yet
        time.sleep(0.2)
    raise AssertionError(url)


def send_by_mqtt(port: int, user: str, topic: str, told: Told) -> None:
    """Publish as a box does: it connects until it is let in, and publishes each body until it has its receipt."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"box-{user or 'broker'}")
    if user:
        client.username_pw_set(user, PASSWORD)
    client.reconnect_delay_set(1, 2)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    try:
        for each in (body for minute in told.sends for body in minute):
            deadline = time.monotonic() + 60
            while not client.is_connected():
                assert time.monotonic() < deadline, "nobody lets the box in"
                time.sleep(0.1)
            client.publish(each.topic or topic, each.data, qos=1).wait_for_publish(60)
    finally:
        client.disconnect()
        client.loop_stop()


def write_files(folder: Path, told: Told) -> None:
    """Write the file of the day anew as the day goes on, as a program does that saves over it."""
    for each in [*told.sends[:: MINUTES // 3 - 1], told.sends[-1]]:
        part = folder / f".{each[0].topic}"
        part.write_bytes(each[0].data)
        part.rename(folder / each[0].topic)
        time.sleep(2)


def crossings(up: Up) -> tuple[int, int]:
    metrics = httpx.get(f"http://127.0.0.1:{up.ports['aggregator-port']}/metrics", trust_env=False).text
    found = {}
    for line in metrics.splitlines():
        if line.startswith("placelibre_aggregator_crossings{"):
            name, _, value = line.partition(" ")
            found["in" if "entries" in name or '"in"' in name else "out"] = round(float(value))
    return found.get("in", -1), found.get("out", -1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc")
@pytest.mark.xdist_group("up")
@pytest.mark.timeout(400)
def test_twelve_kinds_of_boxes_at_once_are_counted_exactly(tmp_path: Path) -> None:
    generator, now = Random(2026), datetime.now(UTC)
    kinds = ALL if mosquitto.missing() is None else {name: kind for name, kind in ALL.items() if name not in BY_BROKER}
    told = {}
    zone = zone_of_the_afternoon(now)
    for name, kind in kinds.items():
        minutes = ASKED if name in BY_POLL else MINUTES
        told[name] = Told(kind(zone=ZoneInfo(zone)), afternoon(generator, now, minutes))
    for name in (*BY_FILE, "broker"):
        (tmp_path / name).mkdir()
    config = tmp_path / "libraries.toml"
    broker = mosquitto.Mosquitto(tmp_path / "broker", free_port(), free_port()) if "chirpstack" in told else None
    mqtt_port = free_port()
    with camera_that_is_asked([each[0] for each in told["axislive"].sends]) as camera:
        config.write_text(configuration(told, zone, tmp_path, camera, broker.port if broker else 0))
        up = Up(tmp_path / "data", config)
        try:
            if broker:
                broker.start()
            up.start("--mqtt-port", str(mqtt_port))
            with ThreadPoolExecutor(16) as pool:
                work = [pool.submit(send_by_http, up, name, told[name], Random(f"{name} again")) for name in BY_HTTP]
                work += [pool.submit(send_by_mqtt, mqtt_port, name, f"devices/{name}", told[name]) for name in BY_MQTT]
                work += [pool.submit(write_files, tmp_path / name, told[name]) for name in BY_FILE]
                time.sleep(1)
                pid = up.pid_of("run ingest")
                os.kill(pid, signal.SIGKILL)
                up.until(lambda: up.pid_of("run ingest") not in {0, pid})
                if broker:
                    up.until(lambda: up.ready("ingest"))
                    time.sleep(2)  # until it has subscribed again
                    work.append(pool.submit(send_by_mqtt, broker.port, "", "", told["chirpstack"]))
                for each in work:
                    each.result()
            true = tuple(map(sum, zip(*(each.true for each in told.values()), strict=True)))
            deadline = time.monotonic() + 150  # who was killed has the camera's turn for a minute
            while crossings(up) != true and time.monotonic() < deadline:
                time.sleep(0.5)
            assert crossings(up) == true
            time.sleep(3)
            assert crossings(up) == true
            assert up.interrupt() == 0
        finally:
            if up.process is not None and up.process.poll() is None:
                up.process.kill()
            if broker:
                broker.kill()
