"""Making the accounts that the configuration names, so that they can be found before they have said anything."""

from __future__ import annotations

import asyncio
import html

from services.publisher.channels.activitypub import ActivityPubOptions, account_of, another_origin, origin_of
from services.publisher.channels.channel import Misconfigured, Target
from services.publisher.channels.means import options_of
from services.publisher.fediverse.known import Known
from services.publisher.libraries import Libraries
from shared.contracts import subjects
from shared.contracts.fediverse import INSTANCE_KEY, TYPE, Actor, ActorKey, Instance, actor_key, private_key_key
from shared.contracts.status import PublicStatus
from shared.domain.library import ChannelRule
from shared.runtime.actors import load, parsed, put, save
from shared.runtime.bus import Bus, Conflict
from shared.runtime.clock import now
from shared.runtime.http_signatures import new_key
from shared.runtime.logs import logger

log = logger(__name__)


class AccountMaker:
    """Makes accounts, and keeps their profiles as configured. Of several libraries with one account the first by id."""

    def __init__(self, bus: Bus, libraries: Libraries) -> None:
        """Make the accounts of `libraries`, which somebody else keeps up to date."""
        self._bus = bus
        self._libraries = libraries
        self._told: set[str] = set()

    async def look(self, known: Known) -> None:
        """Put right whatever differs from what is known. Raises BusUnavailable, Conflict; then look again later."""
        seen: dict[str, str] = {}
        for library in sorted(self._libraries.speakers):
            for rule in self._libraries.speakers[library].rules:
                if rule.channel == TYPE and rule.account not in seen:
                    try:
                        seen[rule.account] = await self._put_right(library, rule, known)
                    except Misconfigured as error:
                        self._tell(rule.account, str(error))
        accounts = {name: each.actor.record.origin for name, each in known.accounts.items() if each.actor}
        instance = Instance(accounts=dict(sorted(accounts.items())))
        if accounts and (known.instance is None or known.instance.record != instance):
            await put(self._bus, INSTANCE_KEY, instance)

    async def _put_right(self, library: str, rule: ChannelRule, known: Known) -> str:
        target = Target(rule.channel, rule.account, rule.server, rule.options)
        options = options_of(target, ActivityPubOptions)
        account, origin = account_of(target), origin_of(rule.server)
        kept = known.accounts[account].actor
        if kept is not None and kept.record.origin != origin:
            self._tell(account, another_origin(kept.record))
            return account
        entry = await self._bus.bucket(subjects.STATUS).get(library)
        status = parsed(library, entry.value, PublicStatus) if entry else None
        words = {
            "name": status.name if status else account,
            "page": (status.url if status else "") or f"{origin}/l/{library}",
            "summary": f"<p>{html.escape(options.summary)}</p>" if options.summary else "",
            "accepts": options.auto_accept,
        }
        if kept is None:
            key = await self._key(account)
            actor = Actor(account=account, origin=origin, made_at=now(), public_key=key.public_key, **words)
        else:
            actor = kept.record.model_copy(update=words)
        if kept is None or actor != kept.record:
            await save(self._bus, actor_key(account), actor, kept.revision if kept else 0)
            log.info("fediverse_account", account=account, origin=origin)
        return account

    async def _key(self, account: str) -> ActorKey:
        """Return the account's key, made where there is none; two processes that make one agree on the first."""
        name = private_key_key(account)
        kept = await load(self._bus, name, ActorKey)
        if kept is None:
            private, public = await asyncio.to_thread(new_key)
            try:
                await save(self._bus, name, ActorKey(private_key=private, public_key=public), 0)
            except Conflict:
                log.debug("fediverse_key_made_by_another")
            kept = await load(self._bus, name, ActorKey)
        if kept is None:
            raise Misconfigured(f"the key of {account} cannot be read from the bucket {subjects.ACTORS}")
        return kept.record

    def _tell(self, account: str, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            log.error("fediverse_account_not_made", account=account, reason=reason)
