"""What quarantine may keep: nothing of a picture, nothing personal, whatever shape the body has."""

from __future__ import annotations

import json
import random
from base64 import b64encode

import pytest

from services.ingest import devices
from services.ingest.devices.documents import descendants, document_of
from services.ingest.scrub import MAX_BINARY, MAX_TEXT, TOO_LARGE, Scrubbed, is_personal, scrub

PICTURE = random.Random(7).randbytes(3000)
STRANGE = bytes(random.Random(7).choices(range(0xA1, 0xFF), k=900))
CODED = b64encode(PICTURE).decode()


def scrubbed(body: bytes | str, media_type: str = "application/json") -> Scrubbed:
    return scrub(document_of(body.encode() if isinstance(body, str) else body, media_type))


def holds(found: Scrubbed, secret: str) -> bool:
    """Tell whether any 24 characters of a secret are in what was kept."""
    return any(secret[at : at + 24] in found.text for at in range(0, len(secret) - 24, 8))


LINES = "\n".join(CODED[at : at + 76] for at in range(0, len(CODED), 76))


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"in": 3, "snapshot": CODED}),
        json.dumps({"in": 3, "extra": {"deep": [CODED]}}),
        json.dumps({"in": 3, "extra": f"data:image/jpeg;base64,{CODED}"}),
        json.dumps({"in": 3, "extra": LINES}),
        json.dumps({"in": 3, "extra": LINES.replace("\n", "\r\n")}),
        json.dumps({"in": 3, "extra": CODED.replace("+", "-").replace("/", "_")}),
        '{"in": 3, "snapshot": "' + CODED,  # cut off on the way
        '{"in": 3,, "other": "' + CODED + '"}',
        f"<a><in>3</in><snapshot>{CODED}</snapshot></a>",
        f"<a><in>3</in><x>{LINES}</x></a>",
        f"<a><in>3</in><x>{CODED}",
        f"in;out\n3;1\n{CODED}",
    ],
)
def test_no_run_of_a_picture_is_kept(body: str) -> None:
    found = scrubbed(body)
    assert not holds(found, CODED)
    assert not holds(found, CODED.replace("+", "-").replace("/", "_"))
    assert "3" in found.text
    assert found.removed


def test_of_a_multipart_body_the_text_is_kept_and_the_picture_is_not() -> None:
    body = (
        b"--B\r\nContent-Type: application/xml\r\n\r\n<Alert><enter>70</enter></Alert>\r\n"
        b"--B\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURE + b"\r\n--B--\r\n"
    )
    found = scrubbed(body, "multipart/form-data; boundary=B")
    assert "<enter>70</enter>" in found.text
    assert PICTURE[:24].hex() not in found.text
    assert "image/jpeg" in found.removed


def test_a_picture_alone_leaves_nothing() -> None:
    for body in (b"\xff\xd8\xff\xe0" + PICTURE, STRANGE):
        for media_type in ("image/jpeg", "text/plain"):
            found = scrubbed(body, media_type)
            assert found.text == ""
            assert "the whole body" in found.removed


def test_a_radios_payload_is_kept_whole() -> None:
    payload = bytes.fromhex("03D2BE00000004D23101000005CC00000000")
    assert scrubbed(payload, "application/octet-stream") == Scrubbed(payload.hex(), "", is_hex=True)
    assert scrubbed(bytes(MAX_BINARY + 1), "application/octet-stream").text == ""
    coded = b64encode(bytes(242)).decode()
    assert coded in scrubbed(json.dumps({"frm_payload": coded})).text


@pytest.mark.parametrize(
    "name",
    [
        "snapshot",
        "PeopleId",
        "people_id",
        "bw-age",
        "fw-male",
        "avgAge",
        "faceRect",
        "licensePlate",
        "Image",
    ],
)
def test_what_is_personal_is_known_by_its_name(name: str) -> None:
    assert is_personal(name)
    for body in (json.dumps({"a": 1, name: "canary"}), json.dumps({"a": 1, name: "canary"})[:-1] + ", "):
        assert "canary" not in scrubbed(body).text
    assert "canary" not in scrubbed(f"<a><{name} x='1'>canary</{name}></a>").text


@pytest.mark.parametrize(
    "name", ["average", "message", "storage_manager", "management", "name", "in", "device_mac", "page"]
)
def test_what_only_sounds_so_is_kept(name: str) -> None:
    assert not is_personal(name)


def test_an_item_that_calls_itself_personal_is_cut_out() -> None:
    counts = {"counts": [{"name": "fw", "value": 1}, {"name": "fw-male", "value": 77}]}
    assert json.loads(scrubbed(json.dumps(counts)).text) == {"counts": [{"name": "fw", "value": 1}]}


def test_half_of_a_tree_is_not_kept_for_it_could_never_count() -> None:
    whole = json.dumps([{"line": n, "in": 1} for n in range(20_000)])
    for body in (whole, whole[:-1], f"<a>{'<b>1</b>' * 40_000}</a>", f"<a>{'<b>1</b>' * 40_000}"):
        assert scrubbed(body) == Scrubbed("", TOO_LARGE)
    kept = scrubbed(json.dumps([{"line": n, "in": 1} for n in range(8_000)]))
    assert len(json.loads(kept.text)) == 8_000
    assert not kept.removed


@pytest.mark.slow
@pytest.mark.parametrize("padding", range(14))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_cut_between_and_never_within(padding: int, end: str) -> None:
    row = f'10:00,"é{end}",1234'
    found = scrubbed(f"time,line,in{'x' * padding}{end}" + f"{row}{end}" * 30_000, "text/csv")
    assert found.text.rstrip("\r\n").endswith(f'"é{end}",1234')
    assert MAX_TEXT - 40 < len(found.text.encode()) <= MAX_TEXT
    assert "KiB" in found.removed


def test_a_text_without_ends_of_lines_is_kept_whole_or_not_at_all() -> None:
    assert scrubbed("3, " * 100_000, "text/plain") == Scrubbed("", TOO_LARGE)


def test_what_is_personal_in_xml_goes_whole_and_the_rest_is_read_as_before() -> None:
    body = """<?xml version="1.0"?><m:A xmlns:m="urn:m" xmlns:p="urn:p" xml:lang="en" p:note="n" gender="Canary">
        <m:Object personId="Canary" age="Canary" Enters="3" Name="&lt;&quot;Picture gallery&quot;&gt;"/><!-- Canary -->
        <faceList><face><id>Canary</id><name>Canary</name><face>Canary</face></face></faceList>
        <age><![CDATA[Canary]]></age><enter xmlns="">1 &amp; 2</enter><trackId>Canary</trackId>
        <reading><name>age</name><value>Canary</value></reading>
        <user><cardNo>Canary</cardNo><name>Canary</name></user></m:A>"""
    for each in (body, body[:-3]):  # whole, and cut off on the way
        found = scrubbed(each)
        assert "Canary" not in found.text or each != body
        assert "1 &amp; 2" in found.text
    again = document_of(scrubbed(body).text.encode(), "application/xml").xml
    assert again is not None
    assert (again.tag, again.get("{urn:p}note")) == ("{urn:m}A", "n")
    assert again.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
    [seen] = descendants(again, "Object")
    assert seen.attrib == {"Enters": "3", "Name": '<"Picture gallery">'}
    assert [each.tag for each in again] == ["{urn:m}Object", "enter", "trackId", "user"]


@pytest.mark.parametrize(
    "body",
    [
        "<A><face><id>Canary</id><name>Canary</name></face><in>3</in><b>",
        '<A><face><face>Canary</face>Canary</face><in age="Canary" note="a>b">3</in><b>',
        "<A><in>3</in><x:age><![CDATA[Canary]]></x:age><!-- Canary",
        "<A><in>3</in><age>Canary",
        '{"in":3,,"faces":[{"id":"Canary","name":"Canary ]"}]',
        '{"in":3,,"face":{"name":"Canary',
        'data {"in":3,"age":"Canary"}',
        'gates,age=Canary in=3,gender="Canary and more"',
    ],
)
def test_what_is_personal_in_a_broken_body_goes_whole(body: str) -> None:
    found = scrubbed(body)
    assert "Canary" not in found.text
    assert "3" in found.text


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("before", ["", "An export\n\n", "\ufeff"])
def test_columns_that_are_personal_are_blank(delimiter: str, before: str) -> None:
    rows = [["time", "in", "Gender", "out", '"person age"', "card no", "name"]]
    rows += [["10:00", str(n), "Canary", "2", '"Canary, or so; or | so"', "Canary", "Canary"] for n in range(3)]
    rows += [["Canary"] * 7]
    found = scrubbed(before + "\r\n".join(delimiter.join(row) for row in rows), "text/csv")
    kept = [line.split(delimiter) for line in found.text.strip().splitlines() if delimiter in line]
    assert [row[1] for row in kept[:4]] == ["in", "0", "1", "2"]
    assert [row[3] for row in kept[:4]] == ["out", "2", "2", "2"]
    assert not {"".join(row[2:3] + row[4:]) for row in kept[1:]} - {""}
    assert "Gender" in found.removed


def test_a_place_in_a_row_that_sounds_personal_stays() -> None:
    body = "time;line;in\n10:00;Picture gallery;3\n"
    assert scrubbed(body, "text/csv") == Scrubbed(body, "")


@pytest.mark.parametrize(
    "inner",
    [
        {"img": "Canary", "cardNo": "Canary", "employeeNoString": "Canary", "certificate": "Canary", "agegroup": 1},
        {"AccessControllerEvent": {"name": "Canary", "cardNo": "Canary", "verifyMode": "Canary"}},
        {"info": {"name": "Canary", "cardNo": "Canary"}},
        {"frame": [255, 216, 255, 224] * 17},
        {"thumb": "data:image/jpeg;base64,Canary"},
        {"thumb": "a DATA:image\\/png,Canary"},
        {"text": json.dumps({"age": "Canary"})},
        {"text": '{"age": "Canary",'},
        {"reading": {"name": "gender", "value": "Canary"}},
        {CODED: 1},
        {"digits": 10**600},
    ],
)
def test_what_is_personal_in_json_goes(inner: dict[str, object]) -> None:
    found = scrubbed(json.dumps({"in": 3, **inner}))
    assert "Canary" not in found.text
    assert "255" not in found.text
    assert len(found.text) < 100
    assert json.loads(found.text)["in"] == 3
    assert found.removed


def test_a_name_that_is_no_text_is_kept_as_it_was() -> None:
    body = {"line": "\ud800", "text": json.dumps({"line": "\udc00", "age": 3})}
    found = json.loads(scrubbed(json.dumps(body)).text)
    assert (found["line"], json.loads(found["text"])) == ("\ud800", {"line": "\udc00"})


def test_short_lists_of_counts_stay() -> None:
    assert json.loads(scrubbed(json.dumps({"hours": [3] * 24, "days": [300] * 365})).text) == {
        "hours": [3] * 24,
        "days": [300] * 365,
    }


MIB = 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "<" + "a." * 2 * MIB,
        "<a " * MIB,
        "<a \"<b '" * (MIB // 2),
        "<!--" * MIB,
        "<" + "a:" * 2 * MIB,
        json.dumps({"x": ["A" * 399] * (4 * MIB // 402)}),
        "in,out\n" + ("A" * 399 + ",") * (4 * MIB // 400),
        "in,out\n" + ("A" * 19 + "\n") * (4 * MIB // 20),
        "in,out\n" + ("A" * 20 + "\n") * (4 * MIB // 21),
        "A" + " " * 4 * MIB,
        "A" + "\\n" * 2 * MIB,
        "data:image/" * (4 * MIB // 11),
        "data:image/a" + ";a" * 2 * MIB,
        '{"' + "a" * 4 * MIB,
        '{,"age":' * (4 * MIB // 8),
        '{,"age":[' + "[]" * 100_000,
        "'\"" * 2 * MIB,
        json.dumps([{"age": n, "track_id": n, "in": 1} for n in range(80_000)]),
        "<a>" + "<age>3</age>" * (4 * MIB // 12) + "</a>",
        "a;age\n" * 600_000,
        "a=" + "a.\n" * 80_000 + "a." * 10_000,
    ],
    ids=range(21),
)
def test_no_large_body_takes_long(body: str) -> None:
    assert len(scrubbed(body, "text/plain").text.encode()) <= MAX_TEXT


def test_what_is_kept_says_what_the_body_said() -> None:
    from tests.devices.test_fuzz_inlet import SUITES  # noqa: PLC0415  which imports every module of this folder

    for name, case in ((name, case) for name, cases in SUITES.items() for case in cases):
        document = document_of(case.body, case.media_type, case.topic, case.mapping.encoding if case.mapping else "")
        kept = scrub(document)
        data = bytes.fromhex(kept.text) if kept.is_hex else kept.text.encode()
        again = document_of(data, document.media_type, case.topic, "utf-8")
        before, after = (
            devices.read(each, case.context, None if case.mapping else name).reports for each in (document, again)
        )
        for was, read in zip(before, after, strict=True):
            assert read.measurements == was.measurements, (name, case.name, kept)
            assert (read.serial, read.faults) == (was.serial, was.faults), (name, case.name, kept)


def test_figures_of_ages_and_heights_and_names_of_people_go_and_places_stay() -> None:
    body = {
        "logics": [
            {"name": "Picture gallery", "counts": [{"name": "fw", "value": 3}, {"name": "fw-male", "value": 2}]}
        ],
        "value": [{"label": "maleFwPercentage", "value": 66}, {"name": "bw-age", "bins": [1, 2]}],
        "names": ["somebody"],
        "trigger_person": "somebody",
        "HistogramLogs": [{"Values": [150, 180]}],
    }
    assert json.loads(scrubbed(json.dumps(body)).text) == {
        "logics": [{"name": "Picture gallery", "counts": [{"name": "fw", "value": 3}]}],
        "value": [],
    }


def test_people_whom_a_camera_follows_are_numbered_anew() -> None:
    body = {"events": [{"track_id": 90017, "n": 1}, {"track_id": 90018, "n": 2}, {"track_id": 90017, "n": 3}]}
    found = json.loads(scrubbed(json.dumps(body)).text)
    assert [each["track_id"] for each in found["events"]] == [1, 2, 1]
