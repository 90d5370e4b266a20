"""The scorer: one synchronous call from sessions and their new events to scores; keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal

import numpy as np

from micromoment.errors import (
    FieldViolation,
    InvalidRequestError,
    MicromomentError,
    SessionNotFoundError,
)
from micromoment.events.record import EventBatch, RecordArray, empty_batch
from micromoment.features.points import (
    ACCEPTED,
    AS_OF,
    END_EVENT,
    FIRST_EVENT,
    FIRST_ITEM,
    LAST_ACCEPTED,
    LOST,
    N_ASKED,
    TOO_EARLY,
    USER_STATUS,
    PointFolder,
)
from micromoment.features.session import takes_up_user
from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserStatus
from micromoment.scoring.answers import EVENTS_SEEN, N_ANSWERED, answer_points
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import AppliedConsent, Explanation, Score, ScoreCall, SessionKey
from micromoment.scoring.folding import NOT_LOOKED_UP, fold_call, is_lost
from micromoment.scoring.orders import OrderForecast
from micromoment.scoring.point_judge import PointJudge
from micromoment.scoring.reasons import explain as explanation_of
from micromoment.scoring.reasons import explain_churn
from micromoment.scoring.score_writer import ScoreWriter
from micromoment.scoring.sessions import SessionEntry

MAX_TOGETHER: Final = 64  # sessions in one pass

Stage = Literal["features", "models"]

_NO_EVENTS: Final = empty_batch(0, 0)
_NEW: Final = new_state().tobytes()
_NOBODY: Final = NOT_LOOKED_UP.row.tobytes()
_TOO_EARLY: Final = (FieldViolation("as_of", "is before the session's last event"),)
_LAST_EVENT: Final = -1
_STATE_BYTES: Final = len(_NEW)
_USER_BYTES: Final = len(_NOBODY)


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What became of the events of a call that asked for no score."""

    accepted: int
    duplicates: int
    consent: AppliedConsent | None = None  # given by whoever serves it


@dataclass(slots=True)
class Scored:
    """An answer, and the session as it is to be kept; None where nothing is."""

    score: Score
    entry: SessionEntry | None


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of events, and the session as it is to be kept; None where nothing is."""

    result: FoldResult
    entry: SessionEntry | None


@dataclass(slots=True)
class Ask:
    """A call and its session as it is kept, None for one that isn't known.

    `lost` says that events of the session before this call are known to be lost.
    """

    call: ScoreCall
    entry: SessionEntry | None
    lost: bool


class Scorer:
    """Folds events into sessions and scores them with one bundle. Belongs to one thread.

    Whoever calls keeps the sessions: entries go in, are left as they are, and new ones come out.

    `max_user_feature_age_us`, in microseconds, is when a user's snapshot counts as stale. How
    events are folded (the gap that ends a visit, the clock skew) is the bundle's, so that it is as
    in training. `observe`, if set, is told the seconds of a pass's two parts: events are folded and
    described, then models are asked.
    """

    def __init__(self, bundle: LoadedBundle, *, max_user_feature_age_us: int) -> None:
        self.bundle = bundle
        self.observe: Callable[[Stage, float], None] | None = None
        self._max_user_feature_age_us = max_user_feature_age_us
        self._folder = PointFolder(
            MAX_TOGETHER,
            bundle.tables,
            bundle.feature_index,
            expiry_us=bundle.session_expiry_us,
            skew_us=bundle.max_clock_skew_us,
        )
        self._judge = PointJudge(
            bundle, MAX_TOGETHER, rows=self._folder.rows, known=self._folder.known
        )
        self._answers = np.zeros((MAX_TOGETHER, N_ANSWERED), np.int64)
        self._write = ScoreWriter(bundle)
        self._asked = self._folder.asked.reshape(-1).data
        # Records as bytes: NumPy copies them field by field.
        self._states = self._folder.states.view(np.uint8).data
        self._users = self._folder.user_rows.view(np.uint8).data

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features, so that they must be looked up."""
        if not len(batch):
            return False
        return entry is None or takes_up_user(entry.state, batch, self.bundle.session_expiry_us)

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fold the call's events, all of them, then score once.

        Nothing is to be kept of a dry run and of a call without events. Raises
        `SessionNotFoundError` for an unknown session without events, `InvalidRequestError` for an
        `as_of` before the last event.
        """
        if entry is None and not call.event_ids:
            raise SessionNotFoundError
        self._put(0, call, entry, lost=lost)
        coming = self._run(1, call.batch.events, call.batch.items)
        outcome = self._outcome(0, call, entry, coming[0])
        if isinstance(outcome, MicromomentError):
            raise outcome
        return outcome

    def score_together(self, asks: Sequence[Ask]) -> list[Scored | MicromomentError]:
        """Do the same for up to `MAX_TOGETHER` calls of different sessions in one pass, in order.

        What `score` raises stands in its place. The answers have the same bits.
        """
        if all(ask.entry or ask.call.event_ids for ask in asks):
            return self._score_known(asks)
        outcomes: list[Scored | MicromomentError] = [SessionNotFoundError() for _ in asks]
        known = [place for place, ask in enumerate(asks) if ask.entry or ask.call.event_ids]
        if known:
            scored = self._score_known([asks[place] for place in known])
            for place, outcome in zip(known, scored, strict=True):
                outcomes[place] = outcome
        return outcomes

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:
        """Fold the call's events without scoring.

        Raises `SessionNotFoundError` for an unknown session without events.
        """
        if entry is None and not len(call.batch):
            raise SessionNotFoundError
        bundle = self.bundle
        folded = fold_call(
            call,
            entry,
            lost=lost,
            expiry_us=bundle.session_expiry_us,
            skew_us=bundle.max_clock_skew_us,
        )
        result = FoldResult(folded.accepted, len(call.batch) - folded.accepted)
        return Folded(result, folded.entry() if len(call.batch) else None)

    def session(self, entry: SessionEntry | None, *, explain: bool = False) -> Score:
        """Score a session as of its last event. Raises `SessionNotFoundError`."""
        call = ScoreCall(SessionKey("", ""), 0, _NO_EVENTS, (), explain=explain)
        return self.score(call, entry, lost=False).score

    def _score_known(self, asks: Sequence[Ask]) -> list[Scored | MicromomentError]:
        first_event = first_item = 0
        for place, ask in enumerate(asks):
            self._put(place, ask.call, ask.entry, first_event, first_item, lost=ask.lost)
            first_event += len(ask.call.batch.events)
            first_item += len(ask.call.batch.items)
        events = _joined([ask.call.batch.events for ask in asks])
        items = _joined([ask.call.batch.items for ask in asks])
        coming = self._run(len(asks), events, items)
        return [
            self._outcome(place, ask.call, ask.entry, coming[place])
            for place, ask in enumerate(asks)
        ]

    def _put(
        self,
        place: int,
        call: ScoreCall,
        entry: SessionEntry | None,
        first_event: int = 0,
        first_item: int = 0,
        *,
        lost: bool,
    ) -> None:
        """Put what is asked at a place of a pass, whose events begin at others."""
        at = place * _STATE_BYTES
        self._states[at : at + _STATE_BYTES] = entry.data if entry else _NEW
        user = call.user
        at = place * _USER_BYTES
        self._users[at : at + _USER_BYTES] = user.row.tobytes() if user else _NOBODY
        asked = self._asked
        at = place * N_ASKED
        asked[at + FIRST_EVENT] = first_event
        asked[at + END_EVENT] = first_event + len(call.event_ids)
        asked[at + FIRST_ITEM] = first_item
        asked[at + AS_OF] = _LAST_EVENT if call.as_of_us is None else call.as_of_us
        asked[at + LOST] = is_lost(call, entry, lost)
        asked[at + USER_STATUS] = user.status if user else UserStatus.UNAVAILABLE

    def _run(
        self, points: int, events: RecordArray, items: RecordArray
    ) -> Sequence[OrderForecast | None]:
        folder, judge = self._folder, self._judge
        started = perf_counter()
        folder.run(points, events, items)
        described = perf_counter()
        coming = judge.run(points)
        if self.observe is not None:
            self.observe("features", described - started)
            self.observe("models", perf_counter() - described)
        answer_points(
            points, folder.states, folder.asked, folder.told, judge.counts,
            self._max_user_feature_age_us, self._answers,
        )  # fmt: skip
        return coming

    def _outcome(
        self,
        place: int,
        call: ScoreCall,
        entry: SessionEntry | None,
        coming: OrderForecast | None,
    ) -> Scored | MicromomentError:
        """Take the outcome of a pass from a place."""
        folder, judge = self._folder, self._judge
        told = folder.told[place].tolist()
        if told[TOO_EARLY]:
            return InvalidRequestError(_TOO_EARLY)
        last_event_id = entry.last_event_id if entry else ""
        if told[LAST_ACCEPTED] >= 0:
            last_event_id = call.event_ids[told[LAST_ACCEPTED]]
        answer = self._answers[place].tolist()
        score = self._write.score(
            answer,
            judge.numbers[place].tolist(),
            judge.counts[place].tolist(),
            coming,
            folder.rows[place].copy(),
        )
        score.last_event_id = last_event_id
        score.duplicates = len(call.event_ids) - told[ACCEPTED]
        if call.explain:
            self._explain(score, answer[EVENTS_SEEN])
        if call.dry_run or not call.event_ids:
            return Scored(score, None)
        at = place * _STATE_BYTES
        state = bytes(self._states[at : at + _STATE_BYTES])
        return Scored(score, SessionEntry(state, last_event_id))

    def _explain(self, score: Score, events_seen: int) -> None:
        currency = self.bundle.shop.currency
        score.explanation = self._explanation(score, events_seen)
        if score.churn is not None and self.bundle.churn is not None:
            score.churn.explanation = explain_churn(self.bundle.churn, score.features, currency)

    def _explanation(self, score: Score, events_seen: int) -> Explanation | None:
        model = self.bundle.conversion
        if model is None or score.conversion is None:
            return None
        return explanation_of(model.at(events_seen), score.features, self.bundle.shop.currency)


def _joined(arrays: Sequence[RecordArray]) -> RecordArray:
    # By their bytes: NumPy would join records field by field.
    return np.frombuffer(bytearray().join([one.tobytes() for one in arrays]), arrays[0].dtype)
