"""Ingest's own certificate: what is refused, what is taken when it is renewed, and what is told of its end."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from cli.bus_folder.certificates import Signed, new_authority, new_server
from cli.data_folder import Addresses
from cli.liveness import Liveness
from cli.service_figures import Figures, of_ingest
from cli.supervisor import Patience
from cli.terminal import Trouble
from cli.up import _ingest_certificate
from services.ingest.settings import Settings
from shared.contracts import subjects
from shared.runtime.clock import now
from shared.runtime.http_protocol import HEAD_S
from shared.runtime.https import OwnCertificate, UnusableCertificate, ends_at
from tests.conftest import free_port
from tests.house import House

HOST = "127.0.0.1"
DAY = timedelta(days=1)


class Maker:
    """An authority of the test's own, and the pair of files that it writes."""

    def __init__(self, folder: Path) -> None:
        self.authority = new_authority(now())
        self.ca, self.certificate, self.key = folder / "ca.pem", folder / "chain.pem", folder / "key.pem"
        self.ca.write_bytes(self.authority.certificate)

    def sign(self, lasts: timedelta = 90 * DAY, *hosts: str) -> Signed:
        return new_server(self.authority, hosts or (HOST,), now(), lasts)

    def write(self, signed: Signed) -> None:
        self.certificate.write_bytes(signed.certificate)
        self.key.write_bytes(signed.key)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    made = Maker(tmp_path)
    made.write(made.sign())
    return made


def serial_at(port: int) -> int:
    """Return the serial number of the certificate that is shown there."""
    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate((HOST, port)).encode())
    return shown.serial_number


def serial_of(signed: Signed) -> int:
    return x509.load_pem_x509_certificate(signed.certificate).serial_number


def test_a_key_of_another_certificate_and_files_that_are_none_are_refused_with_a_reason(maker: Maker) -> None:
    right, other = maker.sign(), maker.sign()
    maker.write(Signed(right.certificate, other.key))
    with pytest.raises(UnusableCertificate, match="is not the key of"):
        OwnCertificate(maker.certificate, maker.key, "ingest")
    maker.write(Signed(b"no PEM", right.key))
    with pytest.raises(UnusableCertificate, match="holds no certificate"):
        OwnCertificate(maker.certificate, maker.key, "ingest")
    maker.write(Signed(right.certificate, b"no PEM"))
    with pytest.raises(UnusableCertificate, match="cannot be used"):
        OwnCertificate(maker.certificate, maker.key, "ingest")
    maker.key.unlink()
    with pytest.raises(UnusableCertificate, match="cannot be read"):
        OwnCertificate(maker.certificate, maker.key, "ingest")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(maker: Maker) -> None:
    signed = maker.sign()
    key = serialization.load_pem_private_key(signed.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"made-up"),
    )
    maker.write(Signed(signed.certificate, locked))
    with pytest.raises(UnusableCertificate, match="without a password"):
        OwnCertificate(maker.certificate, maker.key, "ingest")


def test_nothing_older_than_1_2_is_spoken(maker: Maker) -> None:
    context = OwnCertificate(maker.certificate, maker.key, "ingest").context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_chain_ends_with_the_first_of_it(maker: Maker) -> None:
    maker.certificate.write_bytes(maker.sign(90 * DAY).certificate + maker.sign(20 * DAY).certificate)
    assert abs(ends_at(maker.certificate) - now() - 20 * DAY) < timedelta(minutes=5)


def test_ingest_does_not_start_with_half_a_pair_or_a_wrong_one(maker: Maker) -> None:
    with pytest.raises(ValidationError, match="go together"):
        Settings(certificate_file=maker.certificate)
    maker.write(Signed(maker.sign().certificate, maker.sign().key))
    with pytest.raises(ValidationError, match="is not the key of"):
        Settings(certificate_file=maker.certificate, key_file=maker.key)


def test_up_warns_of_plain_http_alone_and_of_what_has_ended(maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    assert _ingest_certificate("192.0.2.7", None, None) is None
    assert "without TLS" in capsys.readouterr().err
    assert _ingest_certificate("192.0.2.7", maker.certificate, maker.key) is not None
    assert capsys.readouterr().err == ""
    maker.write(maker.sign(-DAY))
    assert _ingest_certificate("192.0.2.7", maker.certificate, maker.key) is not None
    assert "has expired" in capsys.readouterr().err
    with pytest.raises(Trouble, match="a certificate needs its key"):
        _ingest_certificate("192.0.2.7", maker.certificate, None)
    with pytest.raises(Trouble, match="there is no file"):
        _ingest_certificate("192.0.2.7", maker.certificate, maker.key.with_name("none.pem"))


def test_half_of_a_renewal_changes_nothing_and_the_whole_of_it_is_taken(maker: Maker) -> None:
    own = OwnCertificate(maker.certificate, maker.key, "ingest")
    before, renewed = own.until, maker.sign(200 * DAY)
    maker.certificate.write_bytes(renewed.certificate)
    own.look()
    assert own.until == before
    maker.key.write_bytes(renewed.key)
    own.look()
    assert own.until > before


@pytest.mark.parametrize(
    ("days", "severity"),
    [(60, []), (10, ["look"]), (2, ["wrong"]), (-1, ["wrong"])],
    ids=["well", "look", "soon", "over"],
)
def test_the_doctor_tells_of_the_end(days: int, severity: list[str]) -> None:
    until = (now() + days * DAY).timestamp()
    figures = Figures.of(f'placelibre_certificate_expires_timestamp_seconds{{what="ingest"}} {until}\n')
    found = list(of_ingest(figures, now()))
    assert [str(each.severity) for each in found] == severity
    assert all("the same files" in each.remedy for each in found)


def test_without_a_certificate_the_doctor_says_nothing_of_one() -> None:
    assert list(of_ingest(Figures.of("placelibre_bus_connected 1\n"), now())) == []


@contextmanager
def answering_by_tls(context: ssl.SSLContext, answer: bytes) -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(taken, server_side=True) as line:
                        line.recv(1000)
                        line.sendall(answer)
                except OSError:
                    continue

        serving = Thread(target=serve)
        serving.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join()


@pytest.mark.parametrize("lasts", [90 * DAY, -DAY], ids=["valid", "expired"])
def test_the_supervisor_hears_a_service_by_tls_whatever_its_certificate(maker: Maker, lasts: timedelta) -> None:
    maker.write(maker.sign(lasts, "devices.library.example"))
    context = OwnCertificate(maker.certificate, maker.key, "ingest").context
    with answering_by_tls(context, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as port:
        liveness = Liveness((HOST, port), Patience(), ask_every_s=0.05, is_tls=True)
        began_s = time.monotonic()
        while liveness._answered_s is None:
            assert time.monotonic() < began_s + 30
            assert not liveness.is_hung(1, time.monotonic())
            time.sleep(0.01)
        liveness.give_up()


def test_nobody_there_is_no_sign_of_life_by_tls_either() -> None:
    patience = Patience(first_answer_s=0.5)
    liveness = Liveness((HOST, free_port()), patience, ask_every_s=0.05, is_tls=True)
    began_s = time.monotonic()
    while not liveness.is_hung(1, time.monotonic()):
        assert time.monotonic() < began_s + 30
        time.sleep(0.01)


def test_addresses_of_an_older_up_can_still_be_read() -> None:
    read = Addresses.model_validate_json(
        '{"pid": 1, "nats": "nats://127.0.0.1:4222", "ingest": "http://127.0.0.1:8001"}'
    )
    assert read.ingest_certificate == ""


KEY = "gate.made-up-secret"
LIBRARY: dict[str, Any] = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "UTC",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "front"}],
    "keys": [{"id": "gate", "sha256": sha256(b"made-up-secret").hexdigest(), "device": "gate", "role": "gate"}],
}


@pytest.mark.slow
async def test_a_renewed_certificate_is_taken_under_load_without_losing_a_request(tmp_path: Path, maker: Maker) -> None:
    house = House(
        tmp_path / "house",
        PLACELIBRE_CERTIFICATE_FILE=str(maker.certificate),
        PLACELIBRE_KEY_FILE=str(maker.key),
    )
    house.home.mkdir()
    house.schemes["ingest"] = "https"
    port = house.ports["ingest"]
    try:
        await house.start("ingest")
        await house.apply(LIBRARY)
        renewing = asyncio.create_task(_renew(maker, port))
        sent = 0
        async with _device(maker, port) as kept:
            async with asyncio.timeout(30):
                while (await kept.post("/v1/readings", json=_reading(sent))).status_code != 202:
                    await asyncio.sleep(0.1)  # its key is not known yet
            while not renewing.done():
                sent += 1
                assert (await kept.post("/v1/readings", json=_reading(sent))).status_code == 202
                sent += 1
                async with _device(maker, port) as new:  # over a line of its own, and another one next time
                    assert (await new.post("/v1/readings", json=_reading(sent))).status_code == 202
            assert await renewing == 3
            assert sent > 20
            async with house.operator() as bus:
                assert await bus.last_sequence(subjects.READINGS) == sent + 1
            assert house.log("ingest").count("certificate_taken") == 3
            told = await house.metric("ingest", "placelibre_certificate_expires_timestamp_seconds", what="ingest")
            assert told == ends_at(maker.certificate).timestamp()
            process = house.processes["ingest"]
            process.terminate()  # while a line still stands
            assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        await house.stop()


@pytest.mark.slow
async def test_who_does_not_trust_it_who_sees_it_expired_and_who_speaks_plainly_sends_nothing(
    tmp_path: Path, maker: Maker
) -> None:
    house = House(
        tmp_path / "house", PLACELIBRE_CERTIFICATE_FILE=str(maker.certificate), PLACELIBRE_KEY_FILE=str(maker.key)
    )
    house.home.mkdir()
    house.schemes["ingest"] = "https"
    port = house.ports["ingest"]
    try:
        maker.write(maker.sign(-DAY))
        await house.start("ingest")  # it is ready all the same
        assert "certificate_has_expired" in house.log("ingest")
        async with _device(maker, port) as device:
            with pytest.raises(httpx.ConnectError, match="certificate has expired"):
                await device.post("/v1/readings", json=_reading(0))
            maker.write(maker.sign())
            async with asyncio.timeout(60):
                while "certificate_taken" not in house.log("ingest"):
                    await asyncio.sleep(0.1)
            assert (await device.get("/livez")).status_code == 200
        async with httpx.AsyncClient(trust_env=False) as stranger:  # knows the authorities of this machine alone
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await stranger.post(f"https://{HOST}:{port}/v1/readings", json=_reading(0))
            with pytest.raises(httpx.TransportError):
                await stranger.post(f"http://{HOST}:{port}/v1/readings", json=_reading(0))
        with socket.create_connection((HOST, port), timeout=4 * HEAD_S) as silent:
            # Who says nothing holds a connection for as long as without TLS, and not for the minute that is usual.
            assert await asyncio.to_thread(silent.recv, 1) == b""
        assert _handshake(maker.trust(), port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert _handshake(maker.trust(), port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    finally:
        await house.stop()


def _device(maker: Maker, port: int) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(
        base_url=f"https://{HOST}:{port}", headers=headers, verify=maker.trust(), trust_env=False, timeout=20
    )


def _reading(number: int) -> dict[str, Any]:
    counts = {"boot": "one", "sequence": number, "entries": 1, "exits": 1}
    return {"kind": "gate_count", "library": "branch", "gate": "front", **counts}


async def _renew(maker: Maker, port: int) -> int:
    """Renew three times, each by files that are put in place of the former ones; return how often it was shown."""
    for _ in range(3):
        renewed = maker.sign()
        for file, body in ((maker.certificate, renewed.certificate), (maker.key, renewed.key)):
            beside = file.with_suffix(".new")
            beside.write_bytes(body)
            os.replace(beside, file)  # noqa: PTH105
        async with asyncio.timeout(60):
            while await asyncio.to_thread(serial_at, port) != serial_of(renewed):
                await asyncio.sleep(0.1)
    return 3


def _handshake(context: ssl.SSLContext, port: int, version: ssl.TLSVersion) -> str | None:
    context.maximum_version = version
    with socket.create_connection((HOST, port)) as line, context.wrap_socket(line, server_hostname=HOST) as talking:
        return talking.version()
