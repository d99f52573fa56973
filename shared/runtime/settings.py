"""What every service reads from its environment, once, in its main; nothing else looks there."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime.bus_tls import tls_context

Port = Annotated[int, Field(ge=0, le=65535)]
MetricsFor = Literal["private", "everybody"]


class ServiceSettings(BaseSettings):
    """Settings that all services share. Each may be set as PLACELIBRE_<NAME>, in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="PLACELIBRE_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # what is wrong may be a secret in the wrong place; the error names its setting
    )

    nats_url: str = Field(
        default="nats://127.0.0.1:4222", description="The bus; several addresses of one cluster by commas."
    )
    nats_seed_file: Path | None = Field(
        default=None, description="A file with this service's nkey seed; without it the bus must be open."
    )
    nats_ca_file: Path | None = Field(
        default=None,
        description="The authority of the bus's certificate, in PEM; with it the connection is TLS, and verified.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged.")
    log_format: Literal["json", "console"] = Field(
        default="json", description="`json` for machines, `console` for people."
    )
    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = Field(
        default="",
        description="Where traces go, as OTLP over HTTP (http://collector:4318); empty: there are none. A collector's"
        " password stands in OTEL_EXPORTER_OTLP_HEADERS.",
    )
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, description="Which part of the requests with readings is traced, if traces go anywhere."
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on; loopback unless said otherwise.")
    metrics_for: MetricsFor = Field(
        default="private",
        description="Who may read /metrics: callers from private networks and this machine, or `everybody`. Behind a"
        " proxy set FORWARDED_ALLOW_IPS to its address, or all callers seem to be private.",
    )

    @field_validator("nats_ca_file")
    @classmethod
    def _is_an_authority(cls, value: Path | None) -> Path | None:
        tls_context(value)  # a service does not start with a file that lets it trust nobody
        return value

    @property
    def nats_tls(self) -> ssl.SSLContext | None:
        """What verifies the bus; None where the connection is plain. Raises UntrustedBus."""
        return tls_context(self.nats_ca_file, self.nats_servers)

    @property
    def nats_seed(self) -> SecretStr | None:
        """The nkey seed, read from its file. Raises OSError, naming the file, if it cannot be read."""
        if self.nats_seed_file is None:
            return None
        return SecretStr(self.nats_seed_file.read_text().strip())

    @property
    def nats_servers(self) -> list[str]:
        """The bus's addresses."""
        return [each.strip() for each in self.nats_url.split(",") if each.strip()]


def inherited_environment() -> dict[str, str]:
    """Return this process's environment, for the child processes that `placelibre up` starts."""
    return dict(os.environ)
