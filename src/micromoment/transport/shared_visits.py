"""The application behind the services where servers share their sessions.

A session is recalled or fetched, scored, and kept if nobody else has changed it meanwhile; else the
call is answered again from what is there. A store that does not answer costs the call its session's
earlier events, never the answer, and no answer is made of another session's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from micromoment.scoring.calls import Degraded, Score, ScoreCall, SessionKey, Withdrawal
from micromoment.scoring.scorer import Folded, FoldResult, Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionElsewhereError, SessionStoreUnavailableError
from micromoment.stores.interfaces import Held, SharedSessionStore
from micromoment.stores.log_rows import LogRow
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
from micromoment.transport.visits import NOTHING_FOLDED, VisitScorer, told

# A server has one call of a session under way, so that each failure is another server's success.
_MAX_TRIES: Final = 16

_Outcome = TypeVar("_Outcome", Scored, Folded)


class SharedVisits:
    """Scores and folds visits whose sessions are in a store that several servers use.

    Applications that share sessions must share `turns`, too.
    """

    def __init__(
        self,
        scorer: VisitScorer,
        sessions: SharedSessionStore,
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
        self.consent = consent
        self._withdrawals = withdrawals
        self._scorer = scorer
        self._sessions = sessions
        self._visitors = visitors
        self._observer = observer
        self._turns = Turns() if turns is None else turns
        self._recorder = recorder
        self._score_ids = score_ids or ScoreIds()
        self._erased = Tombstones() if erased is None else erased

    def score_at_once(self, _visit: VisitCall) -> Score | None:
        """Give None: the store must be waited for."""
        return None

    async def score(self, visit: VisitCall) -> Score:
        """Fold the call's events, then score once.

        Without the store, the answer is from the call's own events and says so. Raises
        `SessionStoreUnavailableError` for a call that has none.
        """
        async with self._turns.of(visit.call.key):
            if visit.consent is not None and visit.consent.is_denied:
                return await self._score_apart(self.consent.kept_of(visit, has_session=False))
            try:
                scored, kept = await self._change(visit, self._score)
            except SessionStoreUnavailableError:
                if not len(visit.call.batch):
                    raise
                return await self._score_alone(visit)
            if scored is None:
                return await self._score_apart(kept)
        scored.score.consent = self.consent.applied(scored.score, kept.visit)
        return self.consent.told(scored.score, kept)

    async def score_batch(self, visits: Sequence[VisitCall]) -> list[Score | Exception]:
        """Do the same for calls of different sessions, which share round trips, in order.

        What `score` would raise stands in its place.
        """
        outcomes = await asyncio.gather(*map(self.score, visits), return_exceptions=True)
        return [told(outcome) for outcome in outcomes]

    async def fold(self, visit: VisitCall) -> FoldResult:
        """Fold the call's events without scoring. Raises `SessionStoreUnavailableError`."""
        if visit.is_late and (visit.consent is None or not visit.consent.is_denied):
            return NOTHING_FOLDED
        async with self._turns.of(visit.call.key):
            folded: Folded | None = None
            if visit.consent is not None and visit.consent.is_denied:
                kept = self.consent.kept_of(visit, has_session=False)
            else:
                folded, kept = await self._change(visit, self._fold)
            if folded is None:
                withdrawal = await withdrawn_by(kept, self._withdrawals)
                return self.consent.told_folded(FoldResult(0, 0), kept, withdrawal)
        return self.consent.told_folded(_counted(visit, folded.result), kept)

    async def session(self, *keys: SessionKey, explain: bool) -> Score:
        """Score a session, which is kept at one of `keys` at most, as of its last event.

        Raises `SessionNotFoundError` and `SessionStoreUnavailableError`.
        """
        _, held = await self._fetch(keys)
        score = self._scorer.session(held.entry, explain=explain)
        score.score_id = self._score_ids.next()
        if held.lost and Degraded.STATE_LOST not in score.degraded:
            score.degraded = (Degraded.STATE_LOST, *score.degraded)
        score.consent = self.consent.applied(score)
        return score

    async def _change(
        self,
        visit: VisitCall,
        work: Callable[[ScoreCall, SessionEntry | None, bool], _Outcome],
    ) -> tuple[_Outcome | None, Kept]:
        """Work on a call's session until the store takes it; None where nothing may be kept."""
        held = await self._hold(visit)
        lost = self._sessions.was_lost(visit.call.key)
        for _ in range(_MAX_TRIES):
            lost = lost or held.lost
            if self._erased.times:
                without_late(visit, self._erased)
            kept = await self._kept_of(visit, held)
            if kept.is_denied:
                return None, kept
            call = await self._with_user(kept.visit, held.entry)
            outcome = work(call, held.entry, lost)
            if outcome.entry is None or visit.is_late:
                return outcome, kept
            row = self._row(kept.visit, call, held, outcome, lost)
            try:
                other = await self._replace(kept.visit, held, outcome.entry, row)
            except SessionElsewhereError:
                held = await self._found(visit)
                continue
            if other is None:
                return outcome, kept
            # The store had writes of the session that it has no more: what was in them is lost,
            # unless it was to be forgotten.
            gone = (held.version and not other.version) or other.sequence < held.sequence
            lost = not other.forgotten and (lost or bool(gone))
            held = other
            if other.entry is None and len(visit.possible_keys()) > 1:
                held = await self._found(visit)  # it may have begun anew under another key
        raise SessionStoreUnavailableError

    async def _hold(self, visit: VisitCall) -> Held:
        # What is only read must be read where it is up to date; a write is checked.
        if len(visit.call.batch) and not visit.call.dry_run:
            for form, key in enumerate(visit.possible_keys()):
                recalled = self._sessions.recall(key)
                if recalled is not None:
                    visit.go_by(form)
                    return recalled
        return await self._found(visit)

    async def _found(self, visit: VisitCall) -> Held:
        form, held = await self._fetch(visit.possible_keys())
        visit.go_by(form)
        return held

    async def _kept_of(self, visit: VisitCall, held: Held) -> Kept:
        if not held.withdrawn and not self.consent.holds_back(visit):
            return Kept(visit)
        kept = self.consent.kept_of(
            visit, has_session=held.entry is not None, withdrawn=held.withdrawn
        )
        call = kept.visit.call
        changes = len(call.batch) > 0 and not call.dry_run and not kept.is_denied
        if changes and not await allow_all(self._withdrawals, visit.possible_keys()):
            return self.consent.none_of(visit)
        return kept

    async def _score_alone(self, visit: VisitCall) -> Score:
        """Score a call without the store, which did not answer."""
        kept = self.consent.kept_of(visit, has_session=False)
        if kept.is_denied:
            return self.consent.told_apart(self._scored_apart(visit.call), kept, Withdrawal.NONE)
        call = replace(await self._with_user(kept.visit, None), first_sequence=None)
        if not call.dry_run:
            # Which of them it is under is not known without the store.
            for form, key in enumerate(visit.possible_keys()):
                self._sessions.remember_lost(key, only_if_known=form > 0)
        score = self._score(call, None, False).score
        score.degraded = (Degraded.STATE_UNAVAILABLE, *score.degraded)
        score.consent = self.consent.applied(score, kept.visit)
        return self.consent.told(score, kept)

    async def _score_apart(self, kept: Kept) -> Score:
        """Score a call of which nothing is kept, by itself, and delete what was kept before."""
        call = kept.visit.call
        withdrawal = await withdrawn_by(kept, self._withdrawals)
        end_without_events(kept, withdrawal, self._observer)
        return self.consent.told_apart(self._scored_apart(call), kept, withdrawal)

    def _scored_apart(self, call: ScoreCall) -> Score:
        score = self._score(apart(call), None, False).score
        score.score_id = ""
        return score

    def _score(self, call: ScoreCall, entry: SessionEntry | None, lost: bool) -> Scored:
        started = time.perf_counter()
        scored = self._scorer.score(call, entry, lost=lost)
        scored.score.score_id = self._score_ids.next()
        self._observer.stage_ended("score", time.perf_counter() - started)
        return scored

    def _fold(self, call: ScoreCall, entry: SessionEntry | None, lost: bool) -> Folded:
        return self._scorer.fold(call, entry, lost=lost)

    def _row(
        self, visit: VisitCall, call: ScoreCall, held: Held, outcome: Scored | Folded, lost: bool
    ) -> LogRow | None:
        if self._recorder is None:
            return None
        scored = outcome if isinstance(outcome, Scored) else None
        return self._recorder.row(visit, call, held.entry, scored, lost=lost)

    async def _with_user(self, visit: VisitCall, entry: SessionEntry | None) -> ScoreCall:
        if not self._scorer.needs_user(entry, visit.call.batch):
            return visit.call
        return await self._visitors.added_to(visit)

    async def _fetch(self, keys: Sequence[SessionKey]) -> tuple[int, Held]:
        started = time.perf_counter()
        try:
            return await self._sessions.fetch_first(keys)
        finally:
            self._observer.stage_ended("store", time.perf_counter() - started)

    async def _replace(
        self, visit: VisitCall, held: Held, entry: SessionEntry, row: LogRow | None
    ) -> Held | None:
        key = visit.call.key
        # Servers of which some have another current key must not begin one session twice.
        is_known = held.entry is not None or held.sequence
        others = () if is_known else tuple(one for one in visit.possible_keys() if one != key)
        started = time.perf_counter()
        try:
            return await self._sessions.replace(key, held, entry, row, others=others)
        finally:
            self._observer.stage_ended("store", time.perf_counter() - started)


def _counted(visit: VisitCall, result: FoldResult) -> FoldResult:
    """Give what became of events, of which all may have turned out to be late."""
    return NOTHING_FOLDED if visit.is_late else result
