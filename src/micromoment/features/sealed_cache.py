"""Reads a cache of machine code that was filled beforehand and can't be written to: an image's.

Numba passes over a cache folder that it can't write to, and then refuses to define any cached
function. It reads such a folder with
`NUMBA_CACHE_LOCATOR_CLASSES=micromoment.features.sealed_cache.SealedCacheLocator`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from numba.core import config
from numba.core.caching import UserProvidedCacheLocator

from micromoment.errors import InvalidSettingError


class SealedCacheLocator(UserProvidedCacheLocator):
    """Finds machine code below `NUMBA_CACHE_DIR`, whether or not that can be written to."""

    @classmethod
    def from_function(cls, py_func: object, py_file: str) -> Self | None:
        """Give the function's place, or None, as Numba asks for, when it has none."""
        folder = config.CACHE_DIR  # type: ignore[attr-defined] # set when Numba starts
        if not folder or not Path(py_file).exists():
            return None
        return cls(py_func, py_file)

    def ensure_cache_path(self) -> None:
        """Make room for a function that had to be compiled, because the cache lacks it.

        Raises `InvalidSettingError` where nothing can be written.
        """
        try:
            super().ensure_cache_path()  # type: ignore[no-untyped-call] # Numba's
        except OSError as error:
            raise InvalidSettingError(
                "NUMBA_CACHE_DIR",
                f"{error.filename} can't be written to ({error.strerror}) and lacks machine code "
                f"for {self._py_file}; fill it with `python -m micromoment.compile` under the same "
                "NUMBA_* variables, or name another folder",
            ) from error
