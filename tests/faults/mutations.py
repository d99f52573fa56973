"""`python -m tests.faults.mutations`: break each guarantee on purpose, in a copy of the tree; the suite must notice.

First the tests that are to notice run on the copy as it is, where all of them must pass. Then one guarantee after the
other is broken, and each of its tests must be collected, run and fail; a test that cannot be imported, set up or run
proves nothing. What is edited is the copy alone. Exit 1 where a guarantee can be broken unnoticed, or was not tried.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.faults.mutants import MUTANTS, Edit, Mutant

ROOT: Final = Path(__file__).parents[2]
TEST_S: Final = 900
"""For the tests of one mutant; a mutant may make a test wait for all that it is ready to wait for."""


class DoesNotApply(Exception):  # noqa: N818  named for what is the case
    """The text that a mutation replaces is not there once; the sentence says where."""


@dataclass(slots=True)
class Run:
    """What pytest said of some tests: by the test's function, how many of its cases came out how."""

    cases: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Of each function whose cases did not pass, the first line of why."""
    output: str = ""

    def of(self, test: str) -> Counter[str]:
        """Return the outcomes of a test's cases, by pytest's id; nothing where it was not collected."""
        return self.cases.get(function_of(test), Counter())


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table."""

    name: str
    guarantee: str
    broken: str
    is_noticed: bool
    seen: str
    why: tuple[str, ...] = ()
    """What each test has said: the first line of its failure."""


def function_of(test: str) -> str:
    """Return the file and the function of a pytest id, without its case."""
    return test.partition("[")[0]


def apply(tree: Path, edits: Sequence[Edit]) -> None:
    """Break something in a tree.

    Raises:
        DoesNotApply: a text is not there, or more than once; nothing was changed.
    """
    texts: dict[Path, str] = {}
    for edit in edits:
        path = tree / edit.file
        text = texts.get(path) or path.read_text(encoding="utf-8")
        if (count := text.count(edit.old)) != 1:
            raise DoesNotApply(f"{edit.file} has {count} times: {edit.old.strip()!r}")
        texts[path] = text.replace(edit.old, edit.new)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


@contextmanager
def broken(tree: Path, mutant: Mutant) -> Iterator[None]:
    """Break a guarantee for as long as the context lasts. Raises DoesNotApply."""
    before = {edit.file: (tree / edit.file).read_bytes() for edit in mutant.edits}
    try:
        apply(tree, mutant.edits)
        yield
    finally:
        for name, content in before.items():
            (tree / name).write_bytes(content)


def copy(tree: Path) -> None:
    """Copy what belongs to the project, as it is now, also what is not committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (source := ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


def run(tree: Path, tests: Sequence[str], needs: Sequence[str]) -> Run:
    """Run tests in a tree and return what became of each."""
    report = tree.parent / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "--junitxml", str(report), "-o", "junit_family=xunit1", "--tb=short"]
    environment = {
        **os.environ,
        **dict.fromkeys(needs, "1"),
        "PYTHONDONTWRITEBYTECODE": "1",  # two edits within a second look the same to a cache
        "PYTHONPATH": str(tree),
    }
    environment.pop("FAULT_FIGURES", None)
    ran = subprocess.Popen(
        [*command, *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what the tests have started can be ended with them
    )
    try:
        output, _ = ran.communicate(timeout=TEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(ran.pid, signal.SIGKILL)
        ran.communicate()
        output = f"not over after {TEST_S} s"
    return Run(output=output) if not report.exists() else understood(report.read_text(encoding="utf-8"), output)


def understood(report: str, output: str) -> Run:
    """Return what a report in JUnit's form says."""
    found = Run(output=output)
    for case in ET.fromstring(report).iter("testcase"):
        function = f"{case.get('file', '')}::{case.get('name', '').partition('[')[0]}"
        outcome = next((name for name in ("failure", "error", "skipped") if case.find(name) is not None), "passed")
        found.cases.setdefault(function, Counter())[outcome] += 1
        why = case.find(outcome)
        if why is not None:
            lines = (why.get("message") or why.text or "").splitlines()
            found.reasons.setdefault(function, lines[0] if lines else outcome)
    return found


def unfit(mutant: Mutant, whole: Run) -> str:
    """Return why a mutant's tests, on what is not broken, cannot show anything; nothing if they can."""
    for test in mutant.tests:
        outcomes = whole.of(test)
        if not outcomes:
            return f"{test} did not run: {whole.output[-300:]}"
        if outcomes["failure"] or outcomes["error"]:
            return f"{test} is red without it: {whole.reasons[function_of(test)]}"
        if not outcomes["passed"]:
            return f"not tried: {whole.reasons[function_of(test)]}"
    return ""


def judged(mutant: Mutant, after: Run) -> Verdict:
    """Say whether every test of a mutant has failed, by its own assertions."""
    seen: list[str] = []
    is_noticed = True
    for test in mutant.tests:
        outcomes = after.of(test)
        name = test.rpartition("::")[2]
        if outcomes["failure"] and not outcomes["error"]:
            seen.append(f"{name} ({outcomes['failure']} of {outcomes.total()})" if outcomes.total() > 1 else name)
        else:
            is_noticed = False
            seen.append(f"NOT {name}: {dict(outcomes) or after.output[-300:]}")
    why = tuple(after.reasons.get(function_of(test), "") for test in mutant.tests)
    return Verdict(mutant.name, mutant.guarantee, mutant.broken, is_noticed, "; ".join(seen), why)


def tried(mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Yield what became of each mutant, one after the other."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        copy(tree)
        whole = Run()
        for needs in sorted({each.needs for each in mutants}):
            tests = sorted({test for each in mutants if each.needs == needs for test in each.tests})
            part = run(tree, tests, needs)
            whole.cases |= part.cases
            whole.reasons |= part.reasons
            whole.output += part.output[-300:]
        for mutant in mutants:
            if reason := unfit(mutant, whole):
                yield Verdict(mutant.name, mutant.guarantee, mutant.broken, is_noticed=False, seen=reason)
                continue
            try:
                with broken(tree, mutant):
                    yield judged(mutant, run(tree, mutant.tests, mutant.needs))
            except DoesNotApply as error:
                reason = f"the mutation does not apply any more: {error}"
                yield Verdict(mutant.name, mutant.guarantee, mutant.broken, is_noticed=False, seen=reason)


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as one table for people."""
    rows = [("guarantee", "broken by", "turned red")]
    rows += [(each.guarantee, each.broken, each.seen) for each in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [" | ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2])) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def main(arguments: Sequence[str]) -> int:
    """Try what the arguments name, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutations", description=__doc__)
    names = [each.name for each in MUTANTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of: {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTANTS if not options.only or each.name in options.only]
    verdicts: list[Verdict] = []
    for verdict in tried(chosen):
        verdicts.append(verdict)
        print(f"{verdict.name}: {'red' if verdict.is_noticed else verdict.seen}", file=sys.stderr, flush=True)
    unnoticed = [each.name for each in verdicts if not each.is_noticed]
    if options.json:
        print(json.dumps([asdict(each) for each in verdicts], indent=2))
    else:
        print(table(verdicts))
        red = len(verdicts) - len(unnoticed)
        print(
            f"{red} of {len(verdicts)} turned the suite red" + (f"; not: {', '.join(unnoticed)}" if unnoticed else "")
        )
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
