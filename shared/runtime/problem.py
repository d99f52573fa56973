"""One form for every refusal over HTTP: RFC 9457 problem details, with a stable type and no echo of the input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


def problem(
    status: int,
    code: str,
    title: str,
    *,
    detail: str = "",
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Return a problem response; `code` is stable and names the kind of problem, `members` add to it."""
    body: dict[str, Any] = {"type": f"/problems/{code}", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    body.update(members)
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(json.dumps(body).encode(), status_code=status, media_type=MEDIA_TYPE, headers=all_headers)
