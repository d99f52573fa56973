"""Simulated days on the command line, and the way they are sent: in order, none skipped, at a pace."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.accuracy.days import simulate_run
from cli.accuracy.scenario import load_accuracy_scenarios
from cli.sending import Sender
from cli.simulation.live import Pace, play_days, play_live
from cli.simulation.scenario import load_scenarios
from cli.terminal import Trouble
from cli.wire import WireFields
from shared.domain.library import Library
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "simulate", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_same_seed_and_date_print_the_same_day_and_another_seed_another() -> None:
    arguments = ("--scenario", "quartier", "--date", "2026-11-25", "--json", "--seed")
    first, again, other = (json.loads(simulate(*arguments, seed).stdout) for seed in ("7", "7", "8"))
    assert first == again
    assert first["readings"] != other["readings"]
    assert first["simulated"] is True
    assert len(first["truth"]) > 500


def test_a_day_is_printed_with_what_was_and_what_was_seen() -> None:
    result = simulate("--scenario", "bpi", "--date", "2026-11-25")
    assert result.returncode == 0
    assert "2026-11-25, seed 2026" in result.stdout
    assert "All of it is simulated." in result.stdout
    noon = next(line for line in result.stdout.splitlines() if "13:00" in line)
    assert "open" in noon


def test_every_scenario_is_listed_on_a_line_with_what_it_is_for() -> None:
    lines = simulate("--list").stdout.splitlines()
    names = [*load_scenarios(), *load_accuracy_scenarios()]
    assert [line.split()[0] for line in lines] == names
    assert [line.split()[1] for line in lines[:4]] == ["day", "day", "day", "reference"]
    assert all(len(line.split()) > 6 for line in lines)


def test_a_run_is_printed_as_the_protocol_s_lines_and_as_one_document_with_its_truth() -> None:
    arguments = ("--scenario", "beam-school-hours", "--seed", "3")
    run = simulate_run(load_accuracy_scenarios()["beam-school-hours"], 3)
    lines = [json.loads(line) for line in simulate(*arguments, "--protocol").stdout.splitlines()]
    document = json.loads(simulate(*arguments, "--json").stdout)
    assert lines == document["lines"] == list(run.lines)
    assert [point["occupancy"] for point in document["truth"]] == [point.occupancy for point in run.truth]
    assert (document["scenario"], document["seed"], document["simulated"]) == ("beam-school-hours", 3, True)


def test_a_run_is_printed_with_what_was_told_and_what_was_wrong() -> None:
    printed = simulate("--scenario", "one-way-dead").stdout
    assert "one-way-dead, seed 2026" in printed
    assert "Mon 10:02" in printed
    assert "fault: south one way, Tue 1" in printed
    assert "All of it is simulated." in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--scenario", "nowhere"), "there is no scenario 'nowhere'"),
        (("--scenario", "bpi", "--protocol"), "--protocol needs a run"),
        (("--scenario", "gate-dead", "--date", "2026-11-24"), "gate-dead is a run with days of its own"),
        (("--date", "yesterday"), "'yesterday' is no date"),
        (("--scenario", "bpi", "--date", "2026-11-24"), "bpi is closed on 2026-11-24"),
        (("--to", "http://127.0.0.1:9"), "--to needs a key"),
        (("--to", "127.0.0.1:8001", "--key-file", "libraries.toml"), "'127.0.0.1:8001' is no address of ingest"),
    ],
)
def test_what_cannot_be_played_is_said_in_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    result = simulate(*arguments)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "what to do:" in result.stderr


class Ingest:
    """A server that gives the answers it is told to, then takes everything."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[Any] = []
        self.keys: list[str] = []
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                ingest.bodies.append(body)
                ingest.keys.append(self.headers["Authorization"])
                status = ingest.answers.pop(0) if ingest.answers else 202
                answer: dict[str, Any] = {"stored": len(body), "readings": []}
                if status != 202:
                    answer = {"title": "No", "errors": [{"index": 0, "reason": "there is no gate 'x'"}]}
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    ingest = Ingest()
    yield ingest
    ingest.server.shutdown()
    ingest.server.server_close()


def reading(number: int) -> WireFields:
    return {"kind": "queue_length", "library": "a", "people": number}


def test_a_refusal_that_passes_is_answered_with_the_same_request_until_it_is_stored(ingest: Ingest) -> None:
    ingest.answers = [503, 429, 500]
    told: list[str] = []
    with closing(Sender(ingest.url, "simulation.secret", told.append, first_wait_s=0.01)) as sender:
        sender.send([reading(1), reading(2)])
        sender.send([reading(3)])
    assert ingest.bodies == [[reading(1), reading(2)]] * 4 + [[reading(3)]]
    assert set(ingest.keys) == {"Bearer simulation.secret"}
    assert (sender.sent.requests, sender.sent.stored) == (2, 3)
    assert len(told) == 2
    assert "503" in told[0]
    assert "nothing was skipped" in told[1]


def test_more_than_one_request_may_hold_is_cut_in_order(ingest: Ingest) -> None:
    with closing(Sender(ingest.url, "k.s", print)) as sender:
        sender.send([reading(number) for number in range(2500)])
    assert [len(body) for body in ingest.bodies] == [1000, 1000, 500]
    assert [each["people"] for body in ingest.bodies for each in body] == list(range(2500))


def test_a_refusal_for_good_ends_it_with_the_reason(ingest: Ingest) -> None:
    ingest.answers = [422]
    with closing(Sender(ingest.url, "k.s", print)) as sender, pytest.raises(Trouble, match="422 No") as caught:
        sender.send([reading(1)])
    assert caught.value.remedy == "reading 0: there is no gate 'x'"


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


def test_a_minute_takes_a_second_at_sixty_times_the_speed_of_life_whatever_sending_takes() -> None:
    clock = Clock()
    pace = Pace(60, now_s=lambda: clock.now_s, pause_s=clock.pause)
    for _ in range(5):
        pace.wait()
        clock.now_s += 0.2  # sending
    assert clock.waits == [pytest.approx(0.8)] * 4


def test_after_a_long_delay_the_pace_goes_on_without_rushing() -> None:
    clock = Clock()
    pace = Pace(60, now_s=lambda: clock.now_s, pause_s=clock.pause)
    pace.wait()
    clock.now_s += 300
    pace.wait()
    pace.wait()
    assert clock.waits == [1.0]


class Enough(Exception):  # noqa: N818
    """Ends a play that would go on for ever."""


def test_days_follow_each_other_in_time_and_none_is_one_on_which_somebody_is_closed(
    libraries: dict[str, Library],
) -> None:
    everyone = [libraries[each] for each in load_scenarios()]
    days = play_days(everyone, load_scenarios(), 1, date(2026, 11, 22))
    assert [next(days)[0] for _ in range(4)] == [date(2026, 11, day) for day in (25, 26, 27, 28)]


def test_the_first_morning_is_sent_at_once_and_time_never_goes_back(
    libraries: dict[str, Library],
) -> None:
    clock = Clock()
    sent: list[WireFields] = []
    watched: list[str] = []

    def send(readings: Any) -> None:
        if clock.waits and not watched:
            watched.append(str(readings[0]["time"]))
        sent.extend(readings)
        if clock.now_s > 1500:
            raise Enough

    library = libraries["bpi"]
    days = play_days([library], load_scenarios(), 1, date(2026, 11, 25))
    with pytest.raises(Enough):
        play_live(days, library, Pace(60, lambda: clock.now_s, clock.pause), send, print)
    times = [str(each["time"]) for each in sent if each["kind"] == "clock"]
    assert times == sorted(times)
    assert watched == ["2026-11-25T10:41:00+00:00"]  # the second step of the watched part waits first
    assert {each["speed"] for each in sent if each["kind"] == "clock"} == {0, 60}
    counts = [each for each in sent if each["kind"] == "gate_count"]
    assert len({str(each["id"]) for each in counts}) == len(counts)
