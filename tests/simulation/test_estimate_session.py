"""What a conversation of the scoring protocol comes to, whatever the order, the doubles and the devices' clocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from cli.accuracy.days import simulate_run
from cli.accuracy.fields import number
from cli.accuracy.scenario import load_accuracy_scenarios
from cli.estimation.checkpoint import packed, unpacked
from cli.estimation.lines import Fields, MalformedLine
from cli.estimation.session import Session

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
OPEN = 1_760_000_400.0
CLOSE = OPEN + 8 * HOUR_S
CAPACITY = 200
GATE = {"id": "door", "from": "outside", "to": "hall", "interval_s": 60}


def days(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"open": OPEN + n * DAY_S, "close": CLOSE + n * DAY_S, "last_entry": CLOSE + n * DAY_S - 600}
        for n in range(count)
    ]


def config(**fields: Any) -> dict[str, Any]:
    given = {"capacity": CAPACITY, "gates": [GATE], "days": days(), "queue_possible": False, **fields}
    return {"op": "config", "config": given}


def event(**fields: Any) -> dict[str, Any]:
    return {"op": "event", "event": fields}


def report(minute: int, entries: int = 0, exits: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a gate's report of a minute after the opening, received four seconds later."""
    start = OPEN + minute * MINUTE_S
    given = {"id": f"m{minute}", "type": "gate", "gate": "door", "t0": start, "t1": start + 60, "recv": start + 64}
    return event(**{**given, "in": entries, "out": exits, **fields})


def count(people: float, at: float, **fields: Any) -> dict[str, Any]:
    return event(**{"type": "count", "value": people, "t": at, "recv": at + 5, **fields})


def ask(session: Session, at: float) -> Fields:
    answer = session.handle({"op": "snapshot", "t": at})
    assert answer is not None
    return answer


def people(session: Session, at: float) -> float:
    return number(ask(session, at), "occupancy")


def session_of(*lines: dict[str, Any]) -> Session:
    session = Session()
    for line in lines:
        session.handle(line)
    return session


def a_day(number_of_day: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield a day's reports with how many are inside after each: until noon more come than go, then the reverse."""
    inside = 0
    for minute in range(-60, 8 * 60 + 30):
        entries = int(0 <= minute < 240 or (240 <= minute < 480 and minute % 4 == 3))
        exits = int(240 <= minute < 480 or (0 <= minute < 240 and minute % 4 == 3))
        inside += entries - exits
        yield report(minute + 1440 * number_of_day, entries, exits), inside


def fed(session: Session, until_min: int) -> Session:
    """Let a session hear the first day up to a minute after the opening."""
    for line, _ in list(a_day())[: until_min + 60]:
        session.handle(line)
    return session


# What comes out of right readings


def test_perfect_gates_give_the_right_figure_as_far_as_gates_can_be_trusted() -> None:
    session = session_of(config())
    errors, covered = [], []
    for minute, (line, inside) in enumerate(a_day(), start=-60):
        session.handle(line)
        if minute % 5 == 4:
            answer = ask(session, OPEN + minute * MINUTE_S + 65)
            errors.append(abs(number(answer, "occupancy") - inside))
            covered.append(number(answer, "occ_lo") - 0.5 <= inside <= number(answer, "occ_hi") + 0.5)
    assert max(errors) <= 0.06 * CAPACITY
    assert max(errors[:20]) <= 1.5  # before the opening and in the first half-hour
    assert errors[-1] < 1
    assert sum(covered) >= 0.95 * len(covered)


def test_a_request_before_everything_is_answered() -> None:
    session = session_of(config())
    assert people(session, OPEN - 3 * DAY_S) < 1
    assert people(session, OPEN - HOUR_S) < 1
    assert 25 <= people(fed(session, 40), OPEN + 2500) <= 35


def test_nobody_is_inside_in_the_morning_whatever_was_counted_the_day_before() -> None:
    session = session_of(config(), *(report(minute, 1) for minute in range(480)))
    assert people(session, CLOSE - 60) > 100
    assert people(session, OPEN + DAY_S) < 2


# Order, doubles, lateness


def in_order(events: Sequence[tuple[float, Fields]], requests: Sequence[float]) -> list[dict[str, Any]]:
    timed: list[tuple[float, dict[str, Any]]] = [(at, event(**{**each, "recv": at})) for at, each in events]
    timed += [(at, {"op": "snapshot", "t": at}) for at in requests]
    return [line for _, line in sorted(timed, key=lambda each: each[0])]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["quiet-branch", "three-floors", "fire-alarm", "large-sunday"])
def test_the_order_in_which_readings_arrive_does_not_matter(scenario: str) -> None:
    run = simulate_run(load_accuracy_scenarios()[scenario], 3)
    requests = [number(line, "t") for line in run.lines if line["op"] == "snapshot"][:55]
    events = [line["event"] for line in run.lines if isinstance(line.get("event"), dict)]
    timed = [(number(each, "recv"), each) for each in events if isinstance(each, dict)]
    timed = [each for each in timed if each[0] < requests[-1]]
    begin = timed[0][0] - HOUR_S
    end = requests[-1] + 1300
    expected = ask(session_of(dict(run.lines[0]), *in_order(timed, [begin, *requests])), end)
    for seed in range(3):
        rng = Random(seed)
        shuffled = [(at + rng.uniform(-1200, 1200), each) for at, each in timed]
        assert ask(session_of(dict(run.lines[0]), *in_order(shuffled, [begin, *requests])), end) == expected


@pytest.mark.parametrize("name", ["id", "content"])
def test_a_double_counts_once(name: str) -> None:
    once, twice = session_of(config()), session_of(config())
    for line, _ in list(a_day())[:160]:
        fields = (
            line["event"] if name == "id" else {each: line["event"][each] for each in line["event"] if each != "id"}
        )
        once.handle(event(**fields))
        twice.handle(event(**fields))
        twice.handle(event(**{**fields, "recv": fields["recv"] + 30}))
    assert ask(once, OPEN + 2 * HOUR_S) == ask(twice, OPEN + 2 * HOUR_S)


def test_a_number_is_an_id_as_well_as_a_text_is() -> None:
    session = session_of(config(), report(-1))
    for line in (report(0, 30, id=7), report(1, 30, id=8), report(0, 30, id=7)):
        session.handle(line)
    assert 55 <= people(session, OPEN + 130) <= 65


def test_an_event_that_was_refused_is_taken_once_it_is_right() -> None:
    session = session_of(config(), report(-1))
    with pytest.raises(MalformedLine):
        session.handle(report(0, 30, id="a", gate="back"))
    session.handle(report(0, 30, id="a"))
    assert people(session, OPEN + 70) > 25


def test_the_ids_of_weeks_take_no_more_memory_than_those_of_two_days() -> None:
    session = session_of(config(days=days(21)))
    sizes = []
    for day in range(21):
        for minute in range(0, 1440, 10):
            session.handle(report(day * 1440 + minute))
        sizes.append(len(session._seen.younger) + len(session._seen.older))
    assert max(sizes) <= 2 * 144 + 2


def test_minutes_are_worked_off_though_nobody_asks() -> None:
    session = session_of(config(days=days(21)))
    for minute in range(0, 21 * 1440, 10):
        session.handle(report(minute))
    assert session.estimator is not None
    assert len(session.estimator.window.minutes) < 2 * 144


# Times


@pytest.mark.parametrize("ahead_s", [90.0, -90.0, HOUR_S, -HOUR_S, OPEN - 3 * DAY_S, -0.5 * DAY_S])
def test_a_gate_whose_clock_is_wrong_is_understood(ahead_s: float) -> None:
    right, wrong = session_of(config()), session_of(config())
    for line, _ in list(a_day())[:300]:
        fields = line["event"]
        right.handle(line)
        wrong.handle(event(**{**fields, "t0": fields["t0"] + ahead_s, "t1": fields["t1"] + ahead_s}))
    at = OPEN + 235 * MINUTE_S
    assert people(wrong, at) == pytest.approx(people(right, at), abs=3)


def test_what_says_that_it_was_seen_tomorrow_was_seen_when_it_came() -> None:
    session = session_of(config(), report(-1))
    session.handle(report(0, 30, t0=OPEN + DAY_S, t1=OPEN + DAY_S))
    session.handle(
        count(30, OPEN + DAY_S) | {"event": {"type": "count", "value": 30, "t": OPEN + 2e6, "recv": OPEN + 80}}
    )
    assert 25 <= people(session, OPEN + 120) <= 35


def test_an_event_without_receipt_was_received_when_the_last_one_was() -> None:
    session = session_of(config(), report(-1))
    for minute in range(40):
        line = report(minute, 1)
        del line["event"]["recv"]
        session.handle(line)
    assert 35 <= people(session, OPEN + 41 * MINUTE_S) <= 45


def test_a_request_far_away_begins_another_recording() -> None:
    session = fed(session_of(config(days=days(200))), 60)
    assert people(session, OPEN + HOUR_S + 60) > 30
    assert people(session, OPEN + 100 * DAY_S + HOUR_S) < 5
    assert people(session, OPEN - HOUR_S) < 1
    assert 25 <= people(fed(session, 40), OPEN + 2500) <= 35


def test_an_event_far_away_is_refused_unless_a_configuration_came_before_it() -> None:
    session = fed(session_of(config(days=days(200))), 60)
    far = report(100 * 1440 + 30, 20)
    with pytest.raises(MalformedLine, match="too far from"):
        session.handle(far)
    assert people(session, OPEN + HOUR_S + 60) > 30
    session.handle(config(days=days(200)))
    session.handle(far)
    assert session.estimator is not None
    assert session.estimator.window.start * MINUTE_S > OPEN + 99 * DAY_S


# Configurations


def test_what_may_be_left_out_may_be_null_and_what_nobody_knows_is_passed_over() -> None:
    gate = {"id": "door", "from": "outside", "to": "hall"}
    least = config(gates=[gate], days=[{"open": OPEN, "close": CLOSE}])
    names = ("zones", "marks", "levels", "queue_possible", "door_rate_per_min", "mean_stay_min", "seats")
    nulls = dict.fromkeys(names)
    full = config(
        gates=[{**gate, "kind": None, "interval_s": None, "events": None, "colour": "red"}],
        days=[{"open": int(OPEN), "close": int(CLOSE), "last_entry": None}],
        **{**nulls, "queue_possible": False, "opened": [1900]},
    )
    del least["config"]["queue_possible"]
    del full["config"]["queue_possible"]
    full["version"] = 2
    sessions = [fed(session_of(line), 100) for line in (least, full)]
    first, second = (ask(each, OPEN + 6100) for each in sessions)
    assert first == second
    assert number(first, "occupancy") > 50


def test_seats_stand_in_for_a_capacity_that_is_missing() -> None:
    line = config(seats=CAPACITY)
    del line["config"]["capacity"]
    assert ask(fed(session_of(line), 60), OPEN + 3700) == ask(fed(session_of(config()), 60), OPEN + 3700)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"capacity": 0}, "capacity is 0"),
        ({"capacity": None}, "seats is missing"),
        ({"capacity": "many"}, "capacity is no number but 'many'"),
        ({"gates": None}, "gates is missing"),
        ({"gates": {}}, "gates is no list but an object"),
        ({"gates": ["door"]}, "gates holds 'door', which is no object"),
        ({"gates": [GATE, GATE]}, "two gates are named 'door'"),
        ({"gates": [{**GATE, "to": "outside"}]}, "gate 'door' leads nowhere: from and to are both 'outside'"),
        ({"gates": [{**GATE, "from": None}]}, "from is missing"),
        ({"gates": [{**GATE, "interval_s": -60}]}, "interval_s is negative: -60"),
        ({"zones": [{"id": "outside"}]}, "no zone can be named 'outside'"),
        ({"days": None}, "days is missing"),
        ({"days": [{"open": OPEN, "close": OPEN}]}, "a day closes before it opens"),
        ({"levels": [["full"]]}, "a level is a pair of a name and a share"),
        ({"levels": [["full", "much"]]}, "a level's share is no number but 'much'"),
        ({"queue_possible": "no"}, "queue_possible is neither true nor false but 'no'"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_configuration_that_makes_no_sense_changes_nothing(fields: dict[str, Any], reason: str) -> None:
    session = fed(session_of(config()), 60)
    with pytest.raises(MalformedLine) as caught:
        session.handle(config(**fields))
    assert str(caught.value) == reason
    assert people(session, OPEN + 3700) > 30


def test_other_days_and_levels_keep_what_is_known_and_another_house_does_not() -> None:
    session = fed(session_of(config()), 60)
    before = people(session, OPEN + 3700)
    later = [{"open": OPEN, "close": CLOSE + HOUR_S}]
    session.handle(config(days=later, levels=[["some", 0.0], ["none", 1.0]]))
    answer = ask(session, OPEN + 3700)
    assert (answer["occupancy"], answer["level"]) == (before, "some")
    session.handle(config(capacity=CAPACITY + 1))
    assert people(session, OPEN + 3760) < before / 2


def test_a_house_without_gates_lives_by_its_head_counts() -> None:
    session = session_of(config(gates=[]), count(50, OPEN + HOUR_S))
    assert 40 <= people(session, OPEN + HOUR_S + 60) <= 60


def test_zones_and_other_places_have_their_people() -> None:
    gates = [
        {"id": "door", "from": "outside", "to": "hall", "interval_s": 60},
        {"id": "stairs", "from": "hall", "to": "upstairs", "interval_s": 60},
    ]
    session = session_of(config(gates=gates, zones=[{"id": "upstairs", "capacity": 80}]))
    for minute in range(60):
        session.handle(report(minute, 1))
        session.handle(report(minute, minute % 2, gate="stairs", id=f"s{minute}"))
    assert 27 <= upstairs(session, OPEN + 3700) <= 33
    session.handle(count(40, OPEN + 3750, zone="upstairs"))
    session.handle(count(40, OPEN + 3760, zone="upstairs"))
    assert 33 <= upstairs(session, OPEN + 3800) <= 45


def upstairs(session: Session, at: float) -> float:
    zones = ask(session, at)["zones"]
    assert isinstance(zones, dict)
    assert list(zones) == ["upstairs"]
    return number(zones, "upstairs")


def test_a_beam_tells_crossings_in_whichever_words() -> None:
    beam = {"id": "door", "from": "outside", "to": "hall", "kind": "beam", "interval_s": 60}
    words: list[dict[str, Any]] = [{"count": 4}, {"in": 1, "out": 3}, {"in": 4, "out": 0, "count": 4}]
    answers = []
    for each in words:
        session = session_of(config(gates=[beam], mean_stay_min=90))
        for minute in range(90):
            line = report(minute)
            del line["event"]["in"], line["event"]["out"]
            session.handle(event(**line["event"], **each))
        answers.append(ask(session, OPEN + 5500))
    assert answers[0] == answers[1] == answers[2]
    assert number(answers[0], "occupancy") > 30


# Levels


@pytest.mark.parametrize(
    ("levels", "shares", "names"),
    [
        (None, (0.3, 0.9, 1.0), ["many_seats", "few_seats", "full"]),
        ([], (0.3, 0.9, 1.0), ["many_seats", "few_seats", "full"]),
        ([["free", 0.0], ["busy", 0.5], ["full", 0.97]], (0.3, 0.7, 1.0), ["free", "busy", "full"]),
        ([["full", 0.97], ["busy", 0.5], ["free", 0]], (0.3, 0.7, 1.0), ["free", "busy", "full"]),
        ([["free", 0.5], ["busy", 0.97], ["full", 1.0]], (0.3, 0.7, 1.0), ["free", "busy", "full"]),
        ([["busy", 0.4], ["busier", 0.6], ["full", 0.95]], (0.1, 0.5, 0.75, 1.0), ["busy", "busy", "busier", "full"]),
        ([["free", 0.0], ["busy", 0.5]], (0.3, 0.7, 1.0), ["free", "busy", "busy"]),
        ([["open", 0.0]], (0.3, 1.0), ["open", "open"]),
    ],
    ids=str,
)
def test_levels_begin_or_end_where_their_shares_say(levels: Any, shares: Sequence[float], names: list[str]) -> None:
    found = []
    for share in shares:
        session = session_of(config(levels=levels))
        for at in (OPEN + HOUR_S, OPEN + HOUR_S + 60, OPEN + HOUR_S + 120, OPEN + HOUR_S + 180):
            session.handle(count(share * CAPACITY, at))
        answer = ask(session, OPEN + HOUR_S + 190)
        assert answer["full"] is (share == 1.0)
        found.append(answer["level"])
    assert found == names


# The wait


def queue_of(people_waiting: int, at: float, **fields: Any) -> Session:
    """Return a session in which the house is full and people queue."""
    session = session_of(config(queue_possible=True, door_rate_per_min=20, mean_stay_min=100, **fields))
    last = int((at - OPEN) // MINUTE_S)
    for minute in range(last - 60, last):
        session.handle(report(minute, 2, 2))
    session.handle(count(CAPACITY, at - 600))
    session.handle(event(type="throttle", on=True, t=at - 300, recv=at - 290))
    session.handle(event(type="queue", value=people_waiting, t=at - 60, recv=at - 50))
    return session


def test_whoever_queues_at_a_full_house_waits_and_the_house_is_full() -> None:
    answer = ask(queue_of(40, OPEN + 4 * HOUR_S), OPEN + 4 * HOUR_S)
    assert answer["full"] is True
    assert answer["level"] == "full"
    assert 30 <= number(answer, "queue") <= 50
    assert 10 <= number(answer, "wait_min") <= 40
    assert number(answer, "wait_lo") < number(answer, "wait_min") < number(answer, "wait_hi")


def test_a_mark_says_that_more_queue_than_was_thought() -> None:
    session = queue_of(15, OPEN + 4 * HOUR_S, marks=[{"id": "tree", "people": 30}, {"id": "gate", "people": 90}])
    before = number(ask(session, OPEN + 4 * HOUR_S - 30), "queue")
    session.handle(event(type="queue", mark="gate", t=OPEN + 4 * HOUR_S, recv=OPEN + 4 * HOUR_S))
    assert number(ask(session, OPEN + 4 * HOUR_S + 30), "queue") > before + 2


@pytest.mark.parametrize("at", [CLOSE - 599, CLOSE + 60, OPEN + DAY_S - 3 * HOUR_S - 60], ids=["last", "shut", "night"])
def test_nobody_waits_when_nobody_can_get_in(at: float) -> None:
    answer = ask(queue_of(200, CLOSE - 900), at)
    assert [answer[name] for name in ("queue", "wait_min", "wait_lo", "wait_hi")] == [0.0] * 4


def test_no_wait_is_longer_than_until_the_last_entry() -> None:
    answer = ask(queue_of(500, CLOSE - 1200), CLOSE - 1200)
    assert number(answer, "wait_hi") == 10


def test_before_the_opening_the_wait_is_at_least_until_then() -> None:
    session = session_of(config(queue_possible=True))
    session.handle(event(type="queue", value=30, t=OPEN - HOUR_S, recv=OPEN - HOUR_S))
    assert 30 <= number(ask(session, OPEN - 1800), "wait_min") <= 45


def test_a_measured_wait_is_taken() -> None:
    at = OPEN + 4 * HOUR_S
    short, usual = queue_of(60, at), queue_of(60, at)
    for session in (short, usual):
        for minute in range(10):
            ask(session, at + minute * 60)
    for number_of_ticket in range(20):
        short.handle(event(type="wait", joined=at + 60, entered=at + 300 + number_of_ticket, recv=at + 400))
    assert number(ask(short, at + 600), "wait_min") < number(ask(usual, at + 600), "wait_min")


def test_an_evacuation_empties_the_house() -> None:
    session = fed(session_of(config()), 120)
    at = OPEN + 121 * MINUTE_S
    assert people(session, at) > 60
    session.handle(event(type="status", state="evacuation", t=at, recv=at))
    assert people(session, at + 900) < 10


# Faults, checkpoints


def test_faults_and_the_size_of_the_state_are_told_to_whoever_measures() -> None:
    session = Session()
    assert (session.faults(), session.state_bytes()) == ([], 0)
    fed(session_of(config()), 0)
    session.handle(config())
    fed(session, 60)
    ask(session, OPEN + 2 * HOUR_S)
    assert session.faults() == [("door", "silent", OPEN + HOUR_S)]
    assert 500 < session.state_bytes() < 8000


@pytest.mark.parametrize("scenario", ["fire-alarm", "zones-in-chain", "undirected-beam"])
def test_an_estimator_goes_on_from_its_checkpoint_as_if_nothing_had_happened(scenario: str) -> None:
    run = simulate_run(load_accuracy_scenarios()[scenario], 5)
    lines = run.lines[: len(run.lines) * 2 // 3]
    through, stopped = Session(), Session()
    for place, line in enumerate(lines):
        assert stopped.handle(line) == through.handle(line)
        if place and place % (len(lines) // 7) == 0:
            assert stopped.estimator is not None
            stopped.estimator = unpacked(packed(stopped.estimator))


def seen(people: float, at: float, **fields: Any) -> dict[str, Any]:
    return event(**{"type": "occupancy", "value": people, "t": at, "recv": at + 5, **fields})


def test_a_sensor_of_occupancy_is_heard_once_a_minute_whatever_the_order() -> None:
    looks = [seen(60 + second / 60, OPEN + HOUR_S + second) for second in range(0, 1800, 20)]
    one = session_of(config(gates=[]), *looks)
    other = session_of(config(gates=[]), *looks[::-1], *looks)
    at = OPEN + HOUR_S + 1900
    assert people(one, at) == people(other, at) == pytest.approx(88, abs=8)
    with pytest.raises(MalformedLine, match="there is no zone 'attic'"):
        one.handle(seen(5, at, zone="attic"))
