"""Certificates made for tests, and what happens when somebody connects with them."""

from __future__ import annotations

import socket
import ssl
import tempfile
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

# What each kind of server answers to, and with: enough of its protocol for one reply.
GRPC: Final = ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
HTTP: Final = ("http/1.1", b"GET /livez HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, as PEM; an issuer of others if it is an authority."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @cached_property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @cached_property
    def key(self) -> bytes:
        """The key, without a password."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def locked_key(self) -> bytes:
        """The key behind a password."""
        lock = BestAvailableEncryption(b"a password")
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)

    @property
    def serial(self) -> int:
        """The certificate's number."""
        return self.certificate.serial_number


def authority(name: str = "authority") -> Issued:
    """Make an issuer."""
    return _issue(name, None, is_authority=True, begins=-1.0, ends=30.0)


def issued(
    by: Issued, name: str = "localhost", *, begins: float = -1.0, ends: float = 30.0
) -> Issued:
    """Issue a certificate for a name and 127.0.0.1, valid so many days from now on."""
    return _issue(name, by, is_authority=False, begins=begins, ends=ends)


def _issue(
    name: str, by: Issued | None, *, is_authority: bool, begins: float, ends: float
) -> Issued:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=min(begins, ends - 1)))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        names = [x509.DNSName(name), x509.IPAddress(IPv4Address("127.0.0.1"))]
        if name == "elsewhere":
            names = [x509.DNSName(name)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(by.private if by else private, hashes.SHA256())
    return Issued(certificate, private)


class Files(NamedTuple):
    """Where a server's certificate, key and clients' issuer are."""

    certificate: Path
    key: Path
    client_ca: Path

    @property
    def settings(self) -> dict[str, str]:
        """The settings that name them."""
        return {
            "tls_certificate": str(self.certificate),
            "tls_key": str(self.key),
            "tls_client_ca": str(self.client_ca),
        }

    def write(self, one: Issued, client_ca: Issued | None = None) -> None:
        """Put others in their place, each file at once and one after the other."""
        wanted = [(self.certificate, one.pem), (self.key, one.key)]
        if client_ca is not None:
            wanted.append((self.client_ca, client_ca.pem))
        for path, content in wanted:
            draft = path.with_suffix(".draft")
            draft.write_bytes(content)
            draft.chmod(0o600)
            draft.replace(path)


def files_in(folder: Path) -> Files:
    """Name the files in a folder."""
    return Files(folder / "server.crt", folder / "server.key", folder / "clients.crt")


def exchange(
    port: int,
    ca: Issued,
    protocol: tuple[str, bytes],
    client: Issued | None = None,
    *,
    version: ssl.TLSVersion | None = None,
) -> int:
    """Connect, say something and read an answer; give the serial of the server's certificate.

    Raises `OSError` (`ssl.SSLError` is one) where either side refuses the other.
    """
    return exchange_session(port, client_context(ca, protocol, client, version), protocol)[0]


def client_context(
    ca: Issued,
    protocol: tuple[str, bytes],
    client: Issued | None = None,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """Make what a client connects with."""
    context = ssl.create_default_context(cadata=ca.pem.decode())
    context.set_alpn_protocols([protocol[0]])
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is tried
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
    if client is not None:
        with tempfile.NamedTemporaryFile() as both:
            both.write(client.key + client.pem)
            both.flush()
            context.load_cert_chain(both.name)
    return context


def exchange_session(
    port: int,
    context: ssl.SSLContext,
    protocol: tuple[str, bytes],
    session: ssl.SSLSession | None = None,
) -> tuple[int, ssl.SSLSession | None, bool]:
    """Do the same with a session to resume.

    Gives the session that can be resumed next and whether the given one was resumed, too.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(protocol[1])
        # With TLS 1.3 a client learns only now that its certificate was refused.
        if not connection.recv(1):
            raise ConnectionResetError
        told = connection.getpeercert(binary_form=True)
        assert told is not None
        serial = x509.load_der_x509_certificate(told).serial_number
        return serial, connection.session, bool(connection.session_reused)
