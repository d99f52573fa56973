"""What ingest reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Settings of ingest. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8001, description="Where readings are taken in.")
    max_body_bytes: Annotated[int, Field(ge=1024, le=4 * 1024 * 1024)] = Field(
        default=1024 * 1024, description="The largest body taken; a thousand readings need a quarter of it."
    )
    max_device_body_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = Field(
        default=4 * 1024 * 1024, description="The largest body of a device taken; some send a picture with each count."
    )
    leaf: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,30})?$")] = Field(
        default="", description="The branch this is, which fetches the sources of its own; empty at the centre."
    )
    secrets_dir: Path = Field(
        default=Path("secrets"), description="A folder with credentials of sources, one file `source-<name>` each."
    )
    max_requests_at_once: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=256, description="Requests in hand at once; more are told to come back (503)."
    )
    store_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5.0, description="How long the bus may take to acknowledge before the sender is told to come back."
    )
    simulation_key_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="",
        description="The hash of the key with which a simulation or a playback may set the time of libraries whose"
        " clock is simulated or recorded; empty: nobody may.",
    )
