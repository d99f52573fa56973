"""TLS in front of a service that strangers reach without a proxy: its certificate, taken anew when its files change.

Whoever renews certificates writes files and rarely knows whom to tell, so the files are looked at. The new certificate
goes into the context that is in use: connections that stand keep the old one until they end, new ones get the new one,
and no request is lost. Files of which one is renewed and the other is not yet go on being the old ones.
"""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from shared.runtime import metrics
from shared.runtime.clock import now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

LOOK_EVERY_S: Final = 5.0
"""Two `stat`s; whoever has renewed a certificate looks at it a moment later and should see the new one."""

_Mark = tuple[tuple[int, int, int], ...]


class UnusableCertificate(ValueError):  # noqa: N818  the operator is told what to do
    """The certificate and its key cannot be used; the message says why and what would be right."""


class OwnCertificate:
    """A certificate chain and its key, both in PEM, and what shows them to whoever connects."""

    def __init__(self, certificate: Path, key: Path, what: str) -> None:
        """Load both; `what` names it in metrics and logs. One that has ended is taken: whoever verifies sees it.

        Raises:
            UnusableCertificate: a file cannot be read or is no PEM, or the key is not the certificate's.
        """
        self.certificate = certificate
        self.key = key
        self.context = _context()
        self._what = what
        self._seen: _Mark = ()
        self._told: _Mark = ()
        self.until = self._load()
        """When the first of the chain ends."""

    async def follow(self) -> None:
        """Take the certificate anew whenever its files have changed, for ever; say of when it ends."""
        self._tell()
        while True:
            await wait_s(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Look at the files once. What cannot be used is told once and leaves the old certificate in use."""
        mark = self._mark()
        if mark == self._seen:
            return
        try:
            self.until = self._load()
        except UnusableCertificate as error:
            if mark != self._told:  # it is tried again all the same
                self._told = mark
                until = self.until.isoformat()
                log.error("certificate_not_taken", what=self._what, reason=str(error), until=until)  # noqa: TRY400  no fault of ours
            return
        log.info("certificate_taken", what=self._what, until=self.until.isoformat())
        self._tell()

    def _load(self) -> datetime:
        mark = self._mark()
        until = ends_at(self.certificate)
        # First into a context that nobody uses: a key that does not match would leave the other one without any.
        _load_into(_context(), self.certificate, self.key)
        _load_into(self.context, self.certificate, self.key)
        self._seen = mark  # of before it was read: what has changed since is seen at the next look
        return until

    def _tell(self) -> None:
        metrics.CERTIFICATE_EXPIRES_AT.labels(self._what).set(self.until.timestamp())
        if self.until <= now():
            log.error("certificate_has_expired", what=self._what, until=self.until.isoformat())

    def _mark(self) -> _Mark:
        """Return what tells the files from what they were; a file that is away has a mark too."""
        return tuple(_mark_of(each) for each in (self.certificate, self.key))


def ends_at(certificate: Path) -> datetime:
    """Return when the first of a chain ends. Raises UnusableCertificate."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except OSError as error:
        raise UnusableCertificate(f"{certificate} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnusableCertificate(f"{certificate} holds no certificate in PEM") from error
    return min(each.not_valid_after_utc for each in chain)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # boxes at doors are old; before 1.2 nothing holds any more
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_into(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # Without a word of ours OpenSSL would ask the terminal for the password of a key that has one.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UnusableCertificate(f"{key} is not the key of {certificate}; give the pair as it was made") from error
        raise UnusableCertificate(
            f"{certificate} and {key} cannot be used ({error.reason or 'unreadable'}); both must be PEM, the server's"
            " certificate first, the key without a password"
        ) from error
    except OSError as error:
        raise UnusableCertificate(f"{key} cannot be read: {error.strerror}") from error


def _mark_of(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
