"""The operator's part of the audit trail: what commands did.

Who it was is the log-in name under which the command ran on this machine, as the system knows it and not as the
environment says: it tells colleagues from the nightly timer. It proves nothing, since whoever holds the operator's seed
is the operator; neither the machine nor its address is noted.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable

from cli.terminal import warn
from shared.contracts.audit import Act, Outcome, Role
from shared.runtime.audit import AuditTrail
from shared.runtime.bus import Bus

WRITER = "operator"


def operator_name() -> str:
    """Return the log-in name of this process's user, or its number where it has none, as in most containers."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"


async def note_act(
    bus: Bus,
    act: Act,
    *,
    library: str = "",
    subject: str = "",
    outcome: Outcome = Outcome.DONE,
    details: Iterable[str] = (),
) -> None:
    """Note what a command did; say so where that could not be stored. The act stands either way."""
    trail = AuditTrail(WRITER, bus)
    name = operator_name()
    if not await trail.note(
        act, Role.OPERATOR, who=name, library=library, subject=subject, outcome=outcome, details=details
    ):
        warn("it was done, but the audit trail could not take it down: see `placelibre doctor`")
