"""Pictures of statuses, drawn once per status and language, in a thread: a PNG takes longer than an event loop has."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from services.api.projection import etag_of

KEPT_MAX: Final = 512
"""Pictures kept; the one asked for longest ago goes first. About 40 kB each."""
AT_ONCE: Final = 2
"""Pictures drawn at the same time, so that they leave the processor to statuses."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a picture and their ETag."""

    body: bytes
    etag: str


@dataclass(slots=True)
class Pictures:
    """The pictures drawn last. Whoever asks for one under way waits for it."""

    kept_max: int = KEPT_MAX
    _kept: OrderedDict[Hashable, Picture] = field(default_factory=OrderedDict)
    _drawing: dict[Hashable, asyncio.Task[Picture]] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def under_way(self) -> int:
        """How many are being drawn, or wait for that."""
        return len(self._drawing)

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether a picture is there, or will be without another being begun."""
        return key in self._kept or key in self._drawing

    async def get(self, key: Hashable, draw: Callable[[], bytes]) -> Picture:
        """Return the picture for a key, drawn by `draw` if there is none."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        task = self._drawing.get(key)
        if task is None:
            task = self._drawing[key] = asyncio.create_task(self._draw(key, draw))
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return await asyncio.shield(task)  # others wait for it, too

    async def _draw(self, key: Hashable, draw: Callable[[], bytes]) -> Picture:
        async with self._places:
            body = await asyncio.to_thread(draw)
        picture = self._kept[key] = Picture(body, etag_of(body))
        if len(self._kept) > self.kept_max:
            self._kept.popitem(last=False)
        return picture

    def _forget(self, key: Hashable, task: asyncio.Task[Picture]) -> None:
        del self._drawing[key]
        if not task.cancelled():
            task.exception()  # looked at, since everybody who waited may have gone
