"""What sources are asked with: one file each among ingest's secrets, `source-<credentials>`, read whenever needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

MAX_BYTES: Final = 64 * 1024
"""Of one file: a private key has some three thousand."""


class NoCredentials(Exception):  # noqa: N818  named for what is missing
    """There is no usable secret; the message names the file and nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """A folder of secrets. A file that changes is noticed when it is read next."""

    folder: Path

    def read(self, credentials: str) -> SecretStr:
        """Return what a source's file holds, without the space around it. Raises NoCredentials."""
        name = f"source-{credentials}"
        if not credentials:
            raise NoCredentials('it needs credentials = "…", the name of a secrets file')
        try:
            with (self.folder / name).open("rb") as file:
                secret = file.read(MAX_BYTES + 1).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoCredentials(f"the secrets file {name} cannot be read: {type(error).__name__}") from error
        if not secret or len(secret) > MAX_BYTES:
            raise NoCredentials(f"the secrets file {name} is empty or too large")
        return SecretStr(secret)

    def pair(self, credentials: str) -> tuple[str, SecretStr]:
        """Return a user and a password from a file that holds `user:password`. Raises NoCredentials."""
        user, colon, password = self.read(credentials).get_secret_value().partition(":")
        if not colon or not user or "\n" in user:
            raise NoCredentials(f"the secrets file source-{credentials} should hold user:password")
        return user, SecretStr(password)

    def version(self, credentials: str) -> tuple[int, int]:
        """Return what tells whether a file has changed; (0, 0) for one that is not there, or for none named."""
        if not credentials:
            return 0, 0
        try:
            found = (self.folder / f"source-{credentials}").stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size
