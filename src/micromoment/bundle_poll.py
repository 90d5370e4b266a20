"""Looks at times whether a setting names another bundle than before, and activates that.

What is looked at are the pointer and the bundle's files: one that was refused is tried again as
soon as either changes, and so is one whose copying had not ended. A bundle that somebody activates
by hand answers until the pointer moves.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from micromoment.background import again_and_again
from micromoment.errors import BundleError, MicromomentError
from micromoment.stores.bundles import find_bundle, tag_of
from micromoment.threads import in_daemon_thread
from micromoment.transport.bundles import Bundles
from micromoment.transport.errors import ActivationUnderWayError

_log = structlog.get_logger(__name__)

_Seen = tuple[str, tuple[tuple[str, int, int], ...]]


class BundlePoll:
    """Follows `tag`, such as shop:serving, in `store`: looks every `interval_s` seconds."""

    def __init__(self, store: Path, tag: str, bundles: Bundles, interval_s: float) -> None:
        self._store = store
        self._tag = tag
        self._bundles = bundles
        self._interval_s = interval_s
        self._seen: _Seen | None = None
        self._lost = ""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        await again_and_again(self.look, self._interval_s, "bundle_poll_failed", bundle=self._tag)

    async def look(self) -> None:
        """Look once."""
        seen = await self._look_up()
        if seen is None or seen == self._seen:
            return
        try:
            await self._bundles.activate(seen[0])
        except ActivationUnderWayError:
            return
        except MicromomentError:
            pass  # told where it happened
        except Exception as error:  # noqa: BLE001 - the next look may fare better
            _log.error("bundle_poll_failed", bundle=seen[0], error=type(error).__qualname__)
        self._seen = seen

    async def _look_up(self) -> _Seen | None:
        try:
            seen = await in_daemon_thread(lambda: _look_at(self._store, self._tag), "bundle-poll")
        except (BundleError, OSError) as error:
            self._tell_lost(str(error))
            return None
        self._tell_lost("")
        return seen

    def _tell_lost(self, why: str) -> None:
        if why and why != self._lost:
            _log.warning("bundle_not_found", reason=why, answers=self._bundles.active)
        self._lost = why


def _look_at(store: Path, tag: str) -> _Seen:
    """Give the bundle that a tag names, with its files' names, sizes and times of change."""
    folder = find_bundle(store, tag)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(path, path.stat()) for path in files]
    return tag_of(folder), tuple(
        (str(path.relative_to(folder)), state.st_size, state.st_mtime_ns) for path, state in states
    )
