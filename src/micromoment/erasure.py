"""Erases people from every store of a server, and goes on until that is done.

First it is written down who is to be erased, with the sessions in which they were found: from then
on events from before that come late don't count, and whatever happens, the next start or the next
try finishes it. Then the stores let go, each by itself; one that fails keeps no other from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from micromoment.background import again_and_again
from micromoment.errors import MicromomentError
from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder
from micromoment.scoring.calls import SessionKey
from micromoment.stores.errors import ErasureIncompleteError
from micromoment.stores.tombstones import Erasure, ErasureRegister
from micromoment.transport.privacy import Erased
from micromoment.transport.turns import Turns
from micromoment.v1 import privacy_pb2 as pb

RETRY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Places(Protocol):
    """Where a server holds something of people. Ids are encoded.

    Each raises an error of micromoment's own, or an `OSError`, when it could not do all.
    """

    async def find_sessions(
        self, tenant: str, visitors: Sequence[str], *, surely: bool
    ) -> frozenset[str]:
        """Give the sessions in which one of the visitors occurs, wherever that is known.

        Without `surely` also those of other versions' states in which one of them may occur.
        """

    async def forget_session(self, key: SessionKey) -> bool:
        """Let the session store forget a session; tell whether it was there."""

    async def erase_calls(self, erasure: Erasure) -> int:
        """Erase the logged calls of visitors and sessions; give how many."""

    async def erase_outside(self, erasure: Erasure) -> int:
        """Erase the visitors' events from outside visits; give how many."""

    async def erase_online(self, erasure: Erasure) -> int:
        """Erase the visitors' user features; give how many visitors had some."""

    async def erase_workspace(self, erasure: Erasure) -> int:
        """Erase the visitors' rows from the feature workspace; give how many."""

    def held(
        self, tenant: str, visitors: Sequence[str], sessions: frozenset[str]
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held of visitors and sessions."""


class Eraser:
    """Does one erasure after the other; belongs to one event loop."""

    def __init__(
        self, places: Places, register: ErasureRegister, ids: IdEncoder, turns: Turns
    ) -> None:
        self._places = places
        self._register = register
        self._ids = ids
        self._turns = turns
        self._lock = asyncio.Lock()
        self.pending = 0

    async def erase(self, tenant: str, ids: Sequence[str]) -> Erased:
        """Erase whom the ids name from every store.

        Raises `TombstonesUnavailableError` where that could not be begun, and
        `ErasureIncompleteError` where a store did not let go: it is tried again later.
        """
        visitors = self._visitors(ids)
        async with self._lock:
            erasure = await self._register.begin(Erasure(tenant, visitors))
            return await self._complete(erasure)

    async def export(self, tenant: str, ids: Sequence[str]) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held of whom the ids name, piece by piece."""
        visitors = self._visitors(ids)
        sessions = await self._places.find_sessions(tenant, visitors, surely=True)
        async for piece in self._places.held(tenant, visitors, sessions):
            yield piece

    async def run(self) -> None:
        """Finish what was begun before, at once and then now and again, until it is cancelled."""
        await again_and_again(self.finish_all, RETRY_S, "erasing_failed", (MicromomentError,))

    async def finish_all(self) -> None:
        """Try to finish all that is not done.

        Raises `TombstonesUnavailableError` where it can't be known what that is.
        """
        async with self._lock:
            pending = await self._register.pending()
            self.pending = len(pending)
            for erasure in pending:
                with suppress(ErasureIncompleteError):
                    await self._complete(erasure)

    def _visitors(self, ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted({form for one in ids for form in self._ids.candidates(one)}))

    async def _complete(self, erasure: Erasure) -> Erased:
        started = time.monotonic()
        self.pending = max(1, self.pending)
        failed: list[str] = []

        async def count(store: str, work: Callable[[], Awaitable[int]]) -> int:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 - one that fails keeps no other from it
                failed.append(store)
                _log.warning("erasure_failed", store=store, error=type(error).__name__)
                return 0

        # Calls that were under way may not have seen the tombstones.
        await self._turns.settled()

        async def find() -> int:
            nonlocal erasure
            found = await self._places.find_sessions(erasure.tenant, erasure.visitors, surely=False)
            erasure = erasure.with_sessions(found)
            # Before anything goes: once it is gone nobody can tell what belonged to it.
            await self._register.go_on(erasure)
            return len(found)

        await count("search", find)
        erased = Erased(until_us=erasure.time_us)
        if not failed:
            erased.sessions = await count("sessions", lambda: self._forget(erasure))
            erased.logged_calls = await count(
                "event log", lambda: self._places.erase_calls(erasure)
            )
        erased.outside_events = await count(
            "events outside visits", lambda: self._places.erase_outside(erasure)
        )
        erased.online_rows = await count("online store", lambda: self._places.erase_online(erasure))
        erased.workspace_rows = await count(
            "feature workspace", lambda: self._places.erase_workspace(erasure)
        )
        if failed:
            self.pending = len(await self._register.pending())
            raise ErasureIncompleteError(failed)
        await self._register.finish(erasure)
        self.pending = len(await self._register.pending())
        _log.info("erased", sessions=erased.sessions, seconds=round(time.monotonic() - started, 2))
        return erased

    async def _forget(self, erasure: Erasure) -> int:
        forgotten = 0
        for session_id in sorted(erasure.sessions):
            key = SessionKey(erasure.tenant, session_id)
            async with self._turns.of(key):
                forgotten += await self._places.forget_session(key)
        return forgotten


def hashes_of(visitors: Sequence[str]) -> list[int]:
    """Give the hashes by which states know visitors."""
    return [hash_id(visitor) for visitor in visitors if visitor]
