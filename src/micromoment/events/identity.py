"""The one place that turns ids of people and visits into the ids that are stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdKey:
    """A secret for pseudonyms: `key_id` is stored beside each pseudonym, `secret` never is."""

    key_id: str
    secret: bytes


class IdEncoder:
    """Encode ids plainly (no key), or as keyed HMAC-SHA-256 pseudonyms `<key_id>.<26 characters>`.

    The first key is the current one. `candidates` lists what an id may be stored as, newest first,
    so that data written under an earlier key is still found.
    """

    def __init__(self, keys: Sequence[IdKey] = ()) -> None:
        self._keys = tuple(keys)

    def encode(self, plain: str) -> str:
        """Give the id to store; the empty id stays empty."""
        if not plain or not self._keys:
            return plain
        return _pseudonym(plain, self._keys[0])

    def candidates(self, plain: str) -> tuple[str, ...]:
        """Give every form in which the id may have been stored, the current one first."""
        if not plain or not self._keys:
            return (plain,)
        return tuple(_pseudonym(plain, key) for key in self._keys)


def _pseudonym(plain: str, key: IdKey) -> str:
    digest = hmac.new(key.secret, plain.encode(), hashlib.sha256).digest()[:16]
    return f"{key.key_id}.{base64.b32encode(digest).decode().rstrip('=').lower()}"
