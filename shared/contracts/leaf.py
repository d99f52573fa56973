"""Branches with a bus of their own (leaf nodes): names, what is known of each, and what may pass between the two.

The centre does everything: its carrier asks a leaf's bus for what it has stored, and writes the configuration into it.
Leaves connect to a gate, a nats-server beside the centre's bus that stores nothing; there a leaf may answer questions
that were put to it, and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts import subjects
from shared.contracts.permissions import Permissions
from shared.contracts.readings import Slug

MAX_LEAVES: Final = 256
"""Each is two connections and a few requests a second; nobody has more branches with a line that fails."""
MAX_LIBRARIES: Final = 64
"""Of one leaf: a branch is a house or a few."""
LeafName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]

CONNECTION: Final = "LEAFNODE"
"""The only kind of connection that a leaf's key opens at the centre."""


class Leaf(BaseModel):
    """A branch that may connect, and the libraries of which it may bring readings."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: LeafName
    nkey: Annotated[str, Field(pattern=r"^U[A-Z2-7]{55}$")] = Field(description="The public half of its key.")
    libraries: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=MAX_LIBRARIES)]
    made_at: AwareDatetime

    @property
    def token(self) -> str:
        """What its subjects are called after."""
        return token_of(self.name, self.nkey)


class Leaves(BaseModel):
    """Every leaf that may connect: the file `leaves.json` beside the centre's bus."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    leaves: Annotated[tuple[Leaf, ...], Field(max_length=MAX_LEAVES)] = ()

    def named(self, name: str) -> Leaf | None:
        """Return a leaf, or None if there is none of this name."""
        return next((each for each in self.leaves if each.name == name), None)


class Carried(BaseModel):
    """Up to where a leaf's readings stand in the centre's log. It is stored in one batch with the readings."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    born: datetime = Field(description="When the leaf's stream was made: another one begins at 1 again.")
    sequence: Annotated[int, Field(ge=0)] = Field(description="The last of the leaf's messages that stands in the log.")
    at: AwareDatetime


class Place(BaseModel):
    """Up to where one of a leaf's other streams has been carried, in POSITIONS."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    born: datetime
    sequence: Annotated[int, Field(ge=0)]


class LeafState(BaseModel):
    """What the carrier knows of a leaf, in POSITIONS under `leaf.<name>`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: AwareDatetime = Field(description="When this was written; it is every half minute.")
    is_connected: bool
    since: AwareDatetime = Field(description="Since when it is so.")
    heard_at: AwareDatetime | None = Field(default=None, description="When the leaf's bus last answered.")
    carried_at: AwareDatetime | None = Field(default=None, description="When something was last carried.")
    behind: int = Field(default=0, description="Packs stored at the leaf and not yet at the centre, as last heard.")
    fill: float = Field(default=0.0, description="How full the leaf's log is, from 0 to 1, as last heard.")
    skew_s: float = Field(default=0.0, description="By how much the leaf's clock is behind ours; below 0 it is ahead.")
    refused: int = Field(default=0, description="Packs that were not the leaf's to send, since the carrier started.")


def token_of(name: str, nkey: str) -> str:
    """Return what a leaf's subjects are called after: its name and its key.

    nats-server does not end the connection of a key that is removed. So whoever holds an old key of a name hears
    nothing and has nothing to say once that name has a new one.
    """
    return f"{name}-{nkey[-12:].lower()}"


def domain_of(token: str) -> str:
    """Return the JetStream domain of a leaf's bus."""
    return f"leaf-{token}"


def api_of(token: str) -> str:
    """Return the prefix under which the centre asks a leaf's JetStream."""
    return f"$JS.{domain_of(token)}.API"


def inbox_of(token: str) -> str:
    """Return the prefix of the inboxes in which the carrier waits for one leaf's answers."""
    return f"_INBOX_carrier.{token}"


def state_key(leaf: str) -> str:
    """Return the key of a leaf's state in POSITIONS."""
    return f"leaf.{leaf}"


def place_key(leaf: str, stream: str) -> str:
    """Return the key in POSITIONS of up to where one of a leaf's streams, other than its log, has been carried."""
    return f"leaf.{leaf}.{stream}"


def permissions_of(token: str) -> Permissions:
    """Return what a leaf's connection may say and hear at the centre: answers to the carrier, and its questions."""
    return Permissions(publish=(f"{inbox_of(token)}.>",), subscribe=(f"{api_of(token)}.>",))


CARRIER_AT_THE_GATE: Final = Permissions(publish=("$JS.*.API.>",), subscribe=("_INBOX_carrier.>",))
"""What the carrier may say and hear where leaves connect: questions to every leaf, and their answers."""
AT_A_LEAF: Final = ("ingest", "operator")
"""The users of a leaf's own bus."""
STREAMS_AT_A_LEAF: Final = (subjects.READINGS, subjects.QUARANTINE, subjects.DEVICE_BODIES)
BUCKETS_AT_A_LEAF: Final = (subjects.LIBRARIES, subjects.CLAIMS, subjects.DEVICES, subjects.POSITIONS)
CONFIGURED_FROM_THE_CENTRE: Final = (subjects.LIBRARIES, subjects.CLAIMS)
