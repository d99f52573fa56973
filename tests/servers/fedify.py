"""A real fediverse server: one follower made with npm's `@fedify/fedify`, run by PyPI's node."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.servers import HOME
from tests.servers.pds import NODE, NODE_WHEEL, NPM

FEDIFY_HOME: Final = HOME / "fedify"
SOURCE: Final = Path(__file__).with_suffix("")
"""What belongs into FEDIFY_HOME: the packages, locked, and the script."""
INSTALLED: Final = FEDIFY_HOME / "node_modules" / ".package-lock.json"
"""Written by npm at the end of a whole installation."""


def missing() -> str | None:
    """Say what is missing for the follower to run, or None."""
    return None if NODE.exists() and INSTALLED.exists() else "the Fedify follower is not installed: make servers"


def install() -> None:
    """Install node, which Fedify wants in version 22 or newer, and Fedify; some ten seconds."""
    if not NODE.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--upgrade", "--target", str(HOME / "node"), NODE_WHEEL], check=True)
    if INSTALLED.exists():
        return
    FEDIFY_HOME.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, FEDIFY_HOME)
    environment = {**os.environ, "npm_config_omit_lockfile_registry_resolved": "true"}
    command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, check=True, cwd=FEDIFY_HOME, env=environment)


@dataclass
class Fedify:
    """A running follower and what it has heard."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)

    def read(self) -> None:
        """Take in what it says until its end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def tell(self, **command: str) -> None:
        """Tell it what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def heard(self, kind: str, timeout_s: float = 20) -> dict[str, Any]:
        """Return the next thing it says, which must be of this kind; queue.Empty if it says nothing."""
        line = self.lines.get(timeout=timeout_s)
        assert line.get("type") == kind, line
        return line

    def is_silent(self) -> bool:
        """Tell whether it has said nothing more so far."""
        return self.lines.empty()


@contextmanager
def running(home: Path) -> Iterator[Fedify]:
    """Run the follower; its log goes to a file in `home`."""
    shutil.copy(SOURCE / "follower.js", FEDIFY_HOME)
    with (home / "fedify.log").open("w") as log:
        process = subprocess.Popen(
            [str(NODE), "follower.js"],
            cwd=FEDIFY_HOME,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    follower = Fedify(process)
    reading = threading.Thread(target=follower.read, daemon=True)
    reading.start()
    try:
        follower.url = follower.lines.get(timeout=30)["url"]
        yield follower
    finally:
        process.kill()
        process.wait()
        reading.join(5)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
