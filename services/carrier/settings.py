"""What the carrier reads from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from shared.runtime.settings import Port, ServiceSettings


class Settings(ServiceSettings):
    """Settings of the carrier. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    port: Port = Field(default=8004, description="Where health and metrics are served.")
    gate_url: str = Field(
        default="nats://127.0.0.1:4223", description="Where the branches connect, as the carrier does."
    )
    gate_seed_file: Path | None = Field(default=None, description="A file with the carrier's nkey seed there.")
    leaves_file: Path = Field(
        default=Path("leaves.json"),
        description="The branches that may connect; `placelibre leaf` writes it, and a change takes effect at once.",
    )

    @property
    def gate_seed(self) -> SecretStr | None:
        """The nkey seed at the gate, read from its file. Raises OSError, naming the file, if it cannot be read."""
        return None if self.gate_seed_file is None else SecretStr(self.gate_seed_file.read_text().strip())
