"""What quarantine may keep: nothing of a picture, nothing personal, whatever shape the body has."""

from __future__ import annotations

import json
import random
from base64 import b64encode

import pytest

from services.ingest.devices.documents import document_of
from services.ingest.scrub import MAX_BINARY, MAX_TEXT, Scrubbed, is_personal, scrub

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


def test_what_is_kept_is_bounded() -> None:
    found = scrubbed(json.dumps([{"line": n, "in": 1} for n in range(20_000)]))
    assert len(found.text) == MAX_TEXT
    assert "KiB" in found.removed


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
