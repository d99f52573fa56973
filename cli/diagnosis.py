"""Gathering the figures that `judgement` judges: from the bus, the services and the data folder."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import nats.errors
from nats.js.errors import APIError, NotFoundError
from pydantic import ValidationError

from cli import judgement
from cli.gates.sight import sight
from cli.judgement import Finding, look, ok, wrong
from cli.probe import what_is_missing
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.leaf import LeafState, state_key
from shared.contracts.readings import Tick
from shared.contracts.status import PublicStatus
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.provision import CENTRE, ProvisioningFailed, Wanted, provision
from shared.runtime.provision_leaf import BRANCH

METRICS_TIMEOUT_S: Final = 5.0
LIBRARIES_MAX: Final = 1000
"""More are not looked at one by one; the aggregator's metrics count them by state."""


async def of_bus(bus: Bus, here: datetime) -> list[Finding]:
    """Return what the bus tells of streams, durables, clocks, dead letters and libraries; `here` is our own time."""
    findings: list[Finding] = [ok("bus", "answers")]
    try:
        findings += [each async for each in _drift(bus, CENTRE)]
        findings += [each async for each in _streams(bus, CENTRE)]
        findings += [each async for each in _durables(bus, CENTRE)]
        findings += await _clocks(bus, here)
        findings += await _leaves(bus, here)
        findings += [each async for each in _libraries(bus, here)]
        findings += await _devices(bus, here)
    except (BusUnavailable, ProvisioningFailed, APIError, nats.errors.Error, TimeoutError, OSError) as error:
        findings.append(
            wrong(
                "bus",
                f"stopped answering: {str(error) or type(error).__name__}",
                "what follows was not looked at",
                "see its log; a full disk needs room and a restart",
            )
        )
    return findings


async def of_branch(bus: Bus, monitor: str) -> list[Finding]:
    """Return what the bus of a branch tells: of its streams, of its line to the centre, and of its configuration."""
    findings: list[Finding] = [ok("bus", "answers"), judgement.of_line_to_the_centre(_lines(monitor))]
    try:
        findings += [each async for each in _drift(bus, BRANCH)]
        findings += [each async for each in _streams(bus, BRANCH)]
        findings += [each async for each in _durables(bus, BRANCH)]
        names = await bus.bucket(subjects.LIBRARIES).keys()
    except (BusUnavailable, ProvisioningFailed, APIError, nats.errors.Error, TimeoutError, OSError) as error:
        what = f"stopped answering: {str(error) or type(error).__name__}"
        findings.append(wrong("bus", what, "what follows was not looked at", "see its log"))
        return findings
    if not names:
        meaning = "nobody's key is known here, so nobody can send"
        remedy = "it comes with the first connection; at the centre `placelibre leaf list` shows the branch's libraries"
        findings.append(look("configuration", "the centre has not sent any yet", meaning, remedy))
    else:
        findings.append(ok("configuration", ", ".join(names)))
    return findings


def _lines(monitor: str) -> int | None:
    try:
        answer = httpx.get(f"{monitor}/leafz", timeout=METRICS_TIMEOUT_S, trust_env=False).json()
        return int(answer["leafnodes"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


async def _leaves(bus: Bus, here: datetime) -> list[Finding]:
    keys = await bus.bucket(subjects.POSITIONS).keys(state_key(""))
    names = [name for key in keys if "." not in (name := key.removeprefix(state_key("")))]
    states = await states_of(bus, names)
    return [judgement.of_leaf(name, state, here) for name, state in states.items()]


async def states_of(bus: Bus, names: Iterable[str]) -> dict[str, LeafState]:
    """Return what the carrier knows of branches, without those of which it knows nothing. Raises BusUnavailable."""
    positions = bus.bucket(subjects.POSITIONS)
    found: dict[str, LeafState] = {}
    for name in names:
        entry = await positions.get(state_key(name))
        if entry is not None:
            try:
                found[name] = LeafState.model_validate_json(entry.value)
            except ValidationError:
                continue  # of another version
    return found


async def _drift(bus: Bus, wanted: Wanted) -> AsyncIterator[Finding]:
    for each in await provision(bus, is_dry=True, wanted=wanted):
        if each.action == "missing":
            remedy = "`placelibre up` makes it at its start; in a cluster run the provisioning job again"
            yield wrong(each.name, "is missing", "what belongs in it cannot be stored", remedy)
        elif each.action == "differs":
            remedy = "`placelibre up` puts it right at its start; in a cluster run the provisioning job again"
            what = f"differs in {', '.join(each.drift)}"
            yield look(each.name, what, "somebody has changed it by hand, or it is of another version", remedy)


async def _streams(bus: Bus, wanted: Wanted) -> AsyncIterator[Finding]:
    names = [each.name for each in wanted.streams] + [subjects.bucket_stream(each.name) for each in wanted.buckets]
    for name in names:
        try:
            by_subject = {"subjects_filter": ">"} if name in {subjects.DEAD, subjects.QUARANTINE} else {}
            info = await bus.jetstream.stream_info(name, **by_subject)
        except NotFoundError:
            continue  # said already
        yield judgement.of_fill(name, info.state.bytes, info.config.max_bytes or 0)
        if name == subjects.DEAD:
            yield judgement.of_dead_letters(info.state.subjects or {})
        if name == subjects.QUARANTINE:
            of_devices = subjects.quarantined_body("", "", "").rstrip(".")
            counts = info.state.subjects or {}
            yield judgement.of_quarantine(sum(n for each, n in counts.items() if not each.startswith(f"{of_devices}.")))


async def _durables(bus: Bus, wanted: Wanted) -> AsyncIterator[Finding]:
    for durable in wanted.durables:
        try:
            info = await bus.jetstream.consumer_info(durable.stream, durable.name)
        except NotFoundError:
            continue  # said already
        yield judgement.of_durable(durable.name, info.num_pending or 0, info.num_ack_pending or 0)


async def _clocks(bus: Bus, here: datetime) -> list[Finding]:
    try:
        last = await bus.jetstream.get_last_msg(subjects.READINGS, subjects.TICKS, direct=True)
        tick = Tick.model_validate_json(last.data or b"")
    except (NotFoundError, ValidationError):
        return list(judgement.of_clocks(None, None, here))
    return list(judgement.of_clocks(last.time, tick.at, here))


async def _libraries(bus: Bus, here: datetime) -> AsyncIterator[Finding]:
    libraries, statuses = bus.bucket(subjects.LIBRARIES), bus.bucket(subjects.STATUS)
    names = await libraries.keys()
    count = 0
    for name in names[:LIBRARIES_MAX]:
        entry = await libraries.get(name)
        if entry is None:
            continue
        count += 1
        try:
            config = read_stored(LibraryConfig, entry.value)
        except ValidationError:
            meaning = "services go on with the one before it, and have none after a restart"
            yield wrong(f"library {name}", "its configuration cannot be read", meaning, "run `placelibre apply`")
            continue
        stored = await statuses.get(name)
        try:
            status = PublicStatus.model_validate_json(stored.value) if stored else None
        except ValidationError:
            status = None
        yield judgement.of_status(config, status, stored.stored_at if stored else None, here)
        for finding in judgement.of_keys(config, here):
            yield finding
    if not count:
        yield look("libraries", "none is applied", "there is nothing to watch", "run `placelibre apply`")


async def _devices(bus: Bus, here: datetime) -> list[Finding]:
    seen = (await sight(bus, here)).overview
    return list(judgement.of_devices(seen, here))


def of_services(addresses: dict[str, str], logs: Path) -> Iterator[Finding]:
    """Yield what each service says of itself, and how fast the road is."""
    for name, address in addresses.items():
        missing = what_is_missing(address)
        if missing is not None:
            remedy = f"see {logs / f'{name}.log'}"
            yield wrong(f"service {name}", f"not ready: {missing}", _WITHOUT[name], remedy)
            continue
        yield ok(f"service {name}", "ready")
        yield from _of_metrics(name, address)


def _of_metrics(name: str, address: str) -> Iterator[Finding]:
    try:
        metrics = httpx.get(f"{address}/metrics", timeout=METRICS_TIMEOUT_S, trust_env=False).text
    except httpx.HTTPError as error:
        meaning = "its figures are unknown just now"
        yield look(f"service {name}", f"/metrics does not answer ({type(error).__name__})", meaning, "look again")
        return
    if name == "ingest":
        yield from judgement.of_sources(metrics)
    if name == "aggregator":
        yield from judgement.of_lag(metrics)
        delay = "placelibre_reading_to_status_seconds"
        yield from judgement.of_delay(metrics, delay, "from reading to status", judgement.STATUS_LIMIT_S)
    if name == "publisher":
        delay = "placelibre_status_to_post_seconds"
        yield from judgement.of_delay(metrics, delay, "from status to post", judgement.POST_LIMIT_S)


def of_disk(folder: Path) -> Finding:
    """Judge the disk that a folder is on, whether it exists yet or not."""
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    return judgement.of_disk(shutil.disk_usage(existing).free)


_WITHOUT: Final = {
    "carrier": "nothing of branches is fetched; they keep it",
    "ingest": "no reading is taken in; devices keep theirs and come back",
    "aggregator": "no status is worked out; after its valid_until each is shown as expired",
    "publisher": "nothing is posted; what is due is posted later or lapses",
    "api": "nobody sees anything",
    "auditor": "nobody notices lost or miscounted readings, and no export is written",
}
