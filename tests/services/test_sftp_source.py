"""A folder on another machine: the same as here, and only from the server that is meant."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import asyncssh
import pytest

from services.ingest.secrets import NoCredentials
from services.ingest.sources import sftp
from services.ingest.sources.means import SourceFailed
from shared.contracts.devices import SftpSource
from shared.runtime.bus import Bus
from tests.conftest import free_port
from tests.fakes.transports import Bench, until
from tests.services.test_folder_source import CSV, HEAD, age, looked

PASSWORD = "pass-canary"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
SFTP_SERVER = next((each for each in ("/usr/lib/openssh/sftp-server",) if Path(each).exists()), "internal-sftp")


class Guard(asyncssh.SSHServer):
    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self.connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("counter", PASSWORD)


class Server:
    """A real SFTP server of asyncssh, that serves a folder as its root."""

    def __init__(self, home: Path) -> None:
        self.inbox = home / "served"
        self.inbox.mkdir()
        self.port = free_port()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.authorized = home / "authorized_keys"
        self.authorized.write_bytes(self.client_key.export_public_key())
        self.acceptor: asyncssh.SSHAcceptor | None = None
        self.connections: list[asyncssh.SSHServerConnection] = []

    async def start(self) -> None:
        self.acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            server_factory=lambda: Guard(self.connections),
            authorized_client_keys=str(self.authorized),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(self.inbox)),
        )

    async def stop(self) -> None:
        if self.acceptor is not None:
            self.acceptor.close()
            for each in self.connections:
                each.abort()
            await self.acceptor.wait_closed()

    @property
    def line(self) -> str:
        return self.host_key.export_public_key().decode().strip()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def bench(standing: Bus, tmp_path: Path) -> Bench:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "source-box").write_text(PASSWORD + "\n")
    return Bench(standing, sftp.RUNNER, secrets)


def source(server: Server, **more: Any) -> SftpSource:
    given = {
        "type": "sftp",
        "id": f"s-{token_hex(4)}",
        "host": "127.0.0.1",
        "port": server.port,
        "path": ".",
        "pattern": "*",
        "user": "counter",
        "host_key": server.line,
        "credentials": "box",
        "every_s": 0.05,
        "settle_s": 0.1,
        "mapping": None,
    }
    return SftpSource.model_construct(**{**given, **more})


@pytest.mark.parametrize("by", ["password", "key"])
async def test_files_come_in_once_and_only_new_rows_after_that(server: Server, bench: Bench, by: str) -> None:
    if by == "key":
        (bench.secrets / "source-box").write_bytes(server.client_key.export_private_key())
    day = server.inbox / "day.csv"
    day.write_text(CSV)
    age(day, timedelta(minutes=1))
    (server.inbox / "old.xml").write_text("<a/>")
    age(server.inbox / "old.xml", timedelta(days=1))
    ours = source(server)
    async with bench.running(ours):
        await bench.takings.until(2)
        with day.open("a") as file:
            file.write("10:02,5,6\n")
        await bench.takings.until(3)
        await looked(bench)
    assert [(each.topic, each.data.decode()) for each in bench.takings.bodies] == [
        ("old.xml", "<a/>"),
        ("day.csv", CSV),
        ("day.csv", f"{HEAD}10:02,5,6\n"),
    ]
    async with bench.running(ours):
        await looked(bench)
    assert len(bench.takings.bodies) == 3
    assert (day.exists(), bench.ends) == (True, [])


async def test_links_and_folders_are_left_alone(server: Server, bench: Bench) -> None:
    (server.inbox / "folder").mkdir()
    (server.inbox / "inner.csv").symlink_to("target")
    (server.inbox / "target").write_text("x")
    (server.inbox / "a.csv.part").write_text("x")
    (server.inbox / "good.csv").write_text("good")
    async with bench.running(source(server, pattern="*.csv")):
        await bench.takings.until(1)
        await looked(bench)
    assert bench.takings.texts == ["good"]


async def test_another_key_than_the_one_that_was_named_gets_no_password(server: Server, bench: Bench) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(SourceFailed, match="the server's key is not the host_key"):
        await sftp.run(source(server, host_key=other), bench.means())
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_public_key().decode()
    with pytest.raises(SourceFailed, match="the server's key is not the host_key"):
        await sftp.run(source(server, host_key=rsa), bench.means())


async def test_a_line_of_known_hosts_is_a_key_too(server: Server, bench: Bench) -> None:
    (server.inbox / "a.csv").write_text("in")
    async with bench.running(source(server, host_key=f"[127.0.0.1]:2222 {server.line} comment")):
        await bench.takings.until(1)


@pytest.mark.parametrize("host_key", ["", "SHA256:abc", "ssh-ed25519 AAAAnonsense"])
async def test_what_is_no_key_is_said(server: Server, bench: Bench, host_key: str) -> None:
    with pytest.raises(SourceFailed, match="its host_key is none"):
        await sftp.run(source(server, host_key=host_key), bench.means())


async def test_a_wrong_password_is_said_without_it(server: Server, bench: Bench) -> None:
    (bench.secrets / "source-box").write_text("wrong-canary")
    with pytest.raises(SourceFailed, match="does not let us in") as error:
        await sftp.run(source(server), bench.means())
    assert "canary" not in str(error.value)
    locked = server.client_key.export_private_key(passphrase="secret")
    (bench.secrets / "source-box").write_bytes(locked)
    with pytest.raises(NoCredentials, match="one with a passphrase cannot"):
        await sftp.run(source(server), bench.means())
    with pytest.raises(NoCredentials):
        await sftp.run(source(server, credentials="nowhere"), bench.means())


async def test_a_folder_that_is_not_there_is_said(server: Server, bench: Bench) -> None:
    with pytest.raises(SourceFailed, match="the folder cannot be read: there is none of this name"):
        await sftp.run(source(server, path="nowhere"), bench.means())


async def test_a_file_that_cannot_be_read_harms_no_other(
    server: Server, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "MAX_FILE_BYTES", 100)
    (server.inbox / "a.csv").write_text("x" * 101)
    (server.inbox / "b.csv").write_text("good")
    async with bench.running(source(server)):
        await bench.takings.until(1)
        await until(lambda: "a.csv: it has 101 bytes, and 100 are the most" in bench.troubles, bench.troubles)


async def test_a_server_that_goes_is_found_again(server: Server, bench: Bench) -> None:
    (server.inbox / "a.csv").write_text("before")
    async with bench.running(source(server)):
        await bench.takings.until(1)
        await server.stop()
        await until(lambda: "no connection to the server" in bench.troubles, bench.troubles)
        (server.inbox / "b.csv").write_text("after")
        await server.start()
        await bench.takings.until(2)
        await looked(bench)
    assert bench.takings.texts == ["before", "after"]


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """Take connections and say nothing."""
    writers = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in writers:
            each.close()
        await server.wait_closed()


async def test_a_server_that_hangs_is_given_up(server: Server, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "CONNECT_S", 0.2)
    async with silent() as port:
        with pytest.raises(SourceFailed, match=r"no connection to the server|does not answer"):
            await sftp.run(source(server, port=port), bench.means())


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed: Debian's package openssh-server")
    server = Server(tmp_path)
    keys = tmp_path / "host_key"
    keys.write_bytes(server.host_key.export_private_key())
    for each in (keys, server.authorized):
        each.chmod(0o600)
    configuration = tmp_path / "sshd_config"
    configuration.write_text(
        f"ListenAddress 127.0.0.1\nPort {server.port}\nHostKey {keys}\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {server.authorized}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"Subsystem sftp {SFTP_SERVER}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # its own package makes it where it runs as a service
    with (tmp_path / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", configuration], stdout=log, stderr=log)
    yield server
    process.terminate()
    process.wait(10)


async def test_it_reads_from_openssh(sshd: Server, bench: Bench) -> None:
    (bench.secrets / "source-box").write_bytes(sshd.client_key.export_private_key())
    (sshd.inbox / "a.csv").write_text(CSV)
    (sshd.inbox / "link.csv").symlink_to("a.csv")
    (sshd.inbox / "folder.csv").mkdir()
    async with bench.running(source(sshd, user=getpass.getuser(), path=str(sshd.inbox))):
        await bench.takings.until(1)
        with (sshd.inbox / "a.csv").open("a") as file:
            file.write("10:02,5,6\n")
        await bench.takings.until(2)
        await looked(bench)
    assert bench.takings.texts == [CSV, f"{HEAD}10:02,5,6\n"]
