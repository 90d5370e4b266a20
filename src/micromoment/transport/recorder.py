"""Writes calls down in the event log, each in one row, with what is needed to fold it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from micromoment.events.hashing import hash_id
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Score, ScoreCall
from micromoment.scoring.scorer import Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.log_rows import LogRow, RowKind, logged_user, standing_of
from micromoment.stores.visit_log import VisitLog
from micromoment.transport.encoding import DEGRADED_REASONS, LIFECYCLES
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import log_pb2 as pb
from micromoment.v1 import scoring_pb2

_HASHES: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Samples:
    """Of which share of sessions, 0 to 1, scores are logged, and of which their features too.

    A session is in a sample with all its calls or with none.
    """

    scores: float
    features: float


class Recorder:
    """Writes the calls that one bundle answers into `log`."""

    def __init__(self, bundle: LoadedBundle, samples: Samples, log: VisitLog) -> None:
        self._log = log
        self._head = pb.LoggedCall(
            bundle=bundle.tag,
            session_expiry_us=bundle.session_expiry_us,
            max_clock_skew_us=bundle.max_clock_skew_us,
            currency=bundle.shop.currency,
            time_zone=bundle.shop.time_zone,
        ).SerializeToString()
        self._scores_below = round(samples.scores * _HASHES)
        self._features_below = round(min(samples.features, samples.scores) * _HASHES)

    def record(
        self,
        visit: VisitCall,
        call: ScoreCall,
        entry: SessionEntry | None,
        scored: Scored | None,
        *,
        lost: bool,
    ) -> None:
        """Append what `row` makes of a call, where there is a log."""
        if self._log.is_on:
            self._log.append(self.row(visit, call, entry, scored, lost=lost))

    def row(
        self,
        visit: VisitCall,
        call: ScoreCall,
        entry: SessionEntry | None,
        scored: Scored | None,
        *,
        lost: bool,
    ) -> LogRow:
        """Make the row of a call: `entry` is its session as it was before, `scored` the answer.

        `call` is the visit's, with the user features that were looked up for it.
        """
        logged = pb.LoggedCall(events=visit.events)
        if visit.identified:
            logged.identified = True
        if lost:
            logged.lost = True
        if call.user is not None:
            logged.user.CopyFrom(logged_user(call.user))
        if call.as_of_us is not None:
            logged.as_of_us = call.as_of_us
        if scored is not None:
            if scored.entry is not None:
                logged.standing.extend(standing_of(scored.entry.data))
            place = hash_id(call.key.session_id)
            if place < self._scores_below:
                fill_score(logged.score, scored.score, with_features=place < self._features_below)
        kind = RowKind.BEGAN if entry is None else RowKind.WENT_ON
        return LogRow(
            visit.received_time_us,
            kind,
            *call.key,
            visit.visitor_id,
            self._head + logged.SerializeToString(),
        )


def fill_score(message: pb.LoggedScore, score: Score, *, with_features: bool) -> None:
    """Write an answer down."""
    message.score_id = score.score_id
    if score.conversion is not None:
        message.conversion = score.conversion
    if score.churn is not None:
        message.churn = score.churn.probability
    if score.converted:
        message.converted = True
    if score.cluster is not None:
        message.cluster_id = score.cluster.id
    if score.audiences:
        message.audience_ids.extend([one.id for one in score.audiences])
    message.journey_stage = scoring_pb2.JourneyStage.ValueType(score.journey_stage)
    message.lifecycle = LIFECYCLES[score.lifecycle]
    message.events_seen = score.events_seen
    if score.degraded:
        message.degraded.extend([DEGRADED_REASONS[reason] for reason in score.degraded])
    if with_features:
        message.features = score.features.tobytes()
