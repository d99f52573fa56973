# ruff: noqa: INP001  no package: it is mounted into a container by itself
"""What docker-compose.yml needs of files: keys, rights and certificate of the bus, folders, a password, and all owners.

Runs in the image, as root: each file is handed to the user of the container that reads it, and to nobody else. What
is there already stays as it is, but for the rights on the bus, which become those of this version, and for the owners
and modes of what the operator has put there. So it may run again at any time, and has to after each file that is added
and before each new version starts. With arguments it does before what `placelibre bus renew` or `rotate` does:

    docker compose run --rm init renew
    docker compose run --rm init rotate api --finish
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

MADE: Final = Path("/made")
BUS: Final = MADE / "bus"
CREDENTIALS: Final = MADE / "credentials"
AUTHORIZATION: Final = "authorization.conf"
SERVICES_UID, PROMETHEUS_UID, GRAFANA_UID = 10001, 65534, 472
"""Of our image, of Prometheus's and Alertmanager's, of Grafana's; docker-compose.yml runs them as these."""
OWNERS: Final = {
    "ingest": SERVICES_UID,
    "publisher": SERVICES_UID,
    "alertmanager": PROMETHEUS_UID,
    "grafana": GRAFANA_UID,
}
CERTIFICATES: Final = {"ca.pem", "server.pem"}
"""What every client of the bus is shown: these alone may be read by everybody."""


def main(arguments: Sequence[str] = ()) -> int:
    """Make what is missing, hand everything to who reads it, and return the exit code."""
    os.umask(0o077)
    if arguments:
        what, *more = arguments
        if what not in {"renew", "rotate"}:
            sys.stderr.write(f"error: {what} is nothing for init\n  what to do: leave it out, or say renew or rotate\n")
            return 2
        asked = ["placelibre", "bus", what, str(BUS), *more]
        first = subprocess.run(asked, stdout=subprocess.DEVNULL, check=False)  # noqa: S603  root has typed it
        if first.returncode != 0:
            return first.returncode
    is_first = not (BUS / AUTHORIZATION).exists()
    # With the rights of this version each time: an image that knows another right than the bus cannot use it.
    command = ["placelibre", "bus", "init", str(BUS), "--host", "bus", "--update-rights", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  all of it stands above
    if done.returncode != 0:
        return done.returncode
    report: dict[str, Any] = json.loads(done.stdout)
    CREDENTIALS.mkdir(parents=True, exist_ok=True)
    CREDENTIALS.chmod(0o711)  # each reaches its own folder, and lists none
    for name in OWNERS:
        (CREDENTIALS / name).mkdir(exist_ok=True)
    password = CREDENTIALS / "grafana" / "password"
    if not password.exists():
        password.write_text(token_urlsafe(18))
    for name, owner in OWNERS.items():
        hand_over(CREDENTIALS / name, owner)
    # The authority's key signs new certificates and is read by no container.
    hand_over(BUS, SERVICES_UID, but=BUS / "tls" / "ca-key.pem")
    tell(report, is_first=is_first)
    if arguments:
        sys.stdout.write("the bus reads it when it starts: docker compose up --detach --force-recreate bus\n")
    return 0


def hand_over(folder: Path, owner: int, but: Path | None = None) -> None:
    """Give a folder and everything in it, but for one file, to a user; all of it but certificates is closed to others.

    Closed each time: a `chmod -R` that was meant for the clone opens keys, too. Links are passed over: root would give
    away what they lead to.
    """
    for path in (folder, *sorted(folder.rglob("*"))):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            sys.stdout.write(
                f"look: {path.relative_to(MADE)} is a link and is left as it is: put the file itself there\n"
            )
            continue
        is_handed_over = found.st_uid != owner and path != but
        if is_handed_over:
            os.chown(path, owner, owner, follow_symlinks=False)
        is_open = bool(stat.S_IMODE(found.st_mode) & 0o077) and path.name not in CERTIFICATES
        if is_open:
            path.chmod(0o700 if stat.S_ISDIR(found.st_mode) else 0o600)
        if is_handed_over and folder != BUS:
            sys.stdout.write(f"{path.relative_to(MADE)} now belongs to who reads it\n")
        elif is_open:
            sys.stdout.write(f"look: {path.relative_to(MADE)} was open to others, and is closed again\n")


def tell(report: dict[str, Any], *, is_first: bool) -> None:
    """Say what was made, and what has to follow from it."""
    if is_first:
        sys.stdout.write("deploy/compose has what the first start needs: docker compose up --detach --wait\n")
        return
    for each in report["made"]:
        sys.stdout.write(f"bus/{each} is new\n")
    for each in report["outdated"]:
        sys.stdout.write(f"look: bus/{each}\n")
    if AUTHORIZATION in report["made"]:
        sys.stdout.write(
            "the bus takes its new rights when it starts: docker compose up --detach --force-recreate bus\n"
        )
    elif not report["made"]:
        sys.stdout.write("everything was there already\n")
    sys.stdout.write(f"the bus's certificate holds until {report['certificates_end']['server'][:10]}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
