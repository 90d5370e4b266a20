"""Deletes a session whose consent was withdrawn from Redis, for all servers.

That it was withdrawn is told by the mark that forgetting a session leaves, a hash of its id: so a
late event that says nothing of consent begins it again at no server. What another server is granted
anew while the log is gone through stays: a session is forgotten once, and its calls up to that are
deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from micromoment.scoring.calls import SessionKey, Withdrawal
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.log_rows import erased_row
from micromoment.stores.redis_erasing import erase_calls_until
from micromoment.stores.redis_forgetting import Forgotten
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.withdrawals import Deletions


class RedisWithdrawals:
    """Deletes sessions from `sessions` and, where `erases`, from the log by `link`.

    It closes the link.
    """

    def __init__(
        self,
        sessions: RedisSessionStore,
        link: RedisLink,
        prefix: str,
        *,
        erases: bool,
        clock_us: Callable[[], int],
    ) -> None:
        self._sessions = sessions
        self._link = link
        self._prefix = prefix
        self._erases = erases
        self._clock_us = clock_us
        # Of sessions that wait: those that Redis has not yet forgotten, and of the others the entry
        # of the log up to which calls are to be deleted.
        self._unforgotten: set[SessionKey] = set()
        self._last: dict[SessionKey, str] = {}
        self._deletions = Deletions(self._delete, SessionStoreUnavailableError)

    async def withdraw(self, key: SessionKey) -> Withdrawal:
        """Delete what is kept of a session, and remember that it was; tell what came of it.

        A Redis that does not answer is told as soon as it does.
        """
        # A session that waits may have begun anew at another server meanwhile.
        waits = key in self._deletions
        try:
            found = await self._forget(key, always=waits)
        except SessionStoreUnavailableError:
            self._sessions.let_go(key)
            if self._deletions.add(key):
                self._unforgotten.add(key)
            self._deletions.resume()
            return Withdrawal.PENDING
        if found.was_there or found.entry_id:
            if not self._erases and key not in self._deletions:
                return Withdrawal.DONE
            if not self._deletions.add(key):
                return Withdrawal.PENDING
            self._forgotten(key, found)
        elif key not in self._deletions:
            return Withdrawal.NONE
        return Withdrawal.DONE if await self._deletions.done(key) else Withdrawal.PENDING

    async def allow(self, key: SessionKey) -> bool:
        """Let a session be kept again; False while its earlier calls are not yet deleted."""
        return await self._deletions.done(key)

    def resume(self) -> None:
        """Nothing is left by a server before that this one knows of."""

    async def close(self) -> None:
        """Stop trying, and close the connection."""
        await self._deletions.close()
        await self._link.close()

    async def _forget(self, key: SessionKey, *, always: bool) -> Forgotten:
        """Delete a session's state; of one that was there the log says that nothing counts."""
        row = erased_row(self._clock_us(), key)
        return await self._sessions.withdraw(key, row, always=always)

    def _forgotten(self, key: SessionKey, found: Forgotten) -> None:
        self._unforgotten.discard(key)
        if self._erases:
            self._last[key] = found.entry_id

    async def _delete(self, keys: Sequence[SessionKey]) -> None:
        # Until nothing is left: a session may be withdrawn again meanwhile.
        while True:
            unforgotten = [key for key in keys if key in self._unforgotten]
            for key in unforgotten:
                await self._forget_again(key)
            last = {key: self._last[key] for key in keys if key in self._last}
            if not unforgotten and not last:
                return
            await self._erase(last)

    async def _forget_again(self, key: SessionKey) -> None:
        self._unforgotten.discard(key)
        try:
            # Always: the first try may have been carried out and not been answered.
            self._forgotten(key, await self._forget(key, always=True))
        except SessionStoreUnavailableError:
            self._unforgotten.add(key)
            raise

    async def _erase(self, last: Mapping[SessionKey, str]) -> None:
        by_tenant: dict[str, dict[str, str]] = defaultdict(dict)
        for key, entry_id in last.items():
            by_tenant[key.tenant][key.session_id] = entry_id
        for tenant, sessions in by_tenant.items():
            await erase_calls_until(self._link, self._prefix, tenant, sessions)
        for key, entry_id in last.items():
            if self._last.get(key) == entry_id:
                del self._last[key]
