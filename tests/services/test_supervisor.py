"""The supervisor: when it starts, starts again, stops and kills; decided without a clock, done with processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.children import Children, Program, limit_log
from cli.supervisor import (
    PATIENCE,
    Kill,
    NoteCrash,
    Patience,
    Running,
    Start,
    State,
    Stopped,
    Stopping,
    Terminate,
    Waiting,
    Wish,
    backoff_s,
    decide,
)
from tests.conftest import ROOT


def delays(lives_s: list[float]) -> list[float]:
    """Let a child live so long, crash, and be started as soon as it may be; return the waits."""
    state: State = Waiting(0.0)
    now_s = 0.0
    waits: list[float] = []
    for life_s in lives_s:
        state, action = decide(state, Wish.RUN, None, now_s)
        assert action == Start()
        now_s += life_s
        state, action = decide(state, Wish.RUN, 1, now_s)
        assert isinstance(action, NoteCrash)
        waits.append(action.delay_s)
        now_s += action.delay_s
    return waits


def test_the_wait_before_a_new_start_doubles_up_to_half_a_minute() -> None:
    assert delays([1.0] * 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_health_makes_the_next_crash_a_first_one() -> None:
    assert delays([1.0, 1.0, 59.9, 60.0, 1.0]) == [0.5, 1, 2, 0.5, 1]


@given(st.lists(st.floats(0, 59), min_size=2, max_size=100))
def test_waits_never_shrink_while_a_child_keeps_crashing_and_stay_within_their_bounds(lives_s: list[float]) -> None:
    waits = delays(lives_s)
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert all(PATIENCE.first_delay_s <= wait <= PATIENCE.max_delay_s for wait in waits)


def test_ten_thousand_crashes_in_a_row_are_no_special_case() -> None:
    assert backoff_s(10_000) == PATIENCE.max_delay_s


def test_a_child_is_not_started_before_its_time() -> None:
    assert decide(Waiting(10.0, 3), Wish.RUN, None, 9.9) == (Waiting(10.0, 3), None)
    assert decide(Waiting(10.0, 3), Wish.RUN, None, 10.0) == (Running(10.0, 3), Start())


def test_a_child_that_waits_for_its_next_start_is_stopped_by_not_starting_it() -> None:
    assert decide(Waiting(10.0, 3), Wish.STOP, None, 11.0) == (Stopped(), None)


def test_a_child_is_asked_to_end_and_killed_when_it_takes_too_long() -> None:
    state, action = decide(Running(0.0), Wish.STOP, None, 100.0)
    assert (state, action) == (Stopping(100.0), Terminate())
    assert decide(state, Wish.STOP, None, 114.9) == (state, None)
    state, action = decide(state, Wish.STOP, None, 115.0)
    assert action == Kill()
    assert decide(state, Wish.STOP, None, 200.0) == (state, None)
    assert decide(state, Wish.STOP, -9, 200.0) == (Stopped(), None)


def test_a_second_request_kills_at_once() -> None:
    assert decide(Running(0.0), Wish.KILL, None, 1.0) == (Stopping(1.0, is_killed=True), Kill())
    assert decide(Stopping(0.5), Wish.KILL, None, 1.0) == (Stopping(0.5, is_killed=True), Kill())


@given(
    st.lists(st.tuples(st.sampled_from(Wish), st.one_of(st.none(), st.integers(-9, 3)), st.floats(0, 100)), max_size=60)
)
def test_once_stopped_a_child_stays_so_and_is_never_started_while_it_runs(
    moments: list[tuple[Wish, int | None, float]],
) -> None:
    state: State = Waiting(0.0)
    now_s = 0.0
    for wish, exit_code, passed_s in moments:
        now_s += passed_s
        before = state
        state, action = decide(state, wish, exit_code, now_s)
        if isinstance(before, Stopped):
            assert (state, action) == (before, None)
        if isinstance(action, Start):
            assert isinstance(before, Waiting)
            assert wish is Wish.RUN


FAST = Patience(first_delay_s=0.05, max_delay_s=0.2, healthy_after_s=60, stop_s=1.0)


class Stage:
    """Children under test, with what they said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.heard: list[str] = []
        self.children = Children(say=self.said.append, hear=self.heard.append, patience=FAST)

    def program(self, name: str, code: str, *, stage: int = 1, is_heard: bool = False) -> Program:
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-u", "-c", code]
        return Program(name, command, dict(os.environ), log, stage, is_heard=is_heard)

    def until(self, is_so: Callable[[], bool]) -> None:
        assert self.children.tick_until(is_so, 20.0), (self.said, self.heard)

    def pid(self, name: str) -> int:
        process = self.children.children[name].process
        assert process is not None
        return process.pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


SLEEP = "import time; print('up'); time.sleep(600)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', os.getpid()); time.sleep(600)"
)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.children.stop_requests = 2
    stage.children.stop()


def test_a_child_that_is_killed_comes_back_and_is_reported_in_one_line(stage: Stage) -> None:
    stage.children.add(stage.program("service", SLEEP))
    child = stage.children.children["service"]
    first = stage.pid("service")
    os.kill(first, signal.SIGKILL)
    stage.until(lambda: child.starts == 2 and child.is_running)
    assert stage.pid("service") != first
    assert len(stage.said) == 1
    assert stage.said[0].startswith("service was ended by SIGKILL; starting it again in 0.05 s")


def test_a_child_that_cannot_be_started_is_tried_again(stage: Stage) -> None:
    missing = Program("service", ["/nonexistent/program"], {}, stage.folder / "service.log", 1)
    stage.children.add(missing)
    stage.until(lambda: stage.children.children["service"].starts >= 3)
    assert "cannot be started" in stage.said[0]


def test_what_a_heard_child_prints_is_heard_line_by_line_and_the_rest_is_logged(stage: Stage) -> None:
    code = (
        "import sys, time; print('a post'); print('a log line', file=sys.stderr); print('é', end=''); time.sleep(600)"
    )
    stage.children.add(stage.program("publisher", code, is_heard=True))
    stage.until(lambda: stage.heard == ["a post"])
    stage.until(lambda: "a log line" in stage.log("publisher"))
    stage.children.stop()
    assert stage.heard == ["a post", "é"]


def test_children_stop_in_order_the_bus_last(stage: Stage) -> None:
    ends = stage.folder / "ends"
    code = f"""
import signal, sys, time
def end(*_):
    time.sleep(0.2)
    with open({str(ends)!r}, "a") as file:
        file.write(sys.argv[1] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up")
time.sleep(600)
"""
    for name, number in (("bus", 0), ("service", 1), ("sender", 2)):
        program = stage.program(name, code, stage=number)
        stage.children.add(Program(name, [*program.command, name], program.environment, program.log_file, number))
    stage.until(lambda: all("up" in stage.log(name) for name in ("bus", "service", "sender")))
    stage.children.stop()
    assert ends.read_text() == "sender service bus "
    assert stage.said == []


def test_a_child_that_does_not_stop_is_killed_with_all_that_it_started(stage: Stage) -> None:
    grandchild = f"import subprocess, sys; subprocess.Popen([sys.executable, '-u', '-c', {STUBBORN!r}]); " + STUBBORN
    stage.children.add(stage.program("service", grandchild))
    stage.until(lambda: stage.log("service").count("up") == 2)
    pids = [int(line.split()[1]) for line in stage.log("service").splitlines()]
    stage.children.stop()
    assert stage.said == ["service did not stop within 1 s; it is killed"]
    wait_until_gone(pids)


def test_a_second_request_to_stop_does_not_wait(stage: Stage) -> None:
    stage.children.add(stage.program("service", STUBBORN))
    stage.until(lambda: "up" in stage.log("service"))
    pid = stage.pid("service")
    stage.children.stop_requests = 2
    stage.children.stop()
    assert stage.said == []
    wait_until_gone([pid])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from cli.children import Children, Program
children = Children(say=print, hear=print)
log = Path({str(tmp_path / "child.log")!r})
children.add(Program("child", [sys.executable, "-u", "-c", {STUBBORN!r}], dict(os.environ), log, 1))
print(children.children["child"].process.pid, flush=True)
while True:
    children.tick()
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    os.kill(pid, 0)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    wait_until_gone([pid])


def test_a_log_that_grows_too_large_is_kept_once_and_goes_on_empty(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 1001)
        limit_log(log, 1000)
        writer.write(b"after")
        limit_log(log, 1000)
    assert log.read_bytes() == b"after"
    assert (tmp_path / "service.log.1").read_bytes() == b"x" * 1001


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if is_alive(pid)] == []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits for its parent's look does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
