"""The channels: one module each, found by itself. A module with a `CHANNEL` is a channel; nothing else names it."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from services.publisher.channels.channel import Channel, ChannelType, Live, Misconfigured, Target
from services.publisher.channels.means import Means, options_of
from shared.contracts.configuration import Channel as Configured


@cache
def types() -> dict[str, ChannelType]:
    """Return every type of channel by its name."""
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found = (getattr(module, "CHANNEL", None) for module in modules)
    return {each.name: each for each in found if isinstance(each, ChannelType)}


def type_of(name: str) -> ChannelType:
    """Return a type of channel. Raises Misconfigured, naming those there are."""
    known = types().get(name)
    if known is None:
        raise Misconfigured(f"there is no channel {name!r}; there are {', '.join(sorted(types()))}")
    return known


@cache
def retaining() -> frozenset[str]:
    """Return the types that hold the latest status themselves and need no announcements."""
    return frozenset(name for name, each in types().items() if each.traits.live is Live.RETAIN)


def make(target: Target, means: Means) -> Channel:
    """Return the channel of an account. Raises NoCredentials, Misconfigured."""
    return type_of(target.channel).make(target, means)


def check(channel: Configured) -> None:
    """Refuse what a type of channel cannot work with. Raises Misconfigured; no credentials are asked for."""
    known = type_of(channel.type)
    if known.needs_account and not channel.account:
        raise Misconfigured(f"a {channel.type} channel needs account, which names its secrets file")
    is_safe = channel.server.startswith("https://") or (
        channel.is_of_this_machine and channel.server.startswith("http://")
    )
    if known.needs_server and not is_safe:
        raise Misconfigured(f'a {channel.type} channel needs server = "https://..."')
    options_of(Target(channel.type, channel.account, channel.server, channel.options), known.options)
