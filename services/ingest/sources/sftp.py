"""A folder on another machine, read by SFTP: only from the server whose key the configuration names."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncssh

from services.ingest.secrets import NoCredentials
from services.ingest.sources.files import MAX_LISTED, Entry, FileFault, Folder
from services.ingest.sources.means import Means, Runner, SourceFailed
from services.ingest.sources.rows import MAX_FILE_BYTES
from shared.contracts.devices import SftpSource

CONNECT_S: Final = 20.0
ANSWER_S: Final = 60.0
"""For a list of the folder; a large file takes as long as it takes, while something comes."""
READ_S: Final = 600.0
"""For one file: the largest over a line of one megabit a second."""
KEEPALIVE_S: Final = 15
KEEPALIVES_LOST: Final = 3
"""A line that is dead is noticed within a minute."""
NANOSECONDS: Final = 10**9

logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of each connection and of each file


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder on a server."""

    client: asyncssh.SFTPClient
    path: str

    async def listed(self) -> Sequence[Entry]:
        """Return the regular files. Raises SourceFailed."""
        found: list[Entry] = []
        try:
            async with asyncio.timeout(ANSWER_S):
                async for each in self.client.scandir(self.path):
                    entry = _entry(each)
                    if entry is not None:
                        found.append(entry)
                    if len(found) > MAX_LISTED:
                        raise SourceFailed(f"there are more than {MAX_LISTED} files in the folder; move old ones away")
        except asyncssh.SFTPError as error:
            raise SourceFailed(f"the folder cannot be read: {_reason(error)}") from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise SourceFailed(_words(error)) from error
        return found

    async def read(self, entry: Entry, limit: int) -> bytes | None:
        """Return a file's content, or None if it is not as it was listed. Raises FileFault, SourceFailed."""
        path = f"{self.path.rstrip('/')}/{entry.name}"
        if entry.size > limit:
            raise FileFault(f"it has {entry.size} bytes, and {limit} are the most")
        try:
            async with asyncio.timeout(READ_S), self.client.open(path, "rb", encoding=None) as file:
                data: Any = await file.read(limit + 1)  # bytes, as the mode says and its types do not
                after = await file.stat()
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        except asyncssh.SFTPConnectionLost as error:
            raise SourceFailed("the connection was lost") from error
        except asyncssh.SFTPError as error:
            raise FileFault(f"it cannot be read: {_reason(error)}") from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise SourceFailed(_words(error)) from error
        is_as_listed = (after.mtime or 0) * NANOSECONDS == entry.mtime_ns and after.size == len(data) == entry.size
        return data if is_as_listed else None


def _entry(listed: asyncssh.SFTPName) -> Entry | None:
    name, state = listed.filename, listed.attrs
    if isinstance(name, bytes) or "/" in name or state.size is None or state.mtime is None:
        return None
    # Servers of SFTP 3, which are most, tell a file from a folder and a link by its permissions alone.
    is_file = stat.S_ISREG(state.permissions) if state.permissions else state.type == asyncssh.FILEXFER_TYPE_REGULAR
    return Entry(name, int(state.mtime) * NANOSECONDS, state.size) if is_file else None


@asynccontextmanager
async def _connected(source: SftpSource, means: Means) -> AsyncIterator[asyncssh.SFTPClient]:
    secret = means.secrets.read(source.credentials).get_secret_value()
    try:
        host_key = asyncssh.import_public_key(_key_of(source.host_key))
    except asyncssh.KeyImportError as error:
        raise SourceFailed(
            "its host_key is none; it looks like `ssh-ed25519 AAAA…`, as ssh-keyscan shows it"
        ) from error
    options: dict[str, Any] = {"password": secret, "preferred_auth": "password,keyboard-interactive", "client_keys": []}
    if "PRIVATE KEY-----" in secret:
        try:
            key = asyncssh.import_private_key(secret)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            reason = "holds no private key that can be used; one with a passphrase cannot"
            raise NoCredentials(f"the secrets file source-{source.credentials} {reason}") from error
        options = {"client_keys": [key], "preferred_auth": "publickey"}
    try:
        async with (
            asyncssh.connect(
                source.host,
                source.port,
                username=source.user,
                known_hosts=([host_key], [], []),  # this one and no other, whatever is on this machine
                config=None,
                agent_path=None,
                connect_timeout=CONNECT_S,
                login_timeout=CONNECT_S,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVES_LOST,
                **options,
            ) as connection,
            connection.start_sftp_client() as client,
        ):
            yield client
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise SourceFailed(_words(error)) from error


def _key_of(line: str) -> str:
    """Return the key of a line, which in known_hosts and from ssh-keyscan begins with the names of the host."""
    words = line.split()
    at = next((number for number, word in enumerate(words) if word.startswith("AAAA")), 0)
    return " ".join(words[at - 1 : at + 1]) if at else line


def _words(error: Exception) -> str:
    """Say what is wrong with a connection; the server's own words may be anything."""
    match error:
        case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed():
            return "the server's key is not the host_key of the configuration: it is another server, or has a new key"
        case asyncssh.PermissionDenied():
            return "the server does not let us in: user, password or key are not right"
        case asyncssh.ChannelOpenError():
            return "the server offers no SFTP"
        case TimeoutError():
            return "the server does not answer"
    return "no connection to the server"


def _reason(error: asyncssh.SFTPError) -> str:
    match error:
        case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
            return "there is none of this name"
        case asyncssh.SFTPPermissionDenied():
            return "the server does not permit it"
        case asyncssh.SFTPConnectionLost() | asyncssh.SFTPNoConnection():
            return "the connection was lost"
    return "the server says no"


async def run(source: SftpSource, means: Means) -> None:
    """Read a folder for ever, whenever it is this process's turn. Raises SourceFailed, NoCredentials."""
    where = f"{source.user}@{source.host}:{source.port}/{source.path}"
    async with means.positions.turn(source.id) as turn, _connected(source, means) as client:
        await Folder(source, where, Remote(client, source.path), means, turn, MAX_FILE_BYTES).for_ever()


RUNNER: Final = Runner("sftp", run)
