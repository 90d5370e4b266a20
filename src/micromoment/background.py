"""Work beside the calls that goes on for ever: if it ends by a mistake of ours, the log tells it.

A task that ends with an exception is told by nobody as long as somebody holds it, and a thread that
does writes to standard error what no log has.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


def in_background(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Begin work in a task of the running loop, whose end by a mistake is told."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell_task)
    return task


async def again_and_again(
    work: Callable[[], Awaitable[None]],
    period_s: float,
    failed: str,
    told: tuple[type[Exception], ...] = (),
    **fields: object,
) -> None:
    """Work every so many seconds until cancelled, for the next time may fare better.

    A mistake is logged as `failed`, with its class and `fields`; `told` are errors that were told
    where they happened.
    """
    while True:
        try:
            await work()
        except told:
            pass
        except Exception as error:  # noqa: BLE001 - see above
            _log.error(failed, error=type(error).__qualname__, **fields)
        await asyncio.sleep(period_s)


def tell_of_threads() -> None:
    """Let the log tell of every thread that ends by a mistake, from now on."""
    threading.excepthook = _tell_thread


def _tell_task(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("background_ended", work=task.get_name(), error=type(error).__qualname__)


def _tell_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit:
        return  # a thread's own way out
    # The message may hold what a caller sent; the class does not.
    name = "" if ended.thread is None else ended.thread.name
    _log.error("background_ended", work=name, error=ended.exc_type.__qualname__)
