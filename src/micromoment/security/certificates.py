"""The server's certificate, its key and whom it believes, read from PEM files and checked."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from micromoment.errors import InvalidSettingError
from micromoment.security.key_files import warn_if_readable_by_all
from micromoment.security.server_context import try_handshake

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CERTIFICATE: Final = "tls_certificate"
KEY: Final = "tls_key"
CLIENT_CA: Final = "tls_client_ca"

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where they are; with `client_ca`, clients must have a certificate of one of these issuers."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        both = (self.certificate, self.key)
        return both if self.client_ca is None else (*both, self.client_ca)


@dataclass(frozen=True, slots=True)
class Tls:
    """A chain and its key that belong together, as PEM; `not_after` is in seconds since 1970."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    not_after: float


def read_tls(files: TlsFiles, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Tls:
    """Read and check the files.

    Raises `InvalidSettingError` naming the setting: a file that can't be read or is no PEM, a key
    with a password or of another certificate, a certificate that is over, not yet valid, or with
    which nobody could connect.
    """
    # Imported where TLS is used: it takes a tenth of a second.
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415

    chain, key = _read(files.certificate, CERTIFICATE), _read(files.key, KEY)
    leaf = _parse(load_pem_x509_certificates, chain, files.certificate, CERTIFICATE)[0]
    private = _parse(lambda pem: load_pem_private_key(pem, None), key, files.key, KEY)
    if leaf.public_key() != private.public_key():
        raise InvalidSettingError(
            KEY, f"{files.key} isn't the key of the certificate in {files.certificate}"
        )
    _check_time(leaf, files.certificate, now())
    _check_use(chain, key, files.certificate)
    authorities = None
    if files.client_ca is not None:
        authorities = _read(files.client_ca, CLIENT_CA)
        _parse(load_pem_x509_certificates, authorities, files.client_ca, CLIENT_CA)
    warn_if_readable_by_all(KEY, files.key)
    return Tls(chain, key, authorities, leaf.not_valid_after_utc.timestamp())


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettingError(setting, f"{path} can't be read: {error.strerror}") from None


def _parse(parse: Callable[[bytes], Any], pem: bytes, path: Path, setting: str) -> Any:  # noqa: ANN401 - several kinds
    # TypeError: the key has a password. Anything else is whatever the parser thinks of the bytes.
    try:
        return parse(pem)
    except TypeError:
        raise InvalidSettingError(setting, f"{path} is protected by a password") from None
    except Exception:  # noqa: BLE001 - its message may hold a part of the file
        raise InvalidSettingError(setting, f"{path} is damaged or not in PEM format") from None


def _check_time(leaf: Certificate, path: Path, now: datetime) -> None:
    if now >= leaf.not_valid_after_utc:
        raise InvalidSettingError(
            CERTIFICATE, f"{path} expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if now < leaf.not_valid_before_utc:
        raise InvalidSettingError(
            CERTIFICATE, f"{path} is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        )


def _check_use(chain: bytes, key: bytes, path: Path) -> None:
    try:
        try_handshake(chain, key)
    except ssl.SSLError as error:
        raise InvalidSettingError(
            CERTIFICATE, f"{path} is of no use, nobody could connect: {error.reason or error}"
        ) from None
