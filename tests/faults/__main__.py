"""`python -m tests.faults`: run the fault suite, one test at a time, and print its figures as one table.

What is asserted stands in the tests; exit 1 if one of them failed or a figure that the table must have is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.faults.figures import FILE, read, table

EXPECTED: Final[tuple[str, ...]] = (
    "bus away at start",
    "bus killed or restarted under load",
    "kills of processes under load",
    "cluster faults, three nodes, three seeds",
    "power cuts, sync always",
    "power cuts, default sync (negative control)",
    "bit flips",
    "disk full and recovery",
    "simulated days",
    "bad inputs, generated",
    "bad inputs, made by hand",
    "restarts exactly at closing time",
    "doubles, reboots, wrong clocks, poison, broken configuration",
    "doubles after an hour and after a day",
    "everything dead but the api",
    "event streams, with stuck ones",
    "flood from one key",
    "secrets in logs, metrics, answers, streams",
    "restore from backup",
    "upgrade, rollback, upgrade under load",
)
"""The first words of the lines that a whole run must leave behind."""


def main(arguments: list[str]) -> int:
    """Run the tests marked `faults`; `arguments` go to pytest, and narrow the run."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.jsonl"
        command = [sys.executable, "-m", "pytest", "-m", "faults", "--timeout", "1800", "-v", *(arguments or ["tests"])]
        environment = {**os.environ, "FAULT_TESTS": "1", "SLOW_TESTS": "1", FILE: str(figures)}
        code = subprocess.run(command, env=environment, check=False).returncode
        found = read(figures)
    print(table(found))
    missing = [each for each in EXPECTED if not any(figure.what.startswith(each) for figure in found)]
    if missing and not arguments:
        print(f"missing: {'; '.join(missing)}")
        return code or 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
