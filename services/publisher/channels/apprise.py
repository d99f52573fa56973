"""The long tail: over a hundred one-way services, by the library Apprise.

It tells success from failure and no more, so a failure may have gone out all the same. Services that are known to have
a post are left out when it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

import apprise

from services.publisher.channels.channel import (
    Channel,
    ChannelType,
    Done,
    NoCredentials,
    NotFound,
    Outcome,
    Target,
    Traits,
    Unknown,
    forms,
)
from services.publisher.channels.means import Means
from shared.contracts.posts import PostIntent

SERVICES_MAX: Final = 20
REMEMBERED: Final = 256
"""Posts of this process of which it is known which services have them."""


class AppriseChannel(Channel):
    """The services of one secrets file."""

    def __init__(self, services: tuple[apprise.Apprise, ...]) -> None:
        """Each of `services` has one service in it, so that each answers for itself."""
        self._services = services
        self._reached: OrderedDict[str, set[int]] = OrderedDict()

    async def send(self, intent: PostIntent) -> Outcome:
        """Send the longest form to every service that is not known to have it."""
        text = forms(intent)[0]
        reached = self._reached.setdefault(intent.key, set())
        while len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)

        async def reach(number: int) -> None:
            if await self._services[number].async_notify(body=text, body_format=apprise.NotifyFormat.TEXT):
                reached.add(number)

        missing = [number for number in range(len(self._services)) if number not in reached]
        await asyncio.gather(*(reach(number) for number in missing))
        if len(reached) == len(self._services):
            return Done(intent.key, "", text)
        numbers = ", ".join(str(number + 1) for number in missing if number not in reached)
        return Unknown(f"no success from the services that stand in the secrets file as number {numbers}")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Apprise cannot read; what this process knows is used when it sends again."""
        del intent
        return NotFound()


def _service(url: str, asset: apprise.AppriseAsset) -> apprise.Apprise | None:
    """Return one service, or None where the line is none that Apprise knows."""
    service = apprise.Apprise(asset=asset)
    if not service.add(url) or len(service) != 1:
        return None
    for each in service:
        # Repetitions and pauses are the outbox's; inside a call they would only make its outcome doubtful.
        each.request_rate_per_sec = 0
        each.retry = 0
    return service


def _make(target: Target, means: Means) -> Channel:
    # Apprise and what it sends with tell whole addresses, which are secrets.
    for talker in ("apprise", "urllib3", "requests"):
        logging.getLogger(talker).setLevel(logging.CRITICAL)
    name = target.secret_name
    lines = [line.strip() for line in means.secret(target).get_secret_value().splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not 1 <= len(urls) <= SERVICES_MAX:
        raise NoCredentials(f"the secrets file {name} should hold 1 to {SERVICES_MAX} addresses, one a line")
    asset = apprise.AppriseAsset(
        app_id="Placelibre",
        app_desc="Placelibre",
        app_url="",
        storage_mode="memory",
        http_redirects=False,
        allow_templates=False,
        service_timeout=means.client.timeout.read,
    )
    services = []
    for number, url in enumerate(urls, start=1):
        service = _service(url, asset)
        if service is None:
            raise NoCredentials(f"the secrets file {name}: Apprise does not know the address number {number}")
        services.append(service)
    return AppriseChannel(tuple(services))


CHANNEL: Final = ChannelType(
    name="apprise",
    title="Over a hundred further services, one way, by Apprise",
    make=_make,
    traits=Traits(finds=False),
    credentials="Apprise addresses, one a line, `#` before a remark: `rocketchats://...`, `zulip://...`,"
    " `pover://...`; https://appriseit.com/services/ has them all",
    limits="each service's own; what is too long, Apprise hands over as it is",
    lost_reply="repeated once, to the services that have not said yes; a service that had it all the same has it"
    " twice. Wrong credentials look like any other failure, so such a post ends as unsure",
)
