"""A limit on request bodies, before anything reads them: by what is declared and by what arrives."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.problems import PROBLEMS
from shared.runtime.problem import answer


class BodyLimit:
    """Pure ASGI, so that an oversized body is refused before it is in memory."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an application; `max_bytes` is the largest body it will see."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit and hand it on as one message, or answer 413."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        body = bytearray()
        is_too_large = not declared.isdigit() or int(declared) > self._max_bytes
        while not is_too_large:
            message = await receive()
            if message["type"] != "http.request":
                return  # the sender has gone
            body += message.get("body", b"")
            is_too_large = len(body) > self._max_bytes
            if not message.get("more_body", False):
                break
        if is_too_large:
            detail = f"At most {self._max_bytes} bytes are taken in one request."
            response = answer(PROBLEMS["body-too-large"], detail, headers={"Connection": "close"})
            await response(scope, receive, send)
            return
        is_given = False

        async def replay() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)
