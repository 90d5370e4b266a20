"""Signatures of bundles: whoever holds a private key says that a bundle is theirs.

They lie beside the manifest in `signatures.json` and are over its whole SHA-256, and so over every
file. They are no part of the content: signing changes no version. A bundle may have several, so
that keys can be exchanged one after the other.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from micromoment.errors import BundleUntrustedError, InvalidSettingError
from micromoment.scoring.manifest import SIGNATURES_FILE, Manifest
from micromoment.scoring.records import FrozenRecord
from micromoment.stores.signing_keys import SigningKey, TrustedKey, load_trusted_keys

_MAX_BYTES: Final = 65_536


class Signature(FrozenRecord):
    """One signature: the id of its key and 64 bytes in base64."""

    key: str = Field(pattern="^[0-9a-f]{64}$")
    signature: str = Field(max_length=128)

    def content(self) -> bytes:
        """Give its bytes; none where they aren't base64."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except ValueError:
            return b""


class SignatureFile(FrozenRecord):
    """What `signatures.json` holds."""

    format: Literal[1] = 1
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a bundle: the key's id, and its name where it is trusted and the signature right.

    Without a name nobody vouches for it.
    """

    key_id: str
    name: str


class BundleTrust:
    """Whose bundles may answer: those signed by a key of a file or folder; all without one.

    The keys are read whenever a bundle is judged, so that a change needs no restart.
    """

    def __init__(self, keys: Path | None = None) -> None:
        self._keys = keys

    def read_keys(self) -> tuple[TrustedKey, ...]:
        """Read the keys. Raises `InvalidSettingError` for a setting that can't work."""
        return load_trusted_keys(self._keys) if self._keys is not None else ()

    def check(self, folder: Path, manifest: Manifest) -> None:
        """Raise `BundleUntrustedError` unless a trusted key signed this very manifest."""
        if self._keys is None:
            return
        try:
            trusted = {key.key_id: key for key in self.read_keys()}
        except InvalidSettingError as error:
            raise BundleUntrustedError(manifest.tag, "NO_KEYS", str(error)) from None
        signatures = read_signatures(folder, manifest).signatures
        if not signatures:
            raise BundleUntrustedError(
                manifest.tag, "UNSIGNED", "nobody signed it; `micromoment bundle sign` does"
            )
        known = [one for one in signatures if one.key in trusted]
        if not known:
            raise BundleUntrustedError(
                manifest.tag, "UNKNOWN_KEY", "no key of the setting bundle_keys signed it"
            )
        message = signed_message(manifest)
        if not any(trusted[one.key].verifies(one.content(), message) for one in known):
            raise BundleUntrustedError(
                manifest.tag, "WRONG_SIGNATURE", "its signature is of other content"
            )

    def signers(self, folder: Path, manifest: Manifest) -> tuple[Signer, ...]:
        """Give who signed a bundle; without signatures that can be read nobody did."""
        try:
            trusted = {key.key_id: key for key in self.read_keys()}
        except InvalidSettingError:
            trusted = {}
        try:
            signatures = read_signatures(folder, manifest).signatures
        except BundleUntrustedError:
            return ()
        message = signed_message(manifest)
        return tuple(
            Signer(
                one.key,
                trusted[one.key].name
                if one.key in trusted and trusted[one.key].verifies(one.content(), message)
                else "",
            )
            for one in signatures
        )


def signed_message(manifest: Manifest) -> bytes:
    """Give what is signed of a bundle, which no other kind of file can be taken for."""
    return f"micromoment bundle sha256:{manifest.digest}\n".encode()


def read_signatures(folder: Path, manifest: Manifest) -> SignatureFile:
    """Read a bundle's signatures, none where there is no file of them.

    Raises `BundleUntrustedError` for a file that can't be read.
    """
    path = folder / SIGNATURES_FILE
    try:
        if not path.exists():
            return SignatureFile()
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise BundleUntrustedError(
                manifest.tag, "UNREADABLE_SIGNATURES", f"{SIGNATURES_FILE} is none of ours"
            )
        return SignatureFile.model_validate_json(path.read_bytes())
    except OSError as error:
        why = f"{SIGNATURES_FILE} can't be read: {error.strerror}"
    except ValidationError:
        why = f"{SIGNATURES_FILE} is damaged"
    raise BundleUntrustedError(manifest.tag, "UNREADABLE_SIGNATURES", why)


def sign_bundle(folder: Path, manifest: Manifest, key: SigningKey) -> None:
    """Add a key's signature to a bundle's folder, in place of an earlier one of that key.

    Readers see the signatures before or these, at any time. Raises `BundleUntrustedError` where
    those that are there can't be read.
    """
    text = base64.b64encode(key.sign(signed_message(manifest))).decode()
    others = read_signatures(folder, manifest).signatures
    mine = Signature(key=key.key_id, signature=text)
    kept = tuple(one for one in others if one.key != key.key_id)
    write_signatures(folder, SignatureFile(signatures=(*kept, mine)))


def write_signatures(folder: Path, signatures: SignatureFile) -> None:
    """Put signatures into a bundle's folder in place of those there."""
    unfinished = folder / f".{SIGNATURES_FILE}.{os.getpid()}"
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(signatures.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / SIGNATURES_FILE)
