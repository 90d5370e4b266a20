"""A copy of the bundle that answers, on the server's own disk: the store may be gone at a start.

Copies of one store lie in a store of their own, `<folder>/<digest of the store's path>/`, with
pointers of the same names. Those that no pointer names any more are removed.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog

from micromoment.errors import BundleError
from micromoment.scoring.manifest import SIGNATURES_FILE
from micromoment.stores.bundles import LATEST, SERVING, find_bundle, pointers_of, tag_of
from micromoment.stores.loading import check_stored_files
from micromoment.threads import within

# To read and check all files; a store that takes longer counts as gone where there is a copy.
_STORE_TIMEOUT_S: Final = 10.0
# What a server that was killed has left half done.
_ABANDONED_S: Final = 3_600.0

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class BundleCopies:
    """Keeps a copy of what `tag` names in `store`. Without a `folder` it keeps none."""

    def __init__(
        self,
        folder: Path | None,
        store: Path,
        tag: str,
        *,
        timeout_s: float = _STORE_TIMEOUT_S,
    ) -> None:
        digest = hashlib.sha256(str(store.absolute()).encode()).hexdigest()[:16]
        self._copies = folder / digest if folder else None
        self._store = store
        self._tag = tag
        self._timeout_s = timeout_s

    def keep(self, folder: Path) -> None:
        """Copy a bundle's folder of the store, if `tag` names it; failing is told in the log."""
        if self._copies is None:
            return
        try:
            if find_bundle(self._store, self._tag) == folder:
                _copy(folder, self._copies, self._tag.partition(":")[2])
        except (BundleError, OSError) as error:
            _log.warning("bundle_not_copied", bundle=tag_of(folder), reason=str(error))

    def load(self, load: Callable[[Path], _T]) -> _T:
        """Load what `tag` names from the store, else from the copy, which is told in the log.

        Raises what loading from the store raised where there is no copy either.
        """
        copy = self._find()
        try:
            if copy is not None:
                within(self._timeout_s, lambda: _read(find_bundle(self._store, self._tag)))
            folder = find_bundle(self._store, self._tag)
            loaded = load(folder)
        except (BundleError, OSError) as error:
            if copy is None:
                raise
            loaded = load(copy)
            why = str(error) or f"the store {self._store} does not answer"
            _log.warning("bundle_from_copy", bundle=tag_of(copy), reason=why)
            return loaded
        self.keep(folder)
        return loaded

    def _find(self) -> Path | None:
        if self._copies is not None:
            with suppress(BundleError, OSError):
                return find_bundle(self._copies, self._tag)
        return None


def _read(folder: Path) -> None:
    check_stored_files(folder)


def _copy(folder: Path, copies: Path, pointer: str) -> None:
    place = copies / folder.parent.name / folder.name
    if not _is_whole(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _move_in(folder, place)
    _follow_signatures(folder, place)
    if pointer in (LATEST, SERVING):
        unfinished = _unfinished(place.with_name(pointer))
        unfinished.write_text(place.name, encoding="utf-8")
        unfinished.replace(place.with_name(pointer))
    kept = {place.name, *pointers_of(copies, place.parent.name).values()}
    for other in place.parent.iterdir():
        if other.is_dir() and other.name not in kept and _is_left(other):
            shutil.rmtree(other, ignore_errors=True)


def _move_in(folder: Path, place: Path) -> None:
    unfinished = _unfinished(place)
    try:
        shutil.copytree(folder, unfinished)
        shutil.rmtree(place, ignore_errors=True)
        unfinished.rename(place)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not _is_whole(place):  # another server with this folder may have been faster
            raise


def _follow_signatures(folder: Path, place: Path) -> None:
    """Let a copy from before have the signatures of now: keys are exchanged, content stays."""
    now, before = ((one / SIGNATURES_FILE) for one in (folder, place))
    if not now.is_file():
        before.unlink(missing_ok=True)
    elif not before.is_file() or now.read_bytes() != before.read_bytes():
        unfinished = _unfinished(before)
        shutil.copyfile(now, unfinished)
        unfinished.replace(before)


def _unfinished(place: Path) -> Path:
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}")


def _is_left(folder: Path) -> bool:
    """Tell whether nobody is writing to a folder any more."""
    return folder.name[0] != "." or folder.stat().st_mtime < time.time() - _ABANDONED_S


def _is_whole(folder: Path) -> bool:
    try:
        _read(folder)
    except (BundleError, OSError):
        return False
    return True
