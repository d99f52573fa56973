"""The doctor: what each figure means, and that it works however much is down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli import diagnosis, judgement
from cli.bus_server import BusServer
from cli.configuration_check import check_text
from cli.doctor import with_exports_disk
from cli.judgement import Finding, Severity
from services.auditor.report import RECONCILIATION, Reconciliation
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Tick
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.conftest import ROOT, free_port

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIBRARY = """\
[[libraries]]
id = "central"
name = "Central"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 100
[[libraries.keys]]
id = "k"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
device = "front"
role = "staff"
"""
STATUS: dict[str, Any] = {
    "library": "central",
    "name": "Central",
    "time_zone": "Europe/Paris",
    "languages": ["en"],
    "revision": 1,
    "state": "open",
    "reason": None,
    "level": "many_seats",
    "people": {"value": 1, "low": 0, "high": 2},
    "capacity": 100,
    "free_seats": 99,
    "usable_seats": None,
    "percent": 1,
    "trend": None,
    "queue": None,
    "wait": None,
    "zones": [],
    "hours_today": [],
    "next_change": None,
    "notice": None,
    "muted": False,
    "as_of": (NOW - timedelta(seconds=30)).isoformat(),
    "valid_until": (NOW + timedelta(minutes=9)).isoformat(),
    "last_recount": None,
    "entries_today": 0,
    "exits_today": 0,
    "clock": {"kind": "wall", "speed": 1.0},
    "url": "",
}


def library(text: str = LIBRARY) -> LibraryConfig:
    return check_text(text, NOW).libraries[0]


def status(**changes: Any) -> PublicStatus:
    return PublicStatus.model_validate_json(json.dumps(STATUS | changes))


def severities(findings: list[Finding]) -> dict[str, Severity]:
    return {each.subject: each.severity for each in findings}


@pytest.mark.parametrize(
    ("used", "expected"), [(0, Severity.OK), (69, Severity.OK), (70, Severity.LOOK), (90, Severity.WRONG)]
)
def test_a_stream_is_reported_before_it_is_full(used: int, expected: Severity) -> None:
    assert judgement.of_fill("READINGS", used, 100).severity is expected


def test_a_status_that_holds_is_well_and_one_past_its_time_is_wrong() -> None:
    config = library()
    assert judgement.of_status(config, status(), NOW, NOW).severity is Severity.OK
    late = judgement.of_status(config, status(), NOW, NOW + timedelta(hours=1))
    assert late.severity is Severity.WRONG
    assert late.what == "open, 3630 s old, no longer valid"


def test_an_unknown_status_names_its_reason_and_gate() -> None:
    unknown = status(state="unknown", reason={"code": "gate_silent", "gate": "front"}, people=None, level=None)
    finding = judgement.of_status(library(), unknown, NOW, NOW)
    assert (finding.severity, finding.what) == (Severity.LOOK, "unknown: gate_silent, gate front")
    assert finding.remedy.startswith("see that the gate has power")


def test_a_library_without_a_status_is_wrong_unless_its_day_has_not_been_played() -> None:
    assert judgement.of_status(library(), None, None, NOW).severity is Severity.WRONG
    recorded = library(LIBRARY.replace("capacity", 'clock = "recorded"\ncapacity'))
    assert judgement.of_status(recorded, None, None, NOW).severity is Severity.OK


@pytest.mark.parametrize(("left", "expected"), [(-1, [Severity.WRONG]), (10, [Severity.LOOK]), (31, []), (None, [])])
def test_a_key_is_reported_a_month_before_it_expires(left: int | None, expected: list[Severity]) -> None:
    expires = f"expires = {(NOW + timedelta(days=left)).isoformat()}\n" if left is not None else ""
    assert [each.severity for each in judgement.of_keys(library(LIBRARY + expires), NOW)] == expected


@pytest.mark.parametrize(
    ("bus_s", "aggregator_s", "expected"),
    [
        (-3, -3, {"clock": Severity.OK}),
        (-3, -13, {"clock": Severity.LOOK}),
        (-3, -3600, {"clock": Severity.WRONG}),
        (+100, +100, {"clock": Severity.WRONG}),
        (-120, -120, {"ticks": Severity.WRONG}),
    ],
)
def test_clocks_that_disagree_and_ticks_that_stop_are_told_apart(
    bus_s: int, aggregator_s: int, expected: dict[str, Severity]
) -> None:
    bus, aggregator = NOW + timedelta(seconds=bus_s), NOW + timedelta(seconds=aggregator_s)
    assert severities(list(judgement.of_clocks(bus, aggregator, NOW))) == expected


def test_a_machine_that_woke_up_in_1970_is_told_so() -> None:
    findings = list(judgement.of_clocks(None, None, datetime(1970, 1, 1, tzinfo=UTC)))
    assert severities(findings)["clock"] is Severity.WRONG


METRICS = """\
# TYPE placelibre_status_to_post_seconds histogram
placelibre_status_to_post_seconds_bucket{channel="console",le="0.1"} 90.0
placelibre_status_to_post_seconds_bucket{channel="console",le="5.0"} 99.0
placelibre_status_to_post_seconds_bucket{channel="console",le="+Inf"} 100.0
placelibre_status_to_post_seconds_bucket{channel="mastodon",le="0.1"} 100.0
placelibre_status_to_post_seconds_bucket{channel="mastodon",le="5.0"} 100.0
placelibre_status_to_post_seconds_bucket{channel="mastodon",le="+Inf"} 100.0
"""


def test_a_delay_is_the_bound_that_holds_the_share_over_all_channels() -> None:
    name = "placelibre_status_to_post_seconds"
    assert judgement.quantile_bound(METRICS, name, 0.95) == (0.1, 200)
    assert judgement.quantile_bound(METRICS, name, 0.96) == (5.0, 200)
    assert judgement.quantile_bound("", name, 0.95) == (0.0, 0)


def test_a_post_that_was_taken_is_no_dead_letter_whatever_the_bus_says() -> None:
    taken = {f"{subjects.POSTS_TAKEN}publisher-posts-lane-0": 7}
    assert judgement.of_dead_letters(taken).severity is Severity.OK
    assert judgement.of_dead_letters({**taken, "dead.v1.publisher.post": 1}).severity is Severity.LOOK


def test_every_finding_that_is_not_well_says_what_it_means_and_what_to_do() -> None:
    findings = [
        judgement.of_fill("X", 95, 100),
        judgement.of_durable("X", 5000, 0),
        judgement.of_dead_letters({"dead.v1.publisher.post": 3}),
        judgement.of_quarantine(2),
        judgement.of_disk(0),
        *judgement.of_clocks(None, None, datetime(1970, 1, 1, tzinfo=UTC)),
        judgement.of_status(library(), None, None, NOW),
    ]
    assert [each for each in findings if not (each.meaning and each.remedy)] == []
    assert Severity.OK not in severities(findings).values()


async def test_a_healthy_bus_is_well_and_drift_and_dead_letters_are_found(operator: Bus) -> None:
    await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())
    config = library()
    await operator.bucket(subjects.LIBRARIES).put("central", config.model_dump_json(by_alias=True).encode())
    fresh = status(as_of=now().isoformat(), valid_until=(now() + timedelta(minutes=9)).isoformat())
    await operator.bucket(subjects.STATUS).put("central", fresh.model_dump_json().encode())
    compared = Reconciliation(at=now(), since=now(), libraries=())
    await operator.bucket(subjects.AUDITOR).put(RECONCILIATION, compared.model_dump_json().encode())
    before = await diagnosis.of_bus(operator, now())
    assert [each for each in before if each.severity is not Severity.OK] == []

    await operator.publish(subjects.dead_letter("publisher", "post"), b"{}")
    await operator.bucket(subjects.LIBRARIES).put("broken", b"{")
    info = await operator.jetstream.stream_info(subjects.CHANGES)
    info.config.max_bytes = 1024 * 1024
    await operator.jetstream.update_stream(info.config)
    found = severities([each for each in await diagnosis.of_bus(operator, now()) if each.severity is not Severity.OK])
    assert found == {
        subjects.CHANGES: Severity.LOOK,
        "dead letters": Severity.LOOK,
        "library broken": Severity.WRONG,
    }


def doctor(*arguments: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor", "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return result.returncode, json.loads(result.stdout), result.stderr


def test_with_everything_down_it_says_so_and_what_to_do(tmp_path: Path) -> None:
    code, report, error = doctor("--data", str(tmp_path / "never-used"))
    assert code == 1
    assert report["ok"] is False
    first = report["findings"][0]
    assert (first["severity"], first["subject"]) == ("wrong", "placelibre")
    assert "start it with `placelibre up`" in first["remedy"]
    assert "Traceback" not in error
    assert not (tmp_path / "never-used").exists()


def test_a_bus_that_is_away_is_a_finding(tmp_path: Path, bus_server: BusServer) -> None:
    seed = str(bus_server.seed_file("operator"))
    code, report, _ = doctor("--data", str(tmp_path), "--nats-url", "nats://127.0.0.1:9", "--seed-file", seed)
    assert code == 1
    first = report["findings"][0]
    assert (first["subject"], first["severity"]) == ("bus", "wrong")


def test_asked_for_a_bus_alone_it_says_that_no_service_was_looked_at(tmp_path: Path, bus_server: BusServer) -> None:
    """An operator in a container has the bus's address in his environment, and must not take this for "all is well"."""
    to_the_bus = {
        "PLACELIBRE_NATS_URL": bus_server.url,
        "PLACELIBRE_NATS_SEED_FILE": str(bus_server.seed_file("operator")),
    }
    _, report, _ = doctor("--data", str(tmp_path), **to_the_bus)
    [found] = [each for each in report["findings"] if each["subject"] == "services"]
    assert found["severity"] == "look"
    assert "PLACELIBRE_SERVICES" in found["remedy"]


def test_the_services_the_prometheus_and_the_exports_of_its_environment_are_looked_at(
    tmp_path: Path, bus_server: BusServer
) -> None:
    _, report, _ = doctor(
        *("--data", str(tmp_path)),
        PLACELIBRE_NATS_URL=bus_server.url,
        PLACELIBRE_NATS_SEED_FILE=str(bus_server.seed_file("operator")),
        PLACELIBRE_SERVICES=f"http://127.0.0.1:{free_port()},publisher=http://127.0.0.1:{free_port()}".replace(
            "http", "api=http", 1
        ),
        PLACELIBRE_PROMETHEUS=f"http://127.0.0.1:{free_port()}",
        PLACELIBRE_EXPORT_DIR=str(tmp_path),
    )
    found = {each["subject"]: each["severity"] for each in report["findings"]}
    assert found["service api"] == found["service publisher"] == found["prometheus"] == "wrong"
    assert "disk of the exports" in found
    assert "services" not in found


def test_a_folder_below_one_that_may_not_be_read_is_a_finding_and_no_end(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "exports").mkdir(parents=True)
    closed.chmod(0)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)
    try:
        found = diagnosis.of_exports_disk(closed / "exports" / "of-today"), diagnosis.of_disk(closed / "exports")
    finally:
        if as_root:
            os.seteuid(0)
        closed.chmod(0o700)
    for each, subject in zip(found, ("disk of the exports", "disk"), strict=True):
        assert (each.severity, each.subject) == (Severity.LOOK, subject)
        assert "may not look" in each.what
        assert each.remedy


def finding(severity: Severity, free: str) -> Finding:
    return Finding(severity, "disk of the exports", f"{free} GiB free")


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        (finding(Severity.LOOK, "1.0"), ["1.5"]),
        (finding(Severity.WRONG, "0.9"), ["0.9"]),
        (finding(Severity.OK, "90.0"), ["1.5", "90.0"]),  # of another machine: both are so
    ],
)
def test_the_disk_of_the_exports_is_told_once(own: Finding, kept: list[str]) -> None:
    told = [judgement.ok("bus", "answers"), finding(Severity.LOOK, "1.5")]
    found = with_exports_disk(told, own)
    assert [each.what.split()[0] for each in found[1:]] == kept
    assert found[0] == told[0]


def test_the_folder_can_come_from_the_environment(tmp_path: Path) -> None:
    code, report, _ = doctor(PLACELIBRE_DATA=str(tmp_path / "never-used"))
    assert code == 1
    assert str(tmp_path / "never-used") in report["findings"][0]["what"]
