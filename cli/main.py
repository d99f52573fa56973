"""The `placelibre` command.

`placelibre probe` runs every few seconds beside each service, and reading the libraries of all other commands would be
nine tenths of what it costs. So it is answered here, where it is written as health checks write it.
"""

from __future__ import annotations

import sys
from importlib import import_module

from cli.asking import probed


def main() -> None:
    """Run the command line."""
    code = probed(sys.argv[2:]) if sys.argv[1:2] == ["probe"] else None
    if code is not None:
        sys.exit(code)
    import_module("cli.command_line").run()


if __name__ == "__main__":
    main()
