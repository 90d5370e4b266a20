"""Threads for work that must not hold up the event loop, nor the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Run `work` in a thread that is not waited for any longer. Raises `TimeoutError` then."""
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised where the outcome is awaited
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True, name="within").start()
    return outcome.result(seconds)


async def in_daemon_thread(work: Callable[[], _T], name: str) -> _T:
    """Run `work` in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: Exception | None) -> None:
        # Whoever waited may have been cancelled.
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type] # there is one without an error

    def run() -> None:
        # Without a loop there is nobody left to tell.
        with suppress(RuntimeError):
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - raised where the outcome is awaited
                loop.call_soon_threadsafe(settle, None, error)
            else:
                loop.call_soon_threadsafe(settle, result, None)

    threading.Thread(target=run, daemon=True, name=name).start()
    return await outcome
