"""The application behind the services: looks the visitor up where needed, then scores.

A session is read, scored and kept in one go, without waiting. Only the look-up of a visitor waits;
meanwhile other calls of the same session wait for their turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from micromoment.errors import MicromomentError
from micromoment.events.record import EventBatch
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.scoring.scorer import Ask, Folded, FoldResult, Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.interfaces import SessionStore
from micromoment.stores.tombstones import Tombstones
from micromoment.stores.withdrawals import (
    NOTHING_TO_WITHDRAW,
    Withdrawals,
    allow_all,
)
from micromoment.transport.consent_gate import (
    OPEN,
    ConsentGate,
    Kept,
    apart,
    end_without_events,
    withdrawn_by,
)
from micromoment.transport.late_events import without_late
from micromoment.transport.observer import Observer
from micromoment.transport.recorder import Recorder
from micromoment.transport.score_ids import ScoreIds
from micromoment.transport.turns import Turns
from micromoment.transport.visitors import VisitCall, Visitors

# Of events that are all from before their visitor was erased.
NOTHING_FOLDED: Final = FoldResult(0, 0)


class VisitScorer(Protocol):
    """The part of `scoring.scorer.Scorer` that is used here."""

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features."""

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fold the call's events, then score once."""

    def score_together(self, asks: Sequence[Ask]) -> list[Scored | MicromomentError]:
        """Do the same for calls of different sessions; what `score` raises stands in its place."""

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:
        """Fold the call's events without scoring."""

    def session(self, entry: SessionEntry | None, *, explain: bool = False) -> Score:
        """Score a session as of its last event."""


class Visits:
    """Scores and folds visits whose sessions are in this process's memory.

    A session that began under an earlier key for pseudonyms is found and stays there until it ends.

    Applications that share sessions must share `turns`, too.
    """

    def __init__(
        self,
        scorer: VisitScorer,
        sessions: SessionStore,
        visitors: Visitors,
        observer: Observer,
        turns: Turns | None = None,
        *,
        recorder: Recorder | None = None,
        score_ids: ScoreIds | None = None,
        erased: Tombstones | None = None,
        consent: ConsentGate = OPEN,
        withdrawals: Withdrawals = NOTHING_TO_WITHDRAW,
    ) -> None:
        self._erased = Tombstones() if erased is None else erased
        self.consent = consent
        self._withdrawals = withdrawals
        self._scorer = scorer
        self._sessions = sessions
        self._visitors = visitors
        self._observer = observer
        self._turns = Turns() if turns is None else turns
        self._recorder = recorder
        self._score_ids = score_ids or ScoreIds()

    def score_at_once(self, visit: VisitCall) -> Score | None:
        """Do what `score` does where nothing must be waited for; None where something must."""
        ask = self._ask_at_once(visit)
        return None if ask is None else self._score(visit, ask)

    async def score(self, visit: VisitCall) -> Score:
        """Fold the call's events, then score once."""
        async with self._turns.of(_turn_of(visit)):
            kept = await self._kept_of(visit)
            if kept.is_denied:
                withdrawal = await withdrawn_by(kept, self._withdrawals)
                end_without_events(kept, withdrawal, self._observer)
                return self.consent.told_apart(self._score_apart(visit.call), kept, withdrawal)
            ask = await self._ask_with_user(kept.visit)
            return self.consent.told(self._score(kept.visit, ask), kept)

    async def score_batch(self, visits: Sequence[VisitCall]) -> list[Score | Exception]:
        """Do the same for calls of different sessions, up to `MAX_TOGETHER`, in order.

        What `score` would raise stands in its place.
        """
        outcomes: list[Score | Exception | None] = [None] * len(visits)
        places, asks = [], []
        for place, visit in enumerate(visits):
            ask = self._ask_at_once(visit)
            if ask is not None:
                places.append(place)
                asks.append(ask)
        for place, ask, outcome in zip(places, asks, self._score_together(asks), strict=True):
            outcomes[place] = (
                outcome
                if isinstance(outcome, Exception)
                else self._keep(visits[place], ask, outcome)
            )
        waiting = [place for place, outcome in enumerate(outcomes) if outcome is None]
        later = await asyncio.gather(
            *(self.score(visits[place]) for place in waiting), return_exceptions=True
        )
        for place, late in zip(waiting, later, strict=True):
            outcomes[place] = told(late)
        return [outcome for outcome in outcomes if outcome is not None]

    async def fold(self, visit: VisitCall) -> FoldResult:
        """Fold the call's events without scoring."""
        ask = self._ask_at_once(visit)
        if ask is not None:
            return self.consent.told_folded(self._fold(visit, ask), Kept(visit))
        async with self._turns.of(_turn_of(visit)):
            kept = await self._kept_of(visit)
            if kept.is_denied:
                withdrawal = await withdrawn_by(kept, self._withdrawals)
                return self.consent.told_folded(FoldResult(0, 0), kept, withdrawal)
            ask = await self._ask_with_user(kept.visit)
            return self.consent.told_folded(self._fold(kept.visit, ask), kept)

    async def session(self, *keys: SessionKey, explain: bool) -> Score:
        """Score a session, which is kept at one of `keys` at most, as of its last event.

        Raises `SessionNotFoundError`.
        """
        key = keys[self._place_of(keys)]
        score = self._scorer.session(self._sessions.get(key), explain=explain)
        score.score_id = self._score_ids.next()
        score.consent = self.consent.applied(score)
        return score

    def _locate(self, visit: VisitCall) -> None:
        """Leave out what came late by now, and go by the key under which the session is."""
        if self._erased.times:
            without_late(visit, self._erased)
        if visit.session_ids:
            visit.go_by(self._place_of(visit.possible_keys()))

    def _place_of(self, keys: Sequence[SessionKey]) -> int:
        sessions = self._sessions
        for is_known in (sessions.get, sessions.was_evicted):
            for place, key in enumerate(keys):
                if is_known(key):
                    return place
        return 0

    async def _kept_of(self, visit: VisitCall) -> Kept:
        self._locate(visit)
        entry = self._sessions.get(visit.call.key)
        kept = self.consent.kept_of(visit, has_session=entry is not None)
        call = kept.visit.call
        changes = len(call.batch) > 0 and not call.dry_run and not kept.is_denied
        if changes and not await allow_all(self._withdrawals, visit.possible_keys()):
            return self.consent.none_of(visit)
        return kept

    def _score_apart(self, call: ScoreCall) -> Score:
        started = time.perf_counter()
        score = self._scorer.score(apart(call), None, lost=False).score
        self._observer.stage_ended("score", time.perf_counter() - started)
        return score

    def _ask_at_once(self, visit: VisitCall) -> Ask | None:
        if self._turns.taken(_turn_of(visit)):
            return None
        self._locate(visit)
        call = visit.call
        if self.consent.holds_back(visit):
            return None
        entry = self._sessions.get(call.key)
        if self._scorer.needs_user(entry, call.batch):
            return None
        return self._ask(call, entry)

    def _ask(self, call: ScoreCall, entry: SessionEntry | None) -> Ask:
        return Ask(call, entry, entry is None and self._sessions.was_evicted(call.key))

    def _score_together(self, asks: Sequence[Ask]) -> Sequence[Scored | Exception]:
        try:
            return self._scorer.score_together(asks)
        except Exception:  # noqa: BLE001 - one of them fails, and only that one must
            return [self._score_alone(ask) for ask in asks]

    def _score_alone(self, ask: Ask) -> Scored | Exception:
        try:
            return self._scorer.score(ask.call, ask.entry, lost=ask.lost)
        except Exception as error:  # noqa: BLE001 - becomes this item's status
            return error

    def _score(self, visit: VisitCall, ask: Ask) -> Score:
        started = time.perf_counter()
        scored = self._scorer.score(ask.call, ask.entry, lost=ask.lost)
        self._observer.stage_ended("score", time.perf_counter() - started)
        return self._keep(visit, ask, scored)

    def _keep(self, visit: VisitCall, ask: Ask, scored: Scored) -> Score:
        call, score = ask.call, scored.score
        score.score_id = self._score_ids.next()
        score.consent = self.consent.applied(score, visit)
        if scored.entry is not None:
            self._sessions.put(call.key, scored.entry)
        if self._recorder is not None and is_recorded(call, scored.entry):
            self._recorder.record(visit, call, ask.entry, scored, lost=ask.lost)
        return score

    def _fold(self, visit: VisitCall, ask: Ask) -> FoldResult:
        if visit.is_late:
            return NOTHING_FOLDED
        folded = self._scorer.fold(ask.call, ask.entry, lost=ask.lost)
        if folded.entry is not None:
            self._sessions.put(ask.call.key, folded.entry)
            if self._recorder is not None:
                self._recorder.record(visit, ask.call, ask.entry, None, lost=ask.lost)
        return folded.result

    async def _ask_with_user(self, visit: VisitCall) -> Ask:
        call = visit.call
        if self._scorer.needs_user(self._sessions.get(call.key), call.batch):
            call = await self._visitors.added_to(visit)
        # It may have been forgotten meanwhile.
        return self._ask(call, self._sessions.get(call.key))


def _turn_of(visit: VisitCall) -> SessionKey:
    """Give whose turn a call waits for: the session's, whatever key for pseudonyms it is under."""
    return visit.possible_keys()[0]


def is_recorded(call: ScoreCall, entry: SessionEntry | None) -> bool:
    """Tell whether a call is to be logged: one that changed its session or chose its time."""
    return entry is not None or (call.as_of_us is not None and not call.dry_run)


def told(outcome: Score | BaseException) -> Score | Exception:
    """Give an outcome as a batch tells it; raises what must end the batch as a whole."""
    if isinstance(outcome, Score | Exception):
        return outcome
    raise outcome
