"""The channels: one module each, and the one table that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import SecretStr

from services.publisher.channels.channel import Channel, NoCredentials
from services.publisher.channels.console import ConsoleChannel
from services.publisher.channels.mastodon import MastodonChannel
from shared.contracts.posts import PostIntent


@dataclass(frozen=True, slots=True)
class Means:
    """What channels are made with: an HTTP client whose timeouts are set, and where the tokens are."""

    client: httpx.AsyncClient
    secrets_dir: Path

    def token(self, intent: PostIntent) -> SecretStr:
        """Return the token of an account from its file. Raises NoCredentials, naming the file and nothing else."""
        name = f"{intent.channel}-{intent.account}"
        try:
            token = (self.secrets_dir / name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoCredentials(f"the token file {name} cannot be read: {type(error).__name__}") from error
        if not token:
            raise NoCredentials(f"the token file {name} is empty")
        return SecretStr(token)


def _console(_: PostIntent, __: Means) -> Channel:
    return ConsoleChannel()


def _mastodon(intent: PostIntent, means: Means) -> Channel:
    return MastodonChannel(intent.server, means.token(intent), means.client)


CHANNELS: Final[dict[str, Callable[[PostIntent, Means], Channel]]] = {
    "console": _console,
    "mastodon": _mastodon,
}
"""By type, as `libraries.toml` names it; each maker may raise NoCredentials."""


def make(intent: PostIntent, means: Means) -> Channel:
    """Return the channel that an intent is for. Raises NoCredentials."""
    return CHANNELS[intent.channel](intent, means)
