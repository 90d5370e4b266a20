"""From the application's answers to protobuf replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.scoring.abstention import NEVER_ABSTAIN, AbstainReason, Abstention
from micromoment.scoring.calls import (
    Churn,
    Degraded,
    Explanation,
    Reason,
    Score,
    Segment,
    SessionSummary,
    UserFeatureAge,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.transport.score_ids import ScoreIds
from micromoment.v1 import scoring_pb2 as pb

_US_PER_SECOND: Final = 1_000_000
DEGRADED_REASONS: Final = {
    Degraded.STATE_LOST: pb.DEGRADED_REASON_STATE_LOST,
    Degraded.STATE_UNAVAILABLE: pb.DEGRADED_REASON_STATE_UNAVAILABLE,
    Degraded.USER_FEATURES_UNAVAILABLE: pb.DEGRADED_REASON_USER_FEATURES_UNAVAILABLE,
    Degraded.USER_FEATURES_STALE: pb.DEGRADED_REASON_USER_FEATURES_STALE,
    Degraded.FOREIGN_CURRENCY: pb.DEGRADED_REASON_FOREIGN_CURRENCY,
}
ABSTAIN_REASONS: Final = {
    one: pb.AbstainReason.Value(f"ABSTAIN_REASON_{one.value.upper()}") for one in AbstainReason
}
LIFECYCLES: Final = {one: pb.Lifecycle.Value(f"LIFECYCLE_{one.value.upper()}") for one in Lifecycle}


@dataclass(frozen=True, slots=True)
class ReplyEncoder:
    """Encodes the scores of one bundle: names and fingerprint of its features are stated here.

    Whether to advise against acting on a score is judged here as well: only now is it known all
    that was missing. `starter` tells that the bundle was made without the shop's data.
    """

    feature_names: tuple[str, ...]
    fingerprint: str
    abstention: Abstention = NEVER_ABSTAIN
    score_ids: ScoreIds = field(default_factory=ScoreIds)
    starter: bool = False

    def score_response(
        self, session_id: str, score: Score, *, include_features: bool = False
    ) -> pb.ScoreResponse:
        """Encode an answer; `session_id` is the one that the caller used."""
        churn_explanation = score.churn.explanation if score.churn else None
        return pb.ScoreResponse(
            score_id=self.score_ids.next(),
            session_id=session_id,
            conversion=score.conversion,
            abandonment=score.abandonment,
            converted=score.converted,
            churn=_churn(score.churn) if score.churn else None,
            cluster=_segment(score.cluster) if score.cluster else None,
            audiences=[_segment(one) for one in score.audiences],
            segment=_segment(score.segment) if score.segment else None,
            journey_stage=pb.JourneyStage.ValueType(score.journey_stage),
            lifecycle=LIFECYCLES[score.lifecycle],
            reasons=_reasons(score.explanation),
            reason_totals=_totals(score.explanation),
            churn_reasons=_reasons(churn_explanation),
            churn_reason_totals=_totals(churn_explanation),
            evidence=self._evidence(score),
            events_seen=score.events_seen,
            last_event_id=score.last_event_id,
            duplicates=score.duplicates,
            user_features=_user_features(score.user),
            degraded=[DEGRADED_REASONS[reason] for reason in score.degraded],
            bundle=score.bundle,
            feature_vector=self._feature_vector(score) if include_features else None,
            as_of=timestamp(score.as_of_us),
        )

    def session_response(self, session_id: str, score: Score) -> pb.GetSessionResponse:
        """Encode what is known of a session."""
        return pb.GetSessionResponse(
            state=_state(score.summary),
            scores=self.score_response(session_id, score, include_features=True),
        )

    def _evidence(self, score: Score) -> pb.Evidence:
        reasons = self.abstention.reasons(score)
        return pb.Evidence(
            events_seen=score.events_seen,
            calibration_error=score.calibration_error,
            abstain=bool(reasons),
            abstain_reasons=[ABSTAIN_REASONS[reason] for reason in reasons],
            starter=self.starter,
        )

    def _feature_vector(self, score: Score) -> pb.FeatureVector:
        return pb.FeatureVector(
            fingerprint=self.fingerprint,
            names=self.feature_names,
            values=score.features.tolist(),
        )


def _churn(churn: Churn) -> pb.Churn:
    coming = churn.coming
    return pb.Churn(
        probability=churn.probability,
        horizon_days=churn.horizon_days,
        target=churn.target,
        expected_orders=coming.orders if coming else None,
        expected_value_micros=coming.value_micros if coming else None,
    )


def _segment(segment: Segment) -> pb.Segment:
    return pb.Segment(segment_id=segment.id, display_name=segment.name)


def timestamp(time_us: int) -> Timestamp:
    """Make a Timestamp from microseconds since 1970."""
    seconds, micros = divmod(time_us, _US_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=micros * 1_000)


def _reasons(explanation: Explanation | None) -> list[pb.Reason]:
    return [_reason(reason) for reason in explanation.reasons] if explanation else []


def _totals(explanation: Explanation | None) -> pb.ReasonTotals | None:
    if explanation is None:
        return None
    return pb.ReasonTotals(base=explanation.base, other=explanation.other)


def _reason(reason: Reason) -> pb.Reason:
    is_for = reason.contribution > 0
    return pb.Reason(
        feature=reason.feature,
        value=reason.value,
        contribution=reason.contribution,
        sentence=reason.sentence,
        group=reason.group,
        direction=pb.DIRECTION_FOR if is_for else pb.DIRECTION_AGAINST,
    )


def _user_features(user: UserFeatureAge) -> pb.UserFeatures:
    if not user.found:
        return pb.UserFeatures()
    seconds, micros = divmod(user.age_us, _US_PER_SECOND)
    return pb.UserFeatures(
        found=True,
        snapshot_time=timestamp(user.snapshot_time_us),
        age=Duration(seconds=seconds, nanos=micros * 1_000),
        stale=user.stale,
    )


def _state(summary: SessionSummary) -> pb.SessionState:
    return pb.SessionState(
        events_seen=summary.events_seen,
        first_event_time=timestamp(summary.first_event_time_us),
        last_event_time=timestamp(summary.last_event_time_us),
        epoch=summary.epoch,
        state_version=summary.state_version,
        cart_quantity=summary.cart_quantity,
        cart_value_micros=summary.cart_value_micros,
    )
