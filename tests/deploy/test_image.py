"""The image: small enough, without compilers and secrets, and the same for the same tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import ROOT
from tests.deploy.standins import make_image, make_python, podman, size_mb

OWN_MB_MAX: Final = 300
"""What we add to the base: libraries with their compiled bytes, and the bus. 260 MB when this was written."""
CANARY: Final = b"canary-5f1d8a0c3be94d6f"
CANARY_IMAGE: Final = "localhost/placelibre-canary:test"
PLACES: Final = (
    ".env",
    ".git/config",
    ".placelibre/bus/nkeys/operator.nk",
    "cli/.env",
    "cli/credentials.pem",
    "deploy/compose/bus/nkeys/operator.nk",
    "deploy/compose/credentials/publisher/mastodon-library",
    "east.leaf",
    "libraries.toml",
    "secrets/bluesky-library",
    "services/api/server.key",
    "services/publisher/secrets/mastodon-library",
    "shared/operator.nk",
)
"""Where a secret might lie in a tree from which somebody builds."""
COPIED: Final = (
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements-build.lock",
    "requirements-runtime.lock",
)


@pytest.mark.tools
def test_the_dockerfile_has_nothing_unwise() -> None:
    done = subprocess.run([".tools/bin/hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_holds_what_the_project_needs_and_no_tool_of_its_developers() -> None:
    runtime, everything = (names_in(ROOT / name) for name in ("requirements-runtime.lock", "requirements.lock"))
    assert runtime <= everything, "make lock: the same versions in both"
    left_out = {name.partition("==")[0] for name in everything - runtime}
    assert {"pytest", "mypy", "ruff", "playwright", "uv"} <= left_out


def names_in(lock: Path) -> set[str]:
    """Return the pins of a lock file."""
    return {line.split()[0] for line in lock.read_text().splitlines() if "==" in line and not line.startswith(" ")}


@pytest.fixture(scope="module")
def image() -> str:
    """The image, built."""
    return make_image()


@pytest.mark.containers
def test_what_we_add_to_the_base_is_small(image: str) -> None:
    assert size_mb(image) - size_mb(make_python()) <= OWN_MB_MAX


@pytest.mark.containers
def test_it_says_what_it_is_and_runs_as_nobody_in_particular(image: str) -> None:
    [about] = json.loads(podman("image", "inspect", image))
    config: dict[str, Any] = about["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["placelibre"]
    assert about["Healthcheck"]["Test"][0] == "CMD"
    labels = config["Labels"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]


@pytest.mark.containers
def test_there_is_no_compiler_and_no_pip_among_what_runs(image: str) -> None:
    code = (
        "import shutil, importlib.util as u;"
        "print([p for p in ('gcc', 'cc', 'c++', 'make', 'ld', 'git', 'curl') if shutil.which(p)],"
        " [m for m in ('pip', 'setuptools', 'hatchling', 'pytest') if u.find_spec(m)])"
    )
    assert podman("run", "--rm", "--no-healthcheck", "--entrypoint", "python", image, "-c", code).strip() == "[] []"


@pytest.mark.containers
@pytest.mark.parametrize("command", [("--help",), ("probe", "--help"), ("run", "--help"), ("bus", "--help")])
def test_it_runs_with_a_read_only_root_and_without_rights(image: str, command: tuple[str, ...]) -> None:
    confined = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none", "--tmpfs=/tmp")
    assert "Usage: placelibre" in podman("run", "--rm", "--no-healthcheck", *confined, image, *command)


@pytest.fixture(scope="module")
def canary_layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tarfile.TarFile]]:
    """All layers of an image that was built from a tree with secrets in it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        shutil.copy(ROOT / name, tree)
    for name in ("cli", "services", "shared"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PLACES:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CANARY)
    make_image(tree, CANARY_IMAGE)
    saved = tmp_path_factory.mktemp("saved") / "image.tar"
    try:
        podman("save", "--format", "docker-archive", "--output", str(saved), CANARY_IMAGE)
        with ExitStack() as stack:
            archive = stack.enter_context(tarfile.open(saved))
            opened = []
            for name in archive.getnames():
                stream = archive.extractfile(name) if name.endswith(".tar") else None
                if stream is not None:
                    opened.append(stack.enter_context(tarfile.open(fileobj=stream)))
            yield opened
    finally:
        podman("rmi", CANARY_IMAGE)


@pytest.mark.containers
def test_no_secret_of_the_tree_is_in_any_layer(canary_layers: list[tarfile.TarFile]) -> None:
    names: set[str] = set()
    for layer in canary_layers:
        for member in layer.getmembers():
            names.add(member.name)
            stream = layer.extractfile(member) if member.isfile() else None
            if stream is not None:
                assert CANARY not in stream.read(), member.name
    # It was looked where there is something to see.
    assert any(name.endswith("site-packages/cli/main.py") for name in names)
    assert not any(name.endswith((".nk", ".leaf", "libraries.toml", ".env", "server.key")) for name in names)
    assert not any("/.git/" in f"/{name}" or "/.placelibre/" in f"/{name}" for name in names)
