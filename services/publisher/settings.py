"""What the publisher reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Port, ServiceSettings

Seconds = Annotated[float, Field(gt=0, le=600)]


class Settings(ServiceSettings):
    """Settings of the publisher. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8003, description="Where health and metrics are served.")
    secrets_dir: Path = Field(
        default=Path("secrets"), description="Tokens, one file each: `mastodon-<account>`. They are read when needed."
    )
    http_connect_timeout_s: Seconds = Field(default=5.0, description="To reach a channel's server.")
    http_read_timeout_s: Seconds = Field(
        default=10.0, description="For a channel's server to answer; a post without an answer is looked up."
    )
    send_timeout_s: Seconds = Field(default=20.0, description="For one attempt in all, its questions included.")
    lease_s: Seconds = Field(
        default=50.0,
        description="How long an attempt keeps others from the same statement; longer than an attempt and a look-up,"
        " shorter than the bus waits for an acknowledgement (60).",
    )
    unknown_wait_s: Seconds = Field(
        default=10.0, description="Before a post of unknown fate is looked up: a slow server may still be at it."
    )
    retry_min_s: Seconds = Field(default=2.0, description="The first pause after a failure; it doubles each time.")
    push_services_here: bool = Field(
        default=False,
        description="Whether notifications may go to push services on this machine, without TLS too: for trying out."
        " Else an address that is not of the public internet is refused.",
    )
    retry_max_s: Seconds = Field(default=300.0, description="The longest pause after failures.")
