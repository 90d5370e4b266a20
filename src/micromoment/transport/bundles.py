"""What ModelService needs of the server: its bundles, and a way to let another one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from micromoment.scoring.golden import GoldenReport
from micromoment.stores.bundle_list import StoredBundle
from micromoment.transport.errors import NotReadyError


@dataclass(frozen=True, slots=True)
class Activation:
    """What became of a bundle that was to answer. Without `golden` it did already.

    `notes` say what differs from the bundle before and matters to visits that are under way.
    """

    bundle: str
    previous: str
    changed: bool
    seconds: float
    golden: GoldenReport | None
    notes: tuple[str, ...] = ()


class Bundles(Protocol):
    """The bundles of a server's store, and the one that answers."""

    @property
    def active(self) -> str:
        """Name and version of the bundle that answers."""

    async def list_bundles(self, name: str, limit: int) -> list[StoredBundle]:
        """Give those that were added last first, of one name or, for the empty one, of all."""

    async def get_bundle(self, tag: str) -> StoredBundle:
        """Give one. Raises `BundleNotFoundError`."""

    async def activate(self, tag: str, *, dry_run: bool = False) -> Activation:
        """Let a bundle answer, or only check it.

        Raises `BundleNotFoundError`, `BundleRefusedError` and `ActivationUnderWayError`; whichever
        answers then answers on.
        """


class BundlesSlot:
    """Holds them once the server has loaded."""

    def __init__(self) -> None:
        self._bundles: Bundles | None = None

    def fill(self, bundles: Bundles | None) -> None:
        """Let them be used; None ends that."""
        self._bundles = bundles

    def current(self) -> Bundles:
        """Give them. Raises `NotReadyError` while the server loads or ends."""
        if self._bundles is None:
            raise NotReadyError
        return self._bundles
