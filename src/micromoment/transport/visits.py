"""The application behind the services: looks the visitor up where needed, then scores.

A session's state is read and written in one synchronous call of the scorer. Only the look-up of a
visitor waits; meanwhile other calls of the same session wait for their turn.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Final, Protocol

from micromoment.events.record import EventBatch
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import FoldResult
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.transport.observer import Observer
from micromoment.transport.turns import Turns

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)


class VisitScorer(Protocol):
    """The part of `scoring.scorer.Scorer` that is used here."""

    def needs_user(self, key: SessionKey, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features."""

    def score(self, call: ScoreCall) -> Score:
        """Fold the call's events, then score once."""

    def fold(self, call: ScoreCall) -> FoldResult:
        """Fold the call's events without scoring."""

    def session(self, key: SessionKey, *, explain: bool = False) -> Score:
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
        users: UserFeatureStore,
        user_timeout_s: float,
        observer: Observer,
    ) -> None:
        self._scorer = scorer
        self._users = users
        self._user_timeout_s = user_timeout_s
        self._observer = observer
        self._turns = Turns()

    async def score(self, visit: VisitCall) -> Score:
        """Fold the call's events, then score once."""
        call = visit.call
        if self._can_go_at_once(call):
            return self._score(call)
        async with self._turns.of(call.key):
            return self._score(await self._with_user(visit))

    async def fold(self, visit: VisitCall) -> FoldResult:
        """Fold the call's events without scoring."""
        call = visit.call
        if self._can_go_at_once(call):
            return self._scorer.fold(call)
        async with self._turns.of(call.key):
            return self._scorer.fold(await self._with_user(visit))

    def session(self, key: SessionKey, *, explain: bool) -> Score:
        """Score a session as of its last event. Raises `SessionNotFoundError`."""
        return self._scorer.session(key, explain=explain)

    def _can_go_at_once(self, call: ScoreCall) -> bool:
        return not self._turns.taken(call.key) and not self._scorer.needs_user(call.key, call.batch)

    def _score(self, call: ScoreCall) -> Score:
        started = time.perf_counter()
        score = self._scorer.score(call)
        self._observer.stage_ended("score", time.perf_counter() - started)
        return score

    async def _with_user(self, visit: VisitCall) -> ScoreCall:
        call = visit.call
        if not self._scorer.needs_user(call.key, call.batch):
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
