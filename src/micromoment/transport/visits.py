"""The application behind the services: looks the visitor up where needed, then scores.

A session is read, scored and kept in one go, without waiting. Only the look-up of a visitor waits;
meanwhile other calls of the same session wait for their turn.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

from micromoment.events.record import EventBatch
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import Folded, FoldResult, Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.interfaces import SessionStore
from micromoment.transport.observer import Observer
from micromoment.transport.turns import Turns
from micromoment.transport.visitors import VisitCall, Visitors


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


class Visits:
    """Scores and folds visits whose sessions are in this process's memory."""

    # Calls of a batch at once: nothing waits here, so that more than one would gain nothing.
    batch_width: Final = 1

    def __init__(
        self,
        scorer: VisitScorer,
        sessions: SessionStore,
        visitors: Visitors,
        observer: Observer,
    ) -> None:
        self._scorer = scorer
        self._sessions = sessions
        self._visitors = visitors
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

    async def session(self, key: SessionKey, *, explain: bool) -> Score:
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
        if not self._scorer.needs_user(entry, visit.call.batch):
            return visit.call
        return await self._visitors.added_to(visit)
