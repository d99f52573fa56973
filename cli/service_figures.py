"""What a service's own figures (`/metrics`) mean: pure, text in and findings out, as in `judgement`.

The limits are those of the alerts in deploy/prometheus/rules, which wait as well; here a single look has to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from cli.judgement import FILL_LOOK_SHARE, FILL_WRONG_SHARE, Finding, look, ok, wrong

DAY_S: Final = 86_400.0
EXPIRES_LOOK_S: Final = 14 * DAY_S
EXPIRES_WRONG_S: Final = 3 * DAY_S
HUNG_S: Final = 180.0
"""Every piece of work comes round within a minute."""
CALENDARS_HUNG_S: Final = 3600.0
LATE_SHARE: Final = 0.05
"""Of an event loop's turns since its start that were late by more than a second."""
LATE_COUNT_MIN: Final = 60.0
"""Turns, one a second, before that share says anything."""
FILES_SHARE: Final = 0.8
COUNTED_AGAIN_S: Final = 1800.0
EXPORT_S: Final = 26 * 3600.0
DISK_FREE_LOOK_BYTES: Final = 2 * 2**30
UNTRUE_S: Final = 900.0
AWAITED_S: Final = 1800.0
EXPORTS_DISK: Final = "disk of the exports"
CERTIFICATE: Final = "placelibre_certificate_expires_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Figures:
    """The samples of one service, by their names."""

    samples: Mapping[str, list[tuple[Mapping[str, str], float]]]

    @classmethod
    def of(cls, metrics: str) -> Figures:
        """Read the text of `/metrics`. Raises ValueError if it is none."""
        samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return cls(samples)

    def each(self, name: str, label: str) -> dict[str, float]:
        """Return the values of a metric by one of its labels; sums where there are more labels."""
        found: dict[str, float] = {}
        for labels, value in self.samples.get(name, ()):
            found[labels.get(label, "")] = found.get(labels.get(label, ""), 0.0) + value
        return found

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels; NaN if there are none."""
        found = [
            value
            for known, value in self.samples.get(name, ())
            if all(known.get(key) == wanted for key, wanted in labels.items())
        ]
        return math.fsum(found) if found else math.nan


def of_pulse(name: str, figures: Figures, now: datetime) -> Iterator[Finding]:
    """Judge whether a service that answers does its work."""
    subject, restart = f"service {name}", "keep its log, then start it again; nothing is lost by that"
    at = now.timestamp()
    if figures.value("placelibre_bus_connected") == 0:
        meaning = "it serves what it has, and does nothing new"
        yield wrong(subject, "it has no connection to the bus", meaning, "see its log for the reason the bus gives")
    else:
        for work, turned in sorted(figures.each("placelibre_work_turned_timestamp_seconds", "work").items()):
            age_s = at - turned
            if turned and age_s > (CALENDARS_HUNG_S if work == "calendars" else HUNG_S):
                what = f"its work `{work}` has stood still for {age_s / 60:.0f} min"
                yield wrong(subject, what, "it answers, and yet does not do this any more", restart)
    turns = figures.value("placelibre_event_loop_late_seconds_count")
    on_time = figures.value("placelibre_event_loop_late_seconds_bucket", le="1.0")
    if turns >= LATE_COUNT_MIN and (late := 1 - on_time / turns) > LATE_SHARE:
        meaning = "whoever waits for it waits longer, and it may miss the bus's heartbeats"
        remedy = "give it more processor, or another replica of api or ingest"
        yield look(subject, f"{late:.0%} of its turns are late by more than a second", meaning, remedy)
    files = figures.value("process_open_fds") / figures.value("process_max_fds")  # NaN where neither is told
    if files > FILES_SHARE:
        meaning = "at the limit nobody new is let in"
        yield look(subject, f"{files:.0%} of its files are open", meaning, "raise LimitNOFILE, or start it again")


def of_versions(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Judge whether all services are of one version, by the service's name."""
    if len(set(versions.values())) > 1:
        which = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        meaning = "they understand each other, but an upgrade has stopped half-way"
        yield look("versions", which, meaning, "finish the upgrade, or roll all of them back")
    elif versions:
        yield ok("versions", f"all {next(iter(versions.values()))}")


def version(figures: Figures) -> str | None:
    """Return of which version a service says it is."""
    return next(iter(figures.each("placelibre_build_info", "version")), None)


def of_publisher(figures: Figures, now: datetime) -> Iterator[Finding]:
    """Judge accounts, tokens, calendars, live posts and posts that wait."""
    for channel, count in sorted(_blocked(figures).items()):
        yield look(
            f"channel {channel}",
            f"{count:.0f} of its accounts are refused or have no credentials",
            "nothing is posted there",
            f"`placelibre posts dead` and the publisher's log say why; the secrets file is `{channel}-ACCOUNT`"
            " (docs/runbook.md has where, and what has to follow)",
        )
    name = "placelibre_channel_token_expires_timestamp_seconds"
    for channel, until in sorted(figures.each(name, "channel").items()):
        remedy = (
            "make a new one, put it into the secrets file (docs/runbook.md has where, and what has to follow), move"
            " `token_expires` in libraries.toml, then `apply`"
        )
        yield from _ending(f"token of {channel}", until, now, "nothing is posted there any more", remedy)
    unreadable = figures.value("placelibre_calendars", state="unreadable")
    if unreadable > 0:
        yield look(
            "event calendars",
            f"{unreadable:.0f} cannot be read",
            "events entered since are not reminded of; those read before are",
            "the publisher's log says whose (`calendar_unreadable`); open its address in a browser",
        )
    untrue_s = figures.value("placelibre_live_post_untrue_seconds")
    if untrue_s > UNTRUE_S:
        yield wrong(
            "live posts",
            f"one has misled people for {untrue_s / 60:.0f} min",
            "it says what is no longer so, and cannot be edited",
            "`placelibre posts` says which; if its channel stays away, delete it there by hand",
        )
    awaited_s = figures.value("placelibre_post_approval_awaited_seconds")
    if awaited_s > AWAITED_S:
        yield look(
            "approvals",
            f"a post has waited for staff for {awaited_s / 60:.0f} min",
            "it lapses unsaid",
            "`placelibre posts waiting`, then `placelibre posts approve`, or the tablet",
        )


def of_ingest(figures: Figures, now: datetime) -> Iterator[Finding]:
    """Judge ingest's own certificate, where it has one."""
    until = figures.value(CERTIFICATE, what="ingest")
    remedy = "put the renewed one and its key into the same files; ingest takes them within seconds"
    yield from _ending("certificate ingest", until, now, "devices that look at it send nothing any more", remedy)


def of_auditor(figures: Figures, now: datetime) -> Iterator[Finding]:
    """Judge what the auditor has measured: counts, losses, exports, store, replicas, certificates."""
    at = now.timestamp()
    differing = {what: by for what, by in figures.each("placelibre_reconciliation_difference", "what").items() if by}
    counted = figures.value("placelibre_reconciled_timestamp_seconds")
    if differing:
        which = ", ".join(f"{what} by {by:g}" for what, by in sorted(differing.items()))
        meaning = "something acknowledged is not in the public figures, or is in them twice"
        remedy = "`placelibre backup` now, then `placelibre reconcile` for which libraries"
        yield wrong("reconciliation", f"log and applied differ: {which}", meaning, remedy)
    elif not counted > 0:
        remedy = "look again in some minutes; then see the auditor's log"
        yield look("reconciliation", "nothing has been compared yet", "a loss would not be noticed", remedy)
    elif at - counted > COUNTED_AGAIN_S:
        what = f"last compared {(at - counted) / 60:.0f} min ago"
        yield look("reconciliation", what, "a loss would not be noticed", "see the auditor's log")
    else:
        yield ok("reconciliation", f"log and applied agree, as of {(at - counted) / 60:.0f} min ago")
    unexplained = figures.value("placelibre_reconciliation_taken_over", why="unexplained")
    if unexplained > 0:
        what = f"in {unexplained:.0f} partitions what was applied was taken for right, for no known reason"
        meaning = "messages were gone before they were counted; a loss or a double just before would not show"
        remedy = "`placelibre reconcile` says of which libraries, docs/runbook.md#placelibrecountstakenover what then"
        yield look("reconciliation", what, meaning, remedy)
    lost = {stream: n for stream, n in figures.each("placelibre_bus_stream_lost_messages", "stream").items() if n > 0}
    for stream, count in sorted(lost.items()):
        meaning = "what was stored is not there any more: a damaged disk or file"
        remedy = "see the kernel's log and the disk; `placelibre reconcile` says what, docs/runbook.md what then"
        yield wrong(f"stream {stream}", f"{count:.0f} messages are lost", meaning, remedy)
    yield from _of_export(figures, at)
    free = figures.value("placelibre_export_disk_free_bytes")
    if free < DISK_FREE_LOOK_BYTES:
        meaning = "with 256 MiB left no export is written; a bus on the same disk stops storing when it is full"
        remedy = "make room, keep fewer (PLACELIBRE_EXPORT_KEEP), or put them on another disk"
        yield look(EXPORTS_DISK, f"{free / 2**30:.1f} GiB free", meaning, remedy)
    kept, limit = (figures.value(f"placelibre_bus_store_{each}") for each in ("bytes", "limit_bytes"))
    share = kept / limit if limit > 0 else math.nan
    if share >= FILL_LOOK_SHARE:
        make = wrong if share >= FILL_WRONG_SHARE else look
        meaning = "when it is full the bus refuses what is new, whatever its streams say"
        yield make(
            "bus",
            f"its store is {share:.0%} full",
            meaning,
            "`placelibre retention READINGS --days 14` keeps less; for the others see docs/runbook.md",
        )
    for stream, count in sorted(figures.each("placelibre_bus_replicas_behind", "stream").items()):
        if count > 0:
            meaning = "with one node more away the bus refuses"
            yield look(f"stream {stream}", f"{count:.0f} replicas behind", meaning, "bring the node that is away back")
    for what, until in sorted(figures.each(CERTIFICATE, "what").items()):
        remedy = "`placelibre bus renew FOLDER`, then as docs/runbook.md says for where it runs"
        yield from _ending(f"certificate {what}", until, now, "no service connects to the bus again", remedy)


def _of_export(figures: Figures, at: float) -> Iterator[Finding]:
    exported, failures = figures.value("placelibre_export_timestamp_seconds"), "placelibre_export_failures_total"
    meaning, remedy = (
        "a lost disk would take everything since with it",
        "see the auditor's log; `placelibre backup` now",
    )
    failed = figures.value(failures)
    more = f", {failed:.0f} failed since its start" if failed > 0 else ""
    if not exported > 0:
        yield look("export", f"there is none yet{more}", meaning, remedy)
    elif at - exported > EXPORT_S:
        yield wrong("export", f"the last is {(at - exported) / 3600:.0f} h old{more}", meaning, remedy)
    else:
        yield ok("export", f"{(at - exported) / 3600:.0f} h old{more}")


def of_limits(name: str, figures: Figures) -> Iterator[Finding]:
    """Judge whether a service turns many away."""
    for limit, count in sorted(figures.each("placelibre_requests_limited_total", "limit").items()):
        if count > 0:
            is_of_addresses = "address" in limit
            yield look(
                f"service {name}",
                f"{count:.0f} requests turned away since its start (limit {limit})",
                "somebody comes too often; others do not notice"
                + (", unless all of them seem to come from one proxy" if is_of_addresses else ""),
                "behind a proxy set FORWARDED_ALLOW_IPS to its address, or all its callers are one"
                if is_of_addresses
                else "see which device or person that is, and why",
            )


def of_reader(figures: Figures, expired_on_bus: float) -> Iterator[Finding]:
    """Judge whether an api shows what the bus holds; NaN where the auditor's figure is not to be had."""
    if figures.value("placelibre_api_libraries") == 0:
        remedy = "see that its key may read, and that a configuration is applied; then start it again"
        yield look("service api", "it knows no library", "its pages are empty", remedy)
    expired = figures.value("placelibre_api_statuses_expired")
    if expired > expired_on_bus:
        what = f"{expired:.0f} statuses have expired there, {expired_on_bus:.0f} on the bus"
        yield wrong("service api", what, "it has lost touch with the bus", "start it again")


def of_alerts(alerts: list[tuple[str, str, str]]) -> Iterator[Finding]:
    """Judge what Prometheus says fires now: name, severity and summary of each, the watchdog among them."""
    names = {name for name, _, _ in alerts}
    if "PlacelibreWatchdog" not in names:
        meaning = "alerts do not get through, whatever is wrong"
        yield wrong("alerts", "the watchdog does not fire", meaning, "see Status, Rules in Prometheus")
    firing = [each for each in alerts if each[0] != "PlacelibreWatchdog"]
    if not firing and names:
        yield ok("alerts", "none fires")
    for name, severity, summary in sorted(firing):
        make = wrong if severity == "critical" else look
        yield make(f"alert {name}", summary, f"its severity is {severity}", f"docs/runbook.md#{name.lower()}")


def _blocked(figures: Figures) -> dict[str, float]:
    return {
        labels.get("channel", ""): value
        for labels, value in figures.samples.get("placelibre_channel_accounts", ())
        if labels.get("state") == "blocked" and value > 0
    }


def _ending(subject: str, until: float, now: datetime, meaning: str, remedy: str) -> Iterator[Finding]:
    left_s = until - now.timestamp()
    if not left_s < EXPIRES_LOOK_S:
        return
    what = f"has ended {-left_s / DAY_S:.0f} days ago" if left_s <= 0 else f"ends in {left_s / DAY_S:.0f} days"
    yield (wrong if left_s < EXPIRES_WRONG_S else look)(subject, what, f"after that {meaning}", remedy)
