"""Ed25519 keys of bundles, as PEM files: the private one signs, the public ones are trusted.

`openssl genpkey -algorithm ed25519` makes the same. A key is named by the SHA-256 of its 32 public
bytes, in hexadecimal. `cryptography` is imported where a key is used, which most servers never do.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from micromoment.errors import InvalidDataError, InvalidSettingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_SETTING: Final = "bundle_keys"
_PUBLIC: Final = re.compile(
    rb"-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]*-----END PUBLIC KEY-----"
)
_OWNER_ALONE: Final = 0o600


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key and the name of its file without the ending, by which people know it."""

    key_id: str
    name: str
    public: Ed25519PublicKey

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the key's owner signed a message."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above

        try:
            self.public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    key_id: str
    private: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes, the same each time."""
        return self.private.sign(message)


def make_key_pair(private: Path, public: Path) -> str:
    """Write a new key pair into two files that aren't there yet; gives the key's id.

    The private one is readable by its owner alone. Raises `InvalidDataError` for a file that is
    there or can't be written.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    shown = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    if public.exists():  # before there is half a pair
        raise InvalidDataError(str(public), "is there already")
    _write_new(private, secret, _OWNER_ALONE)
    _write_new(public, shown, 0o644)
    return _id_of(key.public_key())


def load_signing_key(path: Path) -> SigningKey:
    """Read a private key. Raises `InvalidDataError` for what is none, or is open to everybody."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be read: {error.strerror}") from None
    if mode & stat.S_IROTH:
        raise InvalidDataError(str(path), "everybody can read this private key: chmod 600")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise InvalidDataError(str(path), "is no private key in PEM, unencrypted") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidDataError(str(path), "is a private key, but not of Ed25519")
    return SigningKey(_id_of(key.public_key()), key)


def load_trusted_keys(path: Path) -> tuple[TrustedKey, ...]:
    """Read public keys: of a file, or of all files of a folder, any number in each.

    Raises `InvalidSettingError` for what can't be read, holds none, or holds a private key.
    """
    try:
        files = sorted(_files(path))
        contents = [file.read_bytes() for file in files]
    except OSError as error:
        raise InvalidSettingError(_SETTING, f"{path} can't be read: {error.strerror}") from None
    keys: dict[str, TrustedKey] = {}
    for file, content in zip(files, contents, strict=True):
        keys |= {key.key_id: key for key in _public_keys(file, content)}
    if not keys:
        raise InvalidSettingError(_SETTING, f"{path} holds no public key")
    return tuple(keys.values())


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # What begins with a dot is how mounted secrets are exchanged, or an editor's.
    return [file for file in path.iterdir() if file.name[0] != "." and file.is_file()]


def _public_keys(file: Path, content: bytes) -> list[TrustedKey]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    if b"PRIVATE KEY" in content:
        raise InvalidSettingError(_SETTING, f"{file} holds a private key, which no server needs")
    keys = []
    for block in _PUBLIC.findall(content):
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidSettingError(_SETTING, f"{file} holds a key that is not of Ed25519")
        keys.append(TrustedKey(_id_of(key), file.stem, key))
    if not keys:
        raise InvalidSettingError(_SETTING, f"{file} holds no public key in PEM")
    return keys


def _id_of(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise InvalidDataError(str(path), "is there already") from None
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
