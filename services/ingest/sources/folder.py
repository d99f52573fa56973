"""A folder of this machine, into which files are put by a share, by an SFTP server or by hand."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from services.ingest.sources.files import MAX_LISTED, Entry, FileFault, Folder
from services.ingest.sources.means import Means, Runner, SourceFailed
from services.ingest.sources.rows import MAX_FILE_BYTES
from shared.contracts.devices import FolderSource

ANSWER_S: Final = 60.0
"""For a share on the network to answer; one that is gone may never do so."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder of the file system. It may be a share that hangs, so it is read by a thread of its own."""

    path: Path
    thread: ThreadPoolExecutor

    async def listed(self) -> Sequence[Entry]:
        """Return the regular files. Raises SourceFailed."""
        return await self._done(self._list)

    async def read(self, entry: Entry, limit: int) -> bytes | None:
        """Return a file's content, or None if it is not as it was listed. Raises FileFault, SourceFailed."""
        return await self._done(lambda: self._read(entry, limit))

    async def _done(self, work: Callable[[], Answer]) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.get_running_loop().run_in_executor(self.thread, work)
        except TimeoutError as error:
            raise SourceFailed("the folder does not answer; is it a share whose server is away?") from error

    def _list(self) -> list[Entry]:
        found: list[Entry] = []
        try:
            with os.scandir(self.path) as entries:
                for each in entries:
                    if len(found) >= MAX_LISTED:
                        raise SourceFailed(f"there are more than {MAX_LISTED} files in the folder; move old ones away")
                    try:
                        # Links are not followed: one might lead to what is nobody's business here.
                        if each.is_file(follow_symlinks=False):
                            state = each.stat(follow_symlinks=False)
                            found.append(Entry(each.name, state.st_mtime_ns, state.st_size))
                    except FileNotFoundError:
                        continue
        except OSError as error:
            raise SourceFailed(f"the folder cannot be read: {error.strerror}") from error
        return found

    def _read(self, entry: Entry, limit: int) -> bytes | None:
        # Not through a link, and without waiting for somebody to write into a pipe, whatever it was when it was listed.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path / entry.name, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileFault(f"it cannot be read: {error.strerror}") from error
        try:
            with os.fdopen(descriptor, "rb") as file:
                state = os.fstat(descriptor)
                if not stat.S_ISREG(state.st_mode):
                    return None
                if state.st_size > limit:
                    raise FileFault(f"it has {state.st_size} bytes, and {limit} are the most")
                data = file.read(limit + 1)
                after = os.fstat(descriptor)
        except OSError as error:
            raise FileFault(f"it cannot be read: {error.strerror}") from error
        is_as_listed = (after.st_mtime_ns, after.st_size) == (entry.mtime_ns, entry.size) and len(data) == entry.size
        return data if is_as_listed else None


async def run(source: FolderSource, means: Means) -> None:
    """Read a folder for ever, whenever it is this process's turn. Raises SourceFailed."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="folder")
    try:
        async with means.positions.turn(source.id) as turn:
            path = Path(source.path)
            await Folder(source, str(path), Disk(path, thread), means, turn, MAX_FILE_BYTES).for_ever()
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


RUNNER: Final = Runner("folder", run)
