"""Certificates of the bus: an authority of our own, and what it signs for the servers. Nothing here touches a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_FOR: Final = timedelta(days=3650)
SERVER_FOR: Final = timedelta(days=365)
"""Renewed by one command and a reload; shorter would only be forgotten more often where nobody automates it."""
CLOCKS_APART: Final = timedelta(days=1)
"""A certificate holds a little before it was made, for the machine whose clock is behind."""


class CertificateRefused(ValueError):  # noqa: N818  the operator is told what to do
    """A name cannot stand in a certificate, or a file is not what it should be."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its private key, both in PEM."""

    certificate: bytes
    key: bytes


def new_authority(now: datetime, lasts: timedelta = AUTHORITY_FOR) -> Signed:
    """Return an authority that may sign servers' certificates and nothing below them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Placelibre bus authority")])
    public = key.public_key()
    certificate = (
        _begun(name, name, public, now, lasts)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signed(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def new_server(authority: Signed, hosts: Sequence[str], now: datetime, lasts: timedelta = SERVER_FOR) -> Signed:
    """Return a server's certificate for these names and addresses, signed by the authority.

    The servers of one cluster know each other by it too, as clients.

    Raises:
        CertificateRefused: a name cannot be used, there is none, or the authority is not one.
    """
    try:
        signer = x509.load_pem_x509_certificate(authority.certificate)
        signing_key = serialization.load_pem_private_key(authority.key, password=None)
    except ValueError as error:
        raise CertificateRefused("the authority or its key is no PEM") from error
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey) or signing_key.public_key() != signer.public_key():
        raise CertificateRefused("the authority's key is not that of its certificate")
    if not hosts:
        raise CertificateRefused("a certificate needs a name")
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    certificate = (
        _begun(subject, signer.subject, public, now, min(lasts, signer.not_valid_after_utc - now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in hosts]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        .sign(signing_key, hashes.SHA256())
    )
    return Signed(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def hosts_of(certificate: bytes) -> list[str]:
    """Return the names and addresses of a certificate. Raises CertificateRefused."""
    try:
        extensions = x509.load_pem_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise CertificateRefused("it is no certificate of a server") from error
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def ends_at(certificate: bytes) -> datetime:
    """Return when a certificate ends. Raises CertificateRefused."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise CertificateRefused("it is no certificate in PEM") from error


def _begun(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lasts) - CLOCKS_APART)
        .not_valid_after(now + lasts)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    unused: Iterable[str] = (
        *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        **dict.fromkeys(unused, False),
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    if not host or len(host) > 253 or not all(_is_label(each) for each in host.removeprefix("*.").split(".")):
        raise CertificateRefused(f"{host!r} is neither a name nor an address")
    return x509.DNSName(host)


def _is_label(text: str) -> bool:
    return 0 < len(text) < 64 and text.isascii() and text.replace("-", "").isalnum() and text.strip("-") == text


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
