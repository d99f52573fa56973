"""`placelibre estimate` as others use it: a process, lines in, answers out."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest

from cli.accuracy.days import simulate_run
from cli.accuracy.scenario import load_accuracy_scenarios
from cli.estimate import TOLD, answer_all
from cli.estimation.lines import Fields
from cli.estimation.session import Session
from tests.conftest import ROOT

COMMAND = (sys.executable, "-m", "cli.main", "estimate")
OPEN = 1_760_000_400.0
KEYS = ["occupancy", "occ_lo", "occ_hi", "zones", "queue", "wait_min", "wait_lo", "wait_hi", "level", "full"]
CONFIG: Fields = {
    "op": "config",
    "config": {
        "capacity": 100,
        "gates": [{"id": "door", "from": "outside", "to": "hall"}],
        "days": [{"open": OPEN, "close": OPEN + 8 * 3600}],
        "marks": [{"id": "pillar", "people": 60}],
    },
}
SNAPSHOT: Fields = {"op": "snapshot", "t": OPEN + 600}


def event(**fields: object) -> str:
    return json.dumps({"op": "event", "event": {"recv": OPEN + 70, **fields}})


def passage(**fields: object) -> str:
    return event(**{"type": "gate", "gate": "door", "t0": OPEN, "t1": OPEN + 60, "in": 3, "out": 0, **fields})


def as_lines(lines: Sequence[str | Fields]) -> list[str]:
    return [f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines]


def estimate(lines: Sequence[str | Fields], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, input="".join(as_lines(lines)), capture_output=True, text=True, check=False
    )


def answers(result: subprocess.CompletedProcess[str]) -> list[Fields]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_request_is_answered_before_anything_else_is_sent() -> None:
    with subprocess.Popen(
        COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        counted = []
        for lines in ((json.dumps(CONFIG), json.dumps(SNAPSHOT)), (passage(id="a"), json.dumps(SNAPSHOT))):
            process.stdin.write("".join(f"{line}\n" for line in lines))
            process.stdin.flush()
            counted.append(json.loads(process.stdout.readline())["occupancy"])
        process.stdin.close()
        assert process.wait() == 0
    assert counted[0] < 1
    assert counted[1] > 2.5


def test_a_simulated_run_is_answered_as_in_process_line_by_line_and_in_the_protocol_s_words() -> None:
    run = simulate_run(load_accuracy_scenarios()["three-floors"], 3)
    result = estimate(run.lines)
    assert (result.returncode, result.stderr) == (0, "")
    given = answers(result)
    session = Session()
    assert given == [answer for line in run.lines if (answer := session.handle(line)) is not None]
    assert len(given) == len(run.truth)
    for each in given:
        assert list(each) == KEYS
        assert isinstance(each["zones"], dict)
        assert list(each["zones"]) == ["ground", "first", "second"]
        for low, value, high in (("occ_lo", "occupancy", "occ_hi"), ("wait_lo", "wait_min", "wait_hi")):
            ordered = [0.0, *(float(str(each[name])) for name in (low, value, high))]
            assert all(math.isfinite(number) and round(number, 2) == number for number in ordered)
            assert all(before <= after for before, after in pairwise(ordered))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{nonsense", "no JSON: key must be a string at character 2"),
        ("\xff\x00", "no JSON: expected value at character 1"),
        ("[" * 100_000, "no JSON: recursion limit exceeded"),
        ("[1, 2]", "no JSON object but a list"),
        ("{}", "op is missing"),
        ('{"op": "guess"}', "there is no op 'guess'"),
        ('{"op": ["event"]}', "there is no op a list"),
        ('{"op": "event"}', "event is missing"),
        ('{"op": "event", "event": 7}', "event is no object but 7"),
        (event(), "type is missing"),
        (event(type="door"), "there is no type of event 'door'"),
        (event(type="\x1b[31m" + "x" * 99), r"there is no type of event '\x1b[31mxxxx"),
        (passage(gate="back"), "there is no gate 'back'"),
        (passage(gate=None), "gate is missing"),
        (passage(t1=None), "t1 is missing"),
        (passage(t1=OPEN - 1), "t1 is before t0"),
        (passage(t1="noon"), "t1 is no number but 'noon'"),
        (passage(t1=OPEN * 1000), "t1 is too large: 1760000400000.0"),
        (passage(recv=float("nan")), "recv is no finite number: nan"),
        (passage(recv=OPEN + 90 * 86_400), "1767776400 is too far from 1760000400, the latest time known"),
        (passage(**{"in": float("inf")}), "in is too large: inf"),
        (passage(**{"in": -1}), "in is negative: -1"),
        (passage(**{"in": 2.5}), "in is no whole number: 2.5"),
        (passage(**{"in": True}), "in is no number but True"),
        (passage(**{"in": 0, "count": 3}), "gate 'door' knows directions: it has in and out, not count"),
        (event(type="gate", gate="door", t0=OPEN, t1=OPEN), "a gate's report has in and out, or count"),
        (event(type="count", value=5), "t is missing"),
        (event(type="count", value=-5, t=OPEN), "value is negative: -5"),
        (event(type="count", value=5, t=OPEN, zone="attic"), "there is no zone 'attic'"),
        (event(type="queue", mark="tree", t=OPEN), "there is no mark 'tree'"),
        (event(type="queue", t=OPEN), "mark is missing"),
        (event(type="throttle", on="yes", t=OPEN), "on is neither true nor false but 'yes'"),
        (event(type="status", state="closed", t=OPEN), "there is no state 'closed'"),
        (event(type="wait", joined=OPEN + 9, entered=OPEN), "entered is before joined"),
    ],
    ids=lambda each: each[:50],
)
def test_a_line_that_makes_no_sense_is_named_with_its_reason_and_skipped(
    line: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = passage(id="first", recv=OPEN, t0=OPEN, t1=OPEN, **{"in": 0})
    told, _ = heard([CONFIG, begin, passage(id="good"), SNAPSHOT], capsys)
    out, error = heard([CONFIG, begin, line, passage(id="good"), SNAPSHOT], capsys)
    assert error.startswith(f"line 3: {reason}")
    assert error.endswith("; skipped\n")
    assert out == told


def heard(lines: Sequence[str | Fields], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    answer_all([each.encode("latin-1") for each in as_lines(lines)], Session(), is_strict=False)
    return capsys.readouterr()


def test_the_number_of_skipped_lines_is_told_at_the_end() -> None:
    result = estimate([CONFIG, passage(gate="back"), SNAPSHOT, "nonsense"])
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "2 of 4 lines skipped"
    assert len(answers(result)) == 1


def test_the_first_wrong_line_ends_it_if_that_is_asked_for() -> None:
    result = estimate([CONFIG, SNAPSHOT, passage(gate="back"), SNAPSHOT], "--strict")
    assert result.returncode == 1
    assert len(answers(result)) == 1
    assert result.stderr.splitlines() == [
        "error: line 3: there is no gate 'back'",
        "  what to do: mend it, or leave out --strict to skip it",
    ]


def test_a_request_that_cannot_be_answered_is_told_so_and_answers_stay_one_to_a_request() -> None:
    result = estimate([SNAPSHOT, CONFIG, SNAPSHOT, '{"op": "snapshot"}', '{"op": "snapshot", "t": NaN}', SNAPSHOT])
    errors = [each.get("error") for each in answers(result)]
    assert errors == ["there is no configuration yet", None, "t is missing", "t is no finite number: nan", None]
    assert result.stderr.endswith("3 of 6 lines skipped\n")


def test_whoever_does_not_read_standard_error_is_not_kept_waiting() -> None:
    result = estimate([*["nonsense"] * 5000, CONFIG, SNAPSHOT])
    lines = result.stderr.splitlines()
    assert len(lines) == TOLD + 2
    assert lines[-2:] == ["further lines are skipped without a word", "5000 of 5002 lines skipped"]
    assert len(answers(result)) == 1


def test_empty_lines_and_carriage_returns_and_a_missing_last_line_end_do_no_harm() -> None:
    told = f"\n{json.dumps(CONFIG)}\r\n\r\n  \n{passage(id='a')}\r\n{json.dumps(SNAPSHOT)}"
    result = subprocess.run(COMMAND, cwd=ROOT, input=told, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert answers(result) == answers(estimate([CONFIG, passage(id="a"), SNAPSHOT]))


def test_faults_are_told_only_if_they_are_asked_for() -> None:
    config = json.loads(json.dumps(CONFIG))
    config["config"]["gates"][0]["interval_s"] = 60
    result = estimate([config, passage(id="a"), {"op": "snapshot", "t": OPEN + 1800}], "--faults")
    [answer] = answers(result)
    assert list(answer) == [*KEYS, "faults"]
    text = "gate door has sent nothing since 2025-10-09 09:01 UTC"
    assert answer["faults"] == [{"gate": "door", "kind": "silent", "since": OPEN + 60, "text": text}]
