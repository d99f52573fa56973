"""Files that are put into a folder, here or elsewhere: read once they have come to rest, never moved and never deleted.

What has been read of each is saved, so that a file that grew or was replaced is read again and no other is. What is
remembered has a limit; past it the folder's oldest files are known by their age alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

from pydantic import ValidationError

from services.ingest.body import Body
from services.ingest.positions import Turn
from services.ingest.sources.handing import hand_over
from services.ingest.sources.means import Means
from services.ingest.sources.rows import NOTHING, Done, TooLarge, digest_of, new_parts
from shared.contracts.devices import FolderSource, SftpSource
from shared.contracts.status import Wire
from shared.runtime.clock import heed_cancellation, monotonic_s, wait_s

UNFINISHED: Final = ("~", ".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".swp", ".uploading")
"""How programs end the names of what they have not written to its end; they begin them with a dot or a tilde too."""
MAX_REMEMBERED: Final = 1000
"""Files of one folder; what is saved of so many fits into the bucket. A daily file makes as many in three years."""
MAX_LISTED: Final = 20_000
SAVE_EVERY_S: Final = 2.0
"""While many files are read one after the other; what was read since is read again after a crash, and counts once."""
FINAL_AFTER_NS: Final = 3600 * 10**9
"""After so long a last row without an end is taken for a whole one. Programs write block by block, and pause."""
MAX_SAID: Final = 3
"""Files that are named when something is wrong with many."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the folder, as it is listed."""

    name: str
    mtime_ns: int
    size: int

    @property
    def key(self) -> str:
        """A hash of its name, by which it is remembered."""
        return digest_of(self.name.encode(errors="surrogateescape"))

    @property
    def age(self) -> tuple[int, str]:
        """The order in which files are read: the oldest first, and those of one time by their names."""
        return self.mtime_ns, self.name.encode(errors="surrogateescape").decode(errors="replace")

    @property
    def shown(self) -> str:
        """Its name, for people and for formats."""
        return "".join(each if each.isprintable() else "?" for each in self.name)

    def is_final(self, now_ns: int) -> bool:
        """Tell whether it has not changed for so long that nothing is to be expected any more."""
        return now_ns - self.mtime_ns >= FINAL_AFTER_NS


class FileFault(Exception):  # noqa: N818  named for what has it
    """A file cannot be read; the message is for staff."""


class Shelf(Protocol):
    """Where the files are."""

    async def listed(self) -> Sequence[Entry]:
        """Return the files that there are, folders and links left out. Raises SourceFailed."""
        ...

    async def read(self, entry: Entry, limit: int) -> bytes | None:
        """Return what is in a file, None if it has changed since it was listed, or is gone.

        Raises:
            FileFault: it cannot be read, or has more than `limit` bytes.
            SourceFailed: nothing can be read at all.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was when it was read, and what of it is done."""

    mtime_ns: int
    size: int
    done: Done


class FilesPlace(Wire):
    """What is saved of a folder. A file is `[name's hash, mtime in ns, size, bytes done, their hash]`."""

    of: str = ""
    """A hash of where the folder is: what was saved for another is not for this one."""
    before: tuple[int, str] = (0, "")
    """Files up to this time, and of this time up to this name, have been read if nothing of them is remembered."""
    files: tuple[tuple[str, int, int, int, str], ...] = ()


@dataclass(slots=True)
class Remembered:
    """Which files have been read, by the hash of their name; the latest read last."""

    files: dict[str, _Read] = field(default_factory=dict)
    before: tuple[int, str] = (0, "")

    def is_read(self, entry: Entry, now_ns: int) -> bool:
        """Tell whether a file has been read as it is now."""
        found = self.files.get(entry.key)
        if found is None:
            return entry.age <= self.before
        is_same = (found.mtime_ns, found.size) == (entry.mtime_ns, entry.size)
        return is_same and (found.done.size >= entry.size or not entry.is_final(now_ns))

    def done(self, entry: Entry) -> Done:
        """Return what of a file has been taken before."""
        found = self.files.get(entry.key)
        return found.done if found else NOTHING

    def note(self, entry: Entry, done: Done) -> None:
        """Remember that a file has been read."""
        self.files.pop(entry.key, None)
        self.files[entry.key] = _Read(entry.mtime_ns, entry.size, done)

    def forget(self, present: Sequence[Entry]) -> None:
        """Make room: first of what is not in the folder any more, then of the oldest."""
        if len(self.files) <= MAX_REMEMBERED:
            return
        here = {each.key: each for each in present}
        for gone in [key for key in self.files if key not in here][: len(self.files) - MAX_REMEMBERED]:
            del self.files[gone]
        oldest = sorted(self.files, key=lambda key: here[key].age if key in here else (0, ""))
        for key in oldest[: max(len(self.files) - MAX_REMEMBERED, 0)]:
            del self.files[key]
            self.before = max(self.before, here[key].age)


@dataclass(slots=True)
class Folder:
    """One folder, while it is this process's turn to read it."""

    source: FolderSource | SftpSource
    where: str
    shelf: Shelf
    means: Means
    turn: Turn
    limit: int
    """Of one file, in bytes."""
    _resting: dict[str, tuple[Entry, float]] = field(default_factory=dict)
    """Files that are not read yet, as they were seen first so, and when."""
    _too_large: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    """Files that cannot be taken as they are, with the reason, so that they are not read again and again."""
    _saved_s: float = 0.0

    async def for_ever(self) -> None:
        """Look again and again. Raises SourceFailed, and what intake raises, but for the bus being away."""
        while True:
            await self.look()
            # What was seen for the first time comes to rest after `settle_s`, perhaps before the next look.
            soon_s = max(self.source.settle_s, 1.0) if self._resting else self.source.every_s
            await wait_s(min(self.source.every_s, soon_s))

    async def look(self) -> None:
        """Read what is new and has come to rest; say what is wrong with which file. Raises SourceFailed."""
        remembered, now_ns = self._place(), int(self.means.now().timestamp() * 1e9)
        present = [each for each in await self.shelf.listed() if is_wanted(each.name, self.source.pattern)]
        self._too_large = {each.name: self._too_large[each.name] for each in present if each.name in self._too_large}
        faults = []
        for entry in self._at_rest([each for each in present if not remembered.is_read(each, now_ns)]):
            heed_cancellation()
            try:
                await self._take(entry, remembered, is_final=entry.is_final(now_ns))
            except FileFault as error:
                faults.append(f"{entry.shown}: {error}")
            if monotonic_s() - self._saved_s >= SAVE_EVERY_S:
                await self._save(remembered, present)
        await self._save(remembered, present)
        if len(present) > MAX_REMEMBERED:
            faults.append(f"there are {len(present)} files; move old ones away, or late ones may be taken for read")
        if faults:
            more = f"; and {len(faults) - MAX_SAID} more" if len(faults) > MAX_SAID else ""
            self.means.trouble("; ".join(faults[:MAX_SAID]) + more)
        else:
            self.means.works()

    def _at_rest(self, new: Sequence[Entry]) -> list[Entry]:
        """Return the files that have not changed for long enough, the oldest first."""
        now_s = monotonic_s()
        resting = {}
        for entry in new:
            before = self._resting.get(entry.name)
            resting[entry.name] = before if before is not None and before[0] == entry else (entry, now_s)
        self._resting = resting
        found = [entry for entry, since_s in resting.values() if now_s - since_s >= self.source.settle_s]
        return sorted(found, key=lambda each: each.age)

    async def _take(self, entry: Entry, remembered: Remembered, *, is_final: bool) -> None:
        before, reason = self._too_large.get(entry.name, (None, ""))
        if before == entry:
            raise FileFault(reason)
        data = await self.shelf.read(entry, self.limit)
        if data is None:
            return  # it moves still
        try:
            parts, done = new_parts(entry.name, data, self.source.mapping, remembered.done(entry), is_final=is_final)
        except TooLarge as error:
            self._too_large[entry.name] = entry, str(error)
            raise FileFault(str(error)) from error
        for part in parts:
            await hand_over(Body(self.source, part, "", self.means.now(), entry.shown), self.means)
        remembered.note(entry, done)
        self._resting.pop(entry.name, None)

    def _place(self) -> Remembered:
        try:
            place = FilesPlace.model_validate(self.turn.place or {})
        except ValidationError:
            place = FilesPlace()
        if place.of != digest_of(self.where.encode()):
            return Remembered()
        files = {key: _Read(mtime_ns, size, Done(done, digest)) for key, mtime_ns, size, done, digest in place.files}
        return Remembered(files, place.before)

    async def _save(self, remembered: Remembered, present: Sequence[Entry]) -> None:
        remembered.forget(present)
        files = tuple(
            (key, each.mtime_ns, each.size, each.done.size, each.done.digest) for key, each in remembered.files.items()
        )
        place = FilesPlace(of=digest_of(self.where.encode()), before=remembered.before, files=files)
        saved: Any = place.model_dump(mode="json")
        await self.turn.save(saved)
        self._saved_s = monotonic_s()


def is_wanted(name: str, pattern: str) -> bool:
    """Tell whether a file is one to read: its name fits, whatever its case, and is not that of an unfinished one."""
    plain = name.lower()
    if plain.startswith((".", "~")) or plain.endswith(UNFINISHED):
        return False
    return fnmatchcase(plain, pattern.lower())
