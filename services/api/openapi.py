"""The application behind the front, and its description."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from services.api.models import ProblemBody
from services.api.stream import NAMED_MAX, PATH
from shared.runtime.problem import MEDIA_TYPE

DESCRIPTION: Final = """\
Live status of libraries: is there a seat, how long is the queue, as of when.

* `closed` and `unknown` are states; figures are null then, never 0.
* Past `valid_until` a status is served with `expired: true`, state `unknown` and no figures. Show its age.
* Answers carry an `ETag`; ask again with `If-None-Match`. `Cache-Control` never reaches past the validity.
* `/v1/stream` tells changes as server-sent events.
* Errors are RFC 9457 problem details with a stable `type`.
"""
STREAM: Final[dict[str, Any]] = {
    "get": {
        "tags": ["stream"],
        "summary": "Statuses as server-sent events",
        "operationId": "stream",
        "description": (
            "First the present statuses, then each new one: `event: status` with the status as data, "
            '`event: removed` with `{"library": id}`. `id` is the place in the log; a reader that comes back with '
            "`Last-Event-ID` gets only what it missed. A slow reader gets the newest status of each library, not a "
            "backlog. A status that expires is sent again with `expired: true`. `event: beat` keeps the connection "
            "alive: its data are the seconds within which something is said again; who hears nothing for twice as long "
            "should reconnect."
        ),
        "parameters": [
            {
                "name": "library",
                "in": "query",
                "description": f"A library to follow; up to {NAMED_MAX} times. All of them if left out.",
                "schema": {"type": "array", "items": {"type": "string"}, "maxItems": NAMED_MAX},
                "explode": True,
                "style": "form",
            },
            {
                "name": "last_event_id",
                "in": "query",
                "description": "Like the header, for clients that cannot set one.",
                "schema": {"type": "string"},
            },
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The id of the last event seen.",
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": {
                "description": "The stream; it does not end by itself.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **{
                status: {
                    "description": "A problem; see `type`.",
                    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
                }
                for status in ("404", "422", "429", "503")
            },
        },
    }
}


class Api(FastAPI):
    """The framework's application, with the stream in its description though it is served before it."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        schema = super().openapi()
        schema["paths"].setdefault(PATH, STREAM)
        described = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = schema["components"]["schemas"]
        schemas.update(described.pop("$defs", {}))
        schemas["ProblemBody"] = described
        return schema
