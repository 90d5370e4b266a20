"""What stands in for a store that is not configured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.stores.errors import EventLogMissingError
from micromoment.stores.event_log import Appended, LoggedEvent
from micromoment.stores.log_erasing import ErasedFromLog
from micromoment.stores.log_rows import LogRow

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)


class NoEventLog:
    """Refuses events."""

    async def append(self, events: Sequence[LoggedEvent]) -> Appended:  # noqa: ARG002 - the protocol's
        """Raise `EventLogMissingError`."""
        raise EventLogMissingError

    async def erase(self, tenant: str, visitors: Collection[str]) -> int:  # noqa: ARG002 - the protocol's
        """Nothing is held."""
        return 0

    async def close(self) -> None:
        """Hold nothing."""


class NoVisitLog:
    """Keeps no call."""

    @property
    def is_on(self) -> bool:
        """Tell that nothing is kept."""
        return False

    def append(self, row: LogRow) -> None:
        """Let it go."""

    def barrier(self) -> bool:
        """Nothing is to be waited for."""
        return True

    async def erase(
        self,
        tenant: str,  # noqa: ARG002 - the protocol's
        *,
        visitors: Collection[str] = (),  # noqa: ARG002 - the protocol's
        sessions: Collection[str] = (),
    ) -> ErasedFromLog:
        """Nothing is held."""
        return ErasedFromLog(frozenset(sessions))

    async def close(self) -> None:
        """Hold nothing."""


class NoUserFeatures:
    """Knows nothing of anybody: every visit lacks its user features and says so."""

    async def look_up(self, visitor_id: str) -> UserLookup:  # noqa: ARG002 - the protocol's
        """Answer that user features are missing."""
        return _UNAVAILABLE

    def warm_up(self) -> None:
        """Hold nothing."""

    async def close(self) -> None:
        """Hold nothing."""
