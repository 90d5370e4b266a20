"""Promote a bundle, or go back: the pointer `serving` of the store, moved under a lock."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from micromoment.errors import BundleError, MicromomentError
from micromoment.stores.bundle_signatures import sign_bundle
from micromoment.stores.bundles import SERVING, find_bundle
from micromoment.stores.loading import read_stored_manifest
from micromoment.stores.signing_keys import SigningKey
from training.outputs import make_folder
from training.progress import Steps
from training.promotion.checks import Check, failures
from training.promotion.gate import GateRequest, run_gate
from training.promotion.later import LaterDays
from training.promotion.log import (
    Record,
    append_record,
    read_log,
    reconcile,
    record_now,
    served_before,
    serving_version,
)
from training.promotion.shape import check_trial
from training.promotion.trial import try_bundles
from training.publishing.store import point_to


class PromotionError(MicromomentError):
    """A promotion or a roll-back can't be made."""


@dataclass(frozen=True)
class PromoteRequest:
    """Which bundle, `name:version`, of which store; what to judge on; who asks, and why.

    `judged` as in `GateRequest`; `grounds` are the checks that it passed, for the log. `force`
    promotes what fails a check, unless no server could start with it. What is promoted, or serves
    already, is signed with `sign_key`.
    """

    tag: str
    store: Path
    later: LaterDays | None = None
    judged: Path | None = None
    grounds: tuple[Check, ...] = ()
    force: bool = False
    who: str = ""
    reason: str = ""
    sign_key: SigningKey | None = None


@dataclass(frozen=True)
class PromotionReport:
    """What came of it: the tags, empty where none served before, and the checks behind it."""

    before: str
    after: str
    checks: tuple[Check, ...]
    promoted: bool
    forced: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the bundle serves already."""
        return self.before == self.after


@contextmanager
def sole(file: Path, doing: str) -> Iterator[None]:
    """Hold a lock for as long as the body runs; the system lets it go with the process.

    Raises `PromotionError` when another process holds it.
    """
    make_folder(file.parent)
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PromotionError(f"another process is {doing}: try again when it is done") from None
        yield


def promote(request: PromoteRequest, steps: Steps | None = None) -> PromotionReport:
    """Judge a bundle and, if it passes, let it be the one that serves.

    Nothing changes where it is refused, or serves already. Raises `BundleError` where the store
    doesn't hold it, `PromotionError` while another promotion of this name is under way.
    """
    steps = steps or Steps()
    candidate = find_bundle(request.store, request.tag)
    name = request.tag.partition(":")[0]
    with _turn(request.store, name):
        before = serving_version(request.store, name)
        if before == candidate.name:
            _sign(candidate, request)
            tag = f"{name}:{before}"
            return PromotionReport(tag, tag, (), promoted=False)
        gate = GateRequest(
            candidate, _folder(request.store, name, before), request.later, request.judged
        )
        checks = run_gate(gate, steps)
        failed = failures(checks)
        forced = bool(failed) and request.force and failed[0].name != "loads"
        promoted = not failed or forced
        if promoted:
            _sign(candidate, request)
            record = record_now("promote", before, candidate.name, request.who)
            plain = tuple(one.to_dict() for one in (*request.grounds, *checks))
            move(
                request.store,
                name,
                replace(record, forced=forced, reason=request.reason, checks=plain),
            )
    tag = f"{name}:{before}" if before else ""
    return PromotionReport(tag, f"{name}:{candidate.name}", checks, promoted, forced)


def roll_back(store: Path, name: str, who: str = "", reason: str = "") -> PromotionReport:
    """Let the bundle that served before serve again, if a server can start with it.

    Raises `PromotionError` where nothing served before, `BundleError` where it can't be used.
    """
    with _turn(store, name):
        before = serving_version(store, name)
        path = served_before(read_log(store, name))
        if len(path) < 2 or path[-1] != before:
            raise PromotionError(
                f"the promotion log knows of no {name} that served before this one"
            )
        folder = find_bundle(store, f"{name}:{path[-2]}")
        trial, _ = try_bundles(folder)
        checks = tuple(check_trial(trial))
        if failures(checks):
            raise BundleError(f"{name}:{path[-2]}", f"can't serve again: {trial.error}")
        record = record_now("rollback", before, path[-2], who)
        plain = tuple(one.to_dict() for one in checks)
        move(store, name, replace(record, reason=reason, checks=plain))
    return PromotionReport(f"{name}:{before}", f"{name}:{path[-2]}", checks, promoted=True)


def move(store: Path, name: str, record: Record) -> None:
    """Let `record.after` serve. Killed anywhere, it leaves what served before or what shall now.

    The log comes first, so that nothing ever serves that it doesn't know of; `reconcile` takes a
    record back whose move never came.
    """
    append_record(store, name, record)
    point_to(store, name, SERVING, record.after)


def _sign(candidate: Path, request: PromoteRequest) -> None:
    if request.sign_key is not None:
        sign_bundle(candidate, read_stored_manifest(candidate), request.sign_key)


@contextmanager
def _turn(store: Path, name: str) -> Iterator[None]:
    with sole(store / f"{name}.promotion.lock", f"promoting a bundle {name}"):
        reconcile(store, name)
        yield


def _folder(store: Path, name: str, version: str) -> Path | None:
    return store / name / version if version else None
