"""`placelibre retention`: how long what is kept, and keeping it for a shorter time."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Annotated

import nats.errors
import typer
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError
from rich.box import SIMPLE
from rich.table import Table

from cli.bus_access import CaFileOption, NatsUrlOption, SeedFileOption, bus_address, on_bus
from cli.data_folder import DATA, DataFolder, DataOption
from cli.operator_audit import note_act
from cli.terminal import OUT, Trouble, command_app, examples, say, say_json, sure_or_trouble
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.retention import CHOSEN, SHORTEST, ages, fault_of
from shared.contracts.streams import BUCKETS
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import now

app = command_app()

ASKED_FOR_S = 60.0
"""The bus drops what only counts by itself, should this command end before it has."""


@app.command(
    epilog=examples(
        "placelibre retention",
        "placelibre retention READINGS --days 7 --dry-run",
        "placelibre retention READINGS --days 7",
        "placelibre retention READINGS --days 30",
    )
)
def retention(
    name: Annotated[str, typer.Argument(help="The stream or bucket whose time is to change.")] = "",
    *,
    days: Annotated[int | None, typer.Option(min=1, help="Keep things so many days.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = DATA,
    nats_url: NatsUrlOption = None,
    seed_file: SeedFileOption = None,
    ca_file: CaFileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
) -> None:
    """Show how long what is kept, or choose a time for one of them.

    What is older goes at once, for good: it is counted first, and then there is a question, unless nothing is that old.
    The time stays over every later start; a restored backup has those of its own day.
    """
    address = bus_address(DataFolder(data), nats_url, seed_file, ca_file)
    if bool(name) != (days is not None):
        raise Trouble("one of the two is missing", "say both, like: placelibre retention READINGS --days 7")
    if days is not None:
        fault = fault_of(name, timedelta(days=days))
        if fault:
            raise Trouble(fault, "see `placelibre retention`")
        chosen = days
        older = on_bus(address, lambda bus: count_older(bus, name, now() - timedelta(days=chosen)))
        if dry_run and as_json:
            say_json({"changed": False, "days": days, "counts": {name: older}})
            return
        if not as_json:
            say(f"{name}: {older:,} messages are older than {days} days")
        if dry_run:
            say("nothing was taken out, and the time is as it was: this was a dry run")
            return
        if older:
            sure_or_trouble("Take them out for good, and keep no more than that from now on?", is_sure=yes)
        on_bus(address, lambda bus: choose(bus, name, chosen))
    found = on_bus(address, chosen_days)
    if as_json:
        say_json({each: {"days": kept, "shortest_days": SHORTEST[each].days} for each, kept in found.items()})
        return
    table = Table("what", "kept, days", "usual", "shortest", box=SIMPLE)
    for each, kept in found.items():
        usual = ages()[each].days
        table.add_row(each, f"{kept or 'for ever'}", f"{usual or 'for ever'}", f"{SHORTEST[each].days}")
    OUT.print(table)
    say("docs/privacy.md says what is in each; the rest is kept while it is of use")


async def chosen_days(bus: Bus) -> dict[str, int]:
    """Return for how many days each keeps things now, 0 for ever. Raises BusUnavailable."""
    found = {}
    for name in SHORTEST:
        info = await bus.jetstream.stream_info(stream_of(name))
        found[name] = int((info.config.max_age or 0) // 86_400)
    return found


async def count_older(bus: Bus, name: str, first: datetime) -> int:
    """Return how many messages were stored before a moment, without reading them. Raises BusUnavailable."""
    stream, consumer = stream_of(name), f"{bus.service}-{token_hex(6)}"
    config = ConsumerConfig(
        name=consumer,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=first,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=ASKED_FOR_S,
    )
    try:
        state = (await bus.jetstream.stream_info(stream)).state
        info = await bus.jetstream.add_consumer(stream, config)
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"{name}: {error}") from error
    with suppress(APIError, nats.errors.Error, TimeoutError, OSError):
        await bus.jetstream.delete_consumer(stream, consumer)
    is_any_older = info.delivered is not None and info.delivered.stream_seq >= state.first_seq
    # What was stored between the two looks would be missing here: one that is older must never be told as none.
    return max(state.messages - (info.num_pending or 0), 1) if state.messages and is_any_older else 0


async def choose(bus: Bus, name: str, days: int) -> None:
    """Keep things for so long from now on. Raises BusUnavailable."""
    try:
        config = (await bus.jetstream.stream_info(stream_of(name))).config
        before = int((config.max_age or 0) // 86_400)
        config.max_age = days * 86_400.0
        config.metadata = {**(config.metadata or {}), CHOSEN: str(days)}
        await bus.jetstream.update_stream(config)
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"{name}: {error}") from error
    details = [f"from {f'{before} days' if before else 'for ever'} to {days} days"]
    await note_act(bus, Act.RETENTION_CHANGED, subject=name, details=details)


def stream_of(name: str) -> str:
    """Return the stream behind a name of the table."""
    return subjects.bucket_stream(name) if any(each.name == name for each in BUCKETS) else name
