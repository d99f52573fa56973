"""Real servers for the tests of channels, installed into .servers by `make servers`; one module each.

A module has `install()`, which puts the server there from the package registries and does nothing when it is there,
`missing()`, which says in a sentence what is missing or returns None, and a context manager that runs the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent.parent.parent / ".servers"
"""Where the servers are installed; nothing of it is committed."""
