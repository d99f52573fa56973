"""What the API answers instead of what was asked for, and what the caller should do then."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from shared.runtime.problem import Problem, answer, table

PROBLEMS: Final = table(
    Problem(
        "not-found",
        404,
        "There is nothing here",
        "Look up the ids in /v1/libraries and the paths in /openapi.json.",
    ),
    Problem("unknown-library", 404, "No library has this id", "Look up the ids in /v1/libraries."),
    Problem("method-not-allowed", 405, "This can only be read", "Use one of the methods in the Allow header."),
    Problem("invalid-request", 422, "A parameter is not valid", "See `errors` for which one and why."),
    Problem("span-too-long", 422, "Too many days at once", "Ask for fewer days; ask again for the rest."),
    Problem("too-many-libraries", 422, "Too many libraries in one stream", "Name fewer with `library=`."),
    Problem(
        "push-not-offered",
        404,
        "This library sends no notifications",
        "Follow its status instead: /v1/stream?library=<id>.",
    ),
    Problem("unknown-wish", 404, "No wish has this id", "It has been told, taken back, or is over; ask anew."),
    Problem("already-so", 409, "It is so already", "Look at the status."),
    Problem("closed-for-today", 409, "The library does not open any more today", "Ask again tomorrow."),
    Problem("too-many-wishes", 429, "This browser waits for several things already", "Take one back, or wait."),
    Problem(
        "too-many-wishes-here", 429, "Too many wishes from this address", "Try again after the seconds in Retry-After."
    ),
    Problem("push-unavailable", 503, "Wishes cannot be kept just now", "Try again after the seconds in Retry-After."),
    Problem(
        "too-many-requests",
        429,
        "Too many requests from this address",
        "Try again after the seconds in Retry-After; follow /v1/stream instead of asking again and again.",
    ),
    Problem("busy", 503, "Too many requests are being read", "Try again after the seconds in Retry-After."),
    Problem("body-too-slow", 408, "The body came too slowly", "Send the same request again."),
    Problem("body-not-wanted", 413, "A request to read needs no body", "Send none."),
    Problem(
        "too-many-streams-here",
        429,
        "Too many open streams from this address",
        "Close one, or follow several libraries in one stream.",
    ),
    Problem(
        "too-many-streams",
        503,
        "Every stream is taken",
        "Try again after the seconds in Retry-After, or read /v1/libraries.",
    ),
    Problem("starting", 503, "The statuses are being loaded", "Try again after the seconds in Retry-After."),
    Problem(
        "history-unavailable",
        503,
        "The history cannot be read just now",
        "Try again after the seconds in Retry-After.",
    ),
    Problem("activity-unreadable", 400, "The activity cannot be read", "Send one JSON object, as ActivityPub has it."),
    Problem(
        "signature-refused",
        401,
        "The signature does not hold",
        "Sign (request-target), host, date and digest with the sender's RSA key: draft-cavage, rsa-sha256 or hs2019.",
    ),
    Problem(
        "accounts-unavailable",
        503,
        "The fediverse accounts cannot be asked just now",
        "Try again after the seconds in Retry-After.",
    ),
    Problem(
        "no-feed",
        404,
        "There is no such feed",
        "Ask for another language; a library whose configuration has a channel of the type feed has one from its first"
        " announcement on.",
    ),
    Problem(
        "feed-unavailable",
        503,
        "The feed cannot be read just now",
        "Try again after the seconds in Retry-After.",
    ),
    Problem(
        "no-profile",
        503,
        "The library's hours are not known just now",
        "Try again after the seconds in Retry-After; if that does not help, look into the log of the API.",
    ),
    Problem(
        "profile-incomplete",
        404,
        "The library's configuration says too little for this view",
        "Whoever runs the library adds the keys that `errors` names to its table in libraries.toml.",
    ),
    Problem(
        "documents-busy", 503, "Too many documents are being written", "Try again after the seconds in Retry-After."
    ),
    Problem("signs-busy", 503, "Too many signs are being drawn", "Try again after the seconds in Retry-After."),
    Problem("internal", 500, "Something went wrong here", "Try again later; the fault has been logged."),
)
"""Every code that is ever answered. A code is never reused for something else."""

BY_STATUS: Final = {
    400: "invalid-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-not-wanted",
    422: "invalid-request",
}
"""What stands for an error that came with no more than an HTTP status."""


class ProblemRaised(Exception):  # noqa: N818  the answer, on its way out
    """An answer other than the one asked for."""

    def __init__(
        self, code: str, detail: str, *, retry_after_s: int | None = None, errors: list[dict[str, str]] | None = None
    ) -> None:
        """Name a code of PROBLEMS and say which item is meant and why."""
        super().__init__(f"{code}: {detail}")
        self.problem = PROBLEMS[code]
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.errors = errors

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """Return the answer."""
        return answer(self.problem, self.detail, retry_after_s=self.retry_after_s, errors=self.errors, headers=headers)
