"""The guarantees, each with a way to break it on purpose and the tests that must notice. Data alone.

`python -m tests.faults.mutations` applies them one by one to a copy of the tree. A text that is no longer there, or a
test that has another name, is an error: `tests/test_mutations.py` looks each time the suite runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """One place in one file: `old` occurs there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guarantee broken; each of `tests`, pytest's ids, must fail. `needs` are variables that let them run."""

    name: str
    guarantee: str
    broken: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    needs: tuple[str, ...] = ()


FAULTS: Final = ("FAULT_TESTS",)
SLOW: Final = ("SLOW_TESTS",)
AGGREGATOR: Final = "tests/services/test_aggregator.py"
DESK: Final = "tests/services/test_desk_routes.py"
INGEST: Final = "tests/services/test_ingest.py"
PUBLISHER: Final = "tests/services/test_publisher.py"
KILLS: Final = f"{PUBLISHER}::test_a_kill_between_any_two_steps_leaves_one_true_live_post_per_language"
STREAM: Final = "tests/services/test_api_stream.py"
STATE: Final = "tests/domain/test_library_state.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        "sync",
        "what is acknowledged survives a power cut",
        "sync_interval as nats-server has it",
        (Edit("cli/bus_server.py", "  sync_interval: {server.sync}\n", "  sync_interval: 2m\n"),),
        ("tests/faults/test_power_cuts.py::test_ten_power_cuts_lose_nothing_that_was_acknowledged",),
        FAULTS,
    ),
    Mutant(
        "discard",
        "a full stream refuses what comes, and drops nothing",
        "discard old",
        (
            Edit(
                "shared/runtime/provision.py",
                "discard=DiscardPolicy.NEW,\n        max_age=spec.max_age.total_seconds(),\n"
                "        max_bytes=spec.max_bytes,\n        max_msgs=-1,\n"
                "        max_msgs_per_subject=spec.max_per_subject",
                "discard=DiscardPolicy.OLD,\n        max_age=spec.max_age.total_seconds(),\n"
                "        max_bytes=spec.max_bytes,\n        max_msgs=-1,\n"
                "        max_msgs_per_subject=spec.max_per_subject",
            ),
        ),
        (f"{INGEST}::test_a_full_stream_is_a_503_to_come_back_to",),
    ),
    Mutant(
        "acknowledgement-policy",
        "an error that passes loses no change",
        "FastStream's default policy",
        (
            Edit(
                "services/publisher/handlers.py",
                "        ack_policy=AckPolicy.MANUAL,  # the default would discard a message on any error\n",
                "",
            ),
            Edit("services/publisher/handlers.py", "        ack_policy=AckPolicy.MANUAL,\n", ""),
        ),
        (
            f"{PUBLISHER}::test_an_error_that_passes_loses_no_change",
            f"{PUBLISHER}::test_a_change_that_breaks_the_handler_is_put_aside_and_holds_up_nobody",
        ),
    ),
    Mutant(
        "poison",
        "what can never be handled is put aside, and seen",
        "tried again for ever",
        (Edit("services/publisher/handlers.py", "FAILURES: Final = 3\n", "FAILURES: Final = 10**9\n"),),
        (f"{PUBLISHER}::test_a_change_that_breaks_the_handler_is_put_aside_and_holds_up_nobody",),
    ),
    Mutant(
        "doubles",
        "a reading counts once, whenever it comes again",
        "no deduplication in the aggregator's state",
        (Edit("shared/domain/advance.py", "    if state.seen.has(reading):\n", "    if False:\n"),),
        (
            f"{STATE}::test_doubles_and_readings_that_come_too_late_change_nothing_but_their_count",
            "tests/simulation/test_offline.py::test_a_feed_played_twice_counts_once",
        ),
    ),
    Mutant(
        "closing",
        "a library closes at its own minute, however often time is told",
        "closing at the next tick",
        (
            Edit(
                "shared/domain/advance.py",
                "        state.now = max(state.now, state.next_due).astimezone(UTC)\n",
                "        state.now = at\n",
            ),
        ),
        (
            f"{STATE}::test_a_day_opens_fills_lunches_and_closes_at_the_hours_own_minutes",
            f"{STATE}::test_how_often_the_clock_ticks_decides_nothing",
        ),
    ),
    Mutant(
        "second-writer",
        "a partition has one writer, and a second one is found out",
        "checkpoints written over whatever is there",
        (
            Edit("services/aggregator/checkpoint.py", "        await self._look_for_others(number)\n", ""),
            Edit(
                "services/aggregator/checkpoint.py",
                "await self.bucket.update(key, value, revision=self.revisions[number])",
                "await self.bucket.put(key, value)",
            ),
        ),
        (f"{AGGREGATOR}::test_a_second_writer_of_a_partition_is_found_out",),
    ),
    Mutant(
        "checkpoint",
        "a restart goes on where the checkpoint ends, and applies nothing twice",
        "a message covered by a checkpoint applied again",
        (
            Edit(
                "services/aggregator/fold.py",
                "            if partition is None or partition.covered >= sequence:\n                continue\n",
                "            if partition is None:\n                continue\n",
            ),
        ),
        (f"{AGGREGATOR}::test_a_message_covered_by_a_checkpoint_is_not_applied_again",),
    ),
    Mutant(
        "acknowledgement",
        "202 means stored",
        "202 before the bus has stored",
        (
            Edit(
                "services/ingest/routes.py",
                "        await store(bus, accepted, received_at, door.settings.store_timeout_s)\n",
                "        import asyncio\n\n"
                "        storing = store(bus, accepted, received_at, door.settings.store_timeout_s)\n"
                "        storing = asyncio.create_task(storing)\n"
                "        storing.add_done_callback(lambda task: task.exception())\n",
            ),
        ),
        (f"{INGEST}::test_a_full_stream_is_a_503_to_come_back_to",),
    ),
    Mutant(
        "strict",
        "a reading says what it says, or is refused",
        "unknown fields passed over, types guessed",
        (
            Edit(
                "shared/contracts/readings.py",
                'ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)',
                'ConfigDict(extra="ignore", strict=False, frozen=True, allow_inf_nan=False)',
            ),
        ),
        (f"{INGEST}::test_what_a_sender_may_not_say_is_refused_with_the_reason",),
    ),
    Mutant(
        "secrets",
        "nobody sends without the key's secret",
        "a key's id suffices",
        (
            Edit(
                "services/ingest/senders.py",
                "        if not is_right or key is None or (key.expires",
                "        if key is None or (key.expires",
            ),
        ),
        (f"{INGEST}::test_without_a_valid_key_nothing_is_taken",),
    ),
    Mutant(
        "scopes",
        "a key writes to its own library alone",
        "any key writes anywhere",
        (
            Edit(
                "services/ingest/senders.py",
                "            if library_id != sender.library.id:\n",
                "            if False:\n",
            ),
        ),
        (f"{INGEST}::test_what_a_sender_may_not_say_is_refused_with_the_reason",),
    ),
    Mutant(
        "pins",
        "nobody finds out a PIN by trying",
        "no pause after wrong ones",
        (
            Edit(
                "services/ingest/sign_in.py",
                "def lock_after(wrong: int, most: int = TRIES) -> timedelta | None:\n",
                "def lock_after(wrong: int, most: int = TRIES) -> timedelta | None:\n    wrong = 0\n",
            ),
        ),
        (f"{DESK}::test_wrong_pins_are_counted_and_end_in_a_pause_also_for_the_right_one",),
    ),
    Mutant(
        "bus-rights",
        "a service may say on the bus what it is for, and nothing else",
        "every user may publish everything",
        (
            Edit(
                "cli/bus_folder/rendering.py",
                '        "publish": {"allow": list(permissions.publish)},\n',
                '        "publish": {"allow": [">"]},\n',
            ),
        ),
        ("tests/services/test_bus_rights.py::test_a_service_says_what_it_is_for_and_nothing_else[api]",),
    ),
    Mutant(
        "configuration",
        "a broken configuration leaves the old one running",
        "a library with a broken one dropped",
        (
            Edit(
                "shared/runtime/applied_libraries.py",
                '        log.error("configuration_refused"',
                '        shelf.drop(update.key)\n        log.error("configuration_refused"',
            ),
        ),
        (f"{PUBLISHER}::test_a_broken_configuration_leaves_the_old_one",),
    ),
    Mutant(
        "rate-limit",
        "a flood from one key is refused",
        "no bucket ever empty",
        (Edit("shared/domain/token_bucket.py", "        if missing > ROUNDING:\n", "        if False:\n"),),
        (
            "tests/services/test_limits.py::test_a_key_that_sends_too_often_is_refused_and_another_is_not",
            "tests/domain/test_token_bucket.py::test_no_span_lets_more_through_than_the_burst_and_what_comes_back_in_it",
        ),
    ),
    Mutant(
        "too-late",
        "nothing is posted after its time",
        "valid_until not looked at",
        (
            Edit(
                "services/publisher/outbox.py",
                "    if time is None:\n        return None\n    remaining",
                "    return None\n    remaining",
            ),
        ),
        (f"{PUBLISHER}::test_what_is_too_old_is_not_sent_and_that_is_noted",),
    ),
    Mutant(
        "delivery-record",
        "nothing is said twice: an attempt is written down before its first byte",
        "the record written after sending only",
        (
            Edit(
                "services/publisher/delivery.py",
                "                revision = await self._save(key, sending(intent, step, at, lease), revision)\n",
                "",
            ),
        ),
        (f"{KILLS}[Death(subject='$KV.DELIVERIES.', nth=1, is_before=True)]",),
        needs=("SLOW_TESTS",),
    ),
    Mutant(
        "look-up",
        "nothing is said twice: what may be out is looked up before it is sent again",
        "sent again at once",
        (
            Edit(
                "services/publisher/delivery.py",
                "        if attempt.looks_first:\n            found = await self._look_up(intent, channel)\n",
                "        if False:\n            found = await self._look_up(intent, channel)\n",
            ),
            Edit(
                "services/publisher/delivery.py",
                "        if isinstance(outcome, Done) and attempt.looks_first:\n",
                "        if False:\n",
            ),
        ),
        ("tests/adapters/test_mastodon_channel.py::test_a_lost_reply_is_found_and_not_sent_again",),
    ),
    Mutant(
        "inner-addresses",
        "no stranger makes us ask inside",
        "addresses not looked at",
        (
            Edit(
                "shared/runtime/public_address.py",
                "    if not all(is_public(each) for each in addresses):\n",
                "    if False:\n",
            ),
        ),
        ("tests/services/test_outgoing.py::test_no_inner_address_is_reached_in_whatever_form",),
    ),
    Mutant(
        "audit-chain",
        "nobody alters the audit trail unseen",
        "hashes not compared",
        (
            Edit(
                "shared/contracts/audit.py",
                "        elif each.link.before == hash_of(before.body):\n",
                "        elif before.link is not None and each.link.number == before.link.number + 1:\n",
            ),
        ),
        ("tests/services/test_audit.py::test_a_taken_out_or_altered_entry_breaks_the_chain",),
    ),
    Mutant(
        "reconciliation",
        "what was applied is held against the log",
        "an auditor that always finds 0",
        (
            Edit(
                "services/auditor/reconcile.py",
                "            less = counted.less(has)\n",
                "            less = has.less(has)\n",
            ),
        ),
        ("tests/services/test_auditor.py::test_a_flipped_count_in_a_checkpoint_shows_until_somebody_accepts_it",),
    ),
    Mutant(
        "two-books",
        "a bus put back does not forget, together with its book, what it has lost",
        "the book on the bus alone",
        (
            Edit(
                "services/auditor/book.py",
                "        if name not in pages or page.last > pages[name].last:\n",
                "        if name not in pages:\n",
            ),
        ),
        (
            "tests/services/test_auditor_book.py::test_a_bus_put_back_with_its_own_book_is_found_out_by_the_copy_beside_it",
        ),
    ),
    Mutant(
        "export-order",
        "a backup holds no effect of what it does not hold",
        "the log copied first",
        (
            Edit(
                "services/auditor/export.py",
                "    return (*FIRST, *between, *LAST)\n",
                "    return (*LAST, *between, *FIRST)\n",
            ),
        ),
        ("tests/services/test_backup.py::test_what_is_derived_is_copied_before_what_it_is_derived_from",),
    ),
    Mutant(
        "forgotten-twice",
        "what is purged is in neither checkpoint",
        "the newest one written anew alone",
        (
            Edit(
                "services/aggregator/checkpoint.py",
                "            await self._write(partition, self.cleared.get(partition.number, 0))\n"
                "            await self._clear_what_is_over(partition)\n"
                "            await self._write(partition, partition.forgotten)\n",
                "            await self._write(partition, partition.forgotten)\n",
            ),
        ),
        (
            "tests/services/test_forgotten_slots.py::test_one_save_after_something_is_forgotten_leaves_no_slot_that_has_it",
        ),
    ),
    Mutant(
        "refused-loss",
        "provisioning takes away no copy of what a stream holds",
        "whatever is asked for is done",
        (
            Edit(
                "shared/runtime/provision.py",
                "    refuse_loss(wanted, info)\n    await bus",
                "    await bus",
            ),
        ),
        ("tests/services/test_bus_folder.py::test_a_cluster_keeps_its_streams_while_a_node_is_down",),
        SLOW,
    ),
    Mutant(
        "newer-version",
        "what a newer version adds to what is stored does not stop an older one",
        "held to the letter",
        (Edit("shared/contracts/stored.py", '_read(model, value, "ignore")', '_read(model, value, "forbid")'),),
        ("tests/contracts/test_golden_samples.py::test_what_a_newer_version_adds_does_not_stop_this_one",),
    ),
    Mutant(
        "stuck-listeners",
        "who does not read is dropped",
        "waited for, for ever",
        (
            Edit(
                "services/api/stream.py",
                "        async with asyncio.timeout(self.stuck_after_s):\n",
                "        async with asyncio.timeout(None):\n",
            ),
        ),
        (f"{STREAM}::test_listeners_who_never_read_are_dropped_with_all_they_hold_and_others_notice_nothing",),
    ),
    Mutant(
        "age",
        "no figure is shown past its validity",
        "an expired status served as it was",
        (
            Edit(
                "services/api/projection.py",
                "        if not self.is_expired(now):\n            return self.fresh\n",
                "        if True:\n            return self.fresh\n",
            ),
        ),
        (
            "tests/services/test_api.py::test_past_its_validity_a_status_says_so_and_has_no_figures",
            f"{STREAM}::test_an_expiry_is_told_though_no_new_status_came",
        ),
    ),
    Mutant(
        "small-numbers",
        "few people are told as few, never how many",
        "exact figures to the public",
        (
            Edit(
                "shared/domain/small_numbers.py",
                "    if below == 0:\n        return status\n",
                "    return status\n",
            ),
        ),
        (
            "tests/domain/test_small_numbers.py::test_everything_that_is_told_is_the_same_however_few_there_are",
            "tests/domain/test_small_numbers.py::test_a_zone_cannot_be_worked_out_from_the_others_and_the_whole",
            "tests/services/test_small_numbers_told.py::test_the_day_s_totals_are_exact_the_day_after",
        ),
    ),
)
