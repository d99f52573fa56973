"""Which children still answer: asked now and then over HTTP, without ever waiting for one of them.

A process that runs and does nothing is worse than one that has ended, for nobody starts it again. The supervisor has
one thread, so each question is a socket that is looked at again at the next tick.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from dataclasses import dataclass, field
from typing import Final

from cli.probe import UNVERIFIED
from cli.supervisor import PATIENCE, Patience, is_hung

ASK_EVERY_S: Final = 10.0
ANSWER_S: Final = 5.0
"""An event loop that is busy answers late; a question is given up after this, and the next one asked."""
AWAY_S: Final = 15.0
"""A supervisor that has not looked for so long was stopped itself, or its machine was: it judges nobody by that."""


@dataclass(slots=True)
class _Question:
    """One request on its way; `is_sent` once it has been written."""

    socket: socket.socket
    asked_s: float
    is_sent: bool = False


@dataclass(slots=True)
class Liveness:
    """What is known of one process since it started: when it answered last, and the question that is on its way."""

    address: tuple[str, int]
    """Host and port at which it serves /livez."""
    patience: Patience = PATIENCE
    ask_every_s: float = ASK_EVERY_S
    is_tls: bool = False
    _starts: int = 0
    _since_s: float = 0.0
    _answered_s: float | None = None
    _looked_s: float = 0.0
    _next_s: float = 0.0
    _question: _Question | None = field(default=None)

    def is_hung(self, starts: int, now_s: float) -> bool:
        """Look, ask if it is time, and tell whether the process that was started the `starts`-th time hangs."""
        if starts != self._starts:
            self._starts, self._since_s, self._answered_s, self._next_s = starts, now_s, None, now_s
            self.give_up()
        elif now_s - self._looked_s > AWAY_S:
            self._since_s, self._answered_s = now_s, None if self._answered_s is None else now_s
            self.give_up()
        self._looked_s = now_s
        if self._question is None and now_s >= self._next_s:
            self._ask(now_s)
        if self._question is not None:
            self._follow(self._question, now_s)
        return is_hung(self._since_s, self._answered_s, now_s, self.patience)

    def silent_s(self, now_s: float) -> float:
        """Return for how long it has not answered."""
        return now_s - (self._since_s if self._answered_s is None else self._answered_s)

    def _ask(self, now_s: float) -> None:
        self._next_s = now_s + self.ask_every_s
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        # Without a free file descriptor nobody can be asked, which says nothing about the process.
        with contextlib.suppress(OSError):
            asking = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            asking.connect_ex(self.address)
            self._question = _Question(asking, now_s)

    def _follow(self, question: _Question, now_s: float) -> None:
        try:
            if self.is_tls and not isinstance(question.socket, ssl.SSLSocket):
                _see_connected(question.socket)
                question.socket = UNVERIFIED.wrap_socket(question.socket, do_handshake_on_connect=False)
            if not question.is_sent:
                # Raises BlockingIOError until the connection stands, and another OSError if it is refused.
                question.socket.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                question.is_sent = True
            answer = question.socket.recv(64)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if now_s - question.asked_s > ANSWER_S:
                self.give_up()
            return
        except OSError:
            self.give_up()  # it does not listen yet, or any more
            return
        if answer.startswith(b"HTTP/1.1 200 "):
            self._answered_s = now_s
        self.give_up()

    def give_up(self) -> None:
        """Forget the question that is on its way, if there is one."""
        if self._question is not None:
            self._question.socket.close()
            self._question = None


def _see_connected(asking: socket.socket) -> None:
    """Return once a connection stands. Raises BlockingIOError while it is being made, another OSError if refused."""
    refused = asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if refused:
        raise OSError(refused, "the connection is refused")
    try:
        asking.getpeername()
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise BlockingIOError from error
        raise
