"""The end of a server's process, which nothing may hold up."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import Final, NoReturn

_EXIT_TIMEOUT_S: Final = 0.5


def exit_for_sure(status: int) -> None:
    """End the process soon even if some thread hangs, in a store that does not answer say."""

    def end() -> None:
        threading.Event().wait(_EXIT_TIMEOUT_S)
        exit_now(status)

    threading.Thread(target=end, daemon=True, name="exit").start()


def end_process(status: int) -> NoReturn:
    """End the process at once, after what libraries have to do at its end.

    The interpreter's own end would take apart every object first, a second or, on a busy machine,
    several.
    """
    # Private by name, and the only way to have them run.
    atexit._run_exitfuncs()
    exit_now(status)


def exit_now(status: int) -> NoReturn:
    """End the process without anything but what it wrote."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
