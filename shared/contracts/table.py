"""A table of `libraries.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file: no unknown key, nothing coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True)
