"""What the carrier reads from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.runtime.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Settings of the carrier. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8004, description="Where health and metrics are served.")
    leaves_file: Path = Field(
        default=Path("leaves.json"),
        description="The branches that may connect; `placelibre leaf` writes it, and a change takes effect at once.",
    )
