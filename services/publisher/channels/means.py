"""What channels are made with: HTTP, credentials, the bus, and the key of the records they keep for themselves."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from services.publisher.channels.channel import Misconfigured, NoCredentials, Options, Target
from shared.runtime.bus import Bus

_Model = TypeVar("_Model", bound=BaseModel)
_Options = TypeVar("_Options", bound=Options)


@dataclass(frozen=True, slots=True)
class Means:
    """An HTTP client whose timeouts are set and which follows no redirects, where the secrets are, and the bus."""

    client: httpx.AsyncClient
    secrets_dir: Path
    bus: Bus

    def secret(self, target: Target) -> SecretStr:
        """Return the one secret of an account. Raises NoCredentials, naming the file and nothing else."""
        name = target.secret_name
        try:
            secret = (self.secrets_dir / name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoCredentials(f"the secrets file {name} cannot be read: {type(error).__name__}") from error
        if not secret:
            raise NoCredentials(f"the secrets file {name} is empty")
        return SecretStr(secret)

    def secrets(self, target: Target, model: type[_Model]) -> _Model:
        """Return several secrets of an account, from lines `name = "value"` (TOML). Raises NoCredentials."""
        name = target.secret_name
        try:
            return model.model_validate(tomllib.loads(self.secret(target).get_secret_value()))
        except tomllib.TOMLDecodeError as error:
            raise NoCredentials(f'the secrets file {name} should hold lines like name = "value"') from error
        except ValidationError as error:
            wrong = ", ".join(sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]}))
            raise NoCredentials(f"the secrets file {name} lacks, or has wrong: {wrong}") from error


def options_of(target: Target, model: type[_Options]) -> _Options:
    """Return the options of a channel. Raises Misconfigured, naming each key and the reason.

    What this version does not know a newer one has written: `placelibre apply` lets no misspelled key onto the bus.
    """
    try:
        return model.model_validate(dict(target.options), extra="ignore")
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise Misconfigured(f"{target.channel}: {faults}") from error
