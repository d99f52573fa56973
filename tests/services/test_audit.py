"""The audit trail: complete, without values, in a chain that shows what is missing, and never in the way of an act."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import DiscardPolicy
from nats.js.errors import APIError
from typer.testing import CliRunner, Result

from cli.applying import carry_out, plan
from cli.audit import app as audit_app
from cli.audit import examined, trail_of
from cli.bus_server import BusServer
from cli.leaf import app as leaf_app
from cli.operator_audit import note_act, note_provisioned, operator_name
from cli.reconcile import app as reconcile_app
from cli.retention import choose
from cli.staffing.people import add_person, invite, remove_person, renew_pin
from cli.terminal import Trouble
from services.auditor.book import Book, Loss, LossKind
from services.auditor.figures import Figures
from services.auditor.report import BOOK
from shared.contracts import subjects
from shared.contracts.audit import DETAILS_MAX, Act, AuditEntry, Outcome, Role, Stored, breaks, hash_of, shortened
from shared.contracts.configuration import LibraryConfig
from shared.runtime import metrics
from shared.runtime.audit import AuditTrail
from shared.runtime.bus import Bus, connected
from shared.runtime.clock import now
from shared.runtime.provision import Provisioned, provision
from tests.conftest import settings_for

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = {"id": "front-1a2b3c", "sha256": "0" * 64, "device": "front", "role": "gate"}


def library(**more: Any) -> LibraryConfig:
    return LibraryConfig.model_validate(
        {
            "id": "bpi",
            "name": "Bpi",
            "time_zone": "Europe/Paris",
            "opening_hours": "Mo-Su 10:00-22:00",
            "capacity": 100,
            "gates": [{"id": "front"}],
        }
        | more
    )


async def entries(bus: Bus) -> list[AuditEntry]:
    return [each.entry for each in await trail_of(bus) if each.entry]


async def test_applying_notes_what_changed_by_the_names_of_the_keys_and_no_value(operator: Bus) -> None:
    await carry_out(operator, await plan(operator, [library()], is_pruned=False))
    changed = library(
        capacity=871, opening_hours="Mo-Su 09:41-22:00", contact={"email": "desk@library.example"}, keys=[KEY]
    )
    await carry_out(operator, await plan(operator, [changed], is_pruned=False))
    await carry_out(operator, await plan(operator, [changed], is_pruned=False))
    await carry_out(operator, await plan(operator, [], is_pruned=True))
    noted = await entries(operator)
    assert [each.act for each in noted] == [
        Act.LIBRARY_ADDED,
        Act.LIBRARY_CHANGED,
        Act.KEY_ADDED,
        Act.LIBRARY_REMOVED,
    ]
    assert set(noted[1].details) == {"contact", "opening_hours", "capacity", "keys.front-1a2b3c: added"}
    assert noted[2].subject == "front-1a2b3c"
    assert {each.who for each in noted} == {operator_name()}
    stored = b"".join(each.body for each in await trail_of(operator))
    for value in (b"09:41-22", b"desk@library.example", b"0" * 40):
        assert value not in stored


async def test_who_asked_through_sudo_is_noted_if_the_machine_knows_them(
    operator: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    own = operator_name()
    for said in ("", own, "nobody-of-this-machine", "daemon) and more", "daemon\n"):
        monkeypatch.setenv("SUDO_USER", said)
        assert operator_name() == own
    monkeypatch.setenv("SUDO_USER", "daemon")
    await note_act(operator, Act.PURGED, subject="before 2026-11-01")
    assert [each.who for each in await entries(operator)] == [f"{own} (sudo: daemon)"]


async def test_acts_on_staff_name_the_person_by_the_id_alone(operator: Bus) -> None:
    await carry_out(operator, await plan(operator, [library()], is_pruned=False))
    await add_person(operator, "bpi", "Evening desk", "ev", "4711", AT)
    await renew_pin(operator, "bpi", "ev", "8153", AT)
    await invite(operator, "bpi", "Front tablet", AT, replaces=False)
    await remove_person(operator, "bpi", "ev", AT)
    noted = (await entries(operator))[1:]
    assert [(each.act, each.subject) for each in noted] == [
        (Act.PERSON_ADDED, "ev"),
        (Act.PIN_CHANGED, "ev"),
        (Act.TABLET_INVITED, "front-tablet"),
        (Act.PERSON_REMOVED, "ev"),
    ]
    stored = b"".join(each.body for each in await trail_of(operator))
    assert b"Evening" not in stored
    said = " ".join(str(each.model_dump(exclude={"at", "before"})) for each in noted)  # hashes and times look like PINs
    assert "4711" not in said
    assert "8153" not in said


async def test_branches_that_come_change_and_go_are_noted_with_their_libraries(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    data, key = ("--data", str(tmp_path)), str(tmp_path / "east.leaf")
    to = ("--nats-url", bus_server.url, "--seed-file", str(bus_server.seed_file("operator")))
    for arguments in (
        ("new", "east", "--library", "east", "--address", "192.0.2.7", "--out", key),
        ("libraries", "east", "annexe"),
        ("remove", "east"),
    ):
        done = await asyncio.to_thread(CliRunner().invoke, leaf_app, [*arguments, *data, *to])
        assert done.exit_code == 0, done.output
        assert "audit" not in done.output
    noted = await entries(operator)
    assert [(each.act, each.subject, each.details) for each in noted] == [
        (Act.LEAF_ADDED, "east", ("library east",)),
        (Act.LEAF_CHANGED, "east", ("library east: removed", "library annexe: added")),
        (Act.LEAF_REMOVED, "east", ()),
    ]
    assert {each.who for each in noted} == {operator_name()}


async def test_a_branch_is_put_out_without_a_bus_too_and_it_is_said_that_nobody_noted_it(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    new = ("new", "east", "--library", "east", "--address", "192.0.2.7", "--out", str(tmp_path / "east.leaf"))
    done = await asyncio.to_thread(CliRunner().invoke, leaf_app, [*new, "--data", str(tmp_path)])
    assert (done.exit_code, "does not stand in the audit trail: no bus" in done.output) == (0, True)
    of_a_service = ("--nats-url", bus_server.url, "--seed-file", str(bus_server.seed_file("carrier")))
    remove = ["remove", "east", "--data", str(tmp_path), *of_a_service]
    gone = await asyncio.to_thread(CliRunner().invoke, leaf_app, remove)
    assert (gone.exit_code, "of the service carrier" in gone.output) == (0, True)
    assert await entries(operator) == []


async def test_what_provisioning_makes_is_noted_but_for_what_every_start_makes_anew(operator: Bus) -> None:
    await note_provisioned(operator, await provision(operator))
    assert await entries(operator) == []  # all was as it should be
    made = [Provisioned("READINGS", "created"), Provisioned("DEVICE_BODIES", "created")]
    await note_provisioned(operator, [*made, Provisioned("DEVICE_BODIES/ingest-device-bodies", "created")])
    [noted] = await entries(operator)
    assert (noted.act, noted.details) == (Act.PROVISIONED, ("READINGS: created",))


async def test_writers_of_many_processes_make_one_chain(operator: Bus) -> None:
    pens = [AuditTrail("operator", operator) for _ in range(4)]
    noted = await asyncio.gather(*(pen.note(Act.PROVISIONED, Role.OPERATOR) for pen in pens for _ in range(3)))
    assert all(noted)
    trail = await trail_of(operator)
    assert [each.entry.number for each in trail if each.entry] == list(range(1, 13))
    assert not list(breaks(trail))


async def test_nobody_takes_an_entry_out_the_operator_neither(operator: Bus) -> None:
    await note_act(operator, Act.PROVISIONED)
    with pytest.raises(APIError):
        await operator.jetstream.delete_msg(subjects.AUDIT, 1)
    with pytest.raises(APIError):
        await operator.jetstream.purge_stream(subjects.AUDIT)
    assert len(await trail_of(operator)) == 1


@pytest.mark.parametrize("limits", [{"max_msgs": 1, "discard": "old"}, {"max_msgs_per_subject": 1, "discard": "old"}])
async def test_a_limit_that_was_lowered_and_put_back_shows(operator: Bus, limits: dict[str, Any]) -> None:
    """The operator may change the stream's limits, and so drop the beginning; nothing but a sign is left to us."""
    for _ in range(5):
        await note_act(operator, Act.PROVISIONED)
    config = (await operator.jetstream.stream_info(subjects.AUDIT)).config
    await operator.jetstream.update_stream(replace(config, **limits))
    await operator.jetstream.update_stream(config)
    await note_act(operator, Act.PROVISIONED)
    _, [fault] = await examined(operator)
    assert "the entries before number 5 are gone" in fault


async def test_a_trail_that_was_emptied_shows_in_the_auditor_s_book(operator: Bus) -> None:
    figures, book = Figures(operator), Book()

    async def look() -> None:
        for sight in await figures.measure(now()):
            book.enter(sight, now())
        await operator.bucket(subjects.AUDITOR).put(BOOK, book.model_dump_json().encode())

    for _ in range(3):
        await note_act(operator, Act.PROVISIONED)
    await look()
    await note_act(operator, Act.PROVISIONED)
    assert (await examined(operator))[1] == []
    await operator.jetstream.delete_stream(subjects.AUDIT)
    await note_provisioned(operator, await provision(operator))
    await look()
    trail, [fault] = await examined(operator)
    assert "entries are gone" in fault
    assert [each.entry and each.entry.details for each in trail] == [("AUDIT: created",)]


async def test_an_age_that_was_lowered_shows_in_the_auditor_s_book_though_the_stream_keeps_to_it(operator: Bus) -> None:
    figures, book = Figures(operator), Book()

    async def look(at: datetime) -> list[Loss]:
        return [
            loss
            for sight in await figures.measure(at)
            if sight.name == subjects.AUDIT
            for loss in book.enter(sight, at)
        ]

    await look(now())
    for _ in range(3):
        await note_act(operator, Act.PROVISIONED)
    config = (await operator.jetstream.stream_info(subjects.AUDIT)).config
    lowered = replace(
        config, max_age=200.0, max_msgs=1, discard=DiscardPolicy.OLD
    )  # the number stands for the passing of time
    await operator.jetstream.update_stream(lowered)
    [loss] = await look(now() + timedelta(days=1))
    assert (loss.kind, loss.messages) == (LossKind.YOUNG, 2)


async def test_silencing_the_alarms_of_loss_is_noted_with_what_they_said(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    loss = Loss(stream="READINGS", kind=LossKind.HOLE, messages=7, at=AT, detail="a hole")
    await operator.bucket(subjects.AUDITOR).put(BOOK, Book(losses=[loss]).model_dump_json().encode())
    to = ("--nats-url", bus_server.url, "--seed-file", str(bus_server.seed_file("operator")), "--data", str(tmp_path))
    done = await asyncio.to_thread(CliRunner().invoke, reconcile_app, ["--accept", *to])
    assert done.exit_code == 0, done.output
    [noted] = await entries(operator)
    assert (noted.act, noted.who) == (Act.DIFFERENCES_ACCEPTED, operator_name())
    assert noted.details == ("READINGS: 7 messages gone",)


async def test_a_shorter_time_is_noted_with_both(operator: Bus) -> None:
    await choose(operator, subjects.READINGS, 7)
    [noted] = await entries(operator)
    assert (noted.subject, noted.details) == (subjects.READINGS, ("from 30 days to 7 days",))


async def test_what_is_shown_fits_a_screen_and_nothing_is_said_of_days_to_come(
    operator: Bus, bus_server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = ("--nats-url", bus_server.url, "--seed-file", str(bus_server.seed_file("operator")), "--data", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")

    async def shown(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, audit_app, [*arguments, *to])

    await note_provisioned(operator, [Provisioned(f"STREAM-{number}", "created") for number in range(40)])
    told = (await shown()).output
    assert "and 37 more" in " ".join(told.split())
    assert len(told.splitlines()) < 20
    assert len(json.loads((await shown("--json")).stdout)["entries"][0]["details"]) == 40
    assert "nothing is on record of bpi since 1d" in (await shown("--since", "1d", "--library", "bpi")).output
    ahead = (await shown("--since", "2126-01-01")).exception
    assert isinstance(ahead, Trouble)
    assert "still to come" in ahead.what


async def test_a_service_writes_its_own_trail_and_no_other(operator: Bus, bus_server: BusServer) -> None:
    seed = settings_for(bus_server, "ingest").nats_seed
    async with connected([bus_server.url], seed, "ingest") as ingest:
        assert await AuditTrail("ingest", ingest).note(Act.DEVICE_CLAIMED, Role.KEY, who="desk", library="bpi")
        assert not await AuditTrail("operator", ingest).note(Act.PURGED, Role.OPERATOR, library="bpi")
    assert [each.act for each in await entries(operator)] == [Act.DEVICE_CLAIMED]


def chain(*who: str) -> list[Stored]:
    """Return entries of one writer, a day apart."""
    stored: list[Stored] = []
    for number, name in enumerate(who, start=1):
        before = hash_of(stored[-1].body) if stored else ""
        entry = AuditEntry(
            at=AT + timedelta(days=number),
            number=number,
            before=before,
            before_at=AT + timedelta(days=number - 1) if stored else None,
            role=Role.STAFF,
            who=name,
            act=Act.SIGNED_IN,
            outcome=Outcome.DONE,
        )
        body = entry.model_dump_json(exclude_defaults=True).encode()
        stored.append(Stored.of(subjects.audit("ingest"), number, body))
    return stored


def test_a_chain_whose_beginning_has_aged_out_holds() -> None:
    rest = chain("ab", "cd", "ef")[1:]
    assert not list(breaks(rest))
    assert not list(breaks(rest, kept_since=AT + timedelta(days=1, hours=1)))  # the first was a little older than that


def test_a_chain_whose_beginning_was_taken_out_does_not_hold() -> None:
    [fault] = breaks(chain("ab", "cd", "ef")[1:], kept_since=AT)
    assert "the entries before number 2 are gone, the last of 2026-11-23" in fault


FUTURE: tuple[dict[str, Any], ...] = (
    {"act": "tablet_painted"},
    {"act": "tablet_painted", "role": "painter", "outcome": "dried"},
    {"act": "tablet_painted", "colour": "blue"},
    {"act": "x" * 500, "details": {"colour": "blue"}},
)


@pytest.mark.parametrize("said", FUTURE)
async def test_the_chain_goes_on_over_what_a_newer_version_has_written(operator: Bus, said: dict[str, Any]) -> None:
    """An upgrade, a step back, and an upgrade again: to neither version is the trail broken."""
    await note_act(operator, Act.PROVISIONED)
    [first] = await trail_of(operator)
    assert first.entry is not None
    newer = json.loads(first.entry.model_dump_json()) | {"number": 2, "before": hash_of(first.body)} | said
    await operator.publish(subjects.audit("operator"), json.dumps(newer).encode())
    await note_act(operator, Act.PURGED)
    trail = await trail_of(operator)
    assert [each.link and each.link.number for each in trail] == [1, 2, 3]
    assert not list(breaks(trail, kept_since=AT))
    shown = trail[1].entry
    assert shown is None or shown.act == "tablet_painted"


def test_a_taken_out_or_altered_entry_breaks_the_chain() -> None:
    whole = chain("ab", "cd", "ef")
    assert "number 3 follows 1" in next(breaks([whole[0], whole[2]]))
    body = json.dumps({**json.loads(whole[1].body), "who": "xy"}).encode()
    altered = [whole[0], Stored.of(subjects.audit("ingest"), 2, body), whole[2]]
    assert "sequence 3" in next(breaks(altered))
    assert "cannot be read" in next(breaks([Stored.of(subjects.audit("ingest"), 1, b"{")]))


def test_a_number_begun_anew_after_a_step_back_is_no_break_where_nothing_is_missing() -> None:
    """A version that cannot read the entry before begins at 1, and carries the hash of what it could not read."""
    before = chain("ab", "cd")
    newer = json.loads(before[1].body) | {"number": 57}
    unread = Stored.of(subjects.audit("ingest"), 2, json.dumps(newer).encode())
    older = json.loads(before[1].body) | {"number": 1, "before": hash_of(unread.body)}
    begun = Stored.of(subjects.audit("ingest"), 3, json.dumps(older).encode())
    assert not list(breaks([unread, begun]))
    onward = Stored.of(
        subjects.audit("ingest"), 4, json.dumps(older | {"number": 2, "before": hash_of(begun.body)}).encode()
    )
    assert not list(breaks([unread, begun, onward]))
    [fault] = breaks([unread, onward])
    assert "number 2 follows 57" in fault


def test_details_stay_within_their_limits_and_say_what_they_leave_out() -> None:
    cut = shortened(["x" * 500, *(f"zones.{number}" for number in range(100))])
    assert len(cut) == DETAILS_MAX
    assert len(cut[0]) == 160
    assert cut[-1] == "and 38 more"


async def test_a_flood_of_refusals_makes_one_entry_a_minute(operator: Bus) -> None:
    pen = AuditTrail("ingest", operator)
    for _ in range(50):
        await pen.note(Act.TABLET_ENROLLED, Role.NOBODY, library="bpi", outcome=Outcome.REFUSED)
    assert len(await entries(operator)) == 1
    pen._last_of_kind_s = dict.fromkeys(pen._last_of_kind_s, -1000.0)
    await pen.note(Act.TABLET_ENROLLED, Role.NOBODY, library="bpi", outcome=Outcome.REFUSED)
    assert (await entries(operator))[-1].details == ("49 more of these since the entry before",)


async def test_a_full_trail_stands_in_no_act_s_way_and_is_counted(
    operator: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    info = await operator.jetstream.stream_info(subjects.AUDIT)
    info.config.max_bytes = 1024
    await operator.jetstream.update_stream(info.config)
    before = metrics.AUDIT_NOT_STORED._value.get()
    for number in range(12):
        await carry_out(operator, await plan(operator, [library(capacity=10 + number)], is_pruned=False))
    entry = await operator.bucket(subjects.LIBRARIES).get("bpi")
    assert entry is not None
    assert LibraryConfig.model_validate_json(entry.value).capacity == 21
    missing = metrics.AUDIT_NOT_STORED._value.get() - before
    assert missing > 0
    assert len(await entries(operator)) == 12 - missing
    assert "the audit trail could not take it down" in capsys.readouterr().err


async def test_without_a_bus_an_act_is_not_held_up() -> None:
    assert not await AuditTrail("ingest").note(Act.SIGNED_IN, Role.STAFF, who="ab", library="bpi")
