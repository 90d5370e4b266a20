"""What files say, read again when they change; of damaged ones the last good reading stands.

They are looked at once in a second, by a thread of its own: a file system may hang.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import structlog

from micromoment.errors import InvalidSettingError

PERIOD_S: Final = 1.0

_T = TypeVar("_T")
_Stamp = tuple[tuple[int, int, int] | None, ...]
_log = structlog.get_logger(__name__)


class ReloadObserver(Protocol):
    """Takes note of files that were read again."""

    def file_reloaded(self, setting: str, *, good: bool) -> None:
        """Take note of the file of a setting that changed, and whether it is used now."""


class Looking(Protocol):
    """What looks at files when it is told to."""

    def look(self) -> None:
        """Read the files again if they have changed and change no more."""


class WatchedFiles(Generic[_T]):
    """Holds as `current` what `read` makes of the files at `paths`, which `setting` names.

    `read` raises `InvalidSettingError`, here at once and later into the log. Files that belong
    together change one after the other, so they are read when two looks in a row find the same.
    """

    def __init__(
        self,
        setting: str,
        paths: Sequence[Path],
        read: Callable[[], _T],
        observer: ReloadObserver,
    ) -> None:
        self._setting = setting
        self._paths = tuple(paths)
        self._read = read
        self._observer = observer
        self._taken = self._seen = self._stamp()
        self.current: _T = read()

    def look(self) -> None:
        """Read the files again if they have changed and change no more."""
        stamp = self._stamp()
        settled, self._seen = stamp == self._seen, stamp
        if stamp == self._taken or not settled:
            return
        self._taken = stamp
        try:
            self.current = self._read()
        except InvalidSettingError as error:
            _log.error("file_not_reloaded", setting=self._setting, reason=str(error))
            self._observer.file_reloaded(self._setting, good=False)
        else:
            _log.info("file_reloaded", setting=self._setting)
            self._observer.file_reloaded(self._setting, good=True)

    def _stamp(self) -> _Stamp:
        return tuple(map(_stamp_of, self._paths))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


class FileWatch:
    """Looks at files once in `period_s` seconds from `start` to `stop`."""

    def __init__(self, watched: Sequence[Looking], period_s: float = PERIOD_S) -> None:
        self._watched = watched
        self._period_s = period_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look from now on, if there is anything to look at."""
        if self._watched and self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="file-watch")
            self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that hangs is not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            for one in self._watched:
                try:
                    one.look()
                except Exception as error:  # noqa: BLE001 - the next look may fare better
                    _log.error("file_watch_failed", error=type(error).__qualname__)
