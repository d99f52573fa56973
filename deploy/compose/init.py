# ruff: noqa: INP001  no package: it is mounted into a container by itself
"""What the first start of docker-compose.yml needs, made once: the bus's keys and certificate, folders, a password.

Runs in the image, as root: each file is handed to the user of the container that reads it, and to nobody else. What
is there already stays as it is, so that it may run again at any time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

MADE: Final = Path("/made")
BUS: Final = MADE / "bus"
CREDENTIALS: Final = MADE / "credentials"
SERVICES_UID, PROMETHEUS_UID, GRAFANA_UID = 10001, 65534, 472
"""Of our image, of Prometheus's and Alertmanager's, of Grafana's; docker-compose.yml runs them as these."""
OWNERS: Final = {
    "ingest": SERVICES_UID,
    "publisher": SERVICES_UID,
    "alertmanager": PROMETHEUS_UID,
    "grafana": GRAFANA_UID,
}


def main() -> int:
    """Make what is missing, and return the exit code."""
    os.umask(0o077)
    command = ["placelibre", "bus", "init", str(BUS), "--host", "bus"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603  its advice is for other ways
    if done.returncode != 0:
        return done.returncode
    for name, owner in OWNERS.items():
        folder = CREDENTIALS / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, owner, 0)
    CREDENTIALS.chmod(0o711)  # each reaches its own folder, and lists none
    password = CREDENTIALS / "grafana" / "password"
    if not password.exists():
        password.write_text(token_urlsafe(18))
        os.chown(password, GRAFANA_UID, 0)
    for path in (BUS, *BUS.rglob("*")):
        os.chown(path, SERVICES_UID, SERVICES_UID)
    # The authority's key signs new certificates and is read by no container.
    os.chown(BUS / "tls" / "ca-key.pem", 0, 0)
    sys.stdout.write("deploy/compose has what the first start needs: docker compose up --detach --wait\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
