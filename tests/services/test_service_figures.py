"""What the doctor makes of a service's own figures, and whom it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path

import pytest

from cli import diagnosis, judgement, service_figures
from cli.judgement import Finding, Severity
from cli.service_figures import Figures
from cli.service_list import Service, services_of
from cli.terminal import Trouble
from tests.fakes.http_server import FakeServer, Request, Response, listening

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AT = NOW.timestamp()
DAY = 86_400
TOKEN = 'placelibre_channel_token_expires_timestamp_seconds{channel="linkedin"}'
CERTIFICATE = 'placelibre_certificate_expires_timestamp_seconds{what="bus"}'
WELL_AUDITED = (
    'placelibre_reconciliation_difference{what="entries"} 0',
    'placelibre_reconciliation_taken_over{why="explained"} 1',
    f"placelibre_reconciled_timestamp_seconds {AT - 120}",
    f"placelibre_export_timestamp_seconds {AT - 3600}",
    "placelibre_export_failures_total 0",
    'placelibre_bus_stream_lost_messages{stream="READINGS"} 0',
    "placelibre_bus_store_bytes 10",
    "placelibre_bus_store_limit_bytes 100",
    'placelibre_bus_replicas_behind{stream="READINGS"} 0',
    f"placelibre_export_disk_free_bytes {9 * 2**30}",
)


def figures(*lines: str) -> Figures:
    return Figures.of("\n".join([*lines, ""]))


def audited(*others: str) -> list[tuple[str, str]]:
    """Return what is not well with these lines in place of those that name the same series."""
    names = [each.rpartition(" ")[0] for each in others]
    lines = [each for each in WELL_AUDITED if each.rpartition(" ")[0] not in names]
    return unwell(service_figures.of_auditor(figures(*lines, *others), NOW))


def unwell(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    kept = [each for each in findings if each.severity is not Severity.OK]
    assert all(each.meaning and each.remedy for each in kept)
    return [(each.severity.value, each.subject) for each in kept]


def test_an_auditor_that_finds_all_in_order_is_well() -> None:
    assert audited() == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('placelibre_reconciliation_difference{what="entries"} -2', ("wrong", "reconciliation")),
        ('placelibre_reconciliation_taken_over{why="unexplained"} 2', ("look", "reconciliation")),
        (f"placelibre_reconciled_timestamp_seconds {AT - 3600}", ("look", "reconciliation")),
        ("placelibre_reconciled_timestamp_seconds 0", ("look", "reconciliation")),
        ('placelibre_bus_stream_lost_messages{stream="READINGS"} 3', ("wrong", "stream READINGS")),
        ("placelibre_export_timestamp_seconds NaN", ("look", "export")),
        (f"placelibre_export_timestamp_seconds {AT - 27 * 3600}", ("wrong", "export")),
        ("placelibre_bus_store_bytes 75", ("look", "bus")),
        ("placelibre_bus_store_bytes 95", ("wrong", "bus")),
        ('placelibre_bus_replicas_behind{stream="READINGS"} 1', ("look", "stream READINGS")),
        (f"placelibre_export_disk_free_bytes {2**30}", ("look", "disk of the exports")),
        (f"{CERTIFICATE} {AT + 10 * DAY}", ("look", "certificate bus")),
        (f"{CERTIFICATE} {AT + 2 * DAY}", ("wrong", "certificate bus")),
    ],
)
def test_each_thing_that_an_auditor_sees_is_told_with_what_to_do(line: str, expected: tuple[str, str]) -> None:
    assert audited(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        f"{CERTIFICATE} {AT + 30 * DAY}",
        f"placelibre_export_timestamp_seconds {AT - 25 * 3600}",
        "placelibre_bus_store_limit_bytes NaN",
    ],
)
def test_what_is_in_time_is_no_finding(line: str) -> None:
    assert audited(line) == []


def test_work_that_hangs_in_a_service_that_answers_is_wrong_unless_the_bus_is_away() -> None:
    hung = f'placelibre_work_turned_timestamp_seconds{{work="log"}} {AT - 400}'
    fresh = f'placelibre_work_turned_timestamp_seconds{{work="queues"}} {AT - 5}'
    calendars = f'placelibre_work_turned_timestamp_seconds{{work="calendars"}} {AT - 400}'
    found = list(service_figures.of_pulse("x", figures(hung, fresh, calendars, "placelibre_bus_connected 1"), NOW))
    assert ["`log`" in each.what for each in found] == [True]
    assert unwell(found) == [("wrong", "service x")]
    [away] = service_figures.of_pulse("x", figures(hung, "placelibre_bus_connected 0"), NOW)
    assert "no connection" in away.what


def test_a_loop_that_is_held_up_and_files_that_run_out_are_told() -> None:
    late = ['placelibre_event_loop_late_seconds_bucket{le="1.0"} 80', "placelibre_event_loop_late_seconds_count 100"]
    text = ["# TYPE placelibre_event_loop_late_seconds histogram", *late]
    assert unwell(service_figures.of_pulse("x", figures(*text), NOW)) == [("look", "service x")]
    files = figures("process_open_fds 900", "process_max_fds 1024")
    assert unwell(service_figures.of_pulse("x", files, NOW)) == [("look", "service x")]
    few = [each.replace("80", "8").replace("100", "10") for each in text]
    assert unwell(service_figures.of_pulse("x", figures(*few), NOW)) == []


def test_channels_calendars_live_posts_and_approvals_are_told() -> None:
    text = figures(
        'placelibre_channel_accounts{channel="linkedin",state="blocked"} 1',
        'placelibre_channel_accounts{channel="mastodon",state="working"} 2',
        'placelibre_channel_accounts{channel="mastodon",state="blocked"} 0',
        f"{TOKEN} {AT - DAY}",
        'placelibre_calendars{state="unreadable"} 1',
        "placelibre_live_post_untrue_seconds 1000",
        "placelibre_post_approval_awaited_seconds 2000",
    )
    assert unwell(service_figures.of_publisher(text, NOW)) == [
        ("look", "channel linkedin"),
        ("wrong", "token of linkedin"),
        ("look", "event calendars"),
        ("wrong", "live posts"),
        ("look", "approvals"),
    ]
    assert unwell(service_figures.of_publisher(figures(f"{TOKEN} {AT + 30 * DAY}"), NOW)) == []


def test_versions_that_differ_are_named_with_their_services() -> None:
    [same] = service_figures.of_versions({"api": "0.1.0", "ingest": "0.1.0"})
    assert same.severity is Severity.OK
    [differ] = service_figures.of_versions({"api": "0.1.0", "ingest": "0.2.0"})
    assert "ingest 0.2.0" in differ.what
    build = '# TYPE placelibre_build_info gauge\nplacelibre_build_info{version="0.3.0"} 1'
    assert service_figures.version(figures(build)) == "0.3.0"


def test_a_limit_by_address_makes_one_think_of_the_proxy() -> None:
    text = figures(
        'placelibre_requests_limited_total{service="api",limit="address"} 9',
        'placelibre_requests_limited_total{service="api",limit="key"} 2',
        'placelibre_requests_limited_total{service="api",limit="streams"} 0',
    )
    remedies = {each.what: each.remedy for each in service_figures.of_limits("api", text)}
    assert ["FORWARDED_ALLOW_IPS" in each for each in remedies.values()] == [True, False]


def test_an_api_that_has_lost_touch_is_wrong_and_one_whose_auditor_is_not_there_is_not_judged() -> None:
    text = figures("placelibre_api_libraries 4", "placelibre_api_statuses_expired 3")
    assert unwell(service_figures.of_reader(text, 1)) == [("wrong", "service api")]
    assert unwell(service_figures.of_reader(text, 3)) == []
    assert unwell(service_figures.of_reader(text, nan)) == []
    assert unwell(service_figures.of_reader(figures("placelibre_api_libraries 0"), nan)) == [("look", "service api")]


def test_the_comparison_on_the_bus_the_certificate_and_a_durable_that_nobody_works_off_are_judged() -> None:
    assert judgement.of_comparison(NOW - timedelta(minutes=4), [], NOW).severity is Severity.OK
    differs = judgement.of_comparison(NOW, ["a", "b", "c", "d"], NOW)
    assert (differs.severity, "a, b, c and 1 more" in differs.what) == (Severity.WRONG, True)
    assert judgement.of_comparison(NOW - timedelta(hours=1), [], NOW).severity is Severity.LOOK
    assert judgement.of_comparison(None, [], NOW).severity is Severity.LOOK
    ends = [(30, Severity.OK), (10, Severity.LOOK), (2, Severity.WRONG), (-1, Severity.WRONG)]
    for days, severity in ends:
        assert judgement.of_certificate(NOW + timedelta(days=days), NOW).severity is severity
    assert judgement.of_durable("posts", 3, 0).severity is Severity.OK
    assert judgement.of_durable("posts", 3, 0, is_stuck=True).severity is Severity.WRONG


def test_a_file_and_addresses_name_the_same_services(tmp_path: Path) -> None:
    lines = ["http://10.0.0.7:8001", "api=https://library.example", "http://placelibre-aggregator-1:9000  # the second"]
    file = tmp_path / "services.txt"
    file.write_text("# ours\n\n" + "\n".join([*lines, "http://10.0.0.8:8001/"]) + "\n")
    found = services_of(str(file))
    assert [(each.kind, each.address) for each in found] == [
        ("ingest", "http://10.0.0.7:8001"),
        ("api", "https://library.example"),
        ("aggregator", "http://placelibre-aggregator-1:9000"),
        ("ingest", "http://10.0.0.8:8001"),
    ]
    assert [each.name for each in found] == ["ingest at 10.0.0.7:8001", "api", "aggregator", "ingest at 10.0.0.8:8001"]
    assert services_of(",".join(lines[:2])) == [
        Service("ingest", "ingest", "http://10.0.0.7:8001"),
        Service("api", "api", "https://library.example"),
    ]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("nowhere.txt", "neither a file nor an address"),
        ("ftp://10.0.0.7", "is no address"),
        ("http://10.0.0.7:1234", "which service"),
        ("butler=http://10.0.0.7:8001", "which service"),
        ("http://10.0.0.7:99999999", "which service"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_would_be_right(wanted: str, words: str) -> None:
    with pytest.raises(Trouble, match=words) as trouble:
        services_of(wanted)
    assert trouble.value.remedy


class Prometheus(FakeServer):
    """Says what fires, or has another word."""

    content = b""

    def is_change(self, request: Request) -> bool:
        del request
        return False

    def answer(self, request: Request) -> Response:
        assert request.path.startswith("/api/v1/alerts")
        return Response(200, self.content, {"Content-Type": "application/json"})


WATCHDOG = (
    '{"state": "firing", "labels": {"alertname": "PlacelibreWatchdog", "severity": "none"},'
    ' "annotations": {"summary": "well"}}'
)
DOWN = (
    '{"state": "%s", "labels": {"alertname": "PlacelibreServiceDown", "severity": "critical"},'
    ' "annotations": {"summary": "ingest does not answer"}}'
)


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([WATCHDOG], []),
        ([WATCHDOG, DOWN % "pending"], []),
        ([WATCHDOG, DOWN % "firing"], [("wrong", "alert PlacelibreServiceDown")]),
        ([], [("wrong", "alerts")]),
        (None, [("wrong", "prometheus")]),
    ],
)
async def test_what_fires_now_is_told_and_so_is_a_watchdog_that_does_not(
    alerts: list[str] | None, expected: list[tuple[str, str]]
) -> None:
    server = Prometheus()
    server.content = b"Bad Gateway" if alerts is None else f'{{"data": {{"alerts": [{",".join(alerts)}]}}}}'.encode()
    async with listening(server):
        found = await asyncio.to_thread(lambda: list(diagnosis.of_prometheus(server.base)))
    assert unwell(found) == expected
