"""What the application needs of its stores. Embedded and scaled-out stores implement the same."""

from __future__ import annotations

from typing import Protocol

from micromoment.features.user_snapshot import UserLookup


class UserFeatureStore(Protocol):
    """Reads the newest published snapshot of a visitor."""

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Give the visitor's newest row; never raises: a store that fails is `UNAVAILABLE`."""

    def warm_up(self) -> None:
        """Open connections and load metadata, so that no request pays for it."""

    async def close(self) -> None:
        """Release what is held."""
