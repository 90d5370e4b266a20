"""Compilation to machine code, kept on disk under a name made from this package's sources.

Numba looks only at the file of the cached function itself, so that a change in one module would
leave its callers in other modules stale, and a stale simulation looks like a right one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).resolve().parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = os.environ.get("NUMBA_CACHE_DIR") or Path(home) / "micromoment" / "numba"
    return Path(root) / f"simulator-{digest.hexdigest()[:16]}"


_FOLDER: Final = str(_cache_folder())
# Its types know neither the folder nor all options.
_numba: Any = numba


def compiled(function: Function) -> Function:
    """Compile a function on its first call; it works on plain arrays and records."""
    # Numba reads the folder while it decorates; other packages have folders of their own.
    folder_of_others = _numba.config.CACHE_DIR
    _numba.config.CACHE_DIR = _FOLDER
    try:
        # Nothing takes these functions' addresses; wrappers for that cost a fifth of the time.
        options = {"cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
        return cast("Function", _numba.njit(**options)(function))
    finally:
        _numba.config.CACHE_DIR = folder_of_others
