"""Taking a body of a device in: read, brought into normal form, stored; what cannot be goes to quarantine with why.

Whatever brought the body, the answer is the same: once `take` has returned, every figure of it is on the bus as a
reading, or the body is in quarantine, or there was nothing to count. If the bus is away nothing is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal

from services.ingest import devices
from services.ingest.bodies import Fault
from services.ingest.body import Body, Taken
from services.ingest.device_states import DeviceStates, Kept
from services.ingest.devices.documents import Document
from services.ingest.devices.format import DeviceReport, Unreadable
from services.ingest.normal_form import Normal, normal_form
from services.ingest.normalise import Accepted
from services.ingest.registry import Known, Registry
from services.ingest.scrub import Scrubbed, scrub
from services.ingest.store import QUARANTINE_TYPE, attributes, store
from shared.contracts import subjects
from shared.contracts.devices import (
    FolderSource,
    ListenerSource,
    PollSource,
    QuarantinedBody,
    SftpSource,
    UrlSource,
    serial_token,
)
from shared.contracts.readings import MAX_READINGS_PER_REQUEST
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from shared.runtime.logs import logger
from shared.runtime.rate_limits import RateLimit

log = logger(__name__)

Code = Literal["unclaimed", "unreadable", "unknown-format", "partly", "refused"]
MAX_UNCLAIMED: Final = 25
"""Devices of one body that are quarantined each by itself; of more the body is kept once, for all of them."""
MAX_UNCLAIMED_CHARACTERS: Final = 1024 * 1024
"""Of one body in all its copies; of more it is kept once, or a few bodies would fill quarantine for everybody."""
MAX_REASON: Final = 400
ARCHIVES: Final = (FolderSource, PollSource, SftpSource)
"""Sources whose bodies tell of earlier: when they come says nothing about a device's clock."""
SENT: Final = (UrlSource, ListenerSource)
"""Sources whose bodies come by themselves, from whoever knows an address or a password: these have a share each of
quarantine. What we fetch, from servers that the configuration names, fills no more than we ask for."""
OF_A_RECORD: Final = 500
"""Bytes that the words around a body in quarantine take, about."""


class QuarantineFull(BusFull):
    """The source has filled its share of quarantine; nothing is acknowledged. `retry_after_s` says when it may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("this source has filled its share of quarantine")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Intake:
    """What every transport gives its bodies to."""

    registry: Registry
    store_timeout_s: float
    share: RateLimit | None = None
    """Of quarantine, in bytes, by source."""
    bus: Bus | None = None
    states: DeviceStates | None = None

    def connect(self, bus: Bus) -> DeviceStates:
        """Take the bus, once it is there; return the devices' states, to be kept stored."""
        self.bus, self.states = bus, DeviceStates(bus)
        return self.states

    async def take(self, body: Body) -> Taken:
        """Store what a body says.

        Raises BusUnavailable, BusFull, QuarantineFull: nothing is acknowledged; bring it again.
        """
        if self.registry.source(body.source.id) is None:
            raise BusUnavailable("its source is not configured any more")
        taking = _Taking(self, body, body.document())
        taken = await taking.take()
        metrics.DEVICE_BODIES.labels(body.source.type, taking.outcome).inc()
        return taken

    async def take_again(self, kept: QuarantinedBody, known: Known) -> int:
        """Count a quarantined body for a device that is known by now; return how many readings that made.

        Only what concerns this device is counted, and nothing goes to quarantine again. Raises BusUnavailable.
        """
        source = self.registry.source(kept.source)
        if source is None:
            return 0
        body = Body.out_of_quarantine(kept, source)
        return await _Taking(self, body, body.document()).take_for(known)


@dataclass(slots=True)
class _Taking:
    """One body on its way."""

    intake: Intake
    body: Body
    document: Document
    format: str = ""
    outcome: str = "empty"
    reasons: list[str] = field(default_factory=list)
    quarantined: set[str] = field(default_factory=set)
    """Serial numbers under which the body is in quarantine."""
    scrubbed: Scrubbed | None = None

    async def take(self) -> Taken:
        try:
            reports = self._read()
        except devices.UnknownFormat as error:
            return await self._refuse("unknown-format", str(error))
        except Unreadable as error:
            return await self._refuse("unreadable", str(error))
        stored = 0
        known, unclaimed = self._sorted(reports)
        known = await self._without_strangers(known)
        for each, report in known:  # before the others are kept: a full quarantine must not keep them from counting
            stored += await self._count(each, report)
        await self._quarantine_unclaimed(unclaimed)
        for each, report in self._sorted(unclaimed)[0]:  # claimed while they were on their way into quarantine
            stored += await self._count(each, report)
        if stored:
            self.outcome = "partly" if self.quarantined else "counted"
        return Taken(stored, min(len(self.quarantined), 1), tuple(dict.fromkeys(self.reasons)))

    async def take_for(self, known: Known) -> int:
        try:
            reports = self._read()
        except Unreadable:
            return 0  # it is in quarantine with that reason, and stays there
        stored = 0
        for report in reports:
            found = self.intake.registry.find(self.body.source.id, report.serial)
            if known.is_same_box(found) and not await self._is_stranger(known, report):
                stored += await self._count(known, report, is_new=False)
        return stored

    def _read(self) -> Sequence[DeviceReport]:
        source = self.body.source
        try:
            read = self.body.read(self.document, self.intake.registry.time_zone_of(source))
        except Unreadable:
            raise
        except Exception as error:
            # A format must not do this, and one device's body must not be the end of all others'. Without its words,
            # which may be of the body.
            log.error("format_failed", source=source.id, error=type(error).__name__)  # noqa: TRY400
            raise Unreadable("its reader failed; please report this body's shape") from error
        self.format = read.format
        return read.reports

    def _sorted(self, reports: Sequence[DeviceReport]) -> tuple[list[tuple[Known, DeviceReport]], list[DeviceReport]]:
        known, unclaimed = [], []
        for report in reports:
            found = self.intake.registry.find(self.body.source.id, report.serial)
            if found is not None:
                known.append((found, report))
            elif report.measurements or report.faults:
                unclaimed.append(report)
        return known, unclaimed

    async def _without_strangers(self, known: list[tuple[Known, DeviceReport]]) -> list[tuple[Known, DeviceReport]]:
        """Return reports but for those of another box than the one that has counted for its device so far."""
        ours = []
        for each, report in known:
            if await self._is_stranger(each, report):
                reason = f"another box has counted as {each.device.id} so far: claim this one by its serial number"
                await self._quarantine(report.serial, "unclaimed", reason)
            else:
                ours.append((each, report))
        return ours

    async def _is_stranger(self, known: Known, report: DeviceReport) -> bool:
        """Tell whether a device that was claimed without a serial number has shown another one before."""
        if known.device.serial or not report.serial:
            return False
        states = self.intake.states
        assert states is not None
        return (await states.get(known)).state.serial not in {"", report.serial}

    async def _quarantine_unclaimed(self, unclaimed: Sequence[DeviceReport]) -> None:
        size = len(unclaimed) * len(self._kept().text)
        if len(unclaimed) > MAX_UNCLAIMED or (len(unclaimed) > 1 and size > MAX_UNCLAIMED_CHARACTERS):
            await self._quarantine("", "unclaimed", f"it speaks of {len(unclaimed)} devices that nobody has claimed")
            return
        for report in unclaimed:
            await self._quarantine(report.serial, "unclaimed", "nobody has claimed this device: `placelibre devices`")

    async def _count(self, known: Known, report: DeviceReport, *, is_new: bool = True) -> int:
        states = self.intake.states
        assert states is not None
        kept = await states.get(known)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(kept.busy)
            normal = self._normal(known, kept, report)
            faults = [*(f"{each.place}: {each.reason}" for each in report.faults), *_words(normal.faults)]
            if faults and is_new:
                code: Code = "partly" if normal.accepted else "refused" if normal.faults else "unreadable"
                counts = bool(normal.accepted)
                await self._quarantine(report.serial, code, "; ".join(faults), known, counts=counts)
                normal.state.quarantined += 1
            elif normal.unled and is_new:
                # They count once somebody leads their line somewhere: the body is read again then.
                reason = f"line {', '.join(dict.fromkeys(normal.unled))[:120]} is led nowhere"
                counts = bool(normal.accepted)
                await self._quarantine(report.serial, "partly", reason, known, counts=counts)
            if normal.found:
                # Kept before anything of it counts: after a crash the same passages must not count in two meanings.
                kept.state.lines = normal.state.lines
                await states.store(known)
            await self._store(normal.accepted)
            kept.state = normal.state
            for each in normal.accepted:
                kept.remember(each.reading.id or "")
            states.touch(known)
        return len(normal.accepted)

    def _normal(self, known: Known, kept: Kept, report: DeviceReport) -> Normal:
        received_at = self.body.received_at
        state = kept.state
        if isinstance(self.body.source, ARCHIVES):
            normal = normal_form(known, report, state, received_at, seen=kept.ids, is_archive=True)
            normal.state.skew_s = None
        else:
            offset = kept.offset(report, received_at.timestamp())
            normal = normal_form(known, report, state, received_at, offset, kept.ids)
            if not normal.state.is_clock_standing:
                normal.state.skew_s = kept.skew(normal.state.skew_s)
        normal.state.format = self.format
        return normal

    async def _store(self, accepted: list[Accepted]) -> None:
        bus = self.intake.bus
        assert bus is not None
        for start in range(0, len(accepted), MAX_READINGS_PER_REQUEST):
            part = accepted[start : start + MAX_READINGS_PER_REQUEST]
            await store(bus, part, self.body.received_at, self.intake.store_timeout_s)
        for each in accepted:
            metrics.INGEST_READINGS.labels(each.reading.kind, "stored").inc()

    async def _refuse(self, code: Code, reason: str) -> Taken:
        await self._quarantine("", code, reason)
        known, states = self.intake.registry.find(self.body.source.id, ""), self.intake.states
        if known is not None and states is not None:
            kept = await states.get(known)
            async with kept.busy:
                kept.state.last_seen, kept.state.quarantined = self.body.received_at, kept.state.quarantined + 1
            states.touch(known)
        return Taken(0, 1, tuple(self.reasons))

    def _kept(self) -> Scrubbed:
        """Return what quarantine may keep of the body; worked out once."""
        if self.scrubbed is None:
            self.scrubbed = scrub(self.document)
        return self.scrubbed

    def _is_beyond_share(self) -> int:
        """Return after how many seconds the source may fill more of quarantine; 0 for now."""
        share, source = self.intake.share, self.body.source
        if share is None or not isinstance(source, SENT):
            return 0
        return share.retry_after_s(f"source {source.id}", len(self._kept().text) + OF_A_RECORD)

    async def _quarantine(
        self, serial: str, code: Code, reason: str, known: Known | None = None, *, counts: bool = False
    ) -> None:
        """Keep the body without its pictures; `counts` where other parts of it do, with or without it being kept.

        Raises BusUnavailable, BusFull, QuarantineFull.
        """
        intake, body = self.intake, self.body
        assert intake.bus is not None
        retry_after_s = self._is_beyond_share()
        if retry_after_s and not counts:
            raise QuarantineFull(retry_after_s)
        self.outcome = code
        self.reasons.append(reason[:MAX_REASON])
        if retry_after_s:  # what can be counted of it counts all the same
            self.reasons.append("the body is not kept: this source has filled its share of quarantine")
            return
        self.quarantined.add(serial)
        library = known.library.id if known else intake.registry.library_of(body.source)
        scrubbed = self._kept()
        kept = QuarantinedBody(
            received_at=body.received_at,
            library=library,
            source=body.source.id,
            serial=serial,
            format=self.format,
            code=code,
            reason=reason[:MAX_REASON],
            media_type=self.document.media_type,
            topic=body.topic[:300],
            body=scrubbed.text,
            is_hex=scrubbed.is_hex,
            removed=scrubbed.removed[:MAX_REASON],
        )
        identity = blake2b(kept.model_dump_json().encode(), digest_size=16).hexdigest()
        subject = subjects.quarantined_body(library, body.source.id, serial_token(serial))
        headers = attributes(identity, QUARANTINE_TYPE, body.received_at)
        await intake.bus.publish(
            subject,
            kept.model_dump_json(exclude_defaults=True).encode(),
            message_id=identity,
            headers=headers,
            timeout_s=intake.store_timeout_s,
        )
        metrics.DEVICE_QUARANTINED.labels(code).inc()


def _words(faults: Sequence[Fault]) -> list[str]:
    return [each.reason for each in faults]
