"""POST /v1/devices/{token}: the secret address of a device, or of a vendor's cloud.

Most devices can do no better than a secret address. They want a plain 200; whatever the body is, it is stored as
readings or kept in quarantine before they get one, and what came of it is in the answer for people who try it by hand.
"""

from __future__ import annotations

import zlib
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.ingest.body import Body
from services.ingest.intake import QuarantineFull
from services.ingest.problems import PROBLEMS
from services.ingest.routes import RETRY_AFTER_FULL_S, RETRY_AFTER_S, Door
from shared.contracts.devices import AnySource
from shared.runtime import metrics
from shared.runtime.bus import BusFull, BusUnavailable
from shared.runtime.clock import now
from shared.runtime.problem import answer

GZIP: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""zlib's window bits by Content-Encoding: 31 expects gzip's header, 47 finds out."""


class _NotCompressed(Exception):  # noqa: N818  named for what is wrong with the body
    """The body is not what its Content-Encoding says, or too large when unpacked."""


def router(door: Door) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    async def post_body(request: Request) -> Response:
        response = await _take(door, request)
        metrics.INGEST_REQUESTS.labels(str(response.status_code)).inc()
        return response

    for path, is_shown in (("/v1/devices/{token}", True), ("/v1/devices/{token}/{rest:path}", False)):
        routes.add_api_route(
            path,
            post_body,
            methods=["POST"],
            summary="Send what a device says",
            description="A device's own body, as it is: JSON, XML, CSV, multipart, compressed by gzip or not. The token"
            " is the device's secret; `placelibre devices new` makes one. Answers 200 once every figure is stored as a"
            " reading, or the body is in quarantine because nobody has claimed the device or it could not be read;"
            " `placelibre devices` shows those. Devices that can only PUT may do that.",
            responses={
                200: {"description": "Stored, or kept in quarantine: `stored`, `quarantined` and `reasons` say which."},
                404: {"description": "No source has this address."},
                413: {"description": "The body is too large."},
                429: {
                    "description": "This source or address sends too often or too much, or has filled its share of"
                    " quarantine; send the same again after `Retry-After`."
                },
                503: {"description": "The bus is away or full; send the same again after `Retry-After`."},
            },
            response_class=JSONResponse,
            include_in_schema=is_shown,
        )
        routes.add_api_route(path, post_body, methods=["PUT"], include_in_schema=False)
    return routes


async def _take(door: Door, request: Request) -> Response:
    source: AnySource = request.state.source  # the front lets nobody through without
    data = await request.body()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        if encoding not in GZIP:
            return answer(PROBLEMS["unsupported-encoding"], "gzip and deflate are read here.")
        try:
            data = _unpacked(data, GZIP[encoding], door.settings.max_device_body_bytes)
        except _NotCompressed as error:
            return answer(PROBLEMS["unreadable-body"], str(error))
    if door.bus is None or not door.bus.is_connected:
        return answer(PROBLEMS["bus-unavailable"], "Nothing was acknowledged.", retry_after_s=RETRY_AFTER_S)
    rest = request.path_params.get("rest", "")
    body = Body(source, data, request.headers.get("content-type", ""), now(), rest)
    try:
        taken = await door.intake.take(body)
    except QuarantineFull as error:
        metrics.DEVICE_BODIES.labels(source.type, "no-room").inc()
        detail = "Nothing was acknowledged but what could be counted."
        return answer(PROBLEMS["quarantine-full"], detail, retry_after_s=error.retry_after_s)
    except BusFull:
        return answer(PROBLEMS["bus-full"], "Nothing was acknowledged.", retry_after_s=RETRY_AFTER_FULL_S)
    except BusUnavailable:
        return answer(PROBLEMS["bus-unavailable"], "Nothing was acknowledged.", retry_after_s=RETRY_AFTER_S)
    content = {"stored": taken.stored, "quarantined": taken.quarantined, "reasons": list(taken.reasons)}
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _unpacked(data: bytes, window_bits: int, limit: int) -> bytes:
    try:
        unpacker = zlib.decompressobj(window_bits)
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise _NotCompressed("the body is not compressed as its Content-Encoding says") from error
    if len(unpacked) > limit:
        raise _NotCompressed(f"the body is larger than {limit} bytes when unpacked")
    return unpacked
