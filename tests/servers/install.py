"""Install every real server that the tests of channels can use: `python -m tests.servers.install`."""

from __future__ import annotations

import importlib
import pkgutil

from tests import servers


def main() -> None:
    """Install one after the other, saying which."""
    for each in pkgutil.iter_modules(servers.__path__):
        module = importlib.import_module(f"{servers.__name__}.{each.name}")
        if hasattr(module, "install"):
            print(f"{each.name}: {'installing' if module.missing() else 'is there'}", flush=True)
            module.install()


if __name__ == "__main__":
    main()
