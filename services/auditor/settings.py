"""What the auditor reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from shared.runtime.settings import Port, ServiceSettings

Every = Annotated[float, Field(gt=0, le=86_400)]


class Settings(ServiceSettings):
    """Settings of the auditor. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8005, description="Where health and metrics are served.")
    export_dir: Path = Field(
        default=Path("exports"),
        description="Where the nightly export is written, and what the auditor remembers beside the bus. It holds what"
        " the bus holds: keep it on another disk, and closed to others.",
    )
    export_hour: Annotated[int, Field(ge=0, le=23)] = Field(
        default=2, description="The hour, UTC, after which the day's export is written; a missed one is made up for."
    )
    export_keep: Annotated[int, Field(ge=0, le=400)] = Field(
        default=14, description="How many exports are kept; 0 writes none here, for where `placelibre backup` does."
    )
    measure_every_s: Every = Field(default=15.0, description="How often the bus is measured.")
    reconcile_every_s: Every = Field(
        default=300.0, description="How often the log is counted again and compared with what has been applied."
    )
