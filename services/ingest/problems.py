"""What ingest refuses, and what the sender should do then."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from shared.runtime.problem import Problem, table

FAULTS_NAMED: Final = 20

AGAIN: Final = (
    "Send the same request again after the seconds in Retry-After. Readings with an id, a sequence or a time of their"
    " own, or under one Idempotency-Key, count once."
)

PROBLEMS: Final = table(
    Problem(
        "unauthenticated",
        401,
        "No valid key",
        "Send `Authorization: Bearer <id>.<secret>`; `placelibre keys new` makes a key.",
    ),
    Problem(
        "session-over",
        401,
        "Nobody is signed in any more",
        "Sign in again with POST /v1/staff/sessions; what was not sent yet can be sent then.",
    ),
    Problem(
        "not-ready",
        503,
        "The staff's tablets are not known yet",
        "Send the same request again after the seconds in Retry-After; keep the key.",
    ),
    Problem(
        "not-now",
        503,
        "This cannot be done just now",
        "Send the same request again after the seconds in Retry-After.",
    ),
    Problem(
        "waiting",
        503,
        "Too many wait already",
        "Ask again after the seconds in Retry-After, or without `wait`; requests that were given up end in a second.",
    ),
    Problem("not-at-a-branch", 404, "A branch has no tablets", "Use the centre's address."),
    Problem(
        "invitation-over",
        403,
        "This invitation cannot be used",
        "It was used, or is too old. `placelibre staff enrol` makes a new one.",
    ),
    Problem("wrong-pin", 403, "The PIN is wrong", "`left` says how many tries are left before a pause."),
    Problem("locked", 429, "Too many wrong PINs", "Try again after the seconds in Retry-After."),
    Problem("too-many-tries", 429, "Too many tries", "Try again after the seconds in Retry-After."),
    Problem(
        "too-many-requests",
        429,
        "More requests than one sender may send",
        "Send the same request again after the seconds in Retry-After, and several readings in one request from then"
        " on.",
    ),
    Problem(
        "too-many-wrong-keys",
        429,
        "Too many requests without a valid key",
        "Compare the key or the address with what `placelibre keys new` or `placelibre devices new` printed.",
    ),
    Problem(
        "quarantine-full",
        429,
        "This sender has filled its share of quarantine",
        "See `placelibre devices` for what is wrong with what it sends; claim its devices, or put its bodies right.",
    ),
    Problem("forbidden", 403, "This key may not send this", "See `errors` for which items and why."),
    Problem("not-found", 404, "There is nothing here", "Readings go to /v1/readings; see /openapi.json."),
    Problem(
        "no-such-device",
        404,
        "No source has this address",
        "Compare it with what `placelibre devices new` printed; the library's configuration must have been applied.",
    ),
    Problem("claim-refused", 409, "The device cannot be claimed so", "See `detail`; nothing was changed."),
    Problem(
        "not-claimed",
        404,
        "No such device has been claimed",
        "See GET /v1/devices; a device in libraries.toml is taken out there.",
    ),
    Problem("method-not-allowed", 405, "Readings are sent with POST", "Use POST."),
    Problem("body-too-large", 413, "The body is too large", "Send fewer readings in one request."),
    Problem("body-too-slow", 408, "The body came too slowly", AGAIN),
    Problem("unsupported-encoding", 415, "Compressed bodies are not read", "Leave Content-Encoding out."),
    Problem("unsupported-media-type", 415, "Not a media type that is read here", "Send one of those in `detail`."),
    Problem("unreadable-body", 422, "The body cannot be read", "See `detail`; nothing was stored."),
    Problem(
        "invalid-readings",
        422,
        "Some readings are wrong",
        "See `errors` for which and why; nothing was stored. With `Prefer: handling=lenient` the good ones are.",
    ),
    Problem("busy", 503, "Too many requests at once", AGAIN),
    Problem("bus-unavailable", 503, "The readings cannot be stored just now", AGAIN),
    Problem("bus-full", 503, "The readings cannot be stored: the bus is full", AGAIN),
    Problem("invalid-request", 422, "A parameter is not valid", "See /openapi.json for what it may be."),
    Problem("internal", 500, "Something went wrong here", "Try again later; the fault has been logged."),
)

BY_STATUS: Final = {404: "not-found", 405: "method-not-allowed", 500: "internal"}
"""What stands for an error that came with no more than an HTTP status."""


def faults_of(error: ValidationError) -> str:
    """Return which fields are wrong or missing, by our names for them: those of the sender's own making stay unsaid."""
    named = set()
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        ours = each["loc"][:-1] if each["type"] == "extra_forbidden" else each["loc"]
        where = ".".join(map(str, ours))
        named.add((f"an unknown field in {where}" if where else "an unknown field") if ours != each["loc"] else where)
    return ", ".join(sorted(each or "the body" for each in named)[:FAULTS_NAMED])
