"""Errors over HTTP as RFC 9457 problem details: a service has a table of codes, and one way to answer with them.

`type` is relative, `/problems/<code>`, and can be fetched; a client compares it as it stands. Nothing of the request is
echoed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import JSONResponse, Response

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error: what it is, and what the caller should do. A code is never reused for something else."""

    code: str
    status: int
    title: str
    advice: str

    @property
    def type(self) -> str:
        """The problem's URI, relative to this host."""
        return f"/problems/{self.code}"


def table(*problems: Problem) -> dict[str, Problem]:
    """Return problems by their codes."""
    return {each.code: each for each in problems}


def answer(
    problem: Problem,
    detail: str,
    *,
    retry_after_s: int | None = None,
    errors: Sequence[Mapping[str, str | int]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response; it is never kept by a cache. `errors` name the items that are wrong."""
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "advice": problem.advice,
    }
    if errors:
        body["errors"] = errors
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    if retry_after_s is not None:
        all_headers["Retry-After"] = str(retry_after_s)
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status_code=problem.status, headers=all_headers, media_type=MEDIA_TYPE)


def explanation(problem: Problem) -> Response:
    """Return what a problem's code means, for whoever fetches its type."""
    return JSONResponse(
        {"type": problem.type, "title": problem.title, "status": problem.status, "advice": problem.advice}
    )
