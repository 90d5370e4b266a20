"""Deletes a session whose consent was withdrawn from Redis, for all servers.

That it was withdrawn is told by the mark that forgetting a session leaves, a hash of its id: so a
late event that says nothing of consent begins it again at no server. What another server is granted
anew while the log is gone through stays: a session is forgotten once, and its calls up to that are
deleted. Redis remembers that until it is done, so that another server finishes it if this one dies.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from micromoment.background import again_and_again, in_background
from micromoment.scoring.calls import SessionKey, Withdrawal
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.log_rows import erased_row
from micromoment.stores.redis_erasing import erase_calls_until
from micromoment.stores.redis_forgetting import Forgotten
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.redis_withdrawing import no_longer_withdrawing, withdrawing
from micromoment.stores.withdrawals import Deletions

# How often a server looks for what another has left, in seconds. It takes up what two looks in a
# row find: the server that began it may well go on.
LOOK_S: Final = 30.0


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
        look_s: float = LOOK_S,
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
        self._look_s = look_s
        self._seen: dict[SessionKey, str] | None = None
        self._looking: asyncio.Task[None] | None = None

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
        """Finish what servers left that are gone: at once, and now and again."""
        if self._erases and self._looking is None:
            looks = again_and_again(
                self._take_up,
                self._look_s,
                "withdrawals_not_taken_up",
                (SessionStoreUnavailableError,),
            )
            self._looking = in_background(looks, "withdrawals")

    async def close(self) -> None:
        """Stop trying, and close the connection; what is left other servers finish."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._deletions.close()
        await self._link.close()

    async def _forget(self, key: SessionKey, *, always: bool) -> Forgotten:
        """Delete a session's state; of one that was there the log says that nothing counts."""
        row = erased_row(self._clock_us(), key)
        return await self._sessions.withdraw(key, row, always=always, erases=self._erases)

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
        await no_longer_withdrawing(self._link, self._prefix, last)
        for key, entry_id in last.items():
            if self._last.get(key) == entry_id:
                del self._last[key]

    async def _take_up(self) -> None:
        """Take up what was found by the look before, too, and of the first look all."""
        found = await withdrawing(self._link, self._prefix)
        before, self._seen = self._seen, found
        for key, entry_id in found.items():
            is_left = before is None or before.get(key) == entry_id
            if is_left and key not in self._deletions and self._deletions.add(key):
                self._last[key] = entry_id
        self._deletions.resume()
