"""The one place that turns ids of people and visits into the ids that are stored.

A key may build upon another (`after`): its pseudonym of an id is the HMAC of that key's pseudonym,
so that whatever is stored under the other key can be brought under the new one without the id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

# Of a pseudonym, behind the key's id and a dot: 128 bits in base 32.
PSEUDONYM_PART: Final = "[a-z2-7]{26}"
_BYTES: Final = 16
_ANY: Final = re.compile(
    rf"(?<![A-Za-z0-9_-])([A-Za-z0-9_-]{{1,16}})\.({PSEUDONYM_PART})(?![a-z2-7])"
)


@dataclass(frozen=True, slots=True)
class IdKey:
    """A secret for pseudonyms: `key_id` is stored beside each pseudonym, `secret` never is.

    `after` is the `key_id` of the key that this one builds upon, empty for none.
    """

    key_id: str
    secret: bytes = field(repr=False)
    after: str = ""


class IdEncoder:
    """Encode ids plainly (no key), or as keyed HMAC-SHA-256 pseudonyms `<key_id>.<26 characters>`.

    The first key is the current one. `candidates` lists what an id may be stored as, in the keys'
    order, so that data written under another key is still found. Raises `ValueError` for keys of
    one id, and for a key that builds upon one that is not there or upon itself.
    """

    def __init__(self, keys: Sequence[IdKey] = ()) -> None:
        self._keys = tuple(keys)
        by_id = {key.key_id: key for key in self._keys}
        if len(by_id) < len(self._keys):
            raise ValueError("two keys have the same key_id")
        # Of each key, the secrets from the first that it builds upon to its own.
        self._chains = tuple(_chain(key, by_id) for key in self._keys)
        self._ways = _ways_to_the_first(self._chains)

    @property
    def key_id(self) -> str:
        """The current key's id; empty without keys."""
        return self._keys[0].key_id if self._keys else ""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the current one first."""
        return tuple(key.key_id for key in self._keys)

    @property
    def is_on(self) -> bool:
        """Tell whether ids are turned into pseudonyms."""
        return bool(self._keys)

    def encode(self, plain: str) -> str:
        """Give the id to store; the empty id stays empty."""
        if not plain or not self._keys:
            return plain
        return _pseudonym(plain, self._chains[0])

    def candidates(self, plain: str) -> tuple[str, ...]:
        """Give every form in which the id may have been stored, the current one first."""
        if not plain or not self._keys:
            return (plain,)
        forms: dict[str, str] = {}  # by key, so that no step of a chain is taken twice
        for chain in self._chains:
            text = plain
            for key in chain:
                if key.key_id not in forms:
                    forms[key.key_id] = _pseudonym(text, (key,))
                text = forms[key.key_id]
        return tuple([forms[key.key_id] for key in self._keys])

    def forms(self, stored: str) -> tuple[str, ...]:
        """Give a stored id and every form that it may have under the keys, itself first.

        A plain one has its `candidates`; a pseudonym those of the keys that build upon its own.
        """
        if not stored or not self._keys:
            return (stored,)
        forms = dict.fromkeys((stored, *self.candidates(stored)))
        held = key_id_of(stored)
        for chain in self._chains:
            names = [key.key_id for key in chain]
            if held in names:
                text = stored
                for key in chain[names.index(held) + 1 :]:
                    text = _pseudonym(text, (key,))
                    forms[text] = None
        return tuple(forms)

    def can_raise(self, key_id: str) -> bool:
        """Tell whether pseudonyms under a key are the current key's or can be brought there."""
        return key_id in self._ways

    def raised(self, stored: str) -> str:
        """Bring each pseudonym in a stored text under the current key, as far as that can be done.

        Everything else stays: plain ids, what stands behind a pseudonym in a session's name, and
        pseudonyms of keys upon which the current one does not build.
        """
        if not self._keys or "." not in stored:
            return stored
        return _ANY.sub(self._raise_one, stored)

    def rekeyed(self, stored: str) -> str:
        """Give the current form of a stored id: a plain one is encoded, a pseudonym is `raised`."""
        if not stored or not self._keys:
            return stored
        return self.raised(stored) if _ANY.match(stored) else self.encode(stored)

    def _raise_one(self, found: re.Match[str]) -> str:
        way = self._ways.get(found[1])
        return _pseudonym(found[0], way) if way else found[0]


def key_id_of(stored: str) -> str:
    """Give the id of the key under which a stored id seems to be; empty for a plain one."""
    found = _ANY.match(stored)
    return found[1] if found else ""


def _chain(key: IdKey, by_id: dict[str, IdKey]) -> tuple[IdKey, ...]:
    chain = [key]
    while chain[-1].after:
        before = by_id.get(chain[-1].after)
        if before is None or before in chain:
            raise ValueError(f"key {key.key_id} builds upon a key that is not there, or on itself")
        chain.append(before)
    return tuple(reversed(chain))


def _ways_to_the_first(chains: Sequence[tuple[IdKey, ...]]) -> dict[str, tuple[IdKey, ...]]:
    if not chains:
        return {}
    chain = chains[0]
    return {key.key_id: chain[place + 1 :] for place, key in enumerate(chain)}


def _pseudonym(text: str, chain: Sequence[IdKey]) -> str:
    for key in chain:
        digest = hmac.digest(key.secret, text.encode(), hashlib.sha256)[:_BYTES]
        text = f"{key.key_id}.{base64.b32encode(digest).decode().rstrip('=').lower()}"
    return text
