"""A follower's server that believes nothing: it looks accounts up, checks every signature, and applies what it is told.

What it refuses is what Mastodon and GoToSocial refuse. Signatures are made and checked by apsig, which knows nothing of
our own code for that.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from apsig.draft import Signer, Verifier  # type: ignore[import-untyped]  # publishes no types
from cryptography.hazmat.primitives import serialization

from shared.runtime.http_signatures import new_key
from tests.fakes.http_server import Cut, FakeServer, Request, Response

ACTIVITY: Final = "application/activity+json"
PUBLIC: Final = "https://www.w3.org/ns/activitystreams#Public"
AS: Final = "https://www.w3.org/ns/activitystreams"
SIGNED: Final = {"(request-target)", "host", "date", "digest"}
"""Mastodon's minimum for a POST: https://docs.joinmastodon.org/spec/security/#http."""
PRIVATE, PUBLIC_KEY = new_key()
"""One key for all runs: making one takes a while, and nothing is learnt from another."""


@dataclass
class Followers(FakeServer):
    """A server with accounts, of which each may follow ours."""

    names: tuple[str, ...] = ("ana",)
    shares_inbox: bool = True
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What its people see, by the note's id, as last told."""
    buried: set[str] = field(default_factory=set)
    """Ids of notes that were deleted; they never come back."""
    pins: list[str] = field(default_factory=list)
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Every activity it took, also those heard before."""
    refused: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Names of accounts that are no more."""
    broken: int = 0
    """A status with which every delivery is answered; 0 for none."""
    client: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        raise NotImplementedError("this server has to ask others before it answers")

    async def respond(self, request: Request) -> Response:
        """Answer one request, with the fault that is due; unlike its parent it may have to ask for a key first."""
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults and self.is_change(request) else None
        if fault in {"cut", "done-504"}:
            await self.take(request)
            if fault == "cut":
                raise Cut
            return Response(504)
        match fault:
            case None:
                return await self.take(request)
            case "reset":
                raise Cut
            case "hang":
                await self.let_go.wait()
                raise Cut
            case "429":
                return self.throttled()
            case _:
                return Response(int(fault))

    async def take(self, request: Request) -> Response:
        """Show an account, or take a delivery."""
        name = request.path.removeprefix("/users/").removesuffix("/inbox")
        if request.method == "GET":
            if name in self.gone:
                return Response(410)
            return Response(200, self.actor(name), {"Content-Type": ACTIVITY}) if name in self.names else Response(404)
        if self.broken:
            return Response(self.broken)
        try:
            await self._apply(await self._verified(request))
        except _Refused as refused:
            self.refused.append(str(refused))
            return Response(refused.status, {"error": str(refused)})
        return Response(202)

    def actor(self, name: str) -> dict[str, Any]:
        """Return an account as Mastodon shows it, as far as it matters here."""
        address = f"{self.base}/users/{name}"
        shared = {"endpoints": {"sharedInbox": f"{self.base}/inbox"}} if self.shares_inbox else {}
        return {
            "@context": [AS, "https://w3id.org/security/v1"],
            "id": address,
            "type": "Person",
            "preferredUsername": name,
            "inbox": f"{address}/inbox",
            **shared,
            "publicKey": {"id": f"{address}#main-key", "owner": address, "publicKeyPem": PUBLIC_KEY},
        }

    # What its people do

    async def say(self, name: str, inbox: str, activity: dict[str, Any], *, label: str = "rsa-sha256") -> int:
        """Deliver an activity of one of its accounts, signed under a label; return the status."""
        body = json.dumps({"@context": AS, "actor": f"{self.base}/users/{name}", **activity}).encode()
        headers = signed(inbox, f"{self.base}/users/{name}#main-key", body, label=label)
        return (await self.client.post(inbox, content=body, headers=headers)).status_code

    async def follow(self, name: str, whom: str, *, label: str = "rsa-sha256", number: int = 1) -> int:
        """Look an account up and follow it."""
        actor = await self._read(whom)
        follow = {"id": f"{self.base}/follows/{name}/{number}", "type": "Follow", "object": whom}
        return await self.say(name, actor["inbox"], follow, label=label)

    async def unfollow(self, name: str, whom: str, *, number: int = 1, is_by_id: bool = False) -> int:
        """Take a request to follow back."""
        actor = await self._read(whom)
        follow = {"id": f"{self.base}/follows/{name}/{number}", "type": "Follow", "object": whom}
        undo = {"id": f"{follow['id']}/undo", "type": "Undo"}
        return await self.say(name, actor["inbox"], {**undo, "object": follow["id"] if is_by_id else follow})

    def texts(self) -> list[str]:
        """Return what its people read, the oldest first."""
        notes = sorted(self.notes.values(), key=lambda note: str(note["published"]))
        return [plain(str(note["content"])) for note in notes]

    # What it is told

    async def _read(self, address: str) -> dict[str, Any]:
        response = await self.client.get(address, headers={"Accept": ACTIVITY})
        if response.status_code != 200 or not response.headers["content-type"].startswith(ACTIVITY):
            raise _Refused(401, f"HTTP {response.status_code} from {urlsplit(address).path}")
        found: dict[str, Any] = response.json()
        return found

    async def _verified(self, request: Request) -> dict[str, Any]:
        """Return the activity of a delivery whose signature holds, and whose key is its actor's own."""
        header = request.headers.get("signature", "")
        parts = dict(re.findall(r'(\w+)="([^"]*)"', header))
        if not set(parts.get("headers", "").split()) >= SIGNED:
            raise _Refused(401, f"signed are only: {parts.get('headers')}")
        if request.headers["host"] != urlsplit(self.base).netloc:
            raise _Refused(401, "signed for another host")
        if request.headers.get("content-type") != ACTIVITY:
            raise _Refused(415, "not an activity")
        owner = await self._read(parts["keyId"].partition("#")[0])
        key = owner["publicKey"]
        if key["id"] != parts["keyId"] or key["owner"] != owner["id"]:
            raise _Refused(401, "the key is not its owner's")
        url = f"{self.base}{request.path}"
        verifier = Verifier(key["publicKeyPem"], "POST", url, request.headers, request.body, clock_skew=300)
        await asyncio.to_thread(verifier.verify, raise_on_fail=True)
        activity: dict[str, Any] = request.json()
        if activity["actor"] != owner["id"]:
            raise _Refused(401, "the activity is not of who signed it")
        return activity

    async def _apply(self, activity: dict[str, Any]) -> None:
        if AS not in activity["@context"] or urlsplit(activity["id"]).netloc != urlsplit(activity["actor"]).netloc:
            raise _Refused(422, "not an activity of its own host")
        what, actor = activity["object"], activity["actor"]
        match activity["type"]:
            case "Accept":
                self.accepted.append(what)
            case "Create":
                # Mastodon takes the first and drops every later one: app/lib/activitypub/activity/create.rb.
                if what["id"] not in self.notes and what["id"] not in self.buried:
                    self.notes[what["id"]] = self._note(what, actor)
            case "Update" if what["type"] == "Note":
                known = self.notes.get(what["id"])
                # Mastodon takes an edit with an `updated` that is new, of a post it knows, and of no other.
                if known is not None and str(what["updated"]) > str(known.get("updated", known["published"])):
                    self.notes[what["id"]] = self._note(what, actor)
            case "Update":
                self.profiles[what["id"]] = what
            case "Delete":
                if what["type"] != "Tombstone" or not what["id"].startswith(actor):
                    raise _Refused(422, "not a tombstone of its own")
                self.notes.pop(what["id"], None)
                self.buried.add(what["id"])
                self.pins = [each for each in self.pins if each != what["id"]]
            case "Add" | "Remove":
                self._pin(activity, await self._read(actor))
            case other:
                raise _Refused(422, f"an activity of type {other}")
        self.heard.append(activity)

    def _note(self, note: dict[str, Any], actor: str) -> dict[str, Any]:
        if note["attributedTo"] != actor or not note["id"].startswith(f"{actor}/notes/"):
            raise _Refused(422, "a note of somebody else")
        # Unlisted: public in cc, the followers in to.
        if note["to"] != [f"{actor}/followers"] or note["cc"] != [PUBLIC]:
            raise _Refused(422, "not unlisted")
        if list(note["contentMap"].values()) != [note["content"]]:
            raise _Refused(422, "no language")
        allowed = re.sub(r"</?(?:p|br|a)(?: (?:href|class|rel|target)=\"[^\"<>]*\")*>", "", note["content"])
        if "<" in allowed or ">" in allowed:
            raise _Refused(422, "more HTML than is let through")
        return note

    def _pin(self, activity: dict[str, Any], actor: dict[str, Any]) -> None:
        if activity["target"] != actor["featured"]:
            raise _Refused(422, "not the collection of what is pinned")
        self.pins = [each for each in self.pins if each != activity["object"]]
        if activity["type"] == "Add" and activity["object"] in self.notes:
            self.pins.append(activity["object"])


class _Refused(Exception):  # noqa: N818  the answer
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def signed(
    url: str, key_id: str, body: bytes, *, label: str = "rsa-sha256", private_key: str = PRIVATE, date: str = ""
) -> dict[str, str]:
    """Return the headers of a delivery, signed by apsig; `label` is what the algorithm is called, "" for nothing."""
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    dated = {"date": date} if date else {}
    headers: dict[str, str] = Signer({"content-type": ACTIVITY, **dated}, key, "POST", url, key_id, body).sign()
    del headers["Authorization"]
    said = f'algorithm="{label}",' if label else ""
    return {**headers, "Signature": headers["Signature"].replace('algorithm="rsa-sha256",', said)}


def plain(content: str) -> str:
    """Return the words of a note."""
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<br>|</p><p>", "\n", content)))
