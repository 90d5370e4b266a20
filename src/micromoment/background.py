"""Work beside the calls that goes on for ever: if it ends by a mistake of ours, the log tells it.

A task that ends with an exception is told by nobody as long as somebody holds it, and a thread that
does writes to standard error what no log has.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


def in_background(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Begin work in a task of the running loop, whose end by a mistake is told."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell_task)
    return task


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
