"""What any version has stored on the bus is read by this one, to the last field, and by the one before it.

`golden/<version>` holds real messages: streams and buckets of a house of that version, a line each, with the subject.
They are never changed. A new version adds a folder of its own for what is new in it; keys in them are made up.
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from services.aggregator.checkpoint import FORMAT, Manifest, dump, restore
from services.aggregator.fold import Fold, Partition, written
from services.auditor.applied import understood
from services.ingest.positions import Position
from services.publisher.accounts import Lease
from services.publisher.calendars import Reminded
from shared.contracts import subjects
from shared.contracts.audit import AuditEntry
from shared.contracts.configuration import LibraryConfig
from shared.contracts.desk import DeskRecord, Former, Invitation, Person, Session, Tablet, Tries
from shared.contracts.devices import Claim, DeviceState, QuarantinedBody
from shared.contracts.fediverse import Actor, ActorKey, Featured, Follower, Inbox, Instance, Note, Summary
from shared.contracts.feeds import Feed
from shared.contracts.leaf import Carried, LeafState, Place
from shared.contracts.posting import Memory
from shared.contracts.posts import Approval, Delivery, LivePost, PostIntent
from shared.contracts.push import Offer, StoredWish
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.contracts.status import DayHistory, PublicStatus, StatusChanged
from shared.contracts.stored import read_stored
from shared.contracts.streams import BUCKETS, STREAMS
from shared.domain.library_state import LibraryState
from shared.runtime.opening_hours import OsmOpeningHours

GOLDEN: Final = Path(__file__).parent / "golden"
NOON: Final = datetime(2026, 11, 23, 11, tzinfo=UTC)
LIBRARY: Final[dict[str, Any]] = {
    "id": "central",
    "name": "Central",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "front"}],
}

KINDS: Final[tuple[tuple[str, type[BaseModel] | None], ...]] = (
    (r"readings\.v1\.\d+", Pack),
    (r"configured\.v1\.\d+", Configured),
    (r"carried\.v1\.[^.]+", Carried),
    (r"ticks\.v1", Tick),
    (r"quarantine\.v1\.device\..+", QuarantinedBody),
    (r"changes\.v1\..+", StatusChanged),
    (r"posts\.v1\..+", PostIntent),
    (r"audit\.v1\..+", AuditEntry),
    (r"\$KV\.STATUS\..+", PublicStatus),
    (r"\$KV\.LIBRARIES\..+", LibraryConfig),
    (r"\$KV\.DELIVERIES\..+\.live-[a-z]+", LivePost),
    (r"\$KV\.DELIVERIES\..+", Delivery),
    (r"\$KV\.HISTORY\..+", DayHistory),
    (r"\$KV\.CHECKPOINTS\.p\d+", Manifest),
    (r"\$KV\.CHECKPOINTS\.p\d+\.[ab]\.\d+", None),  # bytes; a test of its own
    (r"\$KV\.POSTING\.[^.]+\.events", Reminded),
    (r"\$KV\.POSTING\..+", Memory),
    (r"\$KV\.SENDERS\..+", Lease),
    (r"\$KV\.SESSIONS\..+", None),  # each channel's own: its adapter's tests read what it writes
    (r"\$KV\.APPROVALS\..+", Approval),
    (r"\$KV\.FEEDS\..+", Feed),
    (r"\$KV\.SUBSCRIPTIONS\.offer\..+", Offer),
    (r"\$KV\.SUBSCRIPTIONS\.wish\..+", StoredWish),
    (r"\$KV\.CLAIMS\..+", Claim),
    (r"\$KV\.DEVICES\..+", DeviceState),
    (r"\$KV\.POSITIONS\.leaf\.[^.]+", LeafState),
    (r"\$KV\.POSITIONS\.leaf\..+\..+", Place),
    (r"\$KV\.POSITIONS\.source\..+", Position),
    (r"\$KV\.STAFF\.[^.]+\.person\..+", Person),
    (r"\$KV\.STAFF\.[^.]+\.former\..+", Former),
    (r"\$KV\.STAFF\.[^.]+\.tablet\..+", Tablet),
    (r"\$KV\.STAFF\.[^.]+\.invitation\..+", Invitation),
    (r"\$KV\.STAFF\.[^.]+\.session\..+", Session),
    (r"\$KV\.STAFF\.[^.]+\.tries\..+", Tries),
    (r"\$KV\.DESK\..+", DeskRecord),
    (r"\$KV\.ACTORS\.actor\..+", Actor),
    (r"\$KV\.ACTORS\.key\..+", ActorKey),
    (r"\$KV\.ACTORS\.note\..+", Note),
    (r"\$KV\.ACTORS\.featured\..+", Featured),
    (r"\$KV\.ACTORS\.summary\..+", Summary),
    (r"\$KV\.ACTORS\.instance", Instance),
    (r"\$KV\.ACTORS\.follower\..+", Follower),
    (r"\$KV\.ACTORS\.inbox\..+", Inbox),
)
"""Which model reads what, the first that fits; written down here and not taken from the code that is tested."""
NOTHING_TO_READ: Final = {
    subjects.DEVICE_BODIES: "bodies of devices, as they came",
    subjects.DEAD: "copies of what stood elsewhere",
    "AUDIT": "begins with the next version",
    "AUDITOR": "begins with the next version",
}


def samples(suffix: str = "body") -> list[Any]:
    found = []
    for path in sorted(GOLDEN.glob("*/*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            sample = json.loads(line)
            if suffix in sample:
                found.append(pytest.param(sample, id=f"{path.parent.name}-{path.stem}-{number}"))
    return found


def model_of(subject: str) -> type[BaseModel] | None:
    for pattern, model in KINDS:
        if re.fullmatch(pattern, subject):
            return model
    pytest.fail(f"no model is named for {subject}")


NOT_TO_BE_READ: Final = {"write"}
"""A mark that makes each writing of a device's state another one; nobody reads it."""
MAPS: Final = {"accounts", "channels", "follow", "lines", "options", "place", "sentences", "wording"}
"""Fields that hold anything by any name: one more would be an entry more, or stand in a channel's own words."""


def is_within(old: Any, new: Any) -> bool:
    """Tell whether all that was said is still there; moments may be written otherwise."""
    if isinstance(old, dict):
        said = {key: value for key, value in old.items() if key not in NOT_TO_BE_READ}
        return isinstance(new, dict) and all(key in new and is_within(value, new[key]) for key, value in said.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(is_within, old, new))
    return bool(old == new) or (isinstance(old, str) and isinstance(new, str) and moment(old) == moment(new) != "")


def moment(text: str) -> str:
    return text.replace("+00:00", "Z") if re.match(r"\d{4}-\d\d-\d\dT", text) else ""


def with_more(value: Any) -> Any:
    """Return what a newer version might say: a field more in everything that has fields."""
    if isinstance(value, dict):
        more = {key: each if key in MAPS else with_more(each) for key, each in value.items()}
        return {**more, "said_by_a_newer_version": {"and": ["more"]}}
    return [with_more(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("sample", samples())
def test_what_an_older_version_has_stored_is_read_to_the_last_field(sample: dict[str, Any]) -> None:
    model = model_of(sample["subject"])
    if model is None:
        return
    read = read_stored(model, json.dumps(sample["body"]))
    again = json.loads(read.model_dump_json(by_alias=True))
    assert is_within(sample["body"], again), f"{model.__name__} does not know all of it any more"


@pytest.mark.parametrize("sample", samples())
def test_what_a_newer_version_adds_does_not_stop_this_one(sample: dict[str, Any]) -> None:
    model = model_of(sample["subject"])
    if model is None:
        return
    told = json.dumps(with_more(sample["body"]))
    if model is Configured:  # its configuration is JSON there, and is understood by the aggregator alone
        assert folded(sample["subject"], told) == folded(sample["subject"], json.dumps(sample["body"]))
        return
    assert read_stored(model, told) == read_stored(model, json.dumps(sample["body"]))


def folded(subject: str, body: str) -> tuple[LibraryConfig, LibraryState]:
    """Return what the aggregator makes of a configuration."""
    fold = Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours)
    fold.apply(subject, body.encode(), 1)
    [kept] = fold.all_kept()
    return kept.config, kept.state


def test_every_configuration_among_the_samples_stands_in_a_checkpoint_as_it_was_said(
    subtests: pytest.Subtests,
) -> None:
    """So an older version finds no key there that nobody has used: 0.1 refuses what it does not know."""
    bodies = [each.values[0]["body"] for each in samples() if model_of(each.values[0]["subject"]) is Configured]
    assert bodies
    for body in bodies:
        with subtests.test(library=body["library"]):
            assert is_within(written(LibraryConfig.model_validate(body["config"])), body["config"])


def test_a_checkpoint_of_this_format_is_taken_up(subtests: pytest.Subtests) -> None:
    by_version: dict[str, dict[str, Any]] = {}
    for path in sorted(GOLDEN.glob("*/KV_CHECKPOINTS.jsonl")):
        by_version[path.parent.name] = {
            (sample := json.loads(line))["subject"]: sample for line in path.read_text(encoding="utf-8").splitlines()
        }
    assert by_version
    for version, kept in by_version.items():
        with subtests.test(version=version):
            manifest = Manifest.model_validate(kept["$KV.CHECKPOINTS.p0"]["body"])
            [chunk] = [sample for subject, sample in kept.items() if subject.count(".") > 2]
            body = b64decode(chunk["base64"])
            partition = restore(0, manifest.covered, body, OsmOpeningHours)
            if manifest.format == FORMAT:  # of another one the log is read anew; that is what the number is for
                assert partition is not None
                assert list(partition.libraries) == ["campus"]
            else:
                assert manifest.format < FORMAT


def test_a_checkpoint_to_which_a_newer_version_has_added_everywhere_is_taken_up() -> None:
    """One steps back: what is new in the state, the configuration, a channel and a waiting pack comes all at once."""
    channel = {"type": "ntfy", "topic": "central-live"}
    config = LibraryConfig.model_validate({**LIBRARY, "channels": [channel]})
    number = subjects.partition_of(config.id)
    partition = Partition(number)
    fold = Fold([partition], OsmOpeningHours)
    body = Configured(library=config.id, revision=3, at=NOON, config=written(config))
    fold.apply(subjects.configured(number), body.model_dump_json().encode(), 1)
    reading = {"kind": "head_count", "library": config.id, "device": "desk", "id": "h", "time": NOON, "people": 30}
    pack = Pack.model_validate({"received_at": NOON, "readings": [reading]})
    fold.apply(subjects.readings(number), pack.model_dump_json().encode(), 2)
    partition.waiting["unheard"] = [pack]

    told = json.loads(zlib.decompress(dump(partition)))
    [library], [waiting] = told["libraries"], told["waiting"]["unheard"]
    more = (told, library, library["state"], library["state"]["totals"], library["state"]["days"]["2026-11-23"])
    for each in (*more, library["config"], library["config"]["gates"][0], waiting, waiting["readings"][0]):
        each["said_by_a_newer_version"] = {"and": ["more"]}
    newer = zlib.compress(json.dumps(told).encode())

    kept = partition.libraries[config.id]
    taken, seen = restore(number, 2, newer, OsmOpeningHours), understood(number, 2, newer)
    assert taken is not None
    again = taken.libraries[config.id]
    assert (again.config, again.state, taken.waiting) == (kept.config, kept.state, partition.waiting)
    assert again.config.channels[0].options == {"topic": "central-live"}
    assert seen is not None
    _, config_seen, state_seen = seen.libraries[config.id]
    assert (config_seen, state_seen.totals, seen.waiting) == (kept.config, kept.state.totals, partition.waiting)


def test_every_kind_of_reading_is_among_the_samples() -> None:
    said = {
        reading["kind"]
        for sample in (each.values[0] for each in samples())
        if sample["subject"].startswith("readings.")
        for reading in sample["body"]["readings"]
    }
    known = {each["$ref"].rpartition("/")[2] for each in READING.json_schema()["oneOf"]}
    assert len(said) == len(known), f"{sorted(said)} of {sorted(known)}"


def test_every_stream_and_bucket_has_samples() -> None:
    there = {path.stem for path in GOLDEN.glob("*/*.jsonl")}
    wanted = {each.name for each in STREAMS} | {subjects.bucket_stream(each.name) for each in BUCKETS}
    missing = wanted - there - set(NOTHING_TO_READ) - {subjects.bucket_stream(each) for each in NOTHING_TO_READ}
    assert not missing
