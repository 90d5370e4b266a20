"""Brings live sessions back from the event log after a crash.

A session is what folding its calls gives. First the log is walked backwards, without its events, to
see which sessions are live and where each began; then forwards, to fold the events of those.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.events.proto_codec import OutsideContractError
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.scoring.folding import fold_call
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call, stand
from micromoment.stores.log_segments import (
    LogHead,
    first_position,
    read_heads,
    read_rows,
    segments,
)
from micromoment.stores.sessions import MemorySessionStore
from micromoment.v1 import log_pb2 as pb

_US_PER_SECOND: Final = 1_000_000
_PROGRESS_S: Final = 2.0
_NOWHERE: Final = 1 << 63

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came out of a log: sessions in memory again, those known to lack events, events."""

    sessions: int
    lost: int
    events: int


@dataclass(slots=True)
class _Live:
    """Sessions that are live: where each begins in the log, and when it was last used (seconds).

    `began` of a session that is not in `begun` is the place of its earliest call found so far.
    """

    used_at: dict[SessionKey, float] = field(default_factory=dict)
    began: dict[SessionKey, int] = field(default_factory=dict)
    begun: set[SessionKey] = field(default_factory=set)
    lost: set[SessionKey] = field(default_factory=set)
    dropped: set[SessionKey] = field(default_factory=set)
    erased: set[SessionKey] = field(default_factory=set)
    rows: int = 0

    is_gapped: bool = False  # the log lacks rows of anybody who was under way here

    @property
    def first(self) -> int:
        return min(self.began.values(), default=0)

    def take(self, head: LogHead, oldest_us: int, most: int) -> bool:
        """Take in a row's head, one before those so far; False when no earlier one matters."""
        position, time_us, kind, tenant, session_id = head
        key = SessionKey(tenant, session_id)
        is_recent = time_us >= oldest_us
        if kind == RowKind.ERASED:
            self._erase(key)
        elif kind == RowKind.GAP and not session_id:
            if is_recent:
                self.gap()
        elif is_recent and key not in self.used_at and key not in self.erased:
            if self.is_gapped or len(self.used_at) >= most:
                self.lost.add(key)
            else:
                self.used_at[key] = time_us / _US_PER_SECOND
        if kind != RowKind.ERASED and key in self.used_at and key not in self.begun:
            self.rows += 1
            self.began[key] = position
            if kind != RowKind.WENT_ON:
                self.begun.add(key)
            if kind == RowKind.GAP:
                self.lost.add(key)
        return is_recent or len(self.begun) < len(self.used_at)

    def _erase(self, key: SessionKey) -> None:
        """Let a session's rows before the one that says so count no more; none of it is lost."""
        if key in self.used_at:
            self.begun.add(key)
        elif key.session_id:
            self.erased.add(key)

    def gap(self) -> None:
        """Let everybody's earlier rows count no more; who came before it may lack some."""
        self.is_gapped = True
        self.lost |= self.used_at.keys() - self.begun
        self.begun |= self.used_at.keys()

    def lose_before(self, position: int | None) -> None:
        """Let nobody's rows before a place count, None for all places."""
        for key, began in self.began.items():
            if position is None or began < position:
                self.lost.add(key)
                self.dropped.add(key)
                self.began[key] = position or _NOWHERE


def recover_sessions(
    folder: Path, sessions: MemorySessionStore, *, ttl_s: float, most: int, now: float
) -> Recovered:
    """Fold the log in `folder` into an empty store: sessions used within `ttl_s` of `now`.

    `now` is in seconds since 1970. Of more than `most` the latest come back. A session of which the
    log lacks events, because it says so or is damaged, is remembered as lost.
    """
    files = segments(folder)
    live = _find_live(files, oldest_us=int((now - ttl_s) * _US_PER_SECOND), most=most)
    folded = _Folder(live)
    shown = time.monotonic()
    for visit in _rows(files, live):
        folded.drop()
        folded.add(visit)
        if time.monotonic() - shown > _PROGRESS_S:
            shown = time.monotonic()
            _log.info("recovering_sessions", rows=folded.rows, of=live.rows, events=folded.events)
    folded.drop()
    # In the order of their last use, as if they had just been called.
    by_use = sorted(folded.states, key=lambda key: live.used_at[key])
    for key in by_use:
        sessions.restore(key, folded.states[key], live.used_at[key], protected=False)
    for key in live.lost - folded.states.keys():
        sessions.remember_lost(key)
    return Recovered(len(sessions), len(live.lost), folded.events)


def _find_live(files: list[Path], *, oldest_us: int, most: int) -> _Live:
    live = _Live()
    for segment in reversed(files):
        try:
            for head in read_heads(segment):
                if not live.take(head, oldest_us, most):
                    break
            else:
                continue
            break
        except InvalidDataError as error:
            _log.error("log_damaged", reason=str(error))
            live.gap()
    # The log no longer has their beginnings.
    live.lost |= live.used_at.keys() - live.begun
    return live


def _rows(files: list[Path], live: _Live) -> Iterator[LoggedVisit]:
    following = [first_position(segment) for segment in files[1:]]
    for segment, end in zip(files, [*following, None], strict=True):
        if end is not None and end <= live.first:
            continue
        try:
            for visit in read_rows(segment, after=live.first - 1):
                if visit.position >= live.began.get(visit.key, visit.position + 1):
                    yield visit
        except InvalidDataError as error:
            _log.error("log_damaged", reason=str(error))
            live.lose_before(end)


class _Folder:
    """Folds calls into the states of their sessions."""

    def __init__(self, live: _Live) -> None:
        self._live = live
        self.states: dict[SessionKey, SessionEntry] = {}
        self.rows = 0
        self.events = 0

    def add(self, visit: LoggedVisit) -> None:
        self.rows += 1
        if visit.kind in {RowKind.GAP, RowKind.ERASED}:
            self.states.pop(visit.key, None)
            return
        try:
            self._fold(visit)
        except (DecodeError, OutsideContractError):
            _log.error("log_damaged", reason=f"row {visit.position} is no call")
            self.states.pop(visit.key, None)
            self._live.lost.add(visit.key)

    def _fold(self, visit: LoggedVisit) -> None:
        logged = visit.call()
        call = score_call(visit, logged)
        if not call.event_ids:
            return
        entry = None if visit.kind == RowKind.BEGAN else self.states.get(visit.key)
        lost = logged.lost or (entry is None and visit.key in self._live.lost)
        self.states[visit.key] = fold_logged(entry, call, logged, lost=lost)
        self.events += len(call.event_ids)

    def drop(self) -> None:
        """Let go of sessions whose rows so far turned out not to count."""
        for key in self._live.dropped:
            self.states.pop(key, None)
        self._live.dropped.clear()


def fold_logged(
    entry: SessionEntry | None, call: ScoreCall, logged: pb.LoggedCall, *, lost: bool
) -> SessionEntry:
    """Fold a logged call into its session as the server did, to the last bit."""
    folded = fold_call(
        call,
        entry,
        lost=lost,
        expiry_us=logged.session_expiry_us,
        skew_us=logged.max_clock_skew_us,
    )
    if logged.standing:
        stand(folded.state, logged.standing)
    return folded.entry()
