"""What the application needs of its stores. Embedded and scaled-out stores implement the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from micromoment.features.user_snapshot import UserLookup
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.log_rows import LogRow


class SessionStore(Protocol):
    """Keeps sessions in the process, bounded in number. Calls never wait.

    So that what reads, changes and writes a session in one go is never torn apart.
    """

    def get(self, key: SessionKey) -> SessionEntry | None:
        """Give a copy that the caller owns; changing it changes nothing before `put`."""

    def put(self, key: SessionKey, entry: SessionEntry) -> None:
        """Keep a copy of `entry`; where there is no room, another session makes it."""

    def was_evicted(self, key: SessionKey) -> bool:
        """Tell whether the session was known once and lost, as far as that is remembered."""

    def forget(self, key: SessionKey) -> bool:
        """Erase a session, and that it was ever lost; tell whether it was there."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session as a shared store held it; without an entry, and with no version, it held none.

    The entry belongs to whoever was given it. `sequence` is the number of writes that the session
    has had; `lost` tells that events of it are known to be missing from the entry, `forgotten` that
    what a server still remembers of it was to be forgotten, `withdrawn` that it must not be kept
    without consent.
    """

    version: bytes
    entry: SessionEntry | None
    sequence: int = 0
    lost: bool = False
    forgotten: bool = False
    withdrawn: bool = False


class SharedSessionStore(Protocol):
    """Keeps sessions for several servers.

    What waits raises `SessionStoreUnavailableError`, soon, when the store does not answer.
    """

    def recall(self, key: SessionKey) -> Held | None:
        """Give the session as this server last saw it; None when it doesn't remember it."""

    async def fetch_first(self, keys: Sequence[SessionKey]) -> tuple[int, Held]:
        """Read a session that is at one of `keys` at most, in one round trip; give which, and it.

        It is the first where the session is nowhere.
        """

    async def replace(
        self,
        key: SessionKey,
        held: Held,
        entry: SessionEntry,
        row: LogRow | None = None,
        *,
        others: Sequence[SessionKey] = (),
    ) -> Held | None:
        """Keep `entry` in place of `held`, log `row`, and give None.

        Where something else is there by now, do neither and give that. Raises
        `SessionElsewhereError` where the session is at one of `others` by now.
        """

    async def forget(self, key: SessionKey, row: LogRow | None = None) -> bool:
        """Erase a session for all servers, log `row`, and tell whether it was there.

        What servers remember of it is never kept again, and nobody calls it lost.
        """

    def was_lost(self, key: SessionKey) -> bool:
        """Tell whether events of the session could not be kept, as far as that is remembered."""

    def remember_lost(self, key: SessionKey, *, only_if_known: bool = False) -> None:
        """Remember, until it is kept again, that events of the session could not be kept.

        `only_if_known` is for the further ids under which it may be, of which one at most is
        right: servers then learn of it where the store has the session under that.
        """


class UserFeatureStore(Protocol):
    """Reads the newest published snapshot of a visitor."""

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Give the visitor's newest row; never raises: a store that fails is `UNAVAILABLE`."""

    def warm_up(self) -> None:
        """Open connections and load metadata, so that no request pays for it."""

    async def close(self) -> None:
        """Release what is held."""
