"""What each channel remembers of each library, as the POSTING bucket holds it."""

from __future__ import annotations

from pydantic import Field

from shared.contracts.status import Sentences, Wire
from shared.domain.posting import PostingState


class Memory(Wire):
    """The state of the decisions, and the words of the change that is held."""

    state: PostingState = PostingState()
    sentences: dict[str, Sentences] = Field(default_factory=dict)


def memory_key(library: str, channel: str) -> str:
    """Return the key of one library's memory on one channel, by the channel's name."""
    return f"{library}.{channel}"
