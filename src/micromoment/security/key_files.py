"""Files of keys, which are their owner's alone."""

from __future__ import annotations

import stat
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)


def warn_if_readable_by_all(setting: str, key: Path) -> None:
    """Warn of a key that every user of the machine can read. Raises `OSError`."""
    if key.stat().st_mode & stat.S_IROTH:
        _log.warning("key_readable_by_all", setting=setting, path=str(key))
