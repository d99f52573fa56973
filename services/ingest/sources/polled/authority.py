"""What questions are signed with: nothing, a password, a header, or a token that a vendor gives out for an hour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx
from pydantic import SecretStr

from services.ingest.secrets import NoCredentials, Secrets
from services.ingest.sources.means import SourceFailed
from services.ingest.sources.polled.api import Answer
from services.ingest.sources.polled.exchange import Refused, exchange
from shared.contracts.devices import PollSource
from shared.runtime.clock import monotonic_s, now

Scheme = Literal["none", "basic", "digest", "bearer", "header"]

SPARE_S: Final = 60.0
"""A token is left so long before it ends: a report may take a while."""
DEFAULT_LIFE_S: Final = 1800.0
"""Of a token of which nothing is said."""
MINT_GAP_S: Final = 30.0
"""Between two tokens. Vea keeps one token of a client alive: two programs with one client end each other's, and would
ask for new ones until it throttles both."""


@dataclass(slots=True)
class Fixed:
    """No credentials, or the same for every question, read anew once their file changes."""

    secrets: Secrets
    credentials: str
    scheme: Scheme
    _version: tuple[int, int] | None = None
    _headers: dict[str, str] = field(default_factory=dict, repr=False)
    _auth: httpx.Auth | None = None

    async def authorise(self, _: httpx.AsyncClient) -> tuple[dict[str, str], httpx.Auth | None]:
        """Return headers, or what to sign with. Raises NoCredentials."""
        version = self.secrets.version(self.credentials)
        if version != self._version:
            self._headers, self._auth = self._read()
            self._version = version
        return self._headers, self._auth

    def refused(self) -> bool:
        """Return False: the same again helps nobody."""
        return False

    def _read(self) -> tuple[dict[str, str], httpx.Auth | None]:
        match self.scheme:
            case "none":
                return {}, None
            case "basic" | "digest":
                user, password = self.secrets.pair(self.credentials)
                make = httpx.BasicAuth if self.scheme == "basic" else httpx.DigestAuth
                return {}, make(user, password.get_secret_value())
            case "bearer":
                return {"Authorization": f"Bearer {_line(self.secrets, self.credentials)}"}, None
            case "header":
                name, colon, value = _line(self.secrets, self.credentials).partition(":")
                if not colon or not name.strip().replace("-", "").isalnum():
                    raise NoCredentials(f"the secrets file source-{self.credentials} should hold a header, Name: value")
                return {name.strip(): value.strip()}, None


@dataclass(slots=True)
class Tokens:
    """A token of OAuth 2 for an id and a secret, kept until it ends or is refused."""

    url: str
    secrets: Secrets
    credentials: str
    fields: Callable[[str, SecretStr], dict[str, str]]
    """The form that asks for a token."""
    _token: SecretStr | None = None
    _ends_s: float = 0.0
    _minted_s: float | None = None
    _version: tuple[int, int] | None = None

    async def authorise(self, client: httpx.AsyncClient) -> tuple[dict[str, str], httpx.Auth | None]:
        """Return the header with the token, a new one if need be. Raises SourceFailed, NoCredentials."""
        version = self.secrets.version(self.credentials)
        if version != self._version:
            self._token, self._minted_s, self._version = None, None, version
        if self._token is None or monotonic_s() >= self._ends_s:
            await self._mint(client)
        assert self._token is not None
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}, None

    def refused(self) -> bool:
        """Drop the token; return whether a new one may help: not if this one was new itself."""
        self._token = None
        return self._left_s() <= 0

    def _left_s(self) -> float:
        return 0.0 if self._minted_s is None else self._minted_s + MINT_GAP_S - monotonic_s()

    async def _mint(self, client: httpx.AsyncClient) -> None:
        if (left_s := self._left_s()) > 0:
            raise SourceFailed(
                "it does not accept a token that it has just given out; perhaps another program uses the same client",
                wait_s=left_s,
            )
        user, secret = self.secrets.pair(self.credentials)
        try:
            request = client.build_request("POST", self.url, data=self.fields(user, secret))
        except (httpx.InvalidURL, ValueError) as error:
            raise SourceFailed("the address for tokens cannot be used") from error
        try:
            answer = await exchange(client, request, None, now(), what="the server that gives out tokens")
        except Refused:
            raise
        except SourceFailed as error:
            if "HTTP 400" in str(error):  # as RFC 6749 has it for credentials that are wrong
                raise Refused(f"the credentials in the secrets file source-{self.credentials} are refused") from error
            raise
        self._token, life_s = _token(answer)
        self._minted_s = monotonic_s()
        self._ends_s = self._minted_s + max(life_s - SPARE_S, life_s / 2)


def fixed(source: PollSource, secrets: Secrets, scheme: Scheme) -> Fixed:
    """Return what a source is asked with."""
    return Fixed(secrets, source.credentials, scheme)


def client_credentials(user: str, secret: SecretStr) -> dict[str, str]:
    """Return the form of OAuth 2's client credentials grant."""
    return {"grant_type": "client_credentials", "client_id": user, "client_secret": secret.get_secret_value()}


def password_grant(user: str, secret: SecretStr) -> dict[str, str]:
    """Return the form of OAuth 2's password grant."""
    return {"grant_type": "password", "username": user, "password": secret.get_secret_value()}


def _token(answer: Answer) -> tuple[SecretStr, float]:
    try:
        found = json.loads(answer.body)
        token = found["access_token"]
        life_s = float(found.get("expires_in") or DEFAULT_LIFE_S)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceFailed("the server that gives out tokens answers with something else") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token or life_s <= 0:
        raise SourceFailed("the server that gives out tokens answers with something else")
    return SecretStr(token), life_s


def _line(secrets: Secrets, credentials: str) -> str:
    line = secrets.read(credentials).get_secret_value()
    if not line.isascii() or not line.isprintable():
        raise NoCredentials(f"the secrets file source-{credentials} should hold one line")
    return line
