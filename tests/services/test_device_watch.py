"""What operators hear of devices: gauges, alert rules that name what there is, and the doctor."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from cli import diagnosis, judgement
from cli.bus_server import BusServer
from cli.judgement import Severity
from services.ingest import quarantined
from services.ingest.device_overview import Found, Overview, overview
from services.ingest.device_watch import show, watch
from services.ingest.quarantined import InQuarantine, Waiting
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Claim, DeviceState, QuarantinedBody, serial_token
from shared.domain.device_health import HealthCode
from shared.runtime import metrics
from shared.runtime.bus import Bus
from shared.runtime.opening_hours import OsmOpeningHours
from tests.conftest import ROOT
from tests.services.test_device_inlet import configuration, device

RULES = ROOT / "deploy" / "prometheus" / "rules" / "devices.yml"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HASH = "0" * 64


def library(name: str = "lib", **more: Any) -> LibraryConfig:
    return configuration(name, **more)


def state(**more: Any) -> DeviceState:
    usual = {"device": "cam", "source": "lib-box", "last_seen": NOW, "last_counted": NOW, "day": "2026-11-24"}
    return DeviceState.model_validate({**usual, **more})


def waiting(source: str = "lib-box", serial: str = "S9", bodies: int = 3, code: str = "unclaimed") -> Waiting:
    fields = {"received_at": NOW, "library": "lib", "source": source, "serial": serial, "code": code, "reason": "why"}
    last = QuarantinedBody.model_validate({**fields, "body": "{}"})
    return Waiting("lib", source, serial_token(serial), bodies, NOW - timedelta(hours=1), last)


def seen(
    config: LibraryConfig | None = None, states: dict[str, DeviceState] | None = None, *boxes: Waiting, **claims: Claim
) -> Overview:
    config = config or library(devices=[device("lib")])
    found = Found({f"lib.{name}": each for name, each in claims.items()}, states or {}, InQuarantine(boxes))
    hours = {config.id: OsmOpeningHours("24/7", config.to_domain(OsmOpeningHours).time_zone, None)}
    return overview({config.id: config}, found, hours, NOW)


def gauge(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None
    return value


def test_every_device_is_counted_under_what_is_wrong_with_it() -> None:
    lines = {"1": {"meaning": "crossing", "forward": 60, "backward": 50}}
    troubled = state(skew_s=-7200.0, battery_percent=11.0, lines=lines)
    show(seen(states={"lib.cam": troubled}), NOW)
    assert gauge("placelibre_devices", health="wrong-time-zone") == 1
    assert gauge("placelibre_devices", health="low-battery") == 1
    assert gauge("placelibre_devices", health="well") == 0
    assert gauge("placelibre_device_clock_skew_seconds") == 7200
    assert gauge("placelibre_device_battery_percent") == 11
    assert gauge("placelibre_devices_judged_timestamp_seconds") == NOW.timestamp()
    show(seen(states={"lib.cam": state(lines=lines)}), NOW)
    assert gauge("placelibre_devices", health="well") == 1
    assert gauge("placelibre_devices", health="low-battery") == 0
    assert gauge("placelibre_device_battery_percent") != gauge("placelibre_device_battery_percent")  # NaN: none has one


def test_a_library_is_named_while_devices_of_its_are_silent() -> None:
    gone = NOW - timedelta(hours=3)
    show(seen(states={"lib.cam": state(last_seen=gone, last_counted=gone)}), NOW)
    assert gauge("placelibre_devices", health="silent") == 1
    assert gauge("placelibre_devices_silent", library="lib") == 1
    show(seen(states={"lib.cam": state()}), NOW)
    assert REGISTRY.get_sample_value("placelibre_devices_silent", {"library": "lib"}) is None


def test_boxes_and_unused_sources_are_counted() -> None:
    config = library(sources=[{"id": each, "type": "url", "token_sha256": HASH[:-1] + each} for each in "ab"])
    show(seen(config, {}, waiting("a"), waiting("a", "S2")), NOW)
    assert gauge("placelibre_devices_unclaimed") == 2
    assert gauge("placelibre_device_sources_unused") == 1


async def test_the_watch_reads_the_bus_and_keeps_the_time_of_its_judgement(
    operator: Bus, bus_server: BusServer
) -> None:
    del bus_server
    name = "watched"
    config = library(name, devices=[device(name)])
    await operator.bucket(subjects.DEVICES).put(
        f"{name}.cam", state(source=f"{name}-box", flags=("tampered",)).model_dump_json().encode()
    )
    senders = Senders()
    senders.put(config)
    door = Door(Settings(), senders, operator)
    metrics.DEVICES_JUDGED_AT.set(0)
    work = asyncio.create_task(watch(door))
    async with asyncio.timeout(10):
        while not gauge("placelibre_devices_judged_timestamp_seconds"):
            await asyncio.sleep(0.02)
    work.cancel()
    await asyncio.wait([work])
    assert gauge("placelibre_devices", health="flagged") == 1


def test_an_owner_is_found_for_bodies_as_intake_finds_it() -> None:
    of_serial = device("lib", "S1")
    config = library(devices=[of_serial, {**of_serial, "id": "two", "serial": "S2"}])
    # Of two known devices of a source a body that names none is nobody's; a third serial number neither.
    assert len(seen(config, {}, waiting(serial="S1", code="partly"), waiting(serial="S2")).unclaimed) == 0
    assert len(seen(config, {}, waiting(serial=""), waiting(serial="S3")).unclaimed) == 2
    only = library(devices=[device("lib", "S1")])
    assert len(seen(only, {}, waiting(serial=""), waiting(serial="S3")).unclaimed) == 1
    anything = library(devices=[device("lib")])
    assert len(seen(anything, {}, waiting(serial=""), waiting(serial="S3")).unclaimed) == 0


def test_a_device_is_told_the_reason_of_its_latest_body_that_did_not_count() -> None:
    [row] = seen(None, {"lib.cam": state(quarantined=1)}, waiting(serial="", code="partly")).rows
    assert row.last_reason == "why"
    [row] = seen(None, {"lib.cam": state()}, waiting(serial="")).rows  # of before it was claimed, and counted since
    assert row.last_reason == ""


def test_a_claim_whose_gate_or_source_was_taken_away_is_found() -> None:
    claimed = Claim.model_validate({"library": "lib", "device": device("lib", gate="attic"), "by": "a test", "at": NOW})
    [row] = seen(library(), {"lib.cam": state()}, cam=claimed).rows
    assert HealthCode.TARGET_GONE in {each.code for each in row.ailments}
    [row] = seen(library(sources=[]), {"lib.cam": state()}, cam=claimed).rows
    assert HealthCode.SOURCE_GONE in {each.code for each in row.ailments}


@pytest.mark.parametrize(
    ("source", "hours", "silent"),
    [
        ({"type": "url", "token_sha256": HASH}, 1, True),
        ({"type": "folder", "path": "/in"}, 20, False),
        ({"type": "folder", "path": "/in"}, 27, True),
        ({"type": "poll", "url": "https://x.example", "every_s": 3600}, 2, False),
        ({"type": "poll", "url": "https://x.example", "every_s": 3600}, 4, True),
    ],
)
def test_a_source_that_brings_seldom_is_not_silent_sooner(source: dict[str, Any], hours: int, silent: bool) -> None:  # noqa: FBT001
    config = library(devices=[device("lib")], sources=[{"id": "lib-box", **source}])
    at = NOW - timedelta(hours=hours)
    [row] = seen(config, {"lib.cam": state(last_seen=at)}).rows
    assert (HealthCode.SILENT in {each.code for each in row.ailments}) == silent


async def test_a_look_into_quarantine_is_bounded_and_says_what_it_left_out(standing: Bus) -> None:
    name = f"full-{token_hex(4)}"
    for number, bodies in ((1, 1), (2, 3), (3, 2)):
        for each in range(bodies):
            subject = subjects.quarantined_body(name, "box", serial_token(str(number)))
            last = waiting("box", str(number)).last.model_copy(update={"reason": f"{each}"})
            await standing.publish(subject, last.model_dump_json().encode())
    found = await quarantined.waiting(standing, name, 2)
    assert [(each.last.serial, each.bodies, each.last.reason) for each in found.devices] == [
        ("2", 3, "2"),
        ("3", 2, "1"),
    ]
    assert found.left_out == 1
    newest = await quarantined.bodies_of(standing, name, "box", serial_token("2"), newest=2)
    assert [each.reason for each in newest] == ["1", "2"]


def all_metrics() -> set[str]:
    names = set()
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            [family] = each.describe()
            name = family.name
            names |= {f"{name}_total"} if isinstance(each, Counter) else {name} if isinstance(each, Gauge) else set()
            if isinstance(each, Histogram):
                names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def test_every_metric_that_an_alert_names_exists_and_every_health_is_one() -> None:
    text = "\n".join(each.read_text(encoding="utf-8") for each in RULES.parent.glob("*.yml"))
    expressions = re.findall(r"^\s*expr: (.+)$", text, re.MULTILINE)
    named = {name for each in expressions for name in re.findall(r"\bplacelibre_\w+", each)}
    assert len(named) >= 5
    assert named <= all_metrics()
    of_health = {each for found in re.findall(r'health=~?"([^"]+)"', text) for each in found.split("|")}
    assert of_health <= {each.value for each in HealthCode}


def test_every_alert_says_how_long_it_waits_and_what_to_do() -> None:
    alerts = RULES.read_text(encoding="utf-8").split("- alert: ")[1:]
    assert len(alerts) >= 8
    for each in alerts:
        for part in ("expr:", "for:", "severity:", "summary:", "description:"):
            assert part in each, each.split()[0]


def test_the_doctor_tells_devices_in_trouble_with_what_to_do() -> None:
    findings = list(judgement.of_devices(seen(None, {"lib.cam": state(flags=("obstructed",))}, waiting("x")), NOW))
    [finding] = findings
    assert (finding.severity, finding.subject) == (Severity.WRONG, "device lib.cam")
    assert "blocks its view" in finding.what
    assert "placelibre devices show lib.cam" in finding.remedy
    lines = {"1": {"meaning": "crossing", "forward": 1, "backward": 1}}
    [well] = judgement.of_devices(seen(None, {"lib.cam": state(lines=lines)}), NOW)
    assert well.severity is Severity.OK


def test_the_doctor_tells_boxes_without_a_claim_and_sources_that_fail() -> None:
    [finding] = judgement.of_devices(seen(library(), {}, waiting(), waiting(serial="S2", code="unreadable")), NOW)
    assert finding.severity is Severity.LOOK
    assert "lib-box: 3 (unreadable)" in finding.what
    assert "placelibre devices" in finding.remedy
    text = '# TYPE placelibre_sources_failing gauge\nplacelibre_sources_failing{type="poll"} 2\n'
    [failing] = judgement.of_sources(text)
    assert "2 of type poll" in failing.what
    assert list(judgement.of_sources(text.replace(" 2", " 0"))) == []


async def test_the_doctor_tells_bodies_of_devices_apart_from_those_of_senders_with_a_key(operator: Bus) -> None:
    config = library("doctored")
    await operator.bucket(subjects.LIBRARIES).put(config.id, config.model_dump_json(by_alias=True).encode())
    subject = subjects.quarantined_body(config.id, f"{config.id}-box", serial_token("S9"))
    body = waiting(f"{config.id}-box").last.model_dump_json().encode()
    await operator.publish(subject, body)
    findings = {each.subject: each for each in await diagnosis.of_bus(operator, datetime.now(UTC))}
    assert findings["quarantine"].severity is Severity.OK
    assert findings["boxes without a claim"].severity is Severity.LOOK
    await operator.publish(subjects.quarantined("box"), b"{}")
    findings = {each.subject: each for each in await diagnosis.of_bus(operator, datetime.now(UTC))}
    assert findings["quarantine"].what == "1 bodies"
