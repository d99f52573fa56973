"""deploy/compose/init.py: run again, it hands over what the operator has added, and brings this version's rights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType

import pytest

from tests.conftest import ROOT

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="it gives files to others, as root in its container"),
    pytest.mark.slow,  # keys and certificates are made for each, some seconds each time
]

Run = Callable[[], str]


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, for a folder of this test."""
    spec = spec_from_file_location("compose_init", ROOT / "deploy" / "compose" / "init.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    made = Path(mkdtemp(prefix="placelibre-made-"))  # pytest's own folders are closed to other users
    made.chmod(0o755)
    for name, path in {"MADE": made, "BUS": made / "bus", "CREDENTIALS": made / "credentials"}.items():
        monkeypatch.setattr(module, name, path)
    yield module
    rmtree(made)


@pytest.fixture
def run(init: ModuleType, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run it, and return what it said."""

    def once() -> str:
        before = os.umask(0o022)
        try:
            assert init.main() == 0
        finally:
            os.umask(before)
        return capsys.readouterr().out

    return once


def read_as(user: int, file: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["cat", str(file)], user=user, group=user, extra_groups=[], capture_output=True, check=False)


def added(file: Path, mode: int = 0o600) -> Path:
    """Put a credential where the page says, as root under umask 077."""
    file.write_text("token\n")
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("folder", "reader", "stranger"),
    [("publisher", 10001, 65534), ("ingest", 10001, 472), ("alertmanager", 65534, 10001)],
)
def test_a_credential_that_was_added_is_handed_to_who_reads_it(
    init: ModuleType, run: Run, folder: str, reader: int, stranger: int
) -> None:
    run()
    credentials: Path = init.CREDENTIALS
    file = added(credentials / folder / "mastodon-library", 0o644)
    assert f"credentials/{folder}/mastodon-library now belongs to who reads it" in run()
    assert read_as(reader, file).stdout == b"token\n"
    assert read_as(stranger, file).returncode != 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(init: ModuleType, run: Run, tmp_path: Path) -> None:
    run()
    elsewhere = added(tmp_path / "shadow")
    credentials: Path = init.CREDENTIALS
    (credentials / "publisher" / "mastodon-library").symlink_to(elsewhere)
    assert "is a link" in run()
    assert elsewhere.stat().st_uid == 0


def test_what_a_chmod_of_the_clone_has_opened_is_closed_again(init: ModuleType, run: Run) -> None:
    run()
    made: Path = init.MADE
    subprocess.run(["chmod", "-R", "go+rX", str(made)], check=True)
    secrets = [
        made / each
        for each in (
            "bus/nkeys/operator.nk",
            "bus/tls/server-key.pem",
            "bus/tls/ca-key.pem",
            "bus/authorization.conf",
            "credentials/grafana/password",
        )
    ]
    assert [read_as(1234, each).returncode for each in secrets] == [0] * len(secrets)
    said = run()
    assert "look: bus/nkeys/operator.nk was open to others, and is closed again" in said
    assert not [each for each in secrets if each.stat().st_mode & 0o077]
    assert {(made / "bus" / each).stat().st_mode & 0o777 for each in (".", "nkeys", "tls")} == {0o700}
    assert (made / "bus" / "tls" / "ca-key.pem").stat().st_uid == 0
    assert (made / "bus" / "tls" / "ca.pem").stat().st_mode & 0o777 == 0o644, "it is no secret"
    assert "closed again" not in run()


def test_the_rights_of_this_version_are_written_and_the_next_step_is_said(init: ModuleType, run: Run) -> None:
    run()
    bus: Path = init.BUS
    rights = bus / "authorization.conf"
    whole = rights.read_text()
    older = re.sub(r'"changes\.v1\.\*\.\*",?\s*', "", whole, count=1)
    assert older != whole
    rights.write_text(older)
    assert "--force-recreate bus" in run()
    assert rights.read_text() == whole
    assert (rights.stat().st_uid, rights.stat().st_mode & 0o777) == (10001, 0o600)


def test_a_service_that_is_new_gets_its_key(init: ModuleType, run: Run) -> None:
    run()
    bus: Path = init.BUS
    (bus / "nkeys" / "auditor.nk").unlink()
    said = run()
    assert "bus/nkeys/auditor.nk is new" in said
    assert (bus / "nkeys" / "auditor.nk").stat().st_uid == 10001


def test_run_again_it_changes_nothing_else_and_the_authority_s_key_stays_root_s(init: ModuleType, run: Run) -> None:
    assert "docker compose up --detach --wait" in run()
    made: Path = init.MADE

    def everything() -> dict[Path, tuple[int, int, bytes]]:
        files = [each for each in made.rglob("*") if each.is_file()]
        return {each: (each.stat().st_uid, each.stat().st_mode, each.read_bytes()) for each in files}

    before = everything()
    assert "everything was there already" in run()
    assert everything() == before
    assert (made / "bus" / "tls" / "ca-key.pem").stat().st_uid == 0
    assert (made / "credentials" / "grafana" / "password").stat().st_uid == 472


def test_a_new_certificate_and_a_new_key_are_handed_over_and_the_next_step_is_said(
    init: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init.main() == 0
    bus: Path = init.BUS
    files = [bus / "tls" / "server.pem", bus / "nkeys" / "api.nk"]
    before = [each.read_bytes() for each in files]
    for arguments in (["renew"], ["rotate", "api"], ["rotate", "api", "--finish"]):
        assert init.main(arguments) == 0
        assert "--force-recreate bus" in capsys.readouterr().out
    for file, content in zip(files, before, strict=True):
        assert file.read_bytes() != content
        assert file.stat().st_uid == 10001
    assert not (bus / "nkeys" / "api.former").exists()
    assert init.main(["destroy"]) == 2
