"""Deletes a session whose consent was withdrawn from this server's memory and from its log.

First a marker is logged, so that no recovery brings the session back; then its rows are blanked,
the marker among them, and another one says by a hash alone that such a session must not begin again
without consent. What could not be blanked is tried again, also after a restart.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import structlog

from micromoment.background import in_background
from micromoment.errors import InvalidDataError
from micromoment.scoring.calls import SessionKey, Withdrawal
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.log_rows import LogRow, RowKind, erased_row
from micromoment.stores.log_segments import read_heads, segments
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.visit_log import VisitLog
from micromoment.stores.withdrawn_sessions import WithdrawnSessions, hash_of

# Sessions whose rows wait to be blanked; beyond, only their markers keep them from coming back.
MAX_PENDING: Final = 100_000
_TOGETHER: Final = 500
_RETRY_S: Final = 1.0
_MARK: Final = "~"

_log = structlog.get_logger(__name__)


class Withdrawals(Protocol):
    """Deletes what is kept of sessions. Call the first two in the session's turn; they may wait."""

    async def withdraw(self, key: SessionKey) -> Withdrawal:
        """Delete what is kept of a session, and remember that it was; tell what came of it."""

    async def allow(self, key: SessionKey) -> bool:
        """Let a session be kept again, of which consent was given anew.

        False while what was kept of it before is not yet deleted.
        """

    def resume(self) -> None:
        """Go on with what a server before could not finish."""

    async def close(self) -> None:
        """Stop trying."""


async def withdraw_all(withdrawals: Withdrawals, keys: Sequence[SessionKey]) -> Withdrawal:
    """Withdraw a session under each key at which it may be kept; tell what came of it."""
    outcomes = {await withdrawals.withdraw(key) for key in keys}
    ranked = (Withdrawal.PENDING, Withdrawal.DONE)
    return next((one for one in ranked if one in outcomes), Withdrawal.NONE)


async def allow_all(withdrawals: Withdrawals, keys: Sequence[SessionKey]) -> bool:
    """Let a session be kept again under any of its keys; False while one is not yet deleted."""
    return all([await withdrawals.allow(key) for key in keys])


class NothingToWithdraw:
    """Stands in where no session is kept."""

    async def withdraw(self, key: SessionKey) -> Withdrawal:  # noqa: ARG002 - the protocol's
        """Nothing is kept."""
        return Withdrawal.NONE

    async def allow(self, key: SessionKey) -> bool:  # noqa: ARG002 - the protocol's
        """Nothing was kept before."""
        return True

    def resume(self) -> None:
        """Nothing is left to do."""

    async def close(self) -> None:
        """Nothing is tried."""


class Deletions:
    """Carries out deletions that a call does not wait for longer than `wait_s` seconds.

    `delete` deletes what is kept of sessions, some at a time, and raises one of `failures` where it
    can't be done now; it is tried again each second until it is done.
    """

    def __init__(
        self,
        delete: Callable[[Sequence[SessionKey]], Awaitable[None]],
        failures: type[Exception],
        *,
        wait_s: float = 0.3,
    ) -> None:
        self._delete = delete
        self._failures = failures
        self._wait_s = wait_s
        self._pending: dict[SessionKey, asyncio.Future[None] | None] = {}
        self._working: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, key: SessionKey) -> bool:
        return key in self._pending

    def add(self, key: SessionKey) -> bool:
        """Take a session up; False where too many wait."""
        if key not in self._pending and len(self._pending) >= MAX_PENDING:
            _log.error("withdrawals_waiting", sessions=len(self._pending))
            return False
        self._pending.setdefault(key, None)
        return True

    async def done(self, key: SessionKey) -> bool:
        """Wait a little for a session to be deleted; tell whether it is."""
        if key not in self._pending:
            return True
        done = self._pending[key]
        if done is None:
            done = self._pending[key] = asyncio.get_running_loop().create_future()
        self.resume()
        await asyncio.wait([done], timeout=self._wait_s)
        return done.done()

    def resume(self) -> None:
        """Go on, if there is anything left to do."""
        if self._pending and (self._working is None or self._working.done()):
            self._working = in_background(self._work(), "withdrawals")

    async def close(self) -> None:
        """Stop trying."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._pending:
            some = list(self._pending)[:_TOGETHER]
            try:
                await self._delete(some)
            except self._failures:
                await asyncio.sleep(_RETRY_S)
                continue
            except Exception as error:  # noqa: BLE001 - the next try may fare better
                _log.error("withdrawals_failed", error=type(error).__qualname__)
                await asyncio.sleep(_RETRY_S)
                continue
            for key in some:
                done = self._pending.pop(key)
                if done is not None and not done.done():
                    done.set_result(None)


class MemoryWithdrawals:
    """Deletes sessions from `sessions` and, where `erases`, from `log`."""

    def __init__(
        self,
        sessions: MemorySessionStore,
        log: VisitLog,
        withdrawn: WithdrawnSessions,
        *,
        erases: bool,
        clock_us: Callable[[], int],
    ) -> None:
        self._sessions = sessions
        self._log = log
        self._withdrawn = withdrawn
        self._erases = erases
        self._clock_us = clock_us
        self._deletions = Deletions(self._erase, EventLogUnavailableError)

    async def withdraw(self, key: SessionKey) -> Withdrawal:
        """Delete what is kept of a session, and remember that it was; tell what came of it."""
        self._withdrawn.add(key)
        was_lost = self._sessions.was_evicted(key)
        if self._sessions.forget(key) or was_lost:
            if not self._log.is_on:
                return Withdrawal.DONE
            self._log.append(erased_row(self._clock_us(), key))
            if not self._erases:
                kept = self._log.barrier()
                is_kept = kept if isinstance(kept, bool) else await kept
                return Withdrawal.DONE if is_kept else Withdrawal.PENDING
            if not self._deletions.add(key):
                return Withdrawal.PENDING
        elif key not in self._deletions:
            return Withdrawal.NONE
        return Withdrawal.DONE if await self._deletions.done(key) else Withdrawal.PENDING

    async def allow(self, key: SessionKey) -> bool:
        """Let a session be kept again; False while its earlier rows are not yet blanked."""
        if not await self._deletions.done(key):
            return False
        self._withdrawn.discard(key)
        return True

    def take_up(self, folder: Path, *, ttl_s: float) -> None:
        """Remember what the log in `folder` says of the last `ttl_s` seconds; call it first.

        A session that began anew since, by a consent that was given anew, is withdrawn no more.
        """
        began: set[int] = set()
        oldest_us = self._clock_us() - round(ttl_s * 1_000_000)
        for segment in reversed(segments(folder)):
            # A damaged file is told of by whoever recovers the sessions in it.
            with suppress(InvalidDataError):
                for _, time_us, kind, tenant, session_id in read_heads(segment):
                    if time_us < oldest_us:
                        return
                    if kind == RowKind.ERASED and session_id:
                        self._take_up(tenant, session_id, began)
                    elif kind in {RowKind.BEGAN, RowKind.WENT_ON}:
                        began.add(hash_of(SessionKey(tenant, session_id)))

    def resume(self) -> None:
        """Go on blanking what a server before could not."""
        self._deletions.resume()

    async def close(self) -> None:
        """Stop trying; what is left is done after the next start."""
        await self._deletions.close()

    def _take_up(self, tenant: str, session_id: str, began: Collection[int]) -> None:
        if not tenant and session_id.startswith(_MARK):
            with suppress(ValueError):
                hashed = int(session_id.removeprefix(_MARK), 16)
                if hashed not in began:
                    self._withdrawn.add_hash(hashed)
            return
        key = SessionKey(tenant, session_id)
        if hash_of(key) in began:
            return
        self._withdrawn.add(key)
        if self._erases:
            self._deletions.add(key)

    async def _erase(self, keys: Sequence[SessionKey]) -> None:
        by_tenant: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            by_tenant[key.tenant].append(key.session_id)
        for tenant, session_ids in by_tenant.items():
            await self._log.erase(tenant, sessions=session_ids)
        for key in keys:
            self._log.append(_mark_of(self._clock_us(), key))


NOTHING_TO_WITHDRAW: Final = NothingToWithdraw()


def _mark_of(time_us: int, key: SessionKey) -> LogRow:
    """Make a row that tells of an erased session by nothing but its hash."""
    return LogRow(time_us, RowKind.ERASED, "", f"{_MARK}{hash_of(key):016x}", "", b"")
