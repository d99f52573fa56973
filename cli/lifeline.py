"""Children that cannot outlive their parent, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Loaded before any fork: a child between fork and exec must not load anything."""


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child must do before exec so that the kernel kills it when its parent is gone.

    A supervisor that is killed can stop nobody any more, and services left behind would hold the ports and write to
    the bus beside those of the next start. SIGKILL, for there is no bus left to drain to. None where the kernel has no
    such thing: there an orderly end of the supervisor stops its children, and a kill leaves them.

    To the kernel the parent is the thread that starts the child, so None in any thread but the main one: a child
    started by a worker would end with it.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before it could be asked for
            os._exit(1)

    return prepare
