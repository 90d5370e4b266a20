"""Lets another bundle answer while the server serves.

A bundle is tried in a process of its own, loaded and warmed in a thread, and takes over by one
reference. Whatever goes wrong before that changes nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from micromoment.applications import ApplicationMaker
from micromoment.bundle_trial import try_bundle
from micromoment.errors import (
    BundleError,
    BundleNotFoundError,
    BundleRefusedError,
    BundleUntrustedError,
)
from micromoment.scoring.bundle import check_files, load_bundle
from micromoment.scoring.golden import GoldenReport
from micromoment.scoring.manifest import MANIFEST_FILE, Manifest
from micromoment.stores.bundle_list import (
    StoredBundle,
    stored_bundle,
    stored_bundles,
    trained_until,
)
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.bundles import find_bundle, tag_of
from micromoment.stores.loading import ANYBODY, read_stored_manifest
from micromoment.threads import in_daemon_thread
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.bundles import Activation
from micromoment.transport.errors import ActivationUnderWayError

# At the lowest priority on a machine whose processors are all busy.
TRIAL_TIMEOUT_S: Final = 300.0
# Of all of it: a store that hangs must not keep others from being activated.
_TIMEOUT_S: Final = TRIAL_TIMEOUT_S + 60.0
# Machine code is there already; this fills what is made on first use.
_WARM_UP_ROUNDS: Final = 20
# Seconds for which the thread that loads keeps the interpreter from one that answers calls.
_SWITCH_INTERVAL_S: Final = 0.000_2

_log = structlog.get_logger(__name__)


class ActivationObserver(Protocol):
    """Takes note of activations."""

    def activation_ended(self, outcome: str) -> None:
        """Take note of one.

        It was activated, unchanged, checked, refused, untrusted, not_found, failed.
        """

    def answers_with(self, bundle: str, trained_until: float) -> None:
        """Take note of the bundle that answers from now on, and of the end of its data."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A bundle that may take over; without an application it answers already or was checked."""

    manifest: Manifest
    golden: GoldenReport | None
    application: Application | None
    notes: tuple[str, ...]


class BundleSwitch:
    """The bundles of a store, one of which answers through `slot`. `active` is that one's manifest.

    `keep` takes the folder of each that is about to answer. One activation is under way at a time;
    it goes on when whoever asked for it leaves.
    """

    def __init__(
        self,
        store: Path,
        slot: ApplicationSlot,
        maker: ApplicationMaker,
        observer: ActivationObserver,
        active: Manifest,
        *,
        keep: Callable[[Path], None] = lambda _folder: None,
        trust: BundleTrust = ANYBODY,
        try_out: Callable[[Path, str, float], GoldenReport] = try_bundle,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._store = store
        self._slot = slot
        self._maker = maker
        self._observer = observer
        self._active = active
        self._keep = keep
        self._trust = trust
        self._try_out = try_out
        self._timeout_s = timeout_s
        self._under_way: tuple[str, asyncio.Task[Activation]] | None = None

    @property
    def active(self) -> str:
        """Name and version of the bundle that answers."""
        return self._active.tag

    async def list_bundles(self, name: str, limit: int) -> list[StoredBundle]:
        """Give those that were added last first, of one name or, for the empty one, of all."""
        return await in_daemon_thread(
            lambda: stored_bundles(self._store, name, limit, self._trust), "bundles"
        )

    async def get_bundle(self, tag: str) -> StoredBundle:
        """Give one. Raises `BundleNotFoundError`."""
        return await in_daemon_thread(
            lambda: stored_bundle(self._store, tag, self._trust), "bundles"
        )

    async def activate(self, tag: str, *, dry_run: bool = False) -> Activation:
        """Let a bundle answer, or only check it.

        Raises `BundleNotFoundError`, `BundleRefusedError` and `ActivationUnderWayError`.
        """
        if self._under_way is not None:
            raise ActivationUnderWayError(self._under_way[0])
        task = asyncio.create_task(self._activate(tag, dry_run))
        self._under_way = (tag, task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Activation]) -> None:
        self._under_way = None
        if not task.cancelled():
            task.exception()  # whoever asked may have left

    async def _activate(self, tag: str, dry_run: bool) -> Activation:
        started, previous = time.monotonic(), self.active
        try:
            async with asyncio.timeout(self._timeout_s):
                ready = await in_daemon_thread(lambda: self._prepare(tag, dry_run), "activate")
        except TimeoutError:
            late = BundleRefusedError(tag, f"not ready after {self._timeout_s:.0f} s")
            self._failed("failed", late)
            raise late from None
        except BundleNotFoundError as error:
            self._failed("not_found", error)
            raise
        except BundleError as error:
            untrusted = isinstance(error, BundleUntrustedError)
            self._failed("untrusted" if untrusted else "refused", error)
            if isinstance(error, BundleRefusedError):
                raise
            raise BundleRefusedError(error.bundle, error.detail) from error
        except Exception:
            self._observer.activation_ended("failed")
            raise
        changed = ready.application is not None
        if ready.application is not None:
            self._slot.fill(ready.application)
            self._active = ready.manifest
            self._observer.answers_with(self.active, trained_until(ready.manifest))
        self._observer.activation_ended(_outcome(ready))
        seconds = time.monotonic() - started
        activation = Activation(
            ready.manifest.tag, previous, changed, seconds, ready.golden, ready.notes
        )
        if changed:
            _tell(activation)
        return activation

    def _prepare(self, tag: str, dry_run: bool) -> _Ready:
        folder = find_bundle(self._store, tag)
        if tag_of(folder) == self.active:
            return _Ready(self._active, None, None, ())
        path = folder / MANIFEST_FILE
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise BundleRefusedError(tag_of(folder), f"{MANIFEST_FILE} is no file")
        try:
            manifest = read_stored_manifest(folder)
            self._trust.check(folder, manifest)
            notes = _compare(self._active, manifest)
            check_files(folder, manifest)
            golden = self._try_out(folder, manifest.digest, TRIAL_TIMEOUT_S)
            if dry_run:
                return _Ready(manifest, golden, None, notes)
            with _short_turns():
                bundle = load_bundle(folder, manifest)
                application = self._maker.make(bundle, warm_up_rounds=_WARM_UP_ROUNDS)
            self._keep(folder)
        except OSError as error:
            raise BundleRefusedError(tag_of(folder), f"can't be read: {error.strerror}") from None
        return _Ready(manifest, golden, application, notes)

    def _failed(self, outcome: str, error: BundleError) -> None:
        self._observer.activation_ended(outcome)
        _log.warning(
            "bundle_not_activated", bundle=error.bundle, reason=error.detail, answers=self.active
        )


def _compare(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """Tell what visits under way will notice. Raises `BundleRefusedError` for another shop."""
    if after.shop != before.shop:
        raise BundleRefusedError(
            after.tag,
            f"it is of a shop with {after.shop.currency or 'any currency'} in "
            f"{after.shop.time_zone}, visits under way are counted in "
            f"{before.shop.currency or 'any currency'} and {before.shop.time_zone}: start a server "
            "with it instead",
        )
    names = ("session_expiry_s", "max_clock_skew_s")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    return tuple(f"{name} {old} becomes {new}" for name, old, new in pairs if old != new)


def _outcome(ready: _Ready) -> str:
    if ready.application is not None:
        return "activated"
    return "unchanged" if ready.golden is None else "checked"


def _tell(activation: Activation) -> None:
    golden = activation.golden
    _log.info(
        "bundle_activated",
        bundle=activation.bundle,
        before=activation.previous,
        seconds=round(activation.seconds, 2),
        golden_answers=golden.answers if golden else 0,
        notes=list(activation.notes),
    )


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let threads take turns often: a call waits for the one that loads once per turn."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
