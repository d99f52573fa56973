"""What the API reads from its environment, once, in its main."""

from __future__ import annotations

from pydantic import Field

from shared.runtime.settings import Port, ServiceSettings


class ApiSettings(ServiceSettings):
    """Settings of the API. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8000, description="The port of the pages, the API and the streams.")
    history_days_max: int = Field(default=31, ge=1, le=366, description="Days of history that one request may ask for.")
    history_reads_max: int = Field(
        default=64, ge=1, le=1000, description="Days read from the bus at the same time, for all requests together."
    )
    listeners_max: int = Field(
        default=10_000, ge=0, le=100_000, description="Open event streams in this process; the next one gets a 503."
    )
    listeners_per_address_max: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Open event streams from one address (one /64 network of IPv6); the next one gets a 429."
        " Behind a proxy, set FORWARDED_ALLOW_IPS to its address, or everybody shares this.",
    )
    requests_per_address_per_s: float = Field(
        default=200,
        ge=0,
        le=100_000,
        description="Requests a second, for long, from one address (one /64 network of IPv6), 30 s' worth of them at"
        " once; more get a 429. A university behind one address, or a wall of displays, stays below. This machine has"
        " no limit. Behind a proxy set FORWARDED_ALLOW_IPS to its address, or all readers are one. 0: no limit.",
    )
    followed_max: int = Field(
        default=5_000,
        ge=1,
        le=100_000,
        description="Libraries up to which a stream may follow all of them; beyond, a stream has to name its own.",
    )
    push_wishes_max: int = Field(
        default=20_000, ge=0, le=50_000, description="People who may wait for a seat at once, over all libraries."
    )
    push_asks_per_address_max: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Wishes that one address may make in an hour; a library's own network is one address.",
    )
    push_services_here: bool = Field(
        default=False,
        description="Whether push services on this machine are taken, without TLS too: for trying out.",
    )
    heartbeat_s: float = Field(
        default=15.0,
        gt=0,
        le=300,
        description="A stream says something this often; proxies cut a silent one after 30 or 60 s.",
    )
    stuck_after_s: float = Field(
        default=10.0, gt=0, le=300, description="A stream whose reader takes nothing for so long is ended."
    )
