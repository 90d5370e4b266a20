"""User features in serving: one read of Feast's online store per visit, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import structlog

from micromoment.errors import InvalidDataError
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.stores.bounded_cache import BoundedCache
from micromoment.stores.breaker import Breaker
from micromoment.stores.online_erasing import erase_online
from micromoment.stores.online_rows import OnlineRows

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)
_LOG_PERIOD_S: Final = 30.0
_THREADS: Final = 2

_log = structlog.get_logger(__name__)


class FeastUserFeatures:
    """Looks visitors up in the online store of a feature workspace.

    A look-up takes at most `timeout_s` seconds; a store that fails, hangs or isn't there yet gives
    `UNAVAILABLE`, and after three failures in a row it is left alone for a second. Answers, the
    unknown visitor's too, are kept for `cache_ttl_s` seconds, at most `cache_size` of them, so a
    newly published snapshot is seen that much later. Rows are shared: they must not be changed.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        timeout_s: float = 0.05,
        cache_ttl_s: float = 60.0,
        cache_size: int = 50_000,
    ) -> None:
        self._rows = OnlineRows(workspace, timeout_s)
        self._timeout_s = timeout_s
        self._cache: BoundedCache[str, UserLookup] = BoundedCache(cache_size, cache_ttl_s)
        self._breaker = Breaker()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="user-features")
        self._next_log = float("-inf")
        self._workspace = workspace
        self._generation = 0

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Give the visitor's newest row; never raises."""
        if not visitor_id:
            return _UNKNOWN
        known = self._cache.get(visitor_id)
        if known is not None:
            return known
        if self._breaker.is_open:
            return _UNAVAILABLE
        generation = self._generation
        try:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._threads, self._read, visitor_id)
            row = await asyncio.wait_for(reading, self._timeout_s)
        except Exception:  # noqa: BLE001 - the contract; `_read` has logged what the store raised
            return _UNAVAILABLE
        answer = _UNKNOWN if row is None else UserLookup(UserStatus.FOUND, row)
        if generation == self._generation:
            self._cache.put(visitor_id, answer)
        return answer

    async def erase(self, visitor_ids: Sequence[str]) -> int:
        """Delete the rows of visitors and remember none; give how many visitors had some.

        Raises `UserFeaturesUnavailableError`.
        """
        work = partial(erase_online, self._workspace, [one for one in visitor_ids if one])
        erased = await asyncio.to_thread(work)
        self.let_go()
        return erased

    def let_go(self) -> None:
        """Remember nobody's features, those that are being read neither."""
        self._generation += 1
        self._cache.clear()

    def warm_up(self) -> None:
        """Import Feast, open the store and read once; a store that isn't there is logged.

        Raises `InvalidDataError` when the workspace's configuration isn't usable.
        """
        try:
            self._rows.open()
        except InvalidDataError:
            raise
        except Exception as error:  # noqa: BLE001 - Feast's stores raise without a common root
            self._failed(error)
            return
        with suppress(Exception):  # `_read` has logged it
            self._read("")

    async def close(self) -> None:
        """Drop what waits and let go of the store."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._rows.close()

    def _read(self, visitor_id: str) -> npt.NDArray[Any] | None:
        started = time.monotonic()
        try:
            row = self._rows.read(visitor_id)
            if time.monotonic() - started > self._timeout_s:
                raise TimeoutError(f"a read took longer than {self._timeout_s} s")
        except Exception as error:
            self._failed(error)
            raise
        if self._breaker.succeeded():
            _log.info("user_features_available")
        return row

    def _failed(self, error: Exception) -> None:
        self._breaker.failed()
        now = time.monotonic()
        if now >= self._next_log:
            self._next_log = now + _LOG_PERIOD_S
            _log.warning("user_features_unavailable", error=type(error).__name__, detail=str(error))
