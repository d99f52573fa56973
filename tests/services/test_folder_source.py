"""Files that are put into a folder: each counts once, whole, whatever is done to it and to us meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources import files, folder, rows
from services.ingest.sources.files import Entry, Remembered, is_wanted
from services.ingest.sources.handing import MAX_BODY_BYTES
from services.ingest.sources.rows import NOTHING, Done, TooLarge, new_parts
from shared.contracts.devices import FolderSource, Mapping
from shared.runtime.bus import Bus, BusFull
from shared.runtime.clock import now
from tests.fakes.transports import Bench, Takings, until

HEAD = "time,in,out\n"
CSV = f"{HEAD}10:00,1,2\n10:01,3,4\n"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def bench(standing: Bus, tmp_path: Path) -> Bench:
    return Bench(standing, folder.RUNNER, tmp_path)


def source(path: Path, **more: Any) -> FolderSource:
    given = {"every_s": 0.05, "settle_s": 0.1, "pattern": "*", "credentials": "", "mapping": None, **more}
    return FolderSource.model_construct(type="folder", id=f"f-{token_hex(4)}", path=str(path), **given)


def age(path: Path, by: timedelta) -> None:
    at = (now() - by).timestamp()
    os.utime(path, (at, at))


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def move(here: Path, there: Path) -> None:
    here.rename(there)


async def looked(bench: Bench, times: int = 3) -> None:
    """Wait for some more looks without a fault."""
    before = bench.worked
    await until(lambda: bench.worked >= before + times, bench.troubles)


async def test_files_come_in_whole_in_their_order_and_once(bench: Bench, inbox: Path) -> None:
    for number in (3, 1, 2):
        (inbox / f"{number}.xml").write_text(f"<a>{number}</a>")
        age(inbox / f"{number}.xml", timedelta(minutes=number))
    ours = source(inbox)
    async with bench.running(ours):
        await bench.takings.until(3)
        await looked(bench)
    assert [(each.topic, each.data) for each in bench.takings.bodies] == [
        (f"{number}.xml", f"<a>{number}</a>".encode()) for number in (3, 2, 1)
    ]
    assert names_in(inbox) == {"1.xml", "2.xml", "3.xml"}
    async with bench.running(ours):
        await looked(bench)
    assert len(bench.takings.bodies) == 3


async def test_a_file_that_is_written_slowly_is_read_once_it_rests(bench: Bench, inbox: Path) -> None:
    async with bench.running(source(inbox, settle_s=0.5)):
        with (inbox / "day.json").open("w") as file:
            file.write("[")
            for number in range(20):
                file.write(f"{number},")
                file.flush()
                await asyncio.sleep(0.05)
            file.write("20]")
        await bench.takings.until(1)
        await looked(bench)
    assert bench.takings.texts == [(inbox / "day.json").read_text()]


async def test_of_a_file_that_grows_only_new_rows_come(bench: Bench, inbox: Path) -> None:
    day = inbox / "day.csv"
    day.write_text(CSV)
    async with bench.running(source(inbox)):
        await bench.takings.until(1)
        with day.open("a") as file:
            file.write("10:02,5,6\n10:0")
        await bench.takings.until(2)
        with day.open("a") as file:
            file.write("3,7,8\n")
        await bench.takings.until(3)
        await looked(bench)
    assert bench.takings.texts == [CSV, f"{HEAD}10:02,5,6\n", f"{HEAD}10:03,7,8\n"]


async def test_a_file_that_is_replaced_is_read_again(bench: Bench, inbox: Path) -> None:
    (inbox / "a.csv").write_text(CSV)
    (inbox / "b.xml").write_text("<a/>")
    async with bench.running(source(inbox)):
        await bench.takings.until(2)
        (inbox / "a.csv").write_text(f"{HEAD}11:00,9,9\n")
        (inbox / "b.xml").write_text("<b/>")
        await bench.takings.until(4)
        (inbox / "b.xml").touch()  # with nothing new in it
        await looked(bench)
    assert sorted(bench.takings.texts[2:]) == sorted([f"{HEAD}11:00,9,9\n", "<b/>"])


async def test_what_is_not_finished_or_not_meant_is_left_alone(bench: Bench, inbox: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret")
    for name in (".hidden.csv", "a.csv.part", "b.csv.tmp", "c.csv~", "~lock.csv", "d.csv.filepart", "other.log"):
        (inbox / name).write_text("x")
    (inbox / "link.csv").symlink_to(secret)
    (inbox / "folder.csv").mkdir()
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "GOOD.CSV").write_text("good")
    async with bench.running(source(inbox, pattern="*.csv")):
        await bench.takings.until(1)
        await looked(bench)
    assert bench.takings.texts == ["good"]


async def test_a_link_put_in_the_place_of_a_file_is_not_followed(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (inbox / "a.csv").symlink_to(tmp_path / "secret")
    with ThreadPoolExecutor(1) as thread:
        disk = folder.Disk(inbox, thread)
        with pytest.raises(files.FileFault, match="it cannot be read"):
            await disk.read(Entry("a.csv", 0, 6), 100)
        assert await disk.read(Entry("gone.csv", 0, 6), 100) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_is_said_and_harms_no_other_as_its_owner(bench: Bench, inbox: Path) -> None:
    (inbox / "a.csv").write_text("x")
    (inbox / "a.csv").chmod(0)
    (inbox / "b.csv").write_text("good")
    async with bench.running(source(inbox)):
        await bench.takings.until(1)
        await until(lambda: "a.csv: it cannot be read: Permission denied" in bench.troubles)


async def test_a_file_that_is_too_large_is_said_and_harms_no_other(
    bench: Bench, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MAX_BODY_BYTES", 100)
    monkeypatch.setattr(folder, "MAX_FILE_BYTES", 1000)
    (inbox / "a.xml").write_text("<a>" + "x" * 200)
    (inbox / "b.csv").write_text("x" * 1001)
    (inbox / "c.csv").write_text("good")
    async with bench.running(source(inbox)):
        await bench.takings.until(1)
        await until(lambda: bool(bench.troubles))
        (inbox / "a.xml").write_text("<a/>")
        (inbox / "b.csv").unlink()
        await bench.takings.until(2)
        await looked(bench)
    said = bench.troubles[0]
    assert "a.xml: it has 203 bytes, and 100 are the most; only CSV can be taken in parts" in said
    assert "b.csv: it has 1001 bytes, and 1000 are the most" in said
    assert bench.takings.texts == ["good", "<a/>"]


async def test_a_folder_that_is_away_is_said_and_found_again(bench: Bench, inbox: Path) -> None:
    (inbox / "a.csv").write_text(CSV)
    async with bench.running(source(inbox)):
        await bench.takings.until(1)
        move(inbox, inbox.with_name("away"))
        await until(lambda: "the folder cannot be read: No such file or directory" in bench.troubles)
        move(inbox.with_name("away"), inbox)
        await looked(bench)
    assert len(bench.takings.bodies) == 1


async def test_a_file_counts_once_it_is_stored(bench: Bench, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest ends while it takes the second of three files: the first one is not read again, the others are."""
    monkeypatch.setattr(files, "SAVE_EVERY_S", 0.0)

    class Dies(Takings):
        async def take(self, body: Any) -> Any:
            if len(self.bodies) == 1:
                await asyncio.sleep(3600)
            return await super().take(body)

    for number in range(3):
        (inbox / f"{number}.csv").write_text(f"{number}")
        age(inbox / f"{number}.csv", timedelta(minutes=9 - number))
    ours = source(inbox)
    bench.takings = Dies()
    async with bench.running(ours):
        await bench.takings.until(1)
        await asyncio.sleep(0.1)
    bench.takings = Takings(faults=[BusFull("full")])
    monkeypatch.setattr("services.ingest.sources.handing.SHORTEST_PAUSE_S", 0.01)
    async with bench.running(ours):
        await bench.takings.until(2)
        await looked(bench)
    assert bench.takings.texts == ["1", "2"]


async def test_a_last_row_without_an_end_counts_once_nothing_more_comes(bench: Bench, inbox: Path) -> None:
    day = inbox / "day.csv"
    day.write_text(f"{HEAD}10:00,1,2\n10:01,3,4")
    async with bench.running(source(inbox)):
        await bench.takings.until(1)
        await looked(bench)
        age(day, timedelta(hours=2))
        await bench.takings.until(2)
        await looked(bench)
    assert bench.takings.texts == [f"{HEAD}10:00,1,2\n", f"{HEAD}10:01,3,4"]


async def test_names_that_are_no_text_are_read_too(bench: Bench, inbox: Path) -> None:
    (inbox / os.fsdecode(b"\xff\xfe.csv")).write_text("odd")
    (inbox / "two\nlines.csv").write_text("odder")
    ours = source(inbox)
    async with bench.running(ours):
        await bench.takings.until(2)
        await looked(bench)
    assert {each.topic for each in bench.takings.bodies} == {"??.csv", "two?lines.csv"}
    async with bench.running(ours):
        await looked(bench)
    assert len(bench.takings.bodies) == 2


def entries(count: int, *, mtime_ns: int | None = None) -> Iterator[Entry]:
    for number in range(count):
        yield Entry(f"{number:05}.csv", number if mtime_ns is None else mtime_ns, 1)


@pytest.mark.parametrize("mtime_ns", [None, 7])
def test_what_is_remembered_has_a_limit_and_nothing_is_read_twice(
    mtime_ns: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_REMEMBERED", 100)
    present = list(entries(1000, mtime_ns=mtime_ns))
    remembered = Remembered()
    for each in sorted(present, key=lambda each: each.age):
        assert not remembered.is_read(each, 0)
        remembered.note(each, Done(1, ""))
        remembered.forget(present)
    assert len(remembered.files) == 100
    assert all(remembered.is_read(each, 0) for each in present)
    assert not remembered.is_read(Entry("new.csv", 5000, 1), 0)


def test_what_has_left_the_folder_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_REMEMBERED", 10)
    remembered = Remembered()
    for each in entries(15):
        remembered.note(each, Done(1, ""))
    present = list(entries(5))
    remembered.forget(present)
    assert all(remembered.is_read(each, 0) for each in present)
    assert remembered.before == (0, "")


async def test_as_many_as_are_remembered_can_be_saved(bench: Bench, inbox: Path) -> None:
    files_of_years = [Entry(f"{number:05}.csv", 1_900_000_000_000_000_000 + number, 10**10) for number in range(2000)]
    async with bench.means().positions.turn(f"f-{token_hex(4)}") as turn:
        read = files.Folder(source(inbox), "", folder.Disk(inbox, None), bench.means(), turn, 1)  # type: ignore[arg-type]
        remembered = Remembered()
        for each in files_of_years:
            remembered.note(each, Done(10**10, "0" * 16))
        await read._save(remembered, files_of_years)
        again = read._place()
        assert len(again.files) == files.MAX_REMEMBERED
        assert all(again.is_read(each, 0) for each in files_of_years)


@pytest.mark.parametrize(
    ("name", "pattern", "is_one"),
    [
        ("20261122.xml", "*.xml", True),
        ("20261122.XML", "*.xml", True),
        ("a.csv", "*.xml", False),
        ("a.xml.part", "*", False),
        (".a.xml", "*", False),
        ("A.TMP", "*", False),
        ("count-3.csv", "count-?.csv", True),
    ],
)
def test_which_files_are_wanted(name: str, pattern: str, *, is_one: bool) -> None:
    assert is_wanted(name, pattern) is is_one


MAPPED = Mapping.model_validate(
    {"body": "csv", "in": "Entrées", "out": "Sorties", "end": "Heure", "delimiter": ";", "encoding": "cp1252"}
)


@pytest.mark.parametrize(
    ("name", "data", "mapping"),
    [
        ("a.csv", "time,in,out\n1,2,3\n", None),
        ("a.csv", "\ufefftime;in\n1;2\n", None),
        ("a.tsv", "time\tin\n1\t2\n", None),
        ("a.jsonl", '{"a": 2}\n{"a": 1}\n', None),
        ("report", "Rapport du 20.11.2026\n\nHeure;Entrées;Sorties\n10:00;1;2\n", MAPPED),
    ],
)
def test_rows_are_found_under_their_head(name: str, data: str, mapping: Mapping | None) -> None:
    encoded = data.encode("cp1252" if mapping else "utf-8")
    more = encoded + encoded.splitlines(keepends=True)[-1].replace(b"1", b"5")
    _, done = new_parts(name, encoded, mapping)
    assert done.size == len(encoded)
    [part], _ = new_parts(name, more, mapping, done)
    assert part.endswith(more[len(encoded) :])
    assert encoded.splitlines()[-1] not in part.splitlines()


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}',
        b"<a/>",
        b"10:00,1,2\n",
        b"one,two",
        b'a,"b\n',
        "time,in\n1,2\n".encode("utf-16"),
        b"\n\n",
        b"a b\n1",
    ],
)
def test_what_is_no_file_of_rows_comes_whole(data: bytes) -> None:
    assert new_parts("a.csv", data, None)[0] == [data]


def test_a_large_file_that_is_one_thing_is_refused_in_words() -> None:
    with pytest.raises(TooLarge, match="only CSV can be taken in parts"):
        new_parts("a.xml", b"<" * (MAX_BODY_BYTES + 1), None)


@given(
    cells=st.lists(st.integers(0, 999), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    size=st.integers(1, 60),
)
def test_however_a_file_grows_each_row_comes_once(cells: list[int], cuts: list[int], size: int) -> None:
    whole = "time,in\n" + "".join(f"{number},{cell}\n" for number, cell in enumerate(cells))
    found: list[str] = []
    done = NOTHING
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "MAX_PART_BYTES", size)
        for cut in [*sorted(cuts), len(whole)]:
            parts, done = new_parts("a.csv", whole[:cut].encode(), None, done, is_final=False)
            for part in parts:
                if cut > len("time,in\n"):
                    head, *lines = part.decode().splitlines()
                    assert head == "time,in"
                    found += lines
    assert found == whole.splitlines()[1:]
