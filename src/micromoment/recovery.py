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

import numpy as np
import structlog
from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.events.proto_codec import OutsideContractError
from micromoment.features import reducer
from micromoment.features.session import fold_batch
from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call, stand
from micromoment.stores.log_segments import read_heads, read_rows, segments
from micromoment.stores.sessions import MemorySessionStore
from micromoment.v1 import log_pb2 as pb

_US_PER_SECOND: Final = 1_000_000
_PROGRESS_S: Final = 2.0
_NOBODY: Final = no_lookup(UserStatus.UNAVAILABLE)

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
    rows: int = 0

    @property
    def first(self) -> int:
        return min(self.began.values(), default=0)


def recover_sessions(
    folder: Path, sessions: MemorySessionStore, *, ttl_s: float, most: int, now: float
) -> Recovered:
    """Fold the log in `folder` into an empty store: sessions used within `ttl_s` of `now`.

    `now` is in seconds since 1970. Of more than `most` the latest come back. A session of which the
    log lacks events is remembered as lost. Raises `InvalidDataError` for a damaged log.
    """
    files = segments(folder)
    live = _find_live(files, oldest_us=int((now - ttl_s) * _US_PER_SECOND), most=most)
    folded = _Folder(live)
    shown = time.monotonic()
    for visit in _rows(files, live):
        folded.add(visit)
        if time.monotonic() - shown > _PROGRESS_S:
            shown = time.monotonic()
            _log.info("recovering_sessions", rows=folded.rows, of=live.rows, events=folded.events)
    # In the order of their last use, as if they had just been called.
    by_use = sorted(folded.states, key=lambda key: live.used_at[key])
    for key in by_use:
        sessions.restore(key, folded.entry(key), live.used_at[key], protected=False)
    for key in live.lost - folded.states.keys():
        sessions.remember_lost(key)
    return Recovered(len(sessions), len(live.lost), folded.events)


def _find_live(files: list[Path], *, oldest_us: int, most: int) -> _Live:
    live = _Live()
    for segment in reversed(files):
        is_done = False
        for position, time_us, kind, tenant, session_id in read_heads(segment):
            key = SessionKey(tenant, session_id)
            if time_us >= oldest_us and kind == RowKind.GAP and not session_id:
                # Whoever came before it may lack events.
                live.lost |= live.used_at.keys() - live.begun
                live.begun |= live.used_at.keys()
                _lose_earlier(files, live, position, oldest_us)
                return live
            if time_us >= oldest_us and key not in live.used_at:
                if len(live.used_at) >= most:
                    live.lost.add(key)
                    continue
                live.used_at[key] = time_us / _US_PER_SECOND
            if key in live.used_at and key not in live.begun:
                live.rows += 1
                live.began[key] = position
                if kind != RowKind.WENT_ON:
                    live.begun.add(key)
                if kind == RowKind.GAP:
                    live.lost.add(key)
            is_done = time_us < oldest_us and len(live.begun) == len(live.used_at)
            if is_done:
                break
        if is_done:
            break
    # The log no longer has their beginnings.
    live.lost |= live.used_at.keys() - live.begun
    return live


def _lose_earlier(files: list[Path], live: _Live, position: int, oldest_us: int) -> None:
    """Remember as lost who was live before a gap that is everybody's and did not come after."""
    for segment in reversed(files):
        for place, time_us, _, tenant, session_id in read_heads(segment):
            if time_us < oldest_us:
                return
            if place < position and session_id:
                key = SessionKey(tenant, session_id)
                if key not in live.used_at:
                    live.lost.add(key)


def _rows(files: list[Path], live: _Live) -> Iterator[LoggedVisit]:
    after = live.first - 1
    for segment, following in zip(files, [*files[1:], None], strict=True):
        if following is not None and int(following.stem.rpartition("-")[2]) <= live.first:
            continue
        for visit in read_rows(segment, after=after):
            if visit.position >= live.began.get(visit.key, visit.position + 1):
                yield visit


class _Folder:
    """Folds calls into the states of their sessions."""

    def __init__(self, live: _Live) -> None:
        self._lost = live.lost
        self.states: dict[SessionKey, SessionEntry] = {}
        self.rows = 0
        self.events = 0

    def add(self, visit: LoggedVisit) -> None:
        self.rows += 1
        if visit.kind == RowKind.GAP:
            self.states.pop(visit.key, None)
            return
        try:
            logged = visit.call()
            call = score_call(visit, logged)
        except (DecodeError, OutsideContractError) as error:
            raise InvalidDataError(f"event log, row {visit.position}", str(error)) from None
        if not call.event_ids:
            return
        entry = None if visit.kind == RowKind.BEGAN else self.states.get(visit.key)
        lost = logged.lost or (entry is None and visit.key in self._lost)
        self.states[visit.key] = fold_logged(entry, call, logged, lost=lost)
        self.events += len(call.event_ids)

    def entry(self, key: SessionKey) -> SessionEntry:
        return self.states[key]


def fold_logged(
    entry: SessionEntry | None, call: ScoreCall, logged: pb.LoggedCall, *, lost: bool
) -> SessionEntry:
    """Fold a logged call into its session as the server did, to the last bit."""
    state = new_state() if entry is None else entry.copied_state()
    if lost or (entry is None and (call.first_sequence or 1) > 1):
        state[0]["state_lost"] = True
    outcomes = fold_batch(
        state,
        call.batch,
        call.user or _NOBODY,
        logged.session_expiry_us,
        logged.max_clock_skew_us,
    )
    if logged.standing:
        stand(state, logged.standing)
    accepted = np.flatnonzero(outcomes != reducer.DUPLICATE)
    last = entry.last_event_id if entry else ""
    return SessionEntry.of(state, call.event_ids[int(accepted[-1])] if len(accepted) else last)
