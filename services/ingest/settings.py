"""What ingest reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.runtime.https import OwnCertificate
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
    certificate_file: Path | None = Field(
        default=None,
        description="Ingest's own certificate chain, in PEM, the server's first: readings are taken by HTTPS (TLS 1.2"
        " and newer) and not without. A renewed one is taken within seconds.",
    )
    key_file: Path | None = Field(
        default=None, description="The certificate's private key, in PEM, without a password."
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
    requests_per_key_per_s: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=100,
        description="Requests a second, for long, that one key or one source may send, 20 s' worth of them at once;"
        " more get a 429. A gateway that speaks for 200 boxes, all of them at a busy door, stays below. 0: no limit.",
    )
    kib_per_key_per_s: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=1024,
        description="KiB a second, likewise, 32 s' worth at once: some 4,000 readings a second, or ten pictures."
        " 0: no limit.",
    )
    requests_per_address_per_s: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=500,
        description="Requests a second, for long, from one address (one /64 network of IPv6), whoever sends them, 20 s'"
        " worth at once; a large library behind one address stays below. This machine has no limit. Behind a proxy set"
        " FORWARDED_ALLOW_IPS to the proxy's address, or all senders are one. 0: no limit.",
    )
    wrong_keys_per_address_per_min: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=120,
        description="Requests a minute without a valid key, from one address, that are told what is wrong with them;"
        " the rest get a 429 as long as they go on. Valid keys from there are taken all the while. 0: no limit.",
    )
    quarantine_mib_per_source: Annotated[float, Field(ge=0, le=1024)] = Field(
        default=16,
        description="MiB that what one source or key sends, and nobody can count, may take up in quarantine at once;"
        " three eighths of it come back in a day. Quarantine holds 256 MiB for seven days, so no source fills it for"
        " the others. 0: no limit.",
    )
    simulation_key_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="",
        description="The hash of the key with which a simulation or a playback may set the time of libraries whose"
        " clock is simulated or recorded; empty: nobody may.",
    )

    @model_validator(mode="after")
    def _has_certificate_and_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("PLACELIBRE_CERTIFICATE_FILE and PLACELIBRE_KEY_FILE go together; set both or neither")
        self.certificate()  # it does not start with files that nobody could connect by
        return self

    def certificate(self) -> OwnCertificate | None:
        """Return ingest's own certificate, loaded; None where it serves plain HTTP. Raises UnusableCertificate."""
        if self.certificate_file is None or self.key_file is None:
            return None
        return OwnCertificate(self.certificate_file, self.key_file, "ingest")
