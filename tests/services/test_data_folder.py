"""The folder of `placelibre up`, asked by somebody who may not write there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.data_folder import Addresses, DataFolder
from cli.terminal import Trouble


def test_who_runs_is_found_through_a_lock_that_can_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path)
    real = os.open

    def read_only(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return real(path, flags, mode)

    with folder.held():
        folder.write_addresses(Addresses(pid=os.getpid(), nats="nats://127.0.0.1:4222", ingest="http://127.0.0.1:8001"))
        monkeypatch.setattr(os, "open", read_only)
        found = folder.addresses()
        monkeypatch.undo()
        assert found is not None
        assert found.pid == os.getpid()
    assert folder.addresses() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write where it should not")
def test_root_leaves_no_files_in_the_folder_of_a_service(tmp_path: Path) -> None:
    """`restore` typed as root into the folder of a unit: afterwards the unit could not read its own bus."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(Trouble, match="belongs to nobody") as refused, DataFolder(folder).held():
        pass
    assert "sudo -u nobody" in refused.value.remedy
    assert list(folder.iterdir()) == []
