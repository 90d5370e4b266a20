"""The server's certificate: what is refused before anybody connects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from micromoment.errors import InvalidSettingError
from micromoment.security.certificates import TlsFiles, read_tls

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def write(folder: Path, private: Key) -> TlsFiles:
    """Write a key and a certificate that it signed itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    files = TlsFiles(folder / "server.crt", folder / "server.key")
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.key.chmod(0o600)
    return files


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65_537, 1_024),  # noqa: S505 - what is refused
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["a short key", "a curve that TLS has not"],
)
def test_a_certificate_that_nobody_could_connect_with_is_refused(
    tmp_path: Path, private: Key
) -> None:
    """Else a renewal would be taken up and end all new connections."""
    with pytest.raises(InvalidSettingError, match=r"tls_certificate: .*nobody could connect"):
        read_tls(write(tmp_path, private))


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65_537, 2_048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["RSA", "P-256", "P-384"],
)
def test_usual_keys_are_taken(tmp_path: Path, private: Key) -> None:
    """A handshake in memory comes to its end."""
    files = write(tmp_path, private)
    assert read_tls(files).certificate == files.certificate.read_bytes()
