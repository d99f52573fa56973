"""Hikvision: three namespaces, registers and windows, pictures beside, streams of alerts, queues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

MAC = "84:9a:40:ec:f1:6d"
PSIA = "urn:psialliance-org"
HIK = "http://www.hikvision.com/ver20/XMLSchema"
ISAPI = "http://www.isapi.org/ver20/XMLSchema"
CHINA = timezone(timedelta(hours=8))
NOON = datetime(2026, 11, 20, 12, 7, 7, tzinfo=CHINA)


def alert(
    inside: str,
    *,
    namespace: str = PSIA,
    kind: str = "PeopleCounting",
    state: str = "active",
    at: str = "2026-11-20T12:07:07+08:00",
    head: str = f"<macAddress>{MAC}</macAddress>",
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="1.0" xmlns="{namespace}">\n'
        f"<ipAddress>192.168.1.64</ipAddress><portNo>80</portNo><protocol>HTTP</protocol>{head}"
        f"<channelID>1</channelID><dateTime>{at}</dateTime><activePostCount>1</activePostCount>"
        f"<eventType>{kind}</eventType><eventState>{state}</eventState>"
        f"<eventDescription>{kind} alarm</eventDescription><channelName>Camera 01</channelName>\n{inside}\n"
        "</EventNotificationAlert>\n"
    )


def real_time(enter: int, leave: int, at: str = "2026-11-20T12:07:07+08:00", region: str = "") -> str:
    return (
        "<peopleCounting><statisticalMethods>realTime</statisticalMethods>"
        f"<RealTime><time>{at}</time></RealTime><enter>{enter}</enter><exit>{leave}</exit><pass>9</pass>{region}"
        "<duplicatePeople>4</duplicatePeople></peopleCounting>"
        "<childCounting><enter>7</enter><exit>6</exit></childCounting>"
        "<isDataRetransmission>false</isDataRetransmission>"
    )


def by_the_cycle(method: str = "timeRange", table: str = "TimeRange", late: str = "false") -> str:
    return (
        f"<peopleCounting><statisticalMethods>{method}</statisticalMethods>"
        f"<{table}><startTime>2026-11-20T12:00:00+08:00</startTime><endTime>2026-11-20T12:05:00+08:00</endTime></{table}>"
        "<enter>3</enter><exit>1</exit><pass>0</pass></peopleCounting>"
        f"<isDataRetransmission>{late}</isDataRetransmission>"
    )


def register(forward: int, backward: int, **other: object) -> Measurement:
    fields = {"line": "1", "meaning": Meaning.TOTAL, "end": NOON, "label": "Camera 01"}
    return Measurement(forward=forward, backward=backward, **(fields | other))  # type: ignore[arg-type]


def window(**other: object) -> Measurement:
    end = datetime(2026, 11, 20, 12, 5, tzinfo=CHINA)
    fields = {
        "line": "1",
        "meaning": Meaning.WINDOW,
        "forward": 3,
        "backward": 1,
        "start": end - timedelta(minutes=5),
        "end": end,
        "label": "Camera 01",
    }
    return Measurement(**(fields | other))  # type: ignore[arg-type]


def queue(meaning: Meaning, value: float, **other: object) -> Measurement:
    fields = {"line": "queue 2", "end": NOON, "label": ""}
    return Measurement(meaning=meaning, value=value, **(fields | other))  # type: ignore[arg-type]


def report(*measurements: Measurement, **other: object) -> DeviceReport:
    fields = {"serial": MAC, "sent_at": NOON}
    return DeviceReport(measurements=measurements, **(fields | other))  # type: ignore[arg-type]


def multipart(*parts: tuple[str, bytes], boundary: str = "MIME_boundary") -> bytes:
    return (
        b"".join(
            f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n"
            for kind, body in parts
        )
        + f"--{boundary}--\r\n".encode()
    )


PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF" + CANARY.encode() + bytes(range(256))
XML = "application/xml"
MIXED = "multipart/mixed; boundary=MIME_boundary"
HEARTBEAT = alert("", kind="videoloss", state="inactive", namespace=HIK)
JSON_HEAD = {
    "ipAddress": "192.168.1.64",
    "portNo": 80,
    "protocol": "HTTP",
    "macAddress": MAC,
    "channelID": 1,
    "dateTime": "2026-11-20T12:07:07+08:00",
    "activePostCount": 1,
    "eventState": "active",
}
QUEUING = {
    **JSON_HEAD,
    "eventType": "personQueueCounting",
    "RegionCapture": {
        "humanCounting": {"count": 11},
        "rule": {"ruleID": 2, "alarmCount": 10, "regionColor": "red", "Region": [{"x": 0.1, "y": 0.2}]},
    },
}
WAITING = {
    **JSON_HEAD,
    "eventType": "personQueueTime",
    "humanCapture": {
        "human": {"targetID": 53, "waitTime": 630, "face": CANARY},
        "rule": {"ruleID": 2, "alarmTime": 600},
    },
}
LEAVING = {
    **JSON_HEAD,
    "eventType": "personQueueRealTime",
    "PersonQueueRealTimeData": {
        "targetID": 54,
        "ruleID": 2,
        "ruleName": "Desk",
        "personState": "leave",
        "enterTime": "2026-11-20T12:03:00+08:00",
        "leaveTime": "2026-11-20T12:07:00+08:00",
        "waitTime": 240,
        "peopleNum": 4,
    },
}
LEFT = NOON.replace(second=0)


class TestHikvision(FormatSuite):
    format = "hikvision"
    cases = (
        case("a-register", alert(real_time(70, 75)), [report(register(70, 75))], XML),
        case(
            "windows-of-the-cycle-in-the-second-namespace",
            alert(by_the_cycle(), namespace=HIK),
            [report(window())],
            "text/xml; charset=UTF-8",
        ),
        case(
            "windows-of-a-signal-in-the-third-namespace",
            alert(by_the_cycle("signalTrigger", "SignalTrigger"), namespace=ISAPI),
            [report(window())],
            XML,
        ),
        case(
            "a-signal-that-says-no-window",
            alert(
                "<peopleCounting><statisticalMethods>signalTrigger</statisticalMethods>"
                "<enter>2</enter><exit>0</exit></peopleCounting>"
            ),
            [report(window(forward=2, backward=0, start=None, end=NOON))],
            XML,
        ),
        case(
            "an-offset-of-one-digit",
            alert(real_time(5, 4, "2026-11-20T11:50:47-5:00"), at="2026-11-20T11:50:47-5:00"),
            [
                report(
                    register(5, 4, end=datetime(2026, 11, 20, 16, 50, 47, tzinfo=UTC)),
                    sent_at=datetime(2026, 11, 20, 16, 50, 47, tzinfo=UTC),
                )
            ],
            XML,
        ),
        case(
            "a-local-time",
            alert(real_time(5, 4, ""), at="2026-11-20T11:50:47"),
            [
                report(
                    register(5, 4, end=datetime(2026, 11, 20, 10, 50, 47, tzinfo=UTC)),
                    sent_at=datetime(2026, 11, 20, 10, 50, 47, tzinfo=UTC),
                )
            ],
            XML,
        ),
        case(
            "told-again-says-nothing-of-the-clock", alert(by_the_cycle(late="true")), [report(window(), sent_at=None)]
        ),
        case(
            "the-first-region-is-the-channel",
            alert(real_time(1, 0, region="<regionsID>1</regionsID>")),
            [report(register(1, 0))],
            XML,
        ),
        case(
            "another-region-is-a-line-of-its-own",
            alert(real_time(1, 0, region="<regionsID>2</regionsID>")),
            [report(register(1, 0, line="1/2"))],
            XML,
        ),
        case(
            "with-a-picture",
            multipart((XML, alert(real_time(70, 75)).encode()), ("image/jpeg", PICTURE)),
            [report(register(70, 75))],
            'multipart/form-data; boundary="MIME_boundary"',
        ),
        case(
            "a-stream-of-alerts",
            multipart(
                (XML, HEARTBEAT.encode()),
                ('application/xml; charset="UTF-8"', alert(real_time(70, 75)).encode()),
                ("image/jpeg", PICTURE),
                (XML, alert(real_time(71, 75, "2026-11-20T12:07:37+08:00"), at="2026-11-20T12:07:37+08:00").encode()),
                (XML, alert(real_time(9, 8), head="<macAddress>84:9a:40:00:00:02</macAddress>").encode()),
            ),
            [
                report(
                    register(70, 75),
                    register(71, 75, end=NOON + timedelta(seconds=30)),
                    sent_at=NOON + timedelta(seconds=30),
                    says_flags=True,
                ),
                report(register(9, 8), serial="84:9a:40:00:00:02"),
            ],
            MIXED,
        ),
        case(
            "a-stream-that-lost-its-content-type",
            multipart((XML, alert(real_time(70, 75)).encode()), (XML, alert(by_the_cycle()).encode())),
            [report(register(70, 75), window())],
            "application/octet-stream",
        ),
        case(
            "a-device-without-a-mac-address",
            alert(real_time(70, 75), head="<deviceID>C19428612</deviceID>"),
            [report(register(70, 75), serial="C19428612")],
            XML,
        ),
        case("a-heartbeat", HEARTBEAT, [report(says_flags=True)], XML),
        case(
            "no-picture",
            alert("", kind="videoloss", namespace=ISAPI),
            [report(says_flags=True, flags=("no-video",))],
            XML,
        ),
        case("an-event-of-something-else", alert("<DetectionRegionList/>", kind="VMD"), [report()], XML),
        case("a-queue-is-long", QUEUING, [report(queue(Meaning.QUEUE_LENGTH, 11.0))]),
        case(
            "somebody-waits-long-with-a-picture",
            multipart(("application/json", str(WAITING).replace("'", '"').encode()), ("image/jpeg", PICTURE)),
            [report(queue(Meaning.QUEUEING_TIME, 10.5))],
            MIXED,
        ),
        case(
            "a-queue-is-long-as-xml",
            alert(
                "<RegionCapture><humanCounting><count>11</count></humanCounting>"
                "<rule><ruleID>2</ruleID><alarmCount>10</alarmCount></rule></RegionCapture>",
                kind="personQueueCounting",
                namespace=ISAPI,
            ),
            [report(queue(Meaning.QUEUE_LENGTH, 11.0, label="Camera 01"))],
            XML,
        ),
        case(
            "somebody-leaves-the-queue",
            LEAVING,
            [
                report(
                    queue(Meaning.QUEUE_LENGTH, 4.0, label="Desk", end=LEFT),
                    queue(Meaning.QUEUEING_TIME, 4.0, label="Desk", end=LEFT),
                )
            ],
        ),
        case(
            "as-json-in-the-element-of-xml",
            {
                "EventNotificationAlert": {
                    "macAddress": MAC,
                    "dateTime": "2026-11-20T12:07:07+08:00",
                    "eventType": "PeopleCounting",
                    "channelName": "Camera 01",
                    "peopleCounting": {"statisticalMethods": "realTime", "enter": "70", "exit": 75},
                }
            },
            [report(register(70, 75))],
        ),
        case(
            "a-queue-without-a-rule-is-its-channels",
            {**QUEUING, "channelID": 3, "RegionCapture": {"humanCounting": {"count": 11}}},
            [report(queue(Meaning.QUEUE_LENGTH, 11.0, line="queue of channel 3"))],
        ),
        case(
            "somebody-waits-long-in-an-element-of-its-own",
            alert(
                "<personQueueTime><ruleID>2</ruleID><waitTime>630</waitTime></personQueueTime>", kind="personQueueTime"
            ),
            [report(queue(Meaning.QUEUEING_TIME, 10.5, label="Camera 01"))],
            XML,
        ),
        case(
            "somebody-waits-long-without-any-element",
            {**JSON_HEAD, "eventType": "personQueueTime", "waitTime": 630, "ruleID": ""},
            [report(queue(Meaning.QUEUEING_TIME, 10.5, line="queue of channel 1"))],
        ),
        case(
            "whoever-joins-has-not-waited",
            {
                **JSON_HEAD,
                "eventType": "personQueueRealTimeData",
                "personQueueRealTimeDate": {"ruleID": 2, "personState": "enter", "waitTime": 0, "peopleNum": 5},
            },
            [report(queue(Meaning.QUEUE_LENGTH, 5.0))],
        ),
    )


@pytest.mark.parametrize(
    "inside",
    [
        "<childCounting><enter>7</enter><exit>6</exit></childCounting>",
        "<peopleCounting><statisticalMethods>yearly</statisticalMethods><enter>7</enter></peopleCounting>",
        "<peopleCounting><statisticalMethods>realTime</statisticalMethods><enter>-7</enter><exit>1</exit></peopleCounting>",
        "<peopleCounting><statisticalMethods>realTime</statisticalMethods></peopleCounting>",
    ],
)
def test_an_alert_of_people_without_its_figures_is_refused(inside: str) -> None:
    only = TestHikvision.cases[0]
    document = document_of(alert(inside).encode(), XML)
    with pytest.raises(Unreadable):
        devices.read(document, only.context)


@pytest.mark.parametrize("kind", ["regionTargetNumberCounting", "framesPeopleCounting", "personDensityDetection"])
def test_people_counted_in_other_ways_do_not_vanish_unseen(kind: str) -> None:
    document = document_of(alert("<CountingList><humanCount>3</humanCount></CountingList>", kind=kind).encode(), XML)
    with pytest.raises(Unreadable, match="in a way that is not read"):
        devices.read(document, TestHikvision.cases[0].context)


def test_one_bad_alert_of_a_stream_spoils_no_other() -> None:
    only = TestHikvision.cases[0]
    bad = alert(real_time(1, 1).replace("<enter>1<", "<enter>many<"))
    body = multipart((XML, bad.encode()), (XML, alert(real_time(70, 75)).encode()))
    [found] = devices.read(document_of(body, MIXED), only.context).reports
    assert [each.forward for each in found.measurements] == [70]
    assert [each.place for each in found.faults] == ["alert 1: peopleCounting.enter"]
