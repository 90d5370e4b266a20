"""Puts together what erases people from a server's stores, and lets it run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from micromoment.applications import ApplicationMaker, Stores
from micromoment.background import in_background
from micromoment.erasure import Eraser, Places
from micromoment.erasure_places import FeaturePlaces, LocalPlaces, RedisPlaces
from micromoment.errors import InvalidSettingError, MicromomentError
from micromoment.session_opening import open_link
from micromoment.settings import Settings
from micromoment.stores.event_log import OUTSIDE_FILE
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.redis_tombstones import RedisRegister, RedisTombstones
from micromoment.stores.tombstones import ErasureRegister, FileRegister

# In the folder of what outlives a restart.
REGISTER_FILE: Final = "erasures.json"
# A page of what Redis looks through takes milliseconds, on a busy machine many.
_REDIS_TIMEOUT_S: Final = 5.0
# A start waits for so long for what was begun before.
_FIRST_TRY_S: Final = 30.0

_log = structlog.get_logger(__name__)


def open_register(settings: Settings, shared: RedisTombstones | None) -> ErasureRegister:
    """Open where tombstones are kept. Raises `InvalidDataError` for a damaged file of them."""
    if settings.session_store is not None and shared is not None:
        return RedisRegister(
            open_link(settings.session_store, _REDIS_TIMEOUT_S),
            shared,
            prefix=settings.session_prefix,
            retention_s=settings.tombstone_retention,
        )
    return FileRegister(settings.state_dir / REGISTER_FILE, settings.tombstone_retention)


class Erasing:
    """The eraser of one server while it serves."""

    def __init__(self, settings: Settings, stores: Stores, maker: ApplicationMaker) -> None:
        self._link: RedisLink | None = None
        self._task: asyncio.Task[None] | None = None
        self._register = stores.register
        places = self._places(settings, stores)
        self.eraser = Eraser(places, stores.register, maker.ids, maker.turns)

    async def start(self) -> None:
        """Finish what was begun before, as far as that can be done soon, and go on trying."""
        with suppress(MicromomentError, TimeoutError):
            async with asyncio.timeout(_FIRST_TRY_S):
                await self.eraser.finish_all()
        if self.eraser.pending:
            _log.warning("erasures_pending", erasures=self.eraser.pending)
        self._task = in_background(self.eraser.run(), "erasing")

    async def stop(self) -> None:
        """Stop trying; the next start goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        if self._link is not None:
            await self._link.close()
        if isinstance(self._register, RedisRegister):
            await self._register.close()

    def _places(self, settings: Settings, stores: Stores) -> Places:
        features = FeaturePlaces(stores.users, settings.feature_store, settings.feature_tenant)
        sessions = stores.sessions
        if isinstance(sessions, RedisSessionStore):
            if settings.session_store is None:
                raise InvalidSettingError("session_store", "is missing")
            self._link = open_link(settings.session_store, _REDIS_TIMEOUT_S)
            return RedisPlaces(
                sessions, stores.event_log, features, self._link, settings.session_prefix
            )
        folder = settings.event_log
        return LocalPlaces(
            sessions,
            stores.visit_log,
            stores.event_log,
            features,
            folder,
            None if folder is None else folder / OUTSIDE_FILE,
        )
