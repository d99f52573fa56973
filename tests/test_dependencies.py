"""What we stand on: each dependency has its reason in the docs, a licence to pass on, and a place in the SBOM."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",
        "EPL-2.0",
        "ISC",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
    }
)
"""Ours is passed on in an image: these ask for their text with it, or for their own source where that was changed."""
SAID_OTHERWISE = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2 License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
READ_BY_HAND = {"resvg-py": ("MIT", "Permission is hereby granted, free of charge")}
"""Packages without a word of it in their metadata: the licence, and words of its text that the package brings along."""
ELSEWHERE = {"colorama"}
"""Of other systems than ours; the lock is for all of them."""
PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def locked() -> list[str]:
    return PIN.findall((ROOT / "requirements-runtime.lock").read_text())


def licence_of(name: str) -> str:
    """Return a package's licence as an SPDX expression, as far as its metadata say it."""
    package = distribution(name)
    if name in READ_BY_HAND:
        licence, words = READ_BY_HAND[name]
        texts = [package.locate_file(each) for each in package.files or () if "LICENSE" in each.name]
        assert any(words in Path(str(each)).read_text() for each in texts)
        return licence
    metadata = package.metadata
    classified = [
        SAID_OTHERWISE[name]
        for each in metadata.get_all("Classifier") or ()
        if (name := each.rpartition(" :: ")[2]) in SAID_OTHERWISE and each.startswith("License")
    ]
    said = "".join(metadata.get_all("License-Expression") or [])
    free = "".join(metadata.get_all("License") or [])
    return said or " OR ".join(classified) or SAID_OTHERWISE.get(free, free)


def is_allowed(expression: str) -> bool:
    """Tell whether one of the licences that may be chosen is allowed in every part."""
    return any(
        all(part.strip(" ()") in ALLOWED for part in choice.split(" AND ")) for choice in expression.split(" OR ")
    )


@pytest.mark.parametrize("name", sorted(set(locked()) - ELSEWHERE))
def test_every_package_that_runs_has_a_licence_that_we_may_pass_on(name: str) -> None:
    try:
        licence = licence_of(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is locked and not installed")
    assert is_allowed(licence), f"{name}: {licence!r}"


@pytest.mark.parametrize(
    ("expression", "is_fit"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-or-later OR EPL-2.0", True),
        ("MIT AND GPL-3.0", False),
        ("", False),
    ],
)
def test_what_is_allowed(expression: str, is_fit: bool) -> None:  # noqa: FBT001  a row of the table
    assert is_allowed(expression) is is_fit


def test_every_dependency_has_its_reason_in_the_docs_and_no_other_stands_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = project["dependencies"] + project["optional-dependencies"]["tracing"]
    named = {re.split(r"[\[=]", pin)[0] for pin in pins}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == named
    assert all("==" in pin for pin in pins)


@pytest.mark.tools
def test_the_sbom_holds_every_locked_package_and_is_what_its_schema_says(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    command = [".tools/bin/cyclonedx-py", "requirements", "--spec-version", "1.6", "--output-format", "JSON"]
    rest = ["--output-reproducible", "--validate", "--output-file", str(file), "requirements-runtime.lock"]
    subprocess.run([*command, *rest], check=True, capture_output=True, cwd=ROOT)
    content = json.loads(file.read_text())
    assert content["bomFormat"] == "CycloneDX"
    found = {each["name"].lower(): each for each in content["components"]}
    assert set(found) == {name.lower() for name in locked()}
    assert all(each["externalReferences"][0]["hashes"] for each in found.values())
