"""The table of the fault suite lacks no line: what a whole run must leave behind is what its tests write down."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.__main__ import EXPECTED, main
from tests.faults.figures import FILE


def noted() -> set[str]:
    """Return the first words of every line that a test of the suite writes down."""
    found = set()
    for file in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        for each in ast.walk(ast.parse(file.read_text())):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "note":
                assert isinstance(each.args[0], ast.Constant), f"{file.name}: the name of a line is written out"
                found.add(str(each.args[0].value))
    return found


def test_every_line_that_a_test_writes_down_is_missed_where_it_is_not_there() -> None:
    assert noted() == set(EXPECTED)


def test_a_whole_run_without_one_of_its_lines_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "pytest-that-skips-one"
    script.write_text(
        f"#!{sys.executable}\nimport json, os\n"
        f"for each in {list(EXPECTED[:-1])!r}:\n"
        f"    with open(os.environ[{FILE!r}], 'a') as file:\n"
        "        file.write(json.dumps({'what': each, 'seen': '', 'bar': ''}) + '\\n')\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    assert main([]) == 1
    assert f"missing: {EXPECTED[-1]}" in capsys.readouterr().out
