"""What a figure of the running system means: pure, figures in and findings out. `diagnosis` gathers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from services.ingest.device_overview import Overview
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.leaf import LeafState
from shared.contracts.status import PublicStatus
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.device_health import Standing, standing
from shared.domain.device_words import sentence
from shared.domain.library import ClockKind
from shared.domain.status import ReasonCode, State
from shared.runtime.formats import formats_for

FILL_LOOK_SHARE: Final = 0.7
FILL_WRONG_SHARE: Final = 0.9
PENDING_LOOK: Final = 100
"""A durable so far behind has a cause; one change or post takes milliseconds to seconds."""
LAG_LOOK: Final = 1000
TICK_AGE_WRONG: Final = timedelta(seconds=60)
"""Twelve ticks of the usual five seconds."""
CLOCKS_APART_LOOK: Final = timedelta(seconds=2)
CLOCKS_APART_WRONG: Final = timedelta(seconds=60)
BEFORE_THIS_PROJECT: Final = datetime(2026, 1, 1, tzinfo=UTC)
DEVICES_NAMED: Final = 20
"""Devices in trouble that are told one by one; with more of them something else is wrong."""
DISK_LOOK_BYTES: Final = 8 * 2**30
"""The bus may fill 7 GB; with less free it is the disk that fills first, and only a restart mends that."""
DISK_WRONG_BYTES: Final = 2**30
LEAF_TOLD_AGE: Final = timedelta(seconds=120)
"""Four of the carrier's half minutes."""
LEAF_AWAY_WRONG: Final = timedelta(hours=1)
"""Before that it is a router that starts anew; readings of this age still count in the estimate."""
LEAF_BEHIND_LOOK: Final = 1000
LEAF_SKEW_LOOK_S: Final = 30.0
KEY_LOOK: Final = timedelta(days=30)
COMPARED_AGE_LOOK: Final = timedelta(minutes=30)
"""Six comparisons that did not happen."""
CERTIFICATE_LOOK: Final = timedelta(days=14)
CERTIFICATE_WRONG: Final = timedelta(days=3)
STATUS_LIMIT_S: Final = 5.0
POST_LIMIT_S: Final = 60.0


UNKNOWN_REMEDIES: Final = {
    ReasonCode.NEVER_KNOWN: "let staff count heads once, or wait for the next closing: the house is empty then",
    ReasonCode.GATE_SILENT: "see that the gate has power and a line, and that its key is right; head-counts help"
    " meanwhile",
    ReasonCode.RECOUNT_OLD: "let staff count heads again; a library without gates lives by that",
}


class Severity(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, what it means, what to do next (both empty if all is well)."""

    severity: Severity
    subject: str
    what: str
    meaning: str = ""
    remedy: str = ""


def ok(subject: str, what: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Severity.OK, subject, what)


def look(subject: str, what: str, meaning: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(Severity.LOOK, subject, what, meaning, remedy)


def wrong(subject: str, what: str, meaning: str, remedy: str) -> Finding:
    """Return a finding that harms the public's figures or will soon."""
    return Finding(Severity.WRONG, subject, what, meaning, remedy)


def of_fill(name: str, used_bytes: int, max_bytes: int) -> Finding:
    """Judge how full a stream is; a full one refuses what is new."""
    share = used_bytes / max_bytes if max_bytes > 0 else 0.0
    what = f"{share:.0%} of {max_bytes / 2**20:.0f} MiB"
    meaning = "when it is full, what is new is refused (senders get 503 and keep it)"
    remedy = (
        "find out what fills it (docs/runbook.md, PlacelibreStreamFilling); `placelibre retention` keeps less of it"
    )
    if share >= FILL_WRONG_SHARE:
        return wrong(f"stream {name}", what, meaning, remedy)
    if share >= FILL_LOOK_SHARE:
        return look(f"stream {name}", what, meaning, remedy)
    return ok(f"stream {name}", what)


def of_copies(other: int, total: int, servers: int) -> Finding:
    """Judge of how many streams and consumers of a cluster each server does not keep a copy."""
    if not other:
        return ok("copies", f"each of the {servers} servers has one of everything")
    return wrong(
        "copies",
        f"{other} of {total} streams and consumers are not kept by all {servers} servers",
        "what one server alone has stops when that one does, and is lost with its disk",
        "run `placelibre bus provision` as the operator: it copies everything to all of them",
    )


def of_durable(name: str, pending: int, unacknowledged: int, *, is_stuck: bool = False) -> Finding:
    """Judge how far behind a durable is; stuck is one from which nothing was taken though something waits."""
    what = f"{pending} waiting, {unacknowledged} in hand"
    if is_stuck:
        return wrong(
            f"durable {name}",
            f"{what}, and nobody takes any",
            "changes are not posted, or what devices send is not counted; nothing of it is lost",
            "start the publisher again, or ingest for ingest-device-bodies, and see its log",
        )
    if pending >= PENDING_LOOK:
        return look(
            f"durable {name}",
            what,
            "changes or posts come in faster than they are worked off, or nobody works them off",
            "see that the publisher is ready, and its log for a channel that refuses or is slow",
        )
    return ok(f"durable {name}", what)


def of_dead_letters(by_subject: Mapping[str, int]) -> Finding:
    """Judge what has been given up on."""
    by_subject = {subject: count for subject, count in by_subject.items() if subjects.is_given_up(subject)}
    total = sum(by_subject.values())
    if not total:
        return ok("dead letters", "none")
    worst = sorted(by_subject.items(), key=lambda each: -each[1])[:3]
    return look(
        "dead letters",
        f"{total} ({', '.join(f'{count} on {subject}' for subject, count in worst)})",
        "something could not be read or delivered and was put aside with its reason; the rest goes on",
        "`placelibre posts dead` shows posts with their reasons; those of others are in the log of the service named",
    )


def of_quarantine(count: int) -> Finding:
    """Judge what senders with a key sent and nobody could read; boxes without one are judged in `of_devices`."""
    if not count:
        return ok("quarantine", "empty")
    return look(
        "quarantine",
        f"{count} bodies",
        "requests with a key held readings that could not be read; those were not counted",
        "their sender was told which and why in the answer; the bodies are kept for 7 days",
    )


def of_devices(seen: Overview, now: datetime) -> Iterator[Finding]:
    """Judge the devices: those in trouble each by itself, and the boxes that nobody has claimed together."""
    troubled = [row for row in seen.rows if row.ailments]
    if seen.rows and not troubled:
        yield ok("devices", f"{len(seen.rows)} count, nothing is wrong with them")
    for row in troubled[:DEVICES_NAMED]:
        words, formats = DEVICE_WORDS["en"].health, formats_for("en", row.library.time_zone)
        is_wrong = standing(row.ailments) is Standing.WRONG
        yield (wrong if is_wrong else look)(
            f"device {row.key}",
            " ".join(sentence(each, words, formats, now) for each in row.ailments),
            "people are not counted there, or wrong"
            if is_wrong
            else "it may stop counting, or something of it is lost",
            f"mend it; `placelibre devices show {row.key}` says all that is known of it",
        )
    if len(troubled) > DEVICES_NAMED:
        more = f"{len(troubled) - DEVICES_NAMED} more are in trouble"
        yield look("devices", more, "they are not named here", "`placelibre devices` has them all")
    if seen.unclaimed:
        named = [f"{each.source}: {each.bodies} ({each.last.code})" for each in seen.unclaimed[:3]]
        more = f" and {len(seen.unclaimed) - 3} more" if len(seen.unclaimed) > 3 else ""
        yield look(
            "boxes without a claim",
            f"{len(seen.unclaimed)} send and count nowhere: {', '.join(named)}{more}",
            "nobody has said where they hang, or what they send cannot be read; it is kept for 7 days",
            "`placelibre devices` lists them, `placelibre devices claim` lets one count",
        )


def of_sources(metrics: str) -> Iterator[Finding]:
    """Judge from ingest's metrics whether the sources that are fetched can be."""
    for family in text_string_to_metric_families(metrics):
        if family.name == "placelibre_sources_failing":
            failing = {sample.labels["type"]: int(sample.value) for sample in family.samples if sample.value}
            if failing:
                yield look(
                    "sources",
                    f"failing: {', '.join(f'{count} of type {kind}' for kind, count in sorted(failing.items()))}",
                    "what they would bring is not counted yet; they are tried again every few minutes",
                    "the log of ingest names each with the reason (`source_fails`); look at its address and secrets",
                )


def of_clocks(bus_now: datetime | None, aggregator_now: datetime | None, here: datetime) -> Iterator[Finding]:
    """Judge the clocks by the last tick: when the bus stored it, and when the aggregator wrote it."""
    if here < BEFORE_THIS_PROJECT:
        yield wrong(
            "clock",
            f"this machine believes it is {here:%Y-%m-%d %H:%M}",
            "hours, validity and keys are all judged by it",
            "set the clock (timedatectl set-ntp true)",
        )
    if bus_now is None or aggregator_now is None:
        yield look(
            "ticks",
            "there is none yet",
            "the aggregator writes the passing of time to the log; without it nothing closes by itself",
            "if it has been running for more than a minute, see its log",
        )
        return
    apart = max(abs(bus_now - aggregator_now), bus_now - here)
    if apart > CLOCKS_APART_LOOK:
        make = wrong if apart > CLOCKS_APART_WRONG else look
        yield make(
            "clock",
            f"clocks are {apart.total_seconds():.0f} s apart",
            "the bus, the aggregator or this machine has the wrong time; ages are shown wrong by as much",
            "switch on time synchronisation on each machine (timedatectl set-ntp true)",
        )
    age = here - bus_now
    if age > TICK_AGE_WRONG:
        yield wrong(
            "ticks",
            f"the last one is {age.total_seconds():.0f} s old",
            "the aggregator does not write the passing of time: statuses expire and nothing closes by itself",
            "see that the aggregator is ready, and its log",
        )
    elif apart <= CLOCKS_APART_LOOK:
        yield ok("clock", "all agree, and time passes")


def line_of(state: LeafState | None, now: datetime) -> str:
    """Return in words whether a branch is connected, or since when it is not."""
    if state is None:
        return "never heard of"
    if now - state.at > LEAF_TOLD_AGE:
        return f"not looked at for {_span(now - state.at)}"
    if state.is_connected:
        return f"up for {_span(now - state.since)}"
    if state.heard_at is None:
        return "never heard of"
    return f"down for {_span(now - state.since)}"


def of_leaf(name: str, state: LeafState | None, now: datetime) -> Finding:
    """Judge a branch with a bus of its own, by what the carrier knows of it."""
    subject, line = f"branch {name}", line_of(state, now)
    at_the_branch = "at the branch see that `placelibre up` runs and that its key is the one last made; see the line"
    if state is None or (state.heard_at is None and now - state.at <= LEAF_TOLD_AGE):
        return look(subject, line, "it has not been started, or does not reach us", at_the_branch)
    if now - state.at > LEAF_TOLD_AGE:
        return wrong(subject, line, "the carrier does not look after branches", "see that it is ready, and its log")
    if state.fill >= FILL_WRONG_SHARE:
        meaning = "when it is full the branch answers its devices 503, and they keep what they have"
        remedy = "bring its line back; what the centre has fetched makes room by itself"
        return wrong(subject, f"{line}, its log {state.fill:.0%} full", meaning, remedy)
    if not state.is_connected:
        make = wrong if now - state.since > LEAF_AWAY_WRONG else look
        meaning = "it keeps what it counts; its libraries are shown as unknown until the line is back"
        return make(subject, line, meaning, at_the_branch)
    if state.refused:
        meaning = "it sent what is not its to send; none of that was counted"
        remedy = "`placelibre leaf libraries` says which libraries it has; is its version newer than the centre's?"
        return look(subject, f"{line}, {state.refused} packs refused", meaning, remedy)
    if abs(state.skew_s) > LEAF_SKEW_LOOK_S:
        meaning = "readings without a time of their own get its time: they land in the wrong minute"
        remedy = "switch on time synchronisation there (timedatectl set-ntp true)"
        return look(subject, f"{line}, its clock {state.skew_s:+.0f} s from ours", meaning, remedy)
    if state.behind >= LEAF_BEHIND_LOOK:
        meaning = "after an outage it catches up by itself; its status is older meanwhile"
        return look(subject, f"{line}, {state.behind} packs behind", meaning, "look again in a minute")
    return ok(subject, f"{line}, {state.behind} packs behind")


def of_line_to_the_centre(connections: int | None) -> Finding:
    """Judge, at a branch, whether its bus is connected to the centre's; None if its figures cannot be read."""
    if connections is None:
        return look("centre", "not known", "the bus does not tell of its connections", "look again")
    if connections:
        return ok("centre", "connected")
    return look(
        "centre",
        "not connected",
        "what is counted is kept here; the centre catches up when the line is back",
        "see the line, and logs/bus.log: `Authorization Violation` means that the key is no longer valid there",
    )


def _span(span: timedelta) -> str:
    """Return a span in its largest unit that fits: `40 s`, `12 min`, `5 h`, `3 days`."""
    seconds = max(span.total_seconds(), 0.0)
    for unit_s, words in ((86_400 * 2, "days"), (3600 * 2, "h"), (120, "min")):
        if seconds >= unit_s:
            return f"{seconds / (86_400 if words == 'days' else 3600 if words == 'h' else 60):.0f} {words}"
    return f"{seconds:.0f} s"


def of_disk(free_bytes: int) -> Finding:
    """Judge the room on the disk of the bus."""
    what = f"{free_bytes / 2**30:.1f} GiB free"
    meaning = "on a full disk the bus stops storing, and has to be restarted once there is room again"
    remedy = "make room, or move the data folder to a larger disk"
    if free_bytes < DISK_WRONG_BYTES:
        return wrong("disk", what, meaning, remedy)
    if free_bytes < DISK_LOOK_BYTES:
        return look("disk", what, meaning, remedy)
    return ok("disk", what)


def of_keys(library: LibraryConfig, now: datetime) -> Iterator[Finding]:
    """Judge the keys of one library."""
    for key in library.keys:
        if key.expires is None or key.expires - now > KEY_LOOK:
            continue
        is_over = key.expires <= now
        yield (wrong if is_over else look)(
            f"key {key.id}",
            f"{'has expired' if is_over else 'expires'} on {key.expires.date()}",
            f"{library.id}'s {key.device} {'is' if is_over else 'will be'} refused",
            f"`placelibre keys new {library.id} --device {key.device} --role {key.role}`, then remove the old one",
        )


def of_status(
    library: LibraryConfig, status: PublicStatus | None, stored_at: datetime | None, now: datetime
) -> Finding:
    """Judge one library's public status."""
    subject = f"library {library.id}"
    if status is None or stored_at is None:
        if library.clock is not ClockKind.WALL:
            return ok(subject, f"no {library.clock} day has been played yet")
        return wrong(
            subject,
            "has no status",
            "the aggregator has not taken its configuration into account",
            "see that the aggregator is ready, and its log",
        )
    age_s = (now - (status.as_of if status.clock.kind is ClockKind.WALL else stored_at)).total_seconds()
    what = f"{status.state}, {max(age_s, 0):.0f} s old"
    if status.clock.kind is ClockKind.WALL and status.valid_until < now:
        return wrong(
            subject,
            f"{what}, no longer valid",
            "the page says that nothing newer is known",
            "see that the aggregator is ready, and its log",
        )
    if status.state is State.UNKNOWN and status.reason is not None:
        gate = f", gate {status.reason.gate}" if status.reason.gate else ""
        return look(
            subject,
            f"unknown: {status.reason.code}{gate}",
            "no honest figure can be given; the page says so",
            UNKNOWN_REMEDIES.get(status.reason.code, "see that the aggregator is ready, and its log"),
        )
    return ok(subject, what)


def of_comparison(compared_at: datetime | None, differing: Sequence[str], now: datetime) -> Finding:
    """Judge the auditor's last comparison, by what lies on the bus of it."""
    remedy = "see that the service `auditor` runs, and its log"
    if compared_at is None:
        return look("comparison", "nothing has been compared yet", "a loss would not be noticed", remedy)
    age = now - compared_at
    if differing:
        named = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")
        meaning = "something acknowledged is not in the public figures, or is in them twice"
        remedy = "`placelibre backup` now, then `placelibre reconcile` for by how much"
        return wrong("comparison", f"log and applied differ for {named}", meaning, remedy)
    if age > COMPARED_AGE_LOOK:
        return look("comparison", f"the last is {_span(age)} old", "a loss would not be noticed", remedy)
    return ok("comparison", f"log and applied agree, as of {_span(age)} ago")


def of_certificate(until: datetime, now: datetime) -> Finding:
    """Judge the bus's certificate, as this connection has been shown it."""
    left = until - now
    what = f"ends on {until.date()}, in {left.days} days"
    if left > CERTIFICATE_LOOK:
        return ok("certificate of the bus", what)
    make = wrong if left <= CERTIFICATE_WRONG else look
    meaning = "after that no service connects to the bus again"
    return make(
        "certificate of the bus",
        what,
        meaning,
        "`placelibre bus renew FOLDER`, then as docs/runbook.md says for where it runs",
    )


def of_lag(metrics: str) -> Iterator[Finding]:
    """Judge from the aggregator's metrics how far behind the log it is."""
    for family in text_string_to_metric_families(metrics):
        if family.name == "placelibre_aggregator_lag_messages":
            lag = int(sum(sample.value for sample in family.samples))
            if lag >= LAG_LOOK:
                yield look(
                    "aggregator",
                    f"{lag} messages behind the log",
                    "statuses are older than what was counted; after a long outage it catches up by itself",
                    "look again in a minute; if it does not shrink, see its log",
                )
            else:
                yield ok("aggregator", f"{lag} messages behind the log")


def of_delay(metrics: str, name: str, subject: str, limit_s: float) -> Iterator[Finding]:
    """Judge a histogram of delays by the bound under which 95 of 100 lie, since its service started."""
    bound_s, count = quantile_bound(metrics, name, 0.95)
    if count:
        what = f"95 % within {bound_s:g} s ({count} since the start)"
        if bound_s <= limit_s:
            yield ok(subject, what)
        else:
            yield look(
                subject,
                what,
                f"people learn of a change later than the {limit_s:g} s that are usual",
                "after an outage this is what it made up for; else see the load of the machine and the logs",
            )


def quantile_bound(metrics: str, name: str, share: float) -> tuple[float, int]:
    """Return the smallest bucket bound, in seconds, that holds a share of a histogram, and the count of all."""
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(metrics):
        if family.name == name:
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    bound = float(sample.labels["le"])
                    buckets[bound] = buckets.get(bound, 0.0) + sample.value
    count = max(buckets.values(), default=0.0)
    bounds = (bound for bound in sorted(buckets) if buckets[bound] >= share * count)
    return next(bounds, 0.0), int(count)
