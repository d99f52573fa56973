"""The channels: one module each, found by itself. A module with a `CHANNEL` is a channel; nothing else names it."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.publisher.channels.channel import Channel, ChannelType, Live, Misconfigured, Target
from services.publisher.channels.means import Means
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
def silent() -> frozenset[str]:
    """Return the types to which no announcements are sent."""
    return frozenset(
        name for name, each in types().items() if not each.traits.announces or each.traits.live is Live.RETAIN
    )


def make(target: Target, means: Means) -> Channel:
    """Return the channel of an account. Raises NoCredentials, Misconfigured."""
    return type_of(target.channel).make(target, means)


def faults(channel: Configured) -> list[tuple[str, str]]:
    """Return what a type of channel cannot work with: the key and the reason, each. No credentials are asked for."""
    try:
        known = type_of(channel.type)
    except Misconfigured as error:
        return [("type", str(error))]
    found = []
    if known.needs_account and not channel.account:
        found.append(("account", f"a {channel.type} channel needs one; it names the secrets file"))
    if known.needs_server and not channel.server:
        found.append(("server", f"a {channel.type} channel needs the address of its server"))
    elif channel.server and not _is_safe(channel, known):
        schemes = " or ".join(f"{each}://" for each in known.schemes)
        found.append(("server", f"a {channel.type} channel's server begins with {schemes}"))
    try:
        known.options.model_validate(channel.options)
    except ValidationError as error:
        found += [_fault(each, known) for each in error.errors()]
    return found


def _fault(error: ErrorDetails, known: ChannelType) -> tuple[str, str]:
    key = str(error["loc"][0]) if error["loc"] else "type"
    if error["type"] == "extra_forbidden":
        keys = [*known.options.model_fields, *Configured.model_fields]
        close = get_close_matches(key, keys, 1)
        return key, f"a {known.name} channel has no such key" + (f"; do you mean {close[0]}?" if close else "")
    field = known.options.model_fields.get(key)
    meaning = f": {field.description}" if field is not None and field.description else ""
    return key, f"it is missing{meaning}" if error["type"] == "missing" else f"{error['msg']}{meaning}"


def _is_safe(channel: Configured, known: ChannelType) -> bool:
    """Tell whether nobody on the way can read what is said to a server; on this machine nobody is on the way."""
    scheme = channel.server.partition("://")[0]
    return scheme in known.schemes or (channel.is_of_this_machine and scheme in known.local_schemes)
