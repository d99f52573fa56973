"""Where people can follow a library: its accounts, under the names people know, and what needs no account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.api.profiles import Account, Profile
from shared.contracts import fediverse
from shared.domain.catalog import CATALOGS

PLATFORMS: Final = {
    "activitypub": "Fediverse",
    "bluesky": "Bluesky",
    "discord": "Discord",
    "facebook": "Facebook",
    "linkedin": "LinkedIn",
    "mastodon": "Mastodon",
    "matrix": "Matrix",
    "ntfy": "ntfy",
    "slack": "Slack",
    "slackbot": "Slack",
    "telegram": "Telegram",
    "x": "X",
}
"""Channels that are a place of their own. Of any other the host of its page says best what it is."""


@dataclass(frozen=True, slots=True)
class Follow:
    """One place: what it is called, its address, and the language it speaks where that is not the page's own."""

    name: str
    href: str
    host: str
    language: str
    language_name: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where a library can be followed; `handles` are accounts of our own, which any server of the fediverse finds."""

    follows: tuple[Follow, ...]
    handles: tuple[str, ...]


NOWHERE: Final = Places((), ())


def places(profile: Profile | None, language: str) -> Places:
    """Return where a library can be followed. An account of whose page nothing is known is left out, never guessed."""
    if profile is None:
        return NOWHERE
    return Places(
        tuple(_follow(each, language) for each in profile.accounts if each.page),
        tuple(dict.fromkeys(_handles(profile.accounts))),
    )


def _follow(account: Account, language: str) -> Follow:
    host = (urlsplit(account.page).hostname or "").removeprefix("www.")
    speaks = "" if language in account.languages or not account.languages else account.languages[0]
    return Follow(
        name=PLATFORMS.get(account.type, host),
        href=account.page,
        host=host,
        language=speaks,
        language_name=CATALOGS[speaks].language_name if speaks in CATALOGS else "",
    )


def _handles(accounts: Iterable[Account]) -> Iterable[str]:
    for each in accounts:
        host = urlsplit(each.server).netloc
        if each.type == fediverse.TYPE and each.name and host:
            yield f"@{each.name}@{host}"
