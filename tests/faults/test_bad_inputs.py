"""A real house is sent what nobody should send: no 5xx, no crash, nothing echoed, and nothing grows."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest

from shared.contracts.configuration import LibraryConfig
from tests.faults.bad_inputs import BAD_INPUTS, ECHO, ENDED, BadInput, request, said
from tests.faults.figures import note
from tests.house import SERVICES, House

SECRET: Final = "made-up-secret"
TOKEN: Final = "a-token-of-made-up-letters-and-more"
DIGEST: Final = sha256(SECRET.encode()).hexdigest()
LIBRARY: Final = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "north"}],
    "keys": [
        {"id": "gate", "sha256": DIGEST, "device": "north", "role": "gate"},
        {"id": "staff", "sha256": DIGEST, "device": "tablet", "role": "staff"},
    ],
    "sources": [{"id": "box", "type": "url", "token_sha256": sha256(TOKEN.encode()).hexdigest()}],
}
CREDENTIALS: Final = {b"{key}": f"gate.{SECRET}", b"{staff}": f"staff.{SECRET}", b"{token}": TOKEN}
ANSWER_S: Final = 30.0
GENERATED: Final = 10_000
AT_ONCE: Final = 16
INTENDED: Final = 503
GROWTH_KIB: Final = 48 * 1024
"""Of a process's memory over ten thousand inputs: caches that fill once, not what each leaves behind."""
FILES_MORE: Final = 5


async def exchange(port: int, data: bytes, *, ends_sending: bool = False) -> bytes:
    """Send bytes and return what comes back until the end, or until an event stream has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(data)
        if ends_sending:
            writer.write_eof()
        async with asyncio.timeout(ANSWER_S):
            while chunk := await reader.read(65536):
                answer += chunk
                if b"text/event-stream" in answer or (b"HTTP/1.0" not in data and _is_whole(answer)):
                    break
    except ConnectionError:
        pass  # it would not hear the rest, which is an answer
    finally:
        writer.close()
    return answer


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(found) and length is not None and len(body) >= int(length[1])


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else ENDED


def filled(data: bytes) -> bytes:
    for name, value in CREDENTIALS.items():
        data = data.replace(name, value.encode())
    return data


def resident_kib(house: House, name: str) -> int:
    status = Path(f"/proc/{house.processes[name].pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def open_files(house: House, name: str) -> int:
    return len(list(Path(f"/proc/{house.processes[name].pid}/fd").iterdir()))


async def settled_files(house: House, before: dict[str, int]) -> dict[str, int]:
    """Return how many files are open once connections that are over are closed."""
    async with asyncio.timeout(60):
        while any(open_files(house, name) > before[name] + FILES_MORE for name in before):
            await asyncio.sleep(0.5)
    return {name: open_files(house, name) for name in before}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    # Without limits of requests: it is the inputs that are tried here, from one address and one key.
    house = House(
        tmp_path, PLACELIBRE_REQUESTS_PER_KEY_PER_S="0", PLACELIBRE_KIB_PER_KEY_PER_S="0", PLACELIBRE_LOG_LEVEL="debug"
    )
    LibraryConfig.model_validate(LIBRARY)
    try:
        await house.start(*SERVICES)
        await house.apply(LIBRARY)
        good = request("POST", "/v1/readings", said(), f"Authorization: Bearer gate.{SECRET}",
                       "Content-Type: application/json")  # fmt: skip
        async with asyncio.timeout(30):
            while status_of(await exchange(house.ports["ingest"], good)) != 202:
                await asyncio.sleep(0.1)
            async with httpx.AsyncClient(base_url=house.url("api"), trust_env=False) as client:
                while (await client.get("/v1/libraries/branch")).status_code != 200:
                    await asyncio.sleep(0.1)
        yield house
    finally:
        await house.stop()


async def alive(house: House) -> None:
    """Assert that every process still runs and does its work."""
    for name in SERVICES:
        assert house.processes[name].poll() is None, f"{name} has ended"
        await house.ready(name)
    assert await house.metric("api", "placelibre_api_listeners") == 0


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_what_was_made_up_by_hand(house: House) -> None:
    before = {name: open_files(house, name) for name in ("ingest", "api")}
    memory = {name: resident_kib(house, name) for name in ("ingest", "api")}
    wrong: list[str] = []

    async def try_one(each: BadInput) -> None:
        answer = await exchange(house.ports[each.service], filled(each.data), ends_sending=each.ends_sending)
        status = status_of(answer)
        if status not in each.answers:
            wrong.append(f"{each.name}: {status}, not {sorted(each.answers)}: {answer[-300:]!r}")
        if ECHO.encode() in answer:
            wrong.append(f"{each.name}: what was sent is in the answer")
        if b"Traceback" in answer:
            wrong.append(f"{each.name}: an inside of ours is in the answer")

    for each in BAD_INPUTS:
        await try_one(each)
    await _slow_ones(house)
    assert not wrong, "\n".join(wrong)
    async with asyncio.timeout(20):
        while await house.metric("api", "placelibre_api_listeners"):
            await asyncio.sleep(0.2)
    await alive(house)
    await settled_files(house, before)
    growth = {name: resident_kib(house, name) - memory[name] for name in memory}
    assert max(growth.values()) < GROWTH_KIB, growth
    for name in SERVICES:
        assert "Traceback" not in house.log(name), f"{name} has stumbled: {house.log(name)[-2000:]}"
        assert ECHO not in house.log(name)
    assert len(BAD_INPUTS) >= 60
    all_of_them = len(BAD_INPUTS) + 3
    note(
        "bad inputs, made by hand",
        f"{all_of_them} of {all_of_them} answered as they should be, none 5xx, 0 crashes, nothing echoed",
        "no 5xx, no growth, no echo",
    )


async def _slow_ones(house: House) -> None:
    """Send heads and bodies that never end, from many connections: others are answered, and all of these are ended."""
    heads = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-",
        b"POST /v1/push/branch HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ]
    connections = []
    for head in heads * 40:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.ports["api"])
        writer.write(head)
        connections.append((reader, writer))
    assert status_of(await exchange(house.ports["api"], request("GET", "/livez"))) == 200
    async with asyncio.timeout(60):
        for reader, _ in connections:
            try:
                answer = await reader.read()
            except ConnectionError:
                continue
            assert status_of(answer) in {ENDED, 408}
    for _, writer in connections:
        writer.close()


def generated(random: Random) -> tuple[str, bytes, bool]:
    """Return to whom, something that nobody should send, by chance, and whether more of it may be waited for."""
    corpus = random.choice(BAD_INPUTS)
    kind = random.randrange(6)
    if kind == 0:  # a good request, some of its bytes others
        data = bytearray(random.choice([each for each in BAD_INPUTS if len(each.data) < 3000]).data)
        for _ in range(random.randrange(1, 12)):
            place = random.randrange(len(data))
            data[place : place + random.randrange(3)] = random.randbytes(random.randrange(4))
        return corpus.service, bytes(data), True
    if kind == 1:  # a body of odd JSON
        body = json.dumps(odd(random, 4), ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
        path = random.choice(["/v1/readings", "/v1/approvals", "/v1/claims", "/v1/staff/readings"])
        media_type = random.choice(["application/json", "application/x-ndjson", "application/cloudevents+json"])
        who = random.choice(["{key}", "{staff}"])
        headers = (f"Authorization: Bearer {who}", f"Content-Type: {media_type}")
        return "ingest", request("POST", path, body, *headers), False
    if kind == 2:  # a reading with one odd field
        usual = json.loads(said())
        usual[random.choice([*usual, "time", "id", "device", "sequence", "boot", "zone", "note"])] = odd(random, 2)
        body = json.dumps(usual).encode("utf-8", "surrogatepass")
        headers = ("Authorization: Bearer {key}", "Content-Type: application/json")
        return "ingest", request("POST", "/v1/readings", body, *headers), False
    if kind == 3:  # a device's body
        body = random.choice(
            [random.randbytes(random.randrange(400)), json.dumps(odd(random, 5)).encode(), b"<a>" * 99]
        )
        media_type = random.choice(["application/json", "text/xml", "text/csv", "multipart/form-data; boundary=a", ""])
        path = "/v1/devices/{token}/" + "".join(random.choices("ab./%2e*>\u00e9", k=random.randrange(9)))
        return "ingest", request("POST", path, body, f"Content-Type: {media_type}"), False
    if kind == 4:  # a path and a query of the API
        parts = [
            "v1",
            "libraries",
            "branch",
            "l",
            "embed",
            "display",
            "history",
            "sign.png",
            "..",
            "%00",
            "*",
            "\u00e9",
            "{x}",
            "ap",
        ]
        path = "/" + "/".join(random.choices(parts, k=random.randrange(1, 5)))
        names = [
            "lang",
            "limit",
            "from",
            "to",
            "date",
            "width",
            "library",
            "zone",
            "fragment",
            "resource",
            "format",
            "unit",
        ]
        values = ["-1", "1e9", "NaN", "%ff", "\u00e9", "2026-02-30", "<b>", "a" * 300, "", "*", "0", "9" * 30]
        query = "&".join(f"{random.choice(names)}={random.choice(values)}" for _ in range(random.randrange(4)))
        more = random.choices(
            [
                "If-None-Match: *",
                "Range: bytes=9-",
                "Accept: */*;q=nan",
                "Accept-Language: \u00e9,,;",
                "Origin: null",
                "Cookie: a",
            ],
            k=random.randrange(3),
        )
        verb = random.choice(["GET", "HEAD", "GET", "OPTIONS", "DELETE"])
        return "api", request(verb, f"{path}?{query}", b"", *more), False
    return corpus.service, random.randbytes(random.randrange(1, 300)), True  # noise


def odd(random: Random, depth: int) -> object:
    """Return a value of JSON that makes no sense."""
    plain = [
        None,
        True,
        -1,
        0,
        2**64,
        1e308,
        float("nan"),
        "",
        "\ud800",
        "a" * 500,
        "branch",
        "*",
        "x.y",
        "\x00",
        "2026-01-01",
    ]
    choice = random.randrange(10)
    if depth and choice < 2:
        return [odd(random, depth - 1) for _ in range(random.randrange(5))]
    if depth and choice < 5:
        names = ["kind", "library", "gate", "time", "id", "readings", "session", "data", "", "\u00e9", "entries"]
        return {random.choice(names): odd(random, depth - 1) for _ in range(random.randrange(6))}
    return random.choice(plain)


@pytest.mark.faults
@pytest.mark.timeout(1200)
async def test_what_chance_makes_up(house: House) -> None:
    random = Random(20261122)
    inputs = [generated(random) for _ in range(GENERATED)]
    answers: Counter[int] = Counter()
    wrong: list[str] = []
    queue = iter(inputs)

    async def work() -> None:
        for service, data, ends_sending in queue:
            answer = await exchange(house.ports[service], filled(data), ends_sending=ends_sending)
            status = status_of(answer)
            answers[status] += 1
            is_meant = status == INTENDED and b"\r\nretry-after:" in answer.lower()
            if (status >= 500 and not is_meant) or b"Traceback" in answer:
                wrong.append(f"{status} to {data[:400]!r}")

    async def rounds(number: int) -> None:
        nonlocal queue
        queue = iter(inputs[:number])
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    await rounds(1000)  # caches fill, and parsers are compiled
    memory = {name: resident_kib(house, name) for name in ("ingest", "api")}
    files = {name: open_files(house, name) for name in memory}
    answers.clear()
    await rounds(GENERATED)
    assert not wrong, "\n".join(wrong[:20])
    assert answers.total() == GENERATED
    await alive(house)
    await settled_files(house, files)
    growth = {name: resident_kib(house, name) - memory[name] for name in memory}
    assert max(growth.values()) < GROWTH_KIB, growth
    for name in SERVICES:
        assert "Traceback" not in house.log(name), f"{name} has stumbled: {house.log(name)[-2000:]}"
    classes: Counter[str] = Counter()
    for status, times in answers.items():
        name = "503 to come again" if status == INTENDED else f"{status // 100}xx" if status else "ended"
        classes[name] += times
    seen = ", ".join(f"{times:,} {name}" for name, times in sorted(classes.items()))
    note(
        "bad inputs, generated",
        f"{GENERATED:,} sent: {seen}; no other 5xx, 0 crashes; memory of ingest {growth['ingest'] / 1024:+.1f} MiB,"
        f" of the api {growth['api'] / 1024:+.1f} MiB, files as before",
        "no 5xx but a 503 with Retry-After, no growth",
    )
