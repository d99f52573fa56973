"""The mutations fit the code as it is, and their run tells red from broken."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.mutants import MUTANTS, Edit, Mutant
from tests.faults.mutations import DoesNotApply, apply, broken, judged, understood, unfit

NAMES = [each.name for each in MUTANTS]


def test_every_mutation_has_a_name_of_its_own_and_tests_that_must_notice_it() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(each.edits and each.tests for each in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=NAMES)
def test_what_a_mutation_replaces_is_there_once_and_its_tests_exist(mutant: Mutant, tmp_path: Path) -> None:
    for edit in mutant.edits:
        (tmp_path / edit.file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / edit.file).write_bytes((ROOT / edit.file).read_bytes())
    with broken(tmp_path, mutant):
        for edit in mutant.edits:
            ast.parse((tmp_path / edit.file).read_text())
    for test in mutant.tests:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        functions = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function.partition("[")[0] in functions, f"{test} is not there any more"


def test_a_text_that_is_gone_or_there_twice_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\ny = 2\ny = 2\n")
    for old in ("z = 1", "y = 2"):
        with pytest.raises(DoesNotApply, match=r"has [02] times"):
            apply(tmp_path, (Edit("a.py", "x = 1", "x = 2"), Edit("a.py", old, "")))
        assert file.read_text() == "x = 1\ny = 2\ny = 2\n"


REPORT = """<testsuites><testsuite>
<testcase file="tests/test_a.py" name="test_red[1]"><failure message="assert 1 == 2"/></testcase>
<testcase file="tests/test_a.py" name="test_red[2]"/>
<testcase file="tests/test_a.py" name="test_green"/>
<testcase file="tests/test_a.py" name="test_left"><skipped message="it wants root"/></testcase>
<testcase file="tests/test_a.py" name="test_broken"><error message="ImportError: x">trace</error></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("test", "is_noticed"),
    [("red", True), ("red[1]", True), ("green", False), ("left", False), ("broken", False), ("gone", False)],
)
def test_only_a_test_that_ran_and_failed_has_noticed(test: str, is_noticed: bool) -> None:  # noqa: FBT001
    mutant = Mutant("x", "y", "z", (), (f"tests/test_a.py::test_{test}",))
    assert judged(mutant, understood(REPORT, "")).is_noticed is is_noticed


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("green", ""),
        ("red", "assert 1 == 2"),
        ("left", "it wants root"),
        ("broken", "ImportError"),
        ("gone", "not run"),
    ],
)
def test_what_is_not_green_before_can_show_nothing(test: str, reason: str) -> None:
    mutant = Mutant("x", "y", "z", (), (f"tests/test_a.py::test_{test}",))
    found = unfit(mutant, understood(REPORT, ""))
    assert reason in found if reason else not found
