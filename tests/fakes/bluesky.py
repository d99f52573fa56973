"""A strict stand-in for a Bluesky server (PDS) with one account, for runs without node.

Its rules are those of a real one; `test_bluesky_channel.py` asks both the same questions and compares the answers.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import regex  # type: ignore[import-untyped]  # publishes no types

from tests.fakes.http_server import FakeServer, Request, Response

POST: Final = "app.bsky.feed.post"
PROFILE: Final = "app.bsky.actor.profile"
TID: Final = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
"""https://atproto.com/specs/tid"""
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*")
LOGINS_MAX: Final = 30
"""In five minutes: https://docs.bsky.app/docs/advanced-guides/rate-limits."""


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """The server's own way to say no."""

    def __init__(self, status: int, error: str, message: str = "") -> None:
        super().__init__(error)
        self.response = Response(status, {"error": error, "message": message})


@dataclass
class FakePds(FakeServer):
    """One account. Every token holds the password, so that whoever looks for the one finds the other."""

    identifier: str = "bib.test"
    password: str = "canary"
    did: str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By collection and key, in the order of their making."""
    blobs: set[str] = field(default_factory=set)
    logins: int = 0
    refreshes: int = 0
    commits: int = 0
    is_taken_down: bool = False
    access: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)

    def is_change(self, request: Request) -> bool:
        return request.path.endswith(("repo.putRecord", "repo.applyWrites", "repo.deleteRecord"))

    def throttled(self) -> Response:
        # Both headers are sent, and the reset is in seconds since 1970: measured with rate limits on.
        headers = {"ratelimit-limit": "5000", "ratelimit-policy": "5000;w=3600", "retry-after": "1"}
        return Response(429, {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, headers)

    def unauthorised(self) -> Response:
        self.is_taken_down = True
        return Response(401, {"error": "AccountTakedown", "message": "Account has been taken down"})

    def posts(self) -> list[dict[str, Any]]:
        """Return the posts, the oldest first."""
        return [record for (collection, _), record in self.records.items() if collection == POST]

    def answer(self, request: Request) -> Response:
        name = request.path.removeprefix("/xrpc/com.atproto.")
        answers: dict[str, Callable[[Request], Any]] = {
            "server.createSession": self.create_session,
            "server.refreshSession": self.refresh_session,
            "repo.getRecord": self.get_record,
            "repo.putRecord": self.put_record,
            "repo.applyWrites": self.apply_writes,
            "repo.deleteRecord": self.delete_record,
            "repo.uploadBlob": self.upload_blob,
        }
        if name not in answers:
            return Response(501, {"error": "MethodNotImplemented", "message": "Method Not Implemented"})
        try:
            return Response(200, answers[name](request))
        except Refused as refused:
            return refused.response

    def create_session(self, request: Request) -> dict[str, str]:
        self.logins += 1
        if self.logins > LOGINS_MAX:
            raise Refused(429, "RateLimitExceeded")
        if request.json() != {"identifier": self.identifier, "password": self.password}:
            raise Refused(401, "AuthenticationRequired", "Invalid identifier or password")
        return self.session()

    def refresh_session(self, request: Request) -> dict[str, str]:
        self.bearer(request, self.refresh)
        self.refreshes += 1
        return self.session()  # the old token stays good for two hours, in case this answer gets lost

    def session(self) -> dict[str, str]:
        if self.is_taken_down:
            raise Refused(401, "AccountTakedown", "Account has been taken down")
        number = self.logins + self.refreshes
        access, refresh = f"access-{number}-{self.password}", f"refresh-{number}-{self.password}"
        self.access.add(access)
        self.refresh.add(refresh)
        return {"did": self.did, "handle": self.identifier, "accessJwt": access, "refreshJwt": refresh}

    def bearer(self, request: Request, good: set[str]) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer":
            raise Refused(401, "AuthMissing", "Authentication Required")
        if token in self.expired:
            raise Refused(400, "ExpiredToken", "Token has expired")
        if token not in good:
            raise Refused(400, "InvalidToken", "Token could not be verified")
        if self.is_taken_down:
            raise Refused(401, "AccountTakedown", "Account has been taken down")

    def get_record(self, request: Request) -> dict[str, Any]:
        place = request.query["collection"], request.query["rkey"]
        if request.query["repo"] != self.did or place not in self.records:
            raise Refused(400, "RecordNotFound", f"Could not locate record: {self.uri(*place)}")
        record = self.records[place]
        return {"uri": self.uri(*place), "cid": cid_of(record), "value": record}

    def put_record(self, request: Request) -> dict[str, Any]:
        body = self.change(request)
        place, record = (body["collection"], body["rkey"]), body["record"]
        self.check(*place, record)
        current = self.records.get(place)
        written = {"uri": self.uri(*place), "cid": cid_of(record), "validationStatus": "valid"}
        if current == record:
            return written  # before any look at swapRecord, and without a commit
        # swapRecord left out: no guard. null: there must be no record. A cid: that of the record there is.
        if "swapRecord" in body and body["swapRecord"] != (current and cid_of(current)):
            raise Refused(400, "InvalidSwap", f"Record was at {current and cid_of(current)}")
        self.records[place] = record
        return {**written, "commit": self.commit()}

    def apply_writes(self, request: Request) -> dict[str, Any]:
        body = self.change(request)
        records = dict(self.records)
        for write in body["writes"]:
            place = write["collection"], write["rkey"]
            match write["$type"].removeprefix("com.atproto.repo.applyWrites#"):
                case "create":
                    self.check(*place, write["value"])
                    if place in records:
                        raise Refused(500, "InternalServerError", "Internal Server Error")
                    records[place] = write["value"]
                case "delete":
                    if records.pop(place, None) is None:
                        raise Refused(500, "InternalServerError", "Internal Server Error")
                case other:
                    raise Refused(400, "InvalidRequest", other)
        self.records = records
        return {"commit": self.commit()}

    def delete_record(self, request: Request) -> dict[str, Any]:
        body = self.change(request)
        gone = self.records.pop((body["collection"], body["rkey"]), None)
        return {} if gone is None else {"commit": self.commit()}

    def upload_blob(self, request: Request) -> dict[str, Any]:
        self.bearer(request, self.access)
        link = cid(0x55, request.body)
        self.blobs.add(link)
        kind = request.headers["content-type"]
        return {"blob": {"$type": "blob", "ref": {"$link": link}, "mimeType": kind, "size": len(request.body)}}

    def change(self, request: Request) -> Any:
        self.bearer(request, self.access)
        body = request.json()
        if body["repo"] not in {self.did, self.identifier}:
            raise Refused(401, "AuthenticationRequired", "Authentication Required")
        return body

    def commit(self) -> dict[str, str]:
        self.commits += 1
        return {"cid": cid(0x71, str(self.commits).encode()), "rev": str(self.commits)}

    def uri(self, collection: str, rkey: str) -> str:
        return f"at://{self.did}/{collection}/{rkey}"

    def check(self, collection: str, rkey: str, record: dict[str, Any]) -> None:
        """Refuse what the lexicons of app.bsky refuse."""
        faults = {POST: self.post_faults, PROFILE: self.profile_faults}[collection](rkey, record)
        if record.get("$type", collection) != collection:
            faults.append("Invalid $type")
        if faults:
            raise Refused(400, "InvalidRequest", "; ".join(faults))

    def post_faults(self, rkey: str, record: dict[str, Any]) -> list[str]:
        text = record.get("text")
        if not isinstance(text, str):
            return ["text is missing"]
        faults = [] if TID.fullmatch(rkey) else ["Invalid TID string"]
        if len(regex.findall(r"\X", text)) > 300:
            faults.append("grapheme too big")
        if len(text.encode()) > 3000:
            faults.append("string too big")
        if not is_moment(record.get("createdAt")):
            faults.append("Invalid datetime")
        languages = record.get("langs", [])
        if len(languages) > 3 or not all(LANGUAGE.fullmatch(each) for each in languages):
            faults.append("Invalid language")
        for facet in record.get("facets", []):
            faults += facet_faults(facet)
        faults += self.embed_faults(record.get("embed"))
        return faults

    def embed_faults(self, embed: dict[str, Any] | None) -> list[str]:
        if embed is None:
            return []
        images = embed["images"]
        if embed["$type"] != "app.bsky.embed.images" or len(images) > 4:
            return ["Invalid embed"]
        faults = ["alt is missing" for each in images if not isinstance(each.get("alt"), str)]
        return faults + ["Could not find blob" for each in images if each["image"]["ref"]["$link"] not in self.blobs]

    def profile_faults(self, rkey: str, record: dict[str, Any]) -> list[str]:
        faults = [] if rkey == "self" else ["Invalid record key"]
        pinned = record.get("pinnedPost")
        if pinned is not None and not ({"uri", "cid"} <= pinned.keys() and pinned["uri"].startswith("at://")):
            faults.append("Invalid pinnedPost")
        return faults


def facet_faults(facet: dict[str, Any]) -> list[str]:
    """Return what is wrong with a facet; offsets behind the text's end are taken, as by the real server."""
    faults = []
    index = facet["index"]
    if not all(isinstance(index.get(each), int) and index[each] >= 0 for each in ("byteStart", "byteEnd")):
        faults.append("Invalid byteSlice")
    for feature in facet["features"]:
        match feature["$type"].removeprefix("app.bsky.richtext.facet#"):
            case "link":
                address = urlsplit(feature["uri"])
                if not address.scheme or not address.netloc:
                    faults.append("Invalid uri")
            case "tag":
                tag = feature["tag"]
                if len(tag.encode()) > 640 or len(regex.findall(r"\X", tag)) > 64:
                    faults.append("grapheme too big")
            case other:
                faults.append(f"Unknown feature {other}")
    return faults


def is_moment(text: object) -> bool:
    """Tell whether a text is a moment with its zone, as the lexicon asks."""
    try:
        return isinstance(text, str) and "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def cid_of(record: dict[str, Any]) -> str:
    """Return an id of a record's content, of the form of the real one; the real one is over DAG-CBOR."""
    return cid(0x71, json.dumps(record, sort_keys=True).encode())


def cid(codec: int, content: bytes) -> str:
    """Return a CID (version 1, sha-256, base32)."""
    multihash = bytes([1, codec, 0x12, 0x20]) + sha256(content).digest()
    return "b" + base64.b32encode(multihash).decode().lower().rstrip("=")
