"""The scorer: one synchronous call from a session and its new events to scores; keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from micromoment.errors import FieldViolation, InvalidRequestError, SessionNotFoundError
from micromoment.events.record import EventBatch
from micromoment.events.vocabulary import JourneyStage
from micromoment.features import reducer
from micromoment.features.session import describe_session, fold_batch, takes_up_user
from micromoment.features.state import STATE_VERSION, new_state
from micromoment.features.user_snapshot import RENEWED_DAYS, UserStatus, no_lookup
from micromoment.scoring import segments
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import (
    Churn,
    Degraded,
    Explanation,
    Score,
    ScoreCall,
    SessionSummary,
    UserFeatureAge,
)
from micromoment.scoring.models import Float32Array
from micromoment.scoring.outcome import Outcome, outcomes_of, point_states
from micromoment.scoring.reasons import explain as explanation_of
from micromoment.scoring.reasons import explain_churn
from micromoment.scoring.sessions import SessionEntry
from micromoment.scoring.settling import assignment_of, keep_assignment, settle

_NOT_LOOKED_UP: Final = no_lookup(UserStatus.UNAVAILABLE)
_MICROS: Final = 1_000_000
_US_PER_DAY: Final = 86_400_000_000
_MAX_MICROS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What became of the events of a call that asked for no score."""

    accepted: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer, and the session as it is to be kept; None where nothing is."""

    score: Score
    entry: SessionEntry | None


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of events, and the session as it is to be kept; None where nothing is."""

    result: FoldResult
    entry: SessionEntry | None


class Scorer:
    """Folds events into sessions and scores them with one bundle. Belongs to one thread.

    Whoever calls keeps the sessions. An entry that is given belongs to the scorer from then on: it
    is changed in place; None stands for a session that isn't known. `lost` says that events of the
    session before this call are known to be lost.

    `max_user_feature_age_us`, in microseconds, is when a user's snapshot counts as stale. How
    events are folded (the gap that ends a visit, the clock skew) is the bundle's, so that it is as
    in training.
    """

    def __init__(self, bundle: LoadedBundle, *, max_user_feature_age_us: int) -> None:
        self.bundle = bundle
        self._max_user_feature_age_us = max_user_feature_age_us

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:
        """Tell whether this batch will take up user features, so that they must be looked up."""
        return takes_up_user(entry.state if entry else None, batch, self.bundle.session_expiry_us)

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fold the call's events, all of them, then score once.

        Nothing is to be kept of a dry run and of a call without events. Raises
        `SessionNotFoundError` for an unknown session without events, `InvalidRequestError` for an
        `as_of` before the last event.
        """
        entry, duplicates = self._fold(call, entry, lost=lost)
        now = int(entry.state[0]["last_time"])
        if call.as_of_us is not None:
            if call.as_of_us < now:
                violation = FieldViolation("as_of", "is before the session's last event")
                raise InvalidRequestError([violation])
            now = call.as_of_us
        # What only asks again, or asks about a later time, is no new decision point.
        is_new = len(call.batch) > duplicates and call.as_of_us is None
        score = self._describe(entry, now, duplicates, explain=call.explain, is_new=is_new)
        return Scored(score, None if call.dry_run or not len(call.batch) else entry)

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:
        """Fold the call's events without scoring.

        Raises `SessionNotFoundError` for an unknown session without events.
        """
        entry, duplicates = self._fold(call, entry, lost=lost)
        result = FoldResult(len(call.batch) - duplicates, duplicates)
        return Folded(result, entry if len(call.batch) else None)

    def session(self, entry: SessionEntry | None, *, explain: bool = False) -> Score:
        """Score a session as of its last event. Raises `SessionNotFoundError`."""
        if entry is None:
            raise SessionNotFoundError
        return self._describe(
            entry, int(entry.state[0]["last_time"]), 0, explain=explain, is_new=False
        )

    def _fold(
        self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool
    ) -> tuple[SessionEntry, int]:
        if entry is None:
            if not len(call.batch):
                raise SessionNotFoundError
            entry = SessionEntry(new_state(), "")
            lost = lost or (call.first_sequence or 1) > 1
        if lost:
            entry.state[0]["state_lost"] = True
        lookup = call.user or _NOT_LOOKED_UP
        bundle = self.bundle
        outcomes = fold_batch(
            entry.state, call.batch, lookup, bundle.session_expiry_us, bundle.max_clock_skew_us
        )
        accepted = np.flatnonzero(outcomes != reducer.DUPLICATE)
        if len(accepted):
            entry.last_event_id = call.event_ids[int(accepted[-1])]
        return entry, len(call.batch) - len(accepted)

    def _describe(
        self, entry: SessionEntry, now: int, duplicates: int, *, explain: bool, is_new: bool
    ) -> Score:
        """Score the state as of `now`; a new decision point is kept in its assignment."""
        bundle = self.bundle
        state = entry.state[0]
        rows = bundle.model_input(describe_session(entry.state, now, bundle.tables))
        converted = bool(state["converted"])
        (outcome,) = outcomes_of(bundle, rows, point_states(entry.state))
        assignment = assignment_of(state)
        if is_new or assignment.points == 0:
            assignment = settle(assignment, outcome.cluster, outcome.audiences, converted=converted)
        if is_new:
            keep_assignment(state, assignment)
        seen = int(state["events_seen"])
        user = self._user_age(state)
        model = bundle.conversion
        return Score(
            conversion=outcome.conversion,
            abandonment=outcome.abandonment,
            converted=converted,
            churn=self._churn(outcome, rows[0], explain=explain),
            cluster=segments.cluster_of(bundle, assignment, outcome),
            audiences=segments.audiences_of(bundle, assignment),
            journey_stage=JourneyStage(int(state["stage"])),
            lifecycle=outcome.lifecycle,
            events_seen=seen,
            last_event_id=entry.last_event_id,
            duplicates=duplicates,
            as_of_us=now,
            bundle=bundle.tag,
            calibration_error=model.error_at(seen) if model else None,
            user=user,
            degraded=_degraded(state, user),
            features=rows[0],
            explanation=self._explanation(outcome, rows[0], seen) if explain else None,
            summary=_summary(state),
        )

    def _churn(self, outcome: Outcome, row: Float32Array, *, explain: bool) -> Churn | None:
        model = self.bundle.churn
        if model is None or outcome.churn is None:
            return None
        why = explain_churn(model, row, self.bundle.shop.currency) if explain else None
        return Churn(outcome.churn, model.horizon_days, model.target, outcome.coming, why)

    def _explanation(
        self, outcome: Outcome, row: Float32Array, events_seen: int
    ) -> Explanation | None:
        model = self.bundle.conversion
        if model is None or outcome.conversion is None:
            return None
        return explanation_of(model.at(events_seen), row, self.bundle.shop.currency)

    def _user_age(self, state: np.void) -> UserFeatureAge:
        found = state["user_status"] == UserStatus.FOUND
        if not found:
            return UserFeatureAge(found=False, snapshot_time_us=0, age_us=0, stale=False)
        # A visitor's clock may be behind the snapshot.
        age_us = max(int(state["user_taken_up"] - state["user_snapshot_time"]), 0)
        # The row of somebody long away is old, but final: it isn't written again.
        away_days = float(state["user_days_since_visit"]) - age_us / _US_PER_DAY
        stale = age_us > self._max_user_feature_age_us and away_days < RENEWED_DAYS - 1
        return UserFeatureAge(
            found=True,
            snapshot_time_us=int(state["user_snapshot_time"]),
            age_us=age_us,
            stale=stale,
        )


def _degraded(state: np.void, user: UserFeatureAge) -> tuple[Degraded, ...]:
    reasons = (
        (Degraded.STATE_LOST, state["state_lost"]),
        (
            Degraded.USER_FEATURES_UNAVAILABLE,
            state["user_status"] == UserStatus.UNAVAILABLE,
        ),
        (Degraded.USER_FEATURES_STALE, user.stale),
        (Degraded.FOREIGN_CURRENCY, state["foreign_currency"]),
    )
    return tuple(reason for reason, holds in reasons if holds)


def _summary(state: np.void) -> SessionSummary:
    value = None
    if state["cart_priced"]:
        value = min(round(float(state["cart_value"]) * _MICROS), _MAX_MICROS)
    return SessionSummary(
        events_seen=int(state["events_seen"]),
        first_event_time_us=int(state["first_time"]),
        last_event_time_us=int(state["last_time"]),
        epoch=int(state["epoch"]),
        state_version=STATE_VERSION,
        cart_quantity=int(state["cart_quantity"]),
        cart_value_micros=value,
    )
