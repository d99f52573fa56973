"""Pasts to rehearse posts on: a simulated day, or what really happened on the bus."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from cli.explanation.from_bus import batches_of
from cli.offline import run_offline
from cli.simulation.day import SimulatedDay, first_common_day, simulate_day
from cli.simulation.feed import steps
from cli.simulation.live import day_random
from cli.simulation.scenario import load_scenarios
from cli.speech import Seen
from cli.terminal import Trouble
from cli.wire import WireFields
from shared.contracts import subjects
from shared.contracts.status import StatusChanged
from shared.domain.library import ClockKind, Library
from shared.domain.status import Change, Status
from shared.runtime.bus import Bus

FAST: Final = 0.0
"""As fast as it can: nobody watches."""


def past_from_simulation(library: Library, day: date | None, seed: int, now: datetime) -> list[Change | Seen]:
    """Return one simulated day of a library; without `day` the next on which it opens. Raises Trouble."""
    scenarios = load_scenarios()
    if library.id not in scenarios or library.clock is not ClockKind.SIMULATED:
        raise Trouble(
            f"{library.id} has no simulated days",
            "rehearse on what really happened with --since HOURS, or name one of "
            + " or ".join(f"--library {each}" for each in scenarios),
        )
    try:
        played = day or first_common_day([library], now.astimezone(library.time_zone).date())
        simulated = simulate_day(scenarios[library.id], library, played, day_random(seed, library.id, played))
    except ValueError as error:
        raise Trouble(str(error), "choose another --date") from error
    return past_of([simulated], library)


def past_of(days: list[SimulatedDay], library: Library) -> list[Change | Seen]:
    """Return the changes and statuses of simulated days in order, as the aggregator would publish them."""
    past: list[Change | Seen] = []

    def on_status(status: Status) -> None:
        past.append(Seen(status.as_of, status))

    feed: list[WireFields] = [each for _, step in steps(days, speed=FAST) for each in step]
    run_offline(library, feed, past.append, on_status)
    return past


async def past_from_bus(bus: Bus, library: Library, since: datetime) -> list[Change | Seen]:
    """Return the changes of a library since a time of its own; the bus keeps no statuses between them.

    Raises Trouble if the bus goes away.
    """
    past: list[Change | Seen] = []
    async for batch in batches_of(bus, subjects.CHANGES, [subjects.change(library.id)]):
        for message in batch.messages:
            event = StatusChanged.model_validate_json(message.data)
            if event.at >= since.astimezone(UTC):
                change = event.to_domain()
                past += [change, Seen(change.at, change.status)]
    return past
