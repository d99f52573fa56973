"""Docs, examples, settings and lock file say what the code says."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main

from cli.command_line import app
from cli.reference import FOLDER, references
from services.aggregator.settings import Settings as AggregatorSettings
from services.api.settings import ApiSettings
from services.auditor.settings import Settings as AuditorSettings
from services.carrier.settings import Settings as CarrierSettings
from services.ingest.settings import Settings as IngestSettings
from services.publisher.settings import Settings as PublisherSettings
from shared.contracts.configuration import LANGUAGES, LibrariesFile
from shared.contracts.readings import READING, STAFF_KINDS
from shared.contracts.subjects import PARTITIONS, partition_of
from shared.domain.catalog import CATALOGS
from tests.conftest import ROOT

SETTINGS = (IngestSettings, AggregatorSettings, PublisherSettings, ApiSettings, CarrierSettings, AuditorSettings)


def tracked(*endings: str) -> list[Path]:
    """Return the repository's files, tracked or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / name for name in listed if name.endswith(endings) and (ROOT / name).is_file()]


def test_the_generated_references_are_current() -> None:
    fresh = references()
    stored = {name: (FOLDER / name).read_text(encoding="utf-8") for name in fresh}
    stale = [name for name in fresh if fresh[name] != stored[name]]
    assert not stale, "run `make docs`"


def test_the_example_libraries_hold_to_the_schema_that_editors_use() -> None:
    example = tomllib.loads((ROOT / "libraries.toml").read_text(encoding="utf-8"))
    jsonschema.validate(example, LibrariesFile.model_json_schema(by_alias=True))


def test_the_readme_s_library_is_a_valid_one() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    libraries = LibrariesFile.model_validate(tomllib.loads("\n".join(line.strip() for line in example.splitlines())))
    assert libraries.libraries[0].id == "my-branch"


def test_the_readme_s_readings_are_valid_ones() -> None:
    bodies = re.findall(r"-d '(\{.*?\})'", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(bodies) >= 2
    for body in bodies:
        READING.validate_json(body)


def test_the_readme_s_kinds_are_all_that_staff_can_send() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## What staff can say")[2].partition("## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert named == STAFF_KINDS


def variables_of(command: Any) -> Iterator[str]:
    """Yield the variables from which options of a command, and of those below it, may come."""
    for each in command.params:
        if isinstance(each.envvar, str):
            yield each.envvar
    if hasattr(command, "list_commands"):
        context = command.make_context(command.name, [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from variables_of(command.get_command(context, name))


def test_every_setting_named_anywhere_exists() -> None:
    known = {f"PLACELIBRE_{name.upper()}" for settings in SETTINGS for name in settings.model_fields}
    known |= set(variables_of(typer.main.get_command(app)))
    for path in tracked(".py", ".md", ".yml", ".yaml", "Makefile", "Dockerfile"):
        for name in re.findall(r"PLACELIBRE_[A-Z0-9_]*[A-Z0-9]", path.read_text(encoding="utf-8")):
            assert name in known, f"{path.relative_to(ROOT)}: {name}"


@pytest.mark.parametrize("path", tracked(".md"), ids=lambda path: path.name)
def test_every_link_between_pages_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
def test_every_path_named_in_a_page_exists(path: Path) -> None:
    pattern = r"`((?:shared|services|cli|tests|docs)/[\w./-]+)`"
    for name in re.findall(pattern, path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_compose_is_called_by_one_name_and_its_other_one_is_explained_once() -> None:
    # docs/deploy.md says how podman-compose differs; whoever follows a page must not meet two commands for one thing.
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"),
    ]
    assert [page.name for page in pages if "podman-compose" in page.read_text(encoding="utf-8")] == ["deploy.md"]


@pytest.mark.parametrize("path", tracked(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_a_page_relies_on_is_there_and_tests_something(path: Path) -> None:
    # A promise (SECURITY.md, docs/threat-model.md, docs/faults.md, docs/decisions) is worth what its test is.
    for name, function in re.findall(r"(?<![\w/])(tests/[\w./-]*\w)(?:::(\w+))?", path.read_text(encoding="utf-8")):
        file = ROOT / name
        assert file.exists(), name
        if file.name.startswith("test_"):
            text = file.read_text(encoding="utf-8")
            assert re.search(r"^ *(async )?def test_", text, re.MULTILINE), name
            assert not function or f"def {function}(" in text, f"{name}::{function}"


def test_every_make_target_has_a_sentence_and_every_named_one_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(makefile.partition(".PHONY:")[2].split())
    described = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert phony == described
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        assert set(re.findall(r"`?make ([a-z]+)", page.read_text())) - {"it"} <= described


def test_the_lock_pins_what_the_project_names_with_hashes_and_without_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for pin in project["project"]["dependencies"] + project["dependency-groups"]["dev"]:
        name, _, version = re.sub(r"\[.*?\]", "", pin).partition("==")
        assert re.search(rf"^{re.escape(name)}=={re.escape(version)}\b", lock, re.MULTILINE), pin
    assert "://" not in lock
    requirements = re.findall(r"^\S+==", lock, re.MULTILINE)
    assert len(re.findall(r"==.*\\\n\s+--hash=sha256:", lock)) == len(requirements)


def test_no_file_holds_an_address_of_a_registry_or_a_lock_with_addresses() -> None:
    hosts = re.compile(r"(?<![a-z@])(?:[a-z]+\.)*(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com)")
    for path in tracked(
        ".py", ".md", ".toml", ".lock", ".txt", ".json", ".yml", ".yaml", ".html", ".js", ".css", "Makefile"
    ):
        assert path.name not in {"uv.lock", "pylock.toml"}
        assert not hosts.search(path.read_text(encoding="utf-8")), path.relative_to(ROOT)


def test_every_language_of_the_configuration_has_its_words() -> None:
    assert set(CATALOGS) == set(LANGUAGES)


def test_a_library_stays_in_its_partition_for_ever() -> None:
    assert PARTITIONS == 64
    assert {name: partition_of(name) for name in ("bpi", "quartier", "campus", "my-branch")} == {
        "bpi": 51,
        "quartier": 59,
        "campus": 0,
        "my-branch": 35,
    }
