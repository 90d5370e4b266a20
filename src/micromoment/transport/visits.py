"""The application behind the services: looks the visitor up where needed, then scores.

A session is read, scored and kept in one go, without waiting. Only the look-up of a visitor waits;
meanwhile other calls of the same session wait for their turn.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Final, Protocol

from micromoment.events.record import EventBatch
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import Folded, FoldResult, Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.interfaces import SessionStore, UserFeatureStore
from micromoment.transport.observer import Observer
from micromoment.transport.turns import Turns

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)


class VisitScorer(Protocol):
    """The part of `scoring.scorer.Scorer` that is used here."""

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features."""

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fold the call's events, then score once."""

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:
        """Fold the call's events without scoring."""

    def session(self, entry: SessionEntry | None, *, explain: bool = False) -> Score:
        """Score a session as of its last event."""


@dataclass(frozen=True, slots=True)
class VisitCall:
    """A call with the ids under which its visitor may be stored, the current form first."""

    call: ScoreCall
    visitor_ids: tuple[str, ...]


class Visits:
    """Scores and folds visits. A look-up longer than `user_timeout_s` counts as failed."""

    def __init__(
        self,
        scorer: VisitScorer,
        sessions: SessionStore,
        users: UserFeatureStore,
        user_timeout_s: float,
        observer: Observer,
    ) -> None:
        self._scorer = scorer
        self._sessions = sessions
        self._users = users
        self._user_timeout_s = user_timeout_s
        self._observer = observer
        self._turns = Turns()

    async def score(self, visit: VisitCall) -> Score:
        """Fold the call's events, then score once."""
        call = visit.call
        if not self._turns.taken(call.key):
            entry = self._sessions.get(call.key)
            if not self._scorer.needs_user(entry, call.batch):
                return self._score(call, entry)
        async with self._turns.of(call.key):
            entry = self._sessions.get(call.key)
            return self._score(await self._with_user(visit, entry), entry)

    async def fold(self, visit: VisitCall) -> FoldResult:
        """Fold the call's events without scoring."""
        call = visit.call
        if not self._turns.taken(call.key):
            entry = self._sessions.get(call.key)
            if not self._scorer.needs_user(entry, call.batch):
                return self._fold(call, entry)
        async with self._turns.of(call.key):
            entry = self._sessions.get(call.key)
            return self._fold(await self._with_user(visit, entry), entry)

    def session(self, key: SessionKey, *, explain: bool) -> Score:
        """Score a session as of its last event. Raises `SessionNotFoundError`."""
        return self._scorer.session(self._sessions.get(key), explain=explain)

    def _score(self, call: ScoreCall, entry: SessionEntry | None) -> Score:
        started = time.perf_counter()
        scored = self._scorer.score(call, entry, lost=self._sessions.was_evicted(call.key))
        self._keep(call.key, scored.entry)
        self._observer.stage_ended("score", time.perf_counter() - started)
        return scored.score

    def _fold(self, call: ScoreCall, entry: SessionEntry | None) -> FoldResult:
        folded = self._scorer.fold(call, entry, lost=self._sessions.was_evicted(call.key))
        self._keep(call.key, folded.entry)
        return folded.result

    def _keep(self, key: SessionKey, entry: SessionEntry | None) -> None:
        if entry is not None:
            self._sessions.put(key, entry)

    async def _with_user(self, visit: VisitCall, entry: SessionEntry | None) -> ScoreCall:
        call = visit.call
        if not self._scorer.needs_user(entry, call.batch):
            return call
        started = time.perf_counter()
        user = await self._look_up(visit.visitor_ids)
        self._observer.stage_ended("user", time.perf_counter() - started)
        return replace(call, user=user)

    async def _look_up(self, visitor_ids: tuple[str, ...]) -> UserLookup:
        answer = _UNKNOWN
        try:
            async with asyncio.timeout(self._user_timeout_s):
                for visitor_id in visitor_ids:
                    answer = await self._users.look_up(visitor_id)
                    if answer.status is not UserStatus.UNKNOWN:
                        break
        except TimeoutError:
            return _UNAVAILABLE
        return answer
