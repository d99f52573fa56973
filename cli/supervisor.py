"""When to start, start again, stop and kill a child process: pure, with the clock as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, assert_never


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what."""

    first_delay_s: float = 0.5
    """Before the first new start; it doubles with every crash in a row."""
    max_delay_s: float = 30.0
    """Soon enough that nobody goes looking once the cause is gone, seldom enough not to fill the log."""
    healthy_after_s: float = 60.0
    """A child that has run so long has started well; its next crash is a first one again."""
    stop_s: float = 15.0
    """What a service may take to finish what it has in hand; then it is killed."""
    hung_after_s: float = 60.0
    """A process that has answered before and is silent for so long will not answer any more."""
    first_answer_s: float = 180.0
    """What a start may take until the first answer: a slow machine that starts everything at once."""


PATIENCE: Final = Patience()


class Wish(Enum):
    """What is wanted of a child."""

    RUN = auto()
    STOP = auto()
    KILL = auto()


@dataclass(frozen=True, slots=True)
class Waiting:
    """To be started at a time, after so many crashes in a row."""

    until_s: float
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """Started at a time, after so many crashes in a row."""

    since_s: float
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asked to end at a time, and perhaps killed since."""

    since_s: float
    is_killed: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """Ended, as was wished, and not to be started again."""


State = Waiting | Running | Stopping | Stopped


@dataclass(frozen=True, slots=True)
class Start:
    """Start the process now."""


@dataclass(frozen=True, slots=True)
class NoteCrash:
    """It has ended by itself; say so. It will be started again after `delay_s`."""

    exit_code: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the process to end."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process without asking."""


Action = Start | NoteCrash | Terminate | Kill


def decide(
    state: State, wish: Wish, exit_code: int | None, now_s: float, patience: Patience = PATIENCE
) -> tuple[State, Action | None]:
    """Return a child's next state and what to do for it.

    `exit_code` is that of a process that has ended, None while it runs or where none was started. Call it again after
    each action: one call asks for one thing at most.
    """
    match state:
        case Waiting():
            if wish is not Wish.RUN:
                return Stopped(), None
            if now_s < state.until_s:
                return state, None
            return Running(now_s, state.crashes), Start()
        case Running():
            return _of_running(state, wish, exit_code, now_s, patience)
        case Stopping():
            if exit_code is not None:
                return Stopped(), None
            is_late = wish is Wish.KILL or now_s - state.since_s >= patience.stop_s
            if is_late and not state.is_killed:
                return Stopping(state.since_s, is_killed=True), Kill()
            return state, None
        case Stopped():
            return state, None
        case never:
            assert_never(never)


def _of_running(
    state: Running, wish: Wish, exit_code: int | None, now_s: float, patience: Patience
) -> tuple[State, Action | None]:
    if wish is Wish.RUN:
        if exit_code is None:
            return state, None
        crashes = 0 if now_s - state.since_s >= patience.healthy_after_s else state.crashes
        delay_s = backoff_s(crashes, patience)
        return Waiting(now_s + delay_s, crashes + 1), NoteCrash(exit_code, delay_s)
    if exit_code is not None:
        return Stopped(), None
    if wish is Wish.KILL:
        return Stopping(now_s, is_killed=True), Kill()
    return Stopping(now_s), Terminate()


def backoff_s(crashes: int, patience: Patience = PATIENCE) -> float:
    """Return the seconds to wait after `crashes` earlier crashes in a row."""
    doublings = min(crashes, 32)  # beyond, the power is larger than any limit
    return float(min(patience.first_delay_s * 2**doublings, patience.max_delay_s))


def is_hung(since_s: float, answered_s: float | None, now_s: float, patience: Patience = PATIENCE) -> bool:
    """Tell whether a running process is to be given up; `answered_s` is when it answered last, if ever."""
    if answered_s is None:
        return now_s - since_s >= patience.first_answer_s
    return now_s - answered_s >= patience.hung_after_s
