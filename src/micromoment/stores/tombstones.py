"""Who was erased, and when: so that an event from before that comes late brings nobody back.

A tombstone is a hash of the tenant and of an id as it is stored, and a time. The id can't be had
from it; whoever has the id can tell that it was erased.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from micromoment.errors import InvalidDataError
from micromoment.scoring.calls import SessionKey
from micromoment.stores.errors import TombstonesUnavailableError

_FORMAT: Final = 1
_MARK_BYTES: Final = 16
_US_PER_SECOND: Final = 1_000_000


def visitor_mark(tenant: str, visitor_id: str) -> bytes:
    """Give the tombstone of a visitor's encoded id, 16 bytes."""
    return _mark(b"visitor", tenant, visitor_id)


def session_mark(key: SessionKey) -> bytes:
    """Give the tombstone of a session, 16 bytes."""
    return _mark(b"session", *key)


def _mark(kind: bytes, tenant: str, name: str) -> bytes:
    told = f"{tenant}\0{name}".encode()
    return hashlib.blake2b(told, digest_size=_MARK_BYTES, person=kind).digest()


class Tombstones:
    """The tombstones that this server knows: until when events of whom don't count.

    `times`, in microseconds since 1970 by tombstone, is empty until somebody is erased: look at
    that first, the rest hashes ids.
    """

    def __init__(self) -> None:
        self.times: dict[bytes, int] = {}

    def add(self, marks: Iterable[bytes], time_us: int) -> None:
        """Let events up to a time not count."""
        for mark in marks:
            self.times[mark] = max(time_us, self.times.get(mark, 0))

    def until(self, keys: Iterable[SessionKey], tenant: str, visitor_ids: Iterable[str]) -> int:
        """Give until when events of a session or visitor don't count, 0 for all that do.

        `keys` and `visitor_ids` are all forms under which they may be kept.
        """
        times = self.times
        if not times:
            return 0
        marks = [visitor_mark(tenant, one) for one in visitor_ids]
        marks += map(session_mark, keys)
        return max((times.get(mark, 0) for mark in marks), default=0)

    def drop_before(self, time_us: int) -> None:
        """Forget those that are older."""
        self.times = {mark: when for mark, when in self.times.items() if when >= time_us}


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure that is under way: whom, which of their sessions are known, and until when.

    Ids are encoded. `sessions` grows while sessions are found. Once it is done nothing of it stays
    but tombstones.
    """

    tenant: str
    visitors: tuple[str, ...]
    sessions: frozenset[str] = frozenset()
    time_us: int = 0

    @property
    def marks(self) -> list[bytes]:
        """The tombstones of all that it names."""
        keys = [SessionKey(self.tenant, session_id) for session_id in sorted(self.sessions)]
        visitors = [visitor_mark(self.tenant, one) for one in self.visitors]
        return [*visitors, *map(session_mark, keys)]

    @property
    def name(self) -> str:
        """What tells it from others: a hash of whom."""
        told = "\0".join((self.tenant, *sorted(self.visitors))).encode()
        return hashlib.blake2b(told, digest_size=_MARK_BYTES).hexdigest()

    def with_sessions(self, sessions: Collection[str]) -> Erasure:
        """Give it with sessions that were found."""
        return replace(self, sessions=self.sessions | frozenset(sessions))

    def to_json(self) -> dict[str, Any]:
        """Write it down."""
        return {
            "tenant": self.tenant,
            "visitors": list(self.visitors),
            "sessions": sorted(self.sessions),
            "time_us": self.time_us,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Erasure:
        """Read what `to_json` wrote."""
        return cls(
            values["tenant"],
            tuple(values["visitors"]),
            frozenset(values["sessions"]),
            values["time_us"],
        )


class ErasureRegister(Protocol):
    """Keeps tombstones, and erasures until they are done. Belongs to one event loop.

    What waits raises `TombstonesUnavailableError` where it could not be kept.
    """

    @property
    def tombstones(self) -> Tombstones:
        """Those that are known here."""

    async def begin(self, erasure: Erasure) -> Erasure:
        """Keep the tombstones of an erasure and that it is under way; give it with its time."""

    async def go_on(self, erasure: Erasure) -> None:
        """Keep what was found of an erasure that is under way."""

    async def finish(self, erasure: Erasure) -> None:
        """Let go of an erasure that is done; its tombstones stay."""

    async def pending(self) -> list[Erasure]:
        """Give those that are not done."""


@dataclass
class FileRegister:
    """Keeps them in a JSON file of one server, written anew each time, or without one in memory.

    Tombstones older than `retention_s` go. Raises `InvalidDataError` for a file that can't be read:
    a server that forgot who was erased must not start.
    """

    path: Path | None
    retention_s: float
    _tombstones: Tombstones = field(default_factory=Tombstones)
    _pending: dict[str, Erasure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["format"] != _FORMAT:
                raise InvalidDataError(str(self.path), f"is of format {found['format']}")
            for mark, time_us in found["erased"].items():
                self._tombstones.times[bytes.fromhex(mark)] = int(time_us)
            for values in found["pending"]:
                erasure = Erasure.from_json(values)
                self._pending[erasure.name] = erasure
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            detail = f"can't be read: {type(error).__name__}"
            raise InvalidDataError(str(self.path), detail) from None

    @property
    def tombstones(self) -> Tombstones:
        """Those that are known."""
        return self._tombstones

    async def begin(self, erasure: Erasure) -> Erasure:
        """Keep the tombstones and that the erasure is under way."""
        before = self._pending.get(erasure.name)
        begun = replace(erasure, time_us=time.time_ns() // 1_000)
        if before is not None:
            begun = begun.with_sessions(before.sessions)
        await self.go_on(begun)
        return begun

    async def go_on(self, erasure: Erasure) -> None:
        """Keep what was found of it."""
        self._tombstones.add(erasure.marks, erasure.time_us)
        self._pending[erasure.name] = erasure
        await self._keep()

    async def finish(self, erasure: Erasure) -> None:
        """Let go of it."""
        del self._pending[erasure.name]
        if self.retention_s < math.inf:
            oldest_us = time.time_ns() // 1_000 - round(self.retention_s * _US_PER_SECOND)
            self._tombstones.drop_before(oldest_us)
        await self._keep()

    async def pending(self) -> list[Erasure]:
        """Give those that are not done."""
        return list(self._pending.values())

    async def _keep(self) -> None:
        if self.path is None:
            return
        written = {
            "format": _FORMAT,
            "erased": {mark.hex(): when for mark, when in self._tombstones.times.items()},
            "pending": [erasure.to_json() for erasure in self._pending.values()],
        }
        try:
            await asyncio.to_thread(_write, self.path, json.dumps(written))
        except OSError as error:
            raise TombstonesUnavailableError from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
