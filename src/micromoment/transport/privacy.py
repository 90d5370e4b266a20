"""What PrivacyService needs of the server: to erase somebody, and to tell what is held of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from micromoment.transport.errors import NotReadyError
from micromoment.v1 import privacy_pb2 as pb


@dataclass(slots=True)
class Erased:
    """How much was erased of each store; events up to `until_us` don't count from now on."""

    sessions: int = 0
    logged_calls: int = 0
    outside_events: int = 0
    online_rows: int = 0
    workspace_rows: int = 0
    until_us: int = 0


class Privacy(Protocol):
    """Erases and tells. Ids are those that calls name."""

    async def erase(self, tenant: str, ids: Sequence[str]) -> Erased:
        """Erase whom the ids name from every store.

        Raises `TombstonesUnavailableError` where that could not be begun, and
        `ErasureIncompleteError` where a store did not let go: it is tried again later.
        """

    def export(self, tenant: str, ids: Sequence[str]) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held, piece by piece; a store that does not answer raises its error."""


class PrivacySlot:
    """Holds it once the server has loaded."""

    def __init__(self) -> None:
        self._privacy: Privacy | None = None

    def fill(self, privacy: Privacy | None) -> None:
        """Let it be used; None ends that."""
        self._privacy = privacy

    def current(self) -> Privacy:
        """Give it. Raises `NotReadyError` while the server loads or ends."""
        if self._privacy is None:
            raise NotReadyError
        return self._privacy
