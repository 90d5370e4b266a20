"""How the reducer's functions are compiled and where the machine code is kept.

Numba checks only the file of the cached function itself: a change in a family would leave the
kernels that call it stale. So the cache folder is named after the content of all sources that hold
compiled code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _source_digest() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for folder in ("events", "features", "scoring"):
        for source in sorted((package / folder).rglob("*.py")):
            digest.update(source.relative_to(package).as_posix().encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    root = os.environ.get("NUMBA_CACHE_DIR")
    if root:
        return Path(root) / _source_digest()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "micromoment" / "numba" / _source_digest()


numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined] # set from outside


def compiled(function: _Function) -> _Function:
    """Compile a function to machine code, cached on disk; it may run without the GIL."""
    return cast(_Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def compiled_into_callers(function: _Function) -> _Function:
    """Do the same without calls, for functions of `Tables`: its arrays cost 0.4 us to hand on."""
    compile_it = numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
    return cast(_Function, compile_it(function))
