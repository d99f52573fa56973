"""The supervisor's hands: real processes, their logs and their output, driven by the decisions of `supervisor`."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

from cli.lifeline import end_with_parent
from cli.liveness import Liveness
from cli.supervisor import (
    PATIENCE,
    Kill,
    NoteCrash,
    Patience,
    Start,
    State,
    Stopped,
    Terminate,
    Waiting,
    Wish,
    decide,
)
from shared.runtime.clock import monotonic_s, pause_s

TICK_S: Final = 0.1
"""How soon a crash or a signal is noticed."""
LOG_BYTES_MAX: Final = 10 * 1024 * 1024
"""Of each log, and of the one before it: a week of a quiet service, and never a full disk."""
LINE_BYTES_MAX: Final = 64 * 1024
CANNOT_START: Final = 127
"""What a shell answers for a program that is not there."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Higher stages stop first; within a stage all stop together."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log_file: Path
    stage: int
    is_heard: bool = False
    """Whether its standard output goes to the terminal rather than to the log."""
    before_start: Callable[[], None] | None = None
    """Done before each start; an OSError of it counts as a program that cannot be started."""
    answers_at: tuple[str, int] | None = None
    """Host and port of its /livez; one that is silent there for long is killed, and started again as any other."""
    is_answering_by_tls: bool = False


@dataclass(slots=True)
class Child:
    """A program and how it is doing."""

    program: Program
    state: State
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    exit_code: int | None = None
    unfinished: bytes = b""
    """The beginning of a line whose end has not arrived."""
    liveness: Liveness | None = None
    given_up: int = 0
    """The start whose process was killed because it hung: it may take a moment to go."""

    @property
    def is_running(self) -> bool:
        """Whether its process is there now."""
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Children:
    """All children of one supervisor. Single-threaded: everything happens in `tick`.

    `say` gets one line about a child's crash or end; `hear` gets a line of output of a child that is heard.
    """

    say: Callable[[str], None]
    hear: Callable[[str], None]
    patience: Patience = PATIENCE
    children: dict[str, Child] = field(default_factory=dict)
    stop_requests: int = 0
    """One asks for an orderly end, a second one for an end now."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def add(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        liveness = None
        if program.answers_at is not None:
            liveness = Liveness(program.answers_at, self.patience, is_tls=program.is_answering_by_tls)
        self.children[program.name] = Child(program, Waiting(monotonic_s()), liveness=liveness)
        self._advance(self.children[program.name])

    def listen_for_signals(self) -> None:
        """Take Ctrl-C, SIGTERM and the end of the terminal as requests to stop."""

        def on_signal(*_: object) -> None:
            self.stop_requests += 1

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked for the end."""
        return self.stop_requests > 0

    @property
    def is_over(self) -> bool:
        """Whether every child has ended for good."""
        return all(isinstance(child.state, Stopped) for child in self.children.values())

    def tick(self, timeout_s: float = TICK_S) -> None:
        """Wait a moment for output, then do for every child what is due."""
        for key, _ in self._selector.select(timeout_s) if self._selector.get_map() else _pause(timeout_s):
            self._read(key.data)
        for child in self.children.values():
            self._advance(child)
            limit_log(child.program.log_file)

    def tick_until(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Tick until something is so; return False if it is not in time or a stop was asked for."""
        deadline = monotonic_s() + timeout_s
        while not self.is_stopping and monotonic_s() < deadline:
            if is_done():
                return True
            self.tick()
        return False

    def stop(self) -> None:
        """Stop every child, stage by stage, and return when all have ended."""
        self.stop_requests = max(self.stop_requests, 1)
        while not self.is_over:
            self.tick()
        self._selector.close()

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a child that runs; one that ends of it is started again, as after a crash."""
        child = self.children[name]
        if child.is_running:
            self._signal(child, number)

    def _wish(self, child: Child) -> Wish:
        if self.stop_requests > 1:
            return Wish.KILL
        if self.stop_requests == 0:
            return Wish.RUN
        others = (each for each in self.children.values() if not isinstance(each.state, Stopped))
        return Wish.STOP if child.program.stage == max(each.program.stage for each in others) else Wish.RUN

    def _advance(self, child: Child) -> None:
        if isinstance(child.state, Stopped):
            return
        ended = child.process.poll() if child.process is not None else child.exit_code
        wish = self._wish(child)
        if self.is_stopping and wish is Wish.RUN and (ended is not None or isinstance(child.state, Waiting)):
            wish = Wish.STOP  # it has ended before its turn; nobody starts it again for that
        if wish is Wish.RUN and ended is None:
            self._end_if_hung(child)
        child.state, action = decide(child.state, wish, ended, monotonic_s(), self.patience)
        match action:
            case Start():
                self._start(child)
            case NoteCrash(exit_code, delay_s):
                self._forget_process(child)
                log = child.program.log_file
                self.say(f"{child.program.name} {_ended(exit_code)}; starting it again in {delay_s:g} s (see {log})")
            case Terminate():
                self._signal(child, signal.SIGTERM)
            case Kill():
                if self.stop_requests < 2:
                    self.say(f"{child.program.name} did not stop within {self.patience.stop_s:g} s; it is killed")
                self._signal(child, signal.SIGKILL)
            case None:
                if isinstance(child.state, Stopped):
                    self._forget_process(child)
            case never:
                assert_never(never)

    def _end_if_hung(self, child: Child) -> None:
        """Kill a process that does not answer any more; its end is then seen, and answered, as any other."""
        liveness = child.liveness
        if liveness is None or child.process is None or child.given_up == child.starts:
            return
        now_s = monotonic_s()
        if liveness.is_hung(child.starts, now_s):
            child.given_up = child.starts
            self.say(f"{child.program.name} has not answered for {liveness.silent_s(now_s):.0f} s; it is killed")
            self._signal(child, signal.SIGKILL)  # it would hear no other

    def _start(self, child: Child) -> None:
        program = child.program
        child.exit_code = None
        child.starts += 1
        try:
            if program.before_start is not None:
                program.before_start()
            with program.log_file.open("ab") as log:
                child.process = subprocess.Popen(
                    list(program.command),
                    env=program.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if program.is_heard else log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops its children in order
                    preexec_fn=end_with_parent(),  # noqa: PLW1509  one thread here, and it calls prctl alone
                )
        except OSError as error:
            self.say(f"{program.name} cannot be started: {error}")
            child.process, child.exit_code = None, CANNOT_START
            return
        if child.process.stdout is not None:
            os.set_blocking(child.process.stdout.fileno(), False)
            self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _signal(self, child: Child, number: signal.Signals) -> None:
        # The whole session: whatever a service has started itself ends with it.
        if child.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, number)

    def _forget_process(self, child: Child) -> None:
        process = child.process
        if child.liveness is not None:
            child.liveness.give_up()
        if process is None:
            return
        self._read(child)
        if process.stdout is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(process.stdout)
            process.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
        child.process, child.exit_code = None, None

    def _read(self, child: Child) -> None:
        if child.process is None or child.process.stdout is None:
            return
        try:
            data = os.read(child.process.stdout.fileno(), LINE_BYTES_MAX)
        except BlockingIOError:
            return
        if not data:  # the end: nothing more to wait for
            with contextlib.suppress(KeyError):
                self._selector.unregister(child.process.stdout)
        *lines, rest = (child.unfinished + data).split(b"\n")
        if not data or len(rest) > LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        child.unfinished = rest
        for line in lines:
            if line or data:
                self.hear(line.decode(errors="replace"))


def _pause(timeout_s: float) -> list[tuple[selectors.SelectorKey, int]]:
    pause_s(timeout_s)
    return []


def _ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def limit_log(path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Once a log is too large, keep it as `<name>.1` and go on with an empty one.

    Its writers hold it open and append, so it is copied and cut rather than renamed; a line written in between is lost.
    """
    try:
        if path.stat().st_size <= bytes_max:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except OSError:
        return  # a full disk is doctor's to report; a log must not stop a service


def this_command(*arguments: str) -> list[str]:
    """Return the command that runs `placelibre` with these arguments in a process of its own."""
    return [sys.executable, "-m", "cli.main", *arguments]
