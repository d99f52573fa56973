"""Gathering the figures that `judgement` judges: from the bus, the services and the data folder."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from math import isnan, nan
from pathlib import Path
from typing import Final

import httpx
import nats.errors
from nats.js.api import ConsumerInfo
from nats.js.errors import APIError, NotFoundError
from pydantic import ValidationError

from cli import judgement, service_figures
from cli.gates.sight import sight
from cli.judgement import Finding, Severity, look, ok, wrong
from cli.probe import UNVERIFIED, what_is_missing
from cli.service_figures import EXPORTS_DISK, Figures
from cli.service_list import Service
from services.auditor.export import free_bytes
from services.auditor.figures import certificate_until
from services.auditor.report import RECONCILIATION, Reconciliation
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.leaf import LeafState, state_key
from shared.contracts.readings import Tick
from shared.contracts.status import PublicStatus
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import wait_s
from shared.runtime.provision import CENTRE, ProvisioningFailed, Wanted, copies_on, provision
from shared.runtime.provision_leaf import BRANCH

METRICS_TIMEOUT_S: Final = 5.0
SECOND_LOOK_S: Final = 3.0
"""A pull of the publisher waits for two seconds at the most before it comes again."""
COPIES: Final = "num_replicas"
"""The setting's name at the bus."""
LIBRARIES_MAX: Final = 1000
"""More are not looked at one by one; the aggregator's metrics count them by state."""


async def of_bus(bus: Bus, here: datetime, without: Sequence[str] = ()) -> list[Finding]:
    """Return what the bus tells of streams, durables, clocks, dead letters and libraries.

    `here` is our own time; `without` are services that are not to run, so that nobody takes what waits for them.
    """
    findings: list[Finding] = [ok("bus", "answers")]
    try:
        findings += [each async for each in _drift(bus, CENTRE)]
        findings += [each async for each in _streams(bus, CENTRE)]
        findings += [each async for each in _durables(bus, CENTRE, without)]
        findings += [each async for each in _compared(bus, here)]
        findings += _certificate(bus, here)
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
    copies = copies_on(bus) if wanted is CENTRE else 1
    found = await provision(bus, replicas=copies, is_dry=True, wanted=wanted)
    held = [each for each in found if each.action != "missing"]
    if copies > 1 and held:
        yield judgement.of_copies(sum(COPIES in each.drift for each in held), len(held), copies)
    for each in found:
        other = tuple(setting for setting in each.drift if setting != COPIES)
        if each.action == "missing":
            remedy = "`placelibre up` makes it at its start; in a cluster run the provisioning job again"
            yield wrong(each.name, "is missing", "what belongs in it cannot be stored", remedy)
        elif each.left:
            remedy = "`placelibre retention` takes out what is older than is usual; other settings are set back by hand"
            yield look(each.name, f"keeps more than is usual: {', '.join(each.left)}", "it was set by hand", remedy)
        elif other:
            remedy = "`placelibre up` puts it right at its start; in a cluster run the provisioning job again"
            what = f"differs in {', '.join(other)}"
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


async def _durables(bus: Bus, wanted: Wanted, without: Sequence[str] = ()) -> AsyncIterator[Finding]:
    for durable in wanted.durables:
        if durable.name.partition("-")[0] in without:
            continue
        try:
            info = await bus.jetstream.consumer_info(durable.stream, durable.name)
        except NotFoundError:
            continue  # said already
        is_stuck = bool(info.num_pending) and not info.num_ack_pending and await _is_stuck(bus, info)
        yield judgement.of_durable(durable.name, info.num_pending or 0, info.num_ack_pending or 0, is_stuck=is_stuck)


async def _is_stuck(bus: Bus, before: ConsumerInfo) -> bool:
    """Look a second time: whoever pulls has taken something by then."""
    await wait_s(SECOND_LOOK_S)
    after = await bus.jetstream.consumer_info(before.stream_name, before.name)
    delivered = [each.delivered.consumer_seq if each.delivered else 0 for each in (before, after)]
    return bool(after.num_pending) and not after.num_ack_pending and delivered[0] == delivered[1]


async def _compared(bus: Bus, here: datetime) -> AsyncIterator[Finding]:
    try:
        entry = await bus.bucket(subjects.AUDITOR).get(RECONCILIATION)
    except BusUnavailable:
        return  # the bucket is missing, which has been said
    try:
        report = Reconciliation.model_validate_json(entry.value) if entry else None
    except ValidationError:
        return  # of another version, which `versions` tells
    wrong_ones = [each.library for each in report.libraries if not each.is_right] if report else []
    # A partition that is left out is as old as its own last comparison.
    at = min((each.since for each in report.left_out), default=report.at) if report else None
    yield judgement.of_comparison(at, wrong_ones, here)


def _certificate(bus: Bus, here: datetime) -> Iterator[Finding]:
    until = certificate_until(bus)
    if until is not None:
        yield judgement.of_certificate(until, here)


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


def of_services(
    services: Sequence[Service], where_logs_are: str, here: datetime, *, is_branch: bool = False
) -> Iterator[Finding]:
    """Yield what each service says of itself, and how fast the road is; `here` is our own time.

    A branch has no auditor of its own: the centre's counts what it sends.
    """
    versions: dict[str, str] = {}
    asked = [(each, what_is_missing(each.address, _verified(each))) for each in services]
    texts = {each.address: _metrics(each) for each, _ in asked}
    expired = next((_expired(texts[each.address]) for each, _ in asked if each.kind == "auditor"), nan)
    for each, missing in asked:
        if missing is not None:
            remedy = f"see {where_logs_are.format(each.kind)}"
            yield wrong(f"service {each.name}", f"not ready: {missing}", _WITHOUT.get(each.kind, ""), remedy)
        else:
            yield ok(f"service {each.name}", "ready")
        text = texts[each.address]
        if text is None:
            if missing is None:
                meaning = "its figures are unknown just now: it does not answer, or shows them to its own network only"
                remedy = "ask from a machine in that network, or set PLACELIBRE_METRICS_FOR there"
                yield look(f"service {each.name}", "/metrics cannot be read", meaning, remedy)
            continue
        figures = Figures.of(text)
        known = service_figures.version(figures)
        if known is not None:
            versions[each.name] = known
        yield from service_figures.of_pulse(each.name, figures, here)
        yield from service_figures.of_limits(each.name, figures)
        yield from _of_metrics(each.kind, text, figures, here, expired)
    yield from service_figures.of_versions(versions)
    if services and not is_branch and not any(each.kind == "auditor" for each in services):
        meaning = "nobody compares the log with what was applied, measures the bus or exports it"
        remedy = "start it: `placelibre run auditor`, or name its address with --services"
        yield look("service auditor", "there is none among those that were asked", meaning, remedy)


def of_prometheus(address: str) -> Iterator[Finding]:
    """Yield what fires now, as a Prometheus says."""
    try:
        answer = httpx.get(f"{address.rstrip('/')}/api/v1/alerts", timeout=METRICS_TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
        told = [
            (each["labels"]["alertname"], each["labels"].get("severity", ""), each["annotations"].get("summary", ""))
            for each in answer.json()["data"]["alerts"]
            if each["state"] == "firing"
        ]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        meaning = "what fires now is not known here, and perhaps nobody is told"
        yield wrong("prometheus", f"{address} does not tell ({type(error).__name__})", meaning, "see that it runs")
        return
    yield from service_figures.of_alerts(told)


def _expired(text: str | None) -> float:
    return nan if text is None else Figures.of(text).value("placelibre_statuses", age="expired")


def _verified(service: Service) -> ssl.SSLContext | bool:
    return UNVERIFIED if service.is_of_this_machine else True


def _metrics(service: Service) -> str | None:
    try:
        address = f"{service.address}/metrics"
        answer = httpx.get(address, timeout=METRICS_TIMEOUT_S, trust_env=False, verify=_verified(service))
        answer.raise_for_status()
        Figures.of(answer.text)
    except (httpx.HTTPError, ValueError):
        return None
    return answer.text


def _of_metrics(name: str, metrics: str, figures: Figures, here: datetime, expired: float) -> Iterator[Finding]:
    if name == "auditor":
        yield from service_figures.of_auditor(figures, here)
    if name == "api":
        yield from service_figures.of_reader(figures, expired)
    if name == "ingest":
        yield from judgement.of_sources(metrics)
        yield from service_figures.of_ingest(figures, here)
    if name == "aggregator":
        yield from judgement.of_lag(metrics)
        delay = "placelibre_reading_to_status_seconds"
        yield from judgement.of_delay(metrics, delay, "from reading to status", judgement.STATUS_LIMIT_S)
    if name == "publisher":
        yield from service_figures.of_publisher(figures, here)
        delay = "placelibre_status_to_post_seconds"
        yield from judgement.of_delay(metrics, delay, "from status to post", judgement.POST_LIMIT_S)


def of_disk(folder: Path) -> Finding:
    """Judge the disk that a folder is on, whether it exists yet or not."""
    free = free_bytes(folder)
    return _unseen("disk", folder) if isnan(free) else judgement.of_disk(int(free))


def of_exports_disk(folder: Path) -> Finding:
    """Judge the disk of the nightly exports, which the bus may share."""
    free = free_bytes(folder)
    if isnan(free):
        return _unseen(EXPORTS_DISK, folder)
    found = judgement.of_disk(int(free))
    if found.severity is Severity.OK:
        return replace(found, subject=EXPORTS_DISK)
    meaning = "with 256 MiB left no export is written; a bus on the same disk stops storing when it is full"
    remedy = "make room, keep fewer (PLACELIBRE_EXPORT_KEEP), or put them on another disk"
    return replace(found, subject=EXPORTS_DISK, meaning=meaning, remedy=remedy)


def _unseen(subject: str, folder: Path) -> Finding:
    what = f"whoever runs this may not look at {folder}"
    return look(subject, what, "a disk that fills is not seen here", "run this as the user of the services")


_WITHOUT: Final = {
    "carrier": "nothing of branches is fetched; they keep it",
    "ingest": "no reading is taken in; devices keep theirs and come back",
    "aggregator": "no status is worked out; after its valid_until each is shown as expired",
    "publisher": "nothing is posted; what is due is posted later or lapses",
    "api": "nobody sees anything",
    "auditor": "nobody notices lost or miscounted readings, and no export is written",
}
