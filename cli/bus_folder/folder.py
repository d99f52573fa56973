"""The folder of `placelibre bus init`: what is made once, what is made anew when asked for, and who may read it.

Nothing that is there is overwritten, but for certificates that are renewed and keys that are rotated, which is what
those commands are for; and a file is replaced whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final

import nkeys

from cli.bus_folder.certificates import (
    CertificateRefused,
    Signed,
    ends_at,
    hosts_of,
    new_authority,
    new_server,
)
from cli.bus_folder.rendering import (
    AUTHORIZATION,
    Layout,
    Node,
    configuration_name,
    render_authorization,
    render_server,
)
from cli.terminal import Trouble
from shared.contracts.permissions import SERVICES
from shared.runtime.clock import now
from shared.runtime.provision import COPIES_IN_A_CLUSTER

PRIVATE, FOR_GROUP = 0o600, 0o640
PUBLIC: Final = 0o644
FORMER: Final = ".former"
"""Of a key that is being changed: the public half that still lets its user in."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read what is made: `owner` and `group` as numbers, None to leave them; secrets get `mode`."""

    mode: int = PRIVATE
    owner: int | None = None
    group: int | None = None


@dataclass(slots=True)
class Report:
    """What a command made, what was there already, and what of that is not as this version would write it."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    """Hosts that the servers' certificate does not name."""
    is_of_other_size: bool = False
    """Whether the folder was made for another number of servers."""


class BusFolder:
    """One folder of keys, certificates and configurations."""

    def __init__(self, path: Path, access: Access | None = None) -> None:
        """Take a folder that may not exist yet."""
        self.path = path
        self._access = access or Access()
        self._nkeys = path / "nkeys"
        self._tls = path / "tls"
        self.authority_file = self._tls / "ca.pem"
        self.authority_key_file = self._tls / "ca-key.pem"
        self.server_file = self._tls / "server.pem"
        self.server_key_file = self._tls / "server-key.pem"
        self.authorization_file = path / AUTHORIZATION

    def seed_file(self, user: str) -> Path:
        """Return the file with a user's nkey seed."""
        return self._nkeys / f"{user}.nk"

    def size(self) -> int | None:
        """Return for how many servers the folder was made, None if it has no configuration yet.

        Where it has those of one and of a cluster it is on its way to the cluster: nobody goes back with both.
        """
        if any(self.path.glob("nats-server-*.conf")):
            return COPIES_IN_A_CLUSTER
        return 1 if (self.path / "nats-server.conf").exists() else None

    def make(self, layout: Layout, hosts: Sequence[str], *, is_rights_anew: bool = False) -> Report:
        """Make what is missing; with `is_rights_anew` also write the users and rights of this version.

        Raises:
            Trouble: the folder cannot be written, a name cannot be used, or part of a pair is missing.
        """
        report = Report()
        with _told(self.path):
            self._folder(self.path)
            self._folder(self._nkeys)
            self._folder(self._tls)
            for user in SERVICES:
                self._once(self.seed_file(user), _new_seed, report)
            self._authority(report)
            self._server(hosts, report)
            self._rights(report, is_anew=is_rights_anew)
            for number, node in enumerate(layout.nodes):
                path = self.path / configuration_name(layout, number)
                self._once(path, partial(_configuration, layout, node), report)
            self._other_size(layout, report)
        return report

    def renew(self, hosts: Sequence[str]) -> tuple[str, ...]:
        """Make the servers' certificate anew, for the names that it has and `hosts`; return all of them.

        Raises:
            Trouble: there is no authority or no certificate here, or a name cannot be used.
        """
        with _told(self.path):
            authority = Signed(self.authority_file.read_bytes(), self.authority_key_file.read_bytes())
            names = tuple(dict.fromkeys([*hosts_of(self.server_file.read_bytes()), *hosts]))
            signed = new_server(authority, names, now())
            # A server that reloads between the two finds a pair that does not fit, says so, and keeps the one it has.
            self._replace(self.server_key_file, signed.key)
            self._replace(self.server_file, signed.certificate, PUBLIC)
        return names

    def rotate(self, user: str) -> None:
        """Give a user a new key; the one of before lets it in as well, until `finish`.

        Raises:
            Trouble: there is no such user, or the change before this one is not finished.
        """
        self.refuse_second(user)
        path, former = self.seed_file(user), self._former_file(user)
        with _told(self.path):
            seed = _new_seed()
            # In this order, stopped anywhere, the key in the file is one that the rights name.
            self._write(former, _public_half(path).encode(), mode=PUBLIC)
            self._rights(Report(), is_anew=True, coming={user: _public_half_of(seed, path)})
            self._replace(path, seed)

    def refuse_second(self, user: str) -> None:
        """See that a user can be given a new key. Raises Trouble."""
        self._known(user)
        if self._former_file(user).exists():
            raise Trouble(
                f"{user} has two keys already",
                f"finish that change first: placelibre bus rotate {self.path} {user} --finish",
            )

    def finish(self, user: str) -> None:
        """Let a user in with its new key alone. Raises Trouble."""
        self._known(user)
        former = self._former_file(user)
        with _told(self.path):
            if not former.exists():
                raise Trouble(f"{user} has one key only", f"begin with: placelibre bus rotate {self.path} {user}")
            # In this order, stopped in between, it can be done again and the former key is out already.
            self._rights(Report(), is_anew=True, ended=user)
            former.unlink()

    def ends(self) -> dict[str, str]:
        """Return when the authority's and the servers' certificates end, in ISO 8601. Raises Trouble."""
        with _told(self.path):
            files = {"authority": self.authority_file, "server": self.server_file}
            return {name: ends_at(file.read_bytes()).isoformat() for name, file in files.items()}

    def _known(self, user: str) -> Path:
        path = self.seed_file(user)
        if user not in SERVICES:
            raise Trouble(f"there is no user {user!r}", f"there are {', '.join(SERVICES)}")
        if not path.exists():
            raise Trouble(f"there is no key {path}", f"make it with: placelibre bus init {self.path}")
        return path

    def _former_file(self, user: str) -> Path:
        return self._nkeys / f"{user}{FORMER}"

    def _authority(self, report: Report) -> None:
        if self.authority_file.exists() or self.server_file.exists():
            report.kept.append(self._name(self.authority_file))
            return
        signed = new_authority(now())
        # Whoever has this key can stand in for the bus. Nothing that runs needs it, so nobody else gets to read it.
        self._write(self.authority_key_file, signed.key, Access())
        self._write(self.authority_file, signed.certificate, mode=PUBLIC)
        report.made += [self._name(self.authority_key_file), self._name(self.authority_file)]

    def _server(self, hosts: Sequence[str], report: Report) -> None:
        if self.server_file.exists():
            report.kept.append(self._name(self.server_file))
            missing = sorted(set(hosts) - set(hosts_of(self.server_file.read_bytes())))
            if missing:
                report.unnamed = missing
                report.outdated.append(f"{self._name(self.server_file)} does not name {', '.join(missing)}")
            return
        authority = Signed(self.authority_file.read_bytes(), self.authority_key_file.read_bytes())
        signed = new_server(authority, hosts, now())
        self._write(self.server_key_file, signed.key)
        self._write(self.server_file, signed.certificate, mode=PUBLIC)
        report.made += [self._name(self.server_key_file), self._name(self.server_file)]

    def _other_size(self, layout: Layout, report: Report) -> None:
        ours = {configuration_name(layout, number) for number in range(len(layout.nodes))}
        others = sorted({path.name for path in self.path.glob("nats-server*.conf")} - ours)
        if others:
            report.is_of_other_size = True
            report.outdated.append(f"{', '.join(others)}: of another number of servers than {len(layout.nodes)}")

    def _rights(
        self, report: Report, *, is_anew: bool, coming: Mapping[str, str] | None = None, ended: str = ""
    ) -> None:
        """Write the users' keys and rights; `coming` are keys that are in no file yet, `ended` has a former one."""
        keys = {user: self._public_keys(user) for user in SERVICES}
        if ended:
            keys[ended] = [_public_half(self.seed_file(ended))]
        for user, key in (coming or {}).items():
            keys[user] = [key, _public_half(self.seed_file(user))]
        content = render_authorization(keys).encode()
        name = self._name(self.authorization_file)
        try:
            present = self.authorization_file.read_bytes()
        except FileNotFoundError:
            present = None
        if present == content:
            report.kept.append(name)
        elif present is None or is_anew:
            self._replace(self.authorization_file, content)
            report.made.append(name)
        else:
            report.kept.append(name)
            report.outdated.append(f"{name} holds other users or rights than this version has")

    def _public_keys(self, user: str) -> list[str]:
        former = self._former_file(user)
        keys = [_public_half(self.seed_file(user))]
        return list(dict.fromkeys([*keys, former.read_text().strip()])) if former.exists() else keys

    def _once(self, path: Path, content: Callable[[], bytes], report: Report) -> None:
        if path.exists():
            report.kept.append(self._name(path))
            return
        self._write(path, content())
        report.made.append(self._name(path))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.path))

    def _folder(self, path: Path) -> None:
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_new:
            path.chmod(0o700 if self._access.mode == PRIVATE else 0o750)
            self._give(path, self._access)

    def _write(self, path: Path, content: bytes, access: Access | None = None, *, mode: int | None = None) -> None:
        """Write a file that is not there yet; it has its owner and mode before it has its name."""
        access = access or self._access
        beside = path.with_name(f".{path.name}.{token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._give(beside, access)
            beside.chmod(access.mode if mode is None else mode)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _replace(self, path: Path, content: bytes, mode: int | None = None) -> None:
        """Replace a file, keeping its owner and mode where there is one."""
        try:
            found = path.stat()
        except FileNotFoundError:
            self._write(path, content, mode=mode)
            return
        owner, group = _other_owner(found)
        self._write(path, content, Access(found.st_mode & 0o777, owner, group))

    @staticmethod
    def _give(path: Path, access: Access) -> None:
        if access.owner is not None or access.group is not None:
            os.chown(path, -1 if access.owner is None else access.owner, -1 if access.group is None else access.group)


def _other_owner(found: os.stat_result) -> tuple[int | None, int | None]:
    """Return whom a new file must be given to so that it is as the one before; None where it is so by itself."""
    owner = None if found.st_uid == os.geteuid() else found.st_uid
    return owner, None if found.st_gid == os.getegid() else found.st_gid


def _new_seed() -> bytes:
    return bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))


def _configuration(layout: Layout, node: Node) -> bytes:
    return render_server(layout, node).encode()


def _public_half(path: Path) -> str:
    return _public_half_of(path.read_bytes().strip(), path)


def _public_half_of(seed: bytes, path: Path) -> str:
    try:
        public: bytes = nkeys.from_seed(bytearray(seed)).public_key
    except (nkeys.NkeysError, ValueError) as error:
        raise Trouble(
            f"{path} holds no nkey seed", "put it back from a copy, or remove it and make a new one"
        ) from error
    return public.decode()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence what cannot be read, written or used."""
    try:
        yield
    except CertificateRefused as error:
        raise Trouble(str(error), f"see the names that were given, and the files in {path / 'tls'}") from error
    except FileNotFoundError as error:
        raise Trouble(
            f"there is no {error.filename}", f"make what is missing with: placelibre bus init {path}"
        ) from error
    except OSError as error:
        raise Trouble(
            f"{error.filename or path} cannot be used: {error.strerror}",
            "choose a folder that is yours; giving files to another owner needs root, or `podman unshare`",
        ) from error
