"""Deletes a session whose consent was withdrawn from Redis, for all servers.

That it was withdrawn is told by the mark that forgetting a session leaves, a hash of its id: so a
late event that says nothing of consent begins it again at no server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from micromoment.scoring.calls import SessionKey, Withdrawal
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.log_rows import erased_row
from micromoment.stores.redis_erasing import erase_calls
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
        self._deletions = Deletions(self._delete, SessionStoreUnavailableError)

    async def withdraw(self, key: SessionKey) -> Withdrawal:
        """Delete what is kept of a session, and remember that it was; tell what came of it.

        A Redis that does not answer is told as soon as it does.
        """
        if key not in self._deletions:
            try:
                if not await self._forget(key):
                    return Withdrawal.NONE
            except SessionStoreUnavailableError:
                self._sessions.let_go(key)
                self._deletions.add(key)
                self._deletions.resume()
                return Withdrawal.PENDING
            if not self._erases:
                return Withdrawal.DONE
            if not self._deletions.add(key):
                return Withdrawal.PENDING
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

    async def _forget(self, key: SessionKey) -> bool:
        """Delete a session's state; of one that was there the log says that nothing counts."""
        is_known = await self._sessions.forget(key, withdrawn=True)
        if is_known:
            await self._sessions.forget(key, erased_row(self._clock_us(), key), withdrawn=True)
        return is_known

    async def _delete(self, keys: Sequence[SessionKey]) -> None:
        by_tenant: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            await self._forget(key)
            if self._erases:
                by_tenant[key.tenant].append(key.session_id)
        for tenant, session_ids in by_tenant.items():
            await erase_calls(self._link, self._prefix, tenant, sessions=session_ids)
