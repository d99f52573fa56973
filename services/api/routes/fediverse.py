"""ActivityPub as other servers speak it: who an account is, what it has said, and an inbox for who wants to follow.

None of it stands in the API's description: it follows the specifications of ActivityPub, WebFinger and NodeInfo.
"""

from __future__ import annotations

import json
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from services.api.conditional import respond
from services.api.fediverse import Fediverse
from services.api.pictures import Pictures
from services.api.problems import ProblemRaised
from shared.contracts import fediverse as contract
from shared.contracts.fediverse import ACTIVITY, CONTEXT, Actor, Note
from shared.runtime.card import card_png

CACHING: Final = "public, max-age=60"
FRESH: Final = "public, max-age=15"
"""A note is edited in place."""
ANYWHERE: Final = {"Access-Control-Allow-Origin": "*"}
"""Pages of other servers look accounts up from within the browser (RFC 7033, section 5)."""
PICTURES_KEPT: Final = 128
"""Every follower's server fetches a note's picture, all in the minutes after it was made."""
NODEINFO: Final = "http://nodeinfo.diaspora.software/ns/schema/2.1"

AccountName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
NoteKey = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


def routes(accounts: Fediverse) -> APIRouter:
    """Return the routes of our accounts in the fediverse."""
    router = APIRouter(include_in_schema=False)

    pictures = Pictures(PICTURES_KEPT)
    _discovery(router, accounts)

    @router.get("/ap/{account}")
    async def account(request: Request, account: AccountName) -> Response:
        """Return an account; for people, lead to the library's page."""
        actor = await accounts.actor(account)
        return _page(request, actor.page) or _activity(contract.shown_actor(actor), CACHING)

    @router.get("/ap/{account}/followers")
    async def followers(account: AccountName) -> Response:
        """Return how many follow; who they are is nobody's business."""
        actor = await accounts.actor(account)
        total = (await accounts.summary(account)).followers
        return _activity(_collection(actor, "followers", total), CACHING)

    @router.get("/ap/{account}/outbox")
    async def outbox(account: AccountName) -> Response:
        """Return the latest notes."""
        actor = await accounts.actor(account)
        total = (await accounts.summary(account)).notes
        items = [_bare(contract.create(note)) for note in await accounts.latest(account)]
        return _activity(_collection(actor, "outbox", total, items), FRESH)

    @router.get("/ap/{account}/featured")
    async def featured(account: AccountName) -> Response:
        """Return what is pinned: the day's live note."""
        actor = await accounts.actor(account)
        items = [_bare(contract.shown_note(note)) for note in await accounts.featured(account)]
        return _activity(_collection(actor, "featured", len(items), items), FRESH)

    @router.get("/ap/{account}/notes/{key}")
    async def note(request: Request, account: AccountName, key: NoteKey) -> Response:
        """Return a note, or 410 and what is left of it; for people, lead to the library's page."""
        found = await accounts.note(account, key)
        if found.gone_at is not None:
            return _activity(contract.shown_note(found), FRESH, status=410)
        return _page(request, _page_of(found)) or _activity(contract.shown_note(found), FRESH)

    @router.get("/ap/{account}/notes/{key}/{name}")
    async def picture(request: Request, account: AccountName, key: NoteKey, name: str) -> Response:
        """Return the picture of a note as it stands; that of an earlier wording is not there any more."""
        found = await accounts.note(account, key)
        if found.status is None or name != contract.picture_name(found):
            raise ProblemRaised("not-found", "There is no such picture.")
        drawn = await pictures.get(
            (account, key, found.version), partial(card_png, found.status.to_domain(), found.language)
        )
        return respond(request, drawn.body, drawn.etag, CACHING, "image/png")

    @router.post("/ap/inbox")
    async def shared_inbox(request: Request) -> Response:
        """Take what is delivered to any of the accounts."""
        return await _delivered(accounts, request)

    @router.post("/ap/{account}/inbox")
    async def inbox(request: Request, account: AccountName) -> Response:
        """Take what is delivered to one account; what it is about, it says itself."""
        await accounts.actor(account)
        return await _delivered(accounts, request)

    return router


def _discovery(router: APIRouter, accounts: Fediverse) -> None:
    @router.get("/.well-known/webfinger")
    async def webfinger(resource: Annotated[str, Query(max_length=400)] = "") -> Response:
        """Return the account of a handle, `acct:name@host`, or of its own address."""
        name, host = _named(resource)
        actor = await accounts.actor(name)
        if actor.host != host:
            raise ProblemRaised("not-found", "There is no account of this name on this host.")
        body = {
            "subject": f"acct:{actor.account}@{actor.host}",
            "aliases": [actor.id],
            "links": [
                {"rel": "self", "type": ACTIVITY, "href": actor.id},
                {"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": actor.page},
            ],
        }
        return _json(body, "application/jrd+json", CACHING, ANYWHERE)

    @router.get("/.well-known/nodeinfo")
    async def nodeinfo_address(request: Request) -> Response:
        """Return where the facts on this installation are."""
        origin, _ = await accounts.instance(request.headers.get("host", ""))
        return _json({"links": [{"rel": NODEINFO, "href": f"{origin}/nodeinfo/2.1"}]}, "application/json", CACHING)

    @router.get("/nodeinfo/2.1")
    async def nodeinfo(request: Request) -> Response:
        """Return what runs here."""
        _, instance = await accounts.instance(request.headers.get("host", ""))
        body = {
            "version": "2.1",
            "software": {"name": "placelibre", "version": version("placelibre")},
            "protocols": ["activitypub"],
            "services": {"inbound": [], "outbound": []},
            "openRegistrations": False,
            "usage": {"users": {"total": len(instance.accounts)}},
            "metadata": {},
        }
        return _json(body, f'application/json; profile="{NODEINFO}#"', CACHING)


async def _delivered(accounts: Fediverse, request: Request) -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    target = raw_path.decode("latin-1") + (f"?{request.url.query}" if request.url.query else "")
    await accounts.deliver(target, headers, await request.body())
    return Response(status_code=202)


def _named(resource: str) -> tuple[str, str]:
    """Return account and host of a WebFinger resource. Raises ProblemRaised for what cannot be ours."""
    if resource.startswith("acct:"):
        name, _, host = resource.removeprefix("acct:").removeprefix("@").rpartition("@")
    else:
        origin, name = contract.account_of(resource) or ("", "")
        host = urlsplit(origin).netloc
    name = name.lower()
    if contract.account_of(f"/ap/{name}") is None:
        raise ProblemRaised("not-found", "There is no account of this name.")
    return name, host.lower()


def _page(request: Request, page: str) -> Response | None:
    """Lead people to a page; None for a program."""
    accept = request.headers.get("accept", "")
    if "text/html" not in accept or "activity+json" in accept or "ld+json" in accept:
        return None
    return RedirectResponse(page, status_code=303, headers={"Vary": "Accept", "Cache-Control": FRESH})


def _page_of(note: Note) -> str:
    return note.page or note.origin


def _collection(actor: Actor, name: str, total: int, items: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    listed = {} if items is None else {"orderedItems": items}
    head = {"@context": CONTEXT, "id": f"{actor.id}/{name}", "type": "OrderedCollection"}
    return {**head, "totalItems": total, **listed}


def _bare(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name != "@context"}


def _activity(body: dict[str, Any], caching: str, *, status: int = 200) -> Response:
    response = _json(body, ACTIVITY, caching, {"Vary": "Accept"})
    response.status_code = status
    return response


def _json(body: dict[str, Any], media_type: str, caching: str, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, headers={"Cache-Control": caching, **(headers or {})}, media_type=media_type)
