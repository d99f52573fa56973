"""A disk of its own for a bus: a file with an ext4 in it, mounted where JetStream keeps its store.

What was written but not synced lies in the mounted file system's cache and has not reached the file below. So a copy
of the file, taken while the server is stopped, is what a power cut would leave. Two limits of this disk: what did
reach it counts as kept, as on a disk with a battery behind its cache, and nothing is torn within a block.
"""

from __future__ import annotations

import atexit
import filecmp
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

MARK: Final = "plf-disk"
"""Begins the names of images, with the number of the process that made them."""
COPIES_MAX: Final = 50


class Disk:
    """An image and where it is mounted."""

    def __init__(self, folder: Path, mount_point: Path, size_mib: int) -> None:
        """Make an empty one and mount it, after removing those of processes that were killed meanwhile."""
        _unmount_left_over()
        self._folder = folder
        self.mount_point = mount_point
        self._number = 0
        mount_point.mkdir(parents=True, exist_ok=True)
        self._image = self._name()
        with self._image.open("wb") as image:
            image.truncate(size_mib * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        atexit.register(self.remove)
        self._mount()

    def power_cut(self) -> Path:
        """Return a copy of what has reached the disk; whoever writes on it must stand still."""
        copy = self._name()
        again = copy.with_suffix(".again")
        for _ in range(COPIES_MAX):
            # Two copies alike: nothing was written back while they were made, so this is the disk of one moment.
            for target in (copy, again):
                _run("cp", "--sparse=always", str(self._image), str(target))
            if filecmp.cmp(copy, again, shallow=False):
                again.unlink()
                return copy
        raise AssertionError("the disk does not come to rest")

    def replace(self, image: Path) -> None:
        """Put another image in the place of this one, as a machine finds its disk after a power cut."""
        self.unmount()
        self._image.unlink()
        self._image = image
        checked = subprocess.run(["e2fsck", "-f", "-y", str(image)], check=False, capture_output=True)
        assert checked.returncode in {0, 1}, checked.stdout  # 1: mended
        self._mount()

    def sync(self) -> None:
        """Let everything written so far reach the disk."""
        _run("sync", "-f", str(self.mount_point))

    def free_bytes(self) -> int:
        """Return what is left of it."""
        left = os.statvfs(self.mount_point)
        return left.f_bavail * left.f_frsize

    def unmount(self) -> None:
        """Take it away; nobody may have a file open on it."""
        _run("umount", str(self.mount_point))

    def remove(self) -> None:
        """Leave nothing behind."""
        atexit.unregister(self.remove)
        if os.path.ismount(self.mount_point):
            subprocess.run(["umount", "-l", str(self.mount_point)], check=False, capture_output=True)
        for image in self._folder.glob(f"{MARK}-{os.getpid()}-*"):
            image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def _name(self) -> Path:
        self._number += 1
        return self._folder / f"{MARK}-{os.getpid()}-{self._number}.img"


@contextmanager
def disk(folder: Path, mount_point: Path, size_mib: int) -> Iterator[Disk]:
    """Make a disk for as long as the context lasts."""
    made = Disk(folder, mount_point, size_mib)
    try:
        yield made
    finally:
        made.remove()


@cache
def are_allowed() -> bool:
    """Tell whether this process may make a file system and mount it."""
    if os.geteuid() != 0:
        return False
    with TemporaryDirectory() as folder:
        try:
            with disk(Path(folder), Path(folder) / "on", 8):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def _unmount_left_over() -> None:
    """Unmount what a run has left that was killed itself."""
    for line in Path("/proc/mounts").read_text().splitlines():
        device, mount_point = line.split()[:2]
        backing = Path("/sys/block") / Path(device).name / "loop" / "backing_file"
        found = re.search(rf"/{MARK}-(\d+)-\d+\.img", backing.read_text() if backing.exists() else "")
        if found and not Path(f"/proc/{found[1]}").exists():
            subprocess.run(["umount", "-l", mount_point], check=False, capture_output=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
