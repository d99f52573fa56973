"""The operator's part of the audit trail: what commands did.

Who it was is the log-in name under which the command ran on this machine, as the system knows it. Where commands run
as a service's user, as with the unit for systemd, sudo says who asked: it tells colleagues from the nightly timer. It
proves nothing, since whoever holds the operator's seed is the operator; neither the machine nor its address is noted.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Iterable

from cli.bus_access import BusAddress, operator_bus
from cli.terminal import Trouble, warn
from shared.contracts.audit import Act, Outcome, Role
from shared.contracts.mqtt import MQTT_STREAMS
from shared.contracts.streams import STREAMS
from shared.runtime.audit import AuditTrail
from shared.runtime.bus import Bus
from shared.runtime.provision import Provisioned
from shared.runtime.settings import inherited_environment

WRITER = "operator"
NAME_LENGTH = 128
"""What an entry holds of a name."""


def operator_name() -> str:
    """Return the log-in name of this process's user, or its number where it has none, as in most containers.

    Behind it stands who asked for it through sudo, if that is somebody whom this machine knows.
    """
    number = os.getuid()
    try:
        own = pwd.getpwuid(number).pw_name
    except KeyError:
        own = f"uid-{number}"
    try:
        # By its entry in the system's list: what the environment says may be any text.
        asked_by = pwd.getpwnam(inherited_environment().get("SUDO_USER", "")).pw_name
    except (KeyError, ValueError):
        return own
    return own if asked_by == own else f"{own} (sudo: {asked_by})"[:NAME_LENGTH]


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


async def note_provisioned(bus: Bus, done: Iterable[Provisioned]) -> None:
    """Note what was made or changed on the bus, if anything was; what is in memory alone is made anew at each start."""
    volatile = {each.name for each in STREAMS if each.is_in_memory} | {each.name for each in MQTT_STREAMS}
    changed = [
        f"{each.name}: {each.action}"
        for each in done
        if each.is_changed and each.name.partition("/")[0] not in volatile
    ]
    if changed:
        await note_act(bus, Act.PROVISIONED, details=changed)


def note_beside_a_file(
    address: BusAddress | None,
    act: Act,
    *,
    subject: str,
    outcome: Outcome = Outcome.DONE,
    details: Iterable[str] = (),
) -> None:
    """Note what was done to a file of this machine, on the bus of `address`; say so where that cannot be.

    The act stands either way: it holds from the next start of the bus on, and whoever takes a key back must not wait
    for a bus that is down.
    """

    async def note(where: BusAddress) -> None:
        async with operator_bus(where) as bus:
            await note_act(bus, act, subject=subject, outcome=outcome, details=details)

    reason = "no bus runs on this folder, or none was named with --nats-url"
    if address is not None:
        try:
            asyncio.run(note(address))
        except Trouble as trouble:
            reason = str(trouble)
        else:
            return
    done = "is done" if outcome is Outcome.BEGUN else "was done"
    warn(f"it {done}, and does not stand in the audit trail: {reason}")
