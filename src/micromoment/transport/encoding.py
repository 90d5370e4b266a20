"""From the application's answers to protobuf replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.scoring.abstention import NEVER_ABSTAIN, AbstainReason, Abstention
from micromoment.scoring.calls import (
    AppliedConsent,
    Churn,
    Degraded,
    Explanation,
    NotKept,
    Reason,
    Score,
    Segment,
    SessionSummary,
    UserFeatureAge,
    Withdrawal,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb

ActingField = Literal["actions", "audiences", "segment", "experiments"]

_US_PER_SECOND: Final = 1_000_000
_MAX_FRAMES: Final = 4_096
DEGRADED_REASONS: Final = {
    Degraded.STATE_LOST: pb.DEGRADED_REASON_STATE_LOST,
    Degraded.STATE_UNAVAILABLE: pb.DEGRADED_REASON_STATE_UNAVAILABLE,
    Degraded.LOG_UNAVAILABLE: pb.DEGRADED_REASON_LOG_UNAVAILABLE,
    Degraded.USER_FEATURES_UNAVAILABLE: pb.DEGRADED_REASON_USER_FEATURES_UNAVAILABLE,
    Degraded.USER_FEATURES_STALE: pb.DEGRADED_REASON_USER_FEATURES_STALE,
    Degraded.FOREIGN_CURRENCY: pb.DEGRADED_REASON_FOREIGN_CURRENCY,
}
ABSTAIN_REASONS: Final = {
    one: pb.AbstainReason.Value(f"ABSTAIN_REASON_{one.value.upper()}") for one in AbstainReason
}
NOT_KEPT_REASONS: Final = {
    one: events_pb2.NotKeptReason.Value(f"NOT_KEPT_REASON_{one.value.upper()}") for one in NotKept
}
WITHDRAWALS: Final = {
    one: events_pb2.Withdrawal.Value(f"WITHDRAWAL_{one.value.upper()}") for one in Withdrawal
}
# What a shop would act on, by the fields that hold it: left out where personalization is denied.
_WITHHELD: Final[Mapping[ActingField, events_pb2.Withheld.ValueType]] = {
    "actions": events_pb2.WITHHELD_ACTIONS,
    "audiences": events_pb2.WITHHELD_AUDIENCES,
    "segment": events_pb2.WITHHELD_AUDIENCES,
    "experiments": events_pb2.WITHHELD_EXPERIMENTS,
}
_CONSENT_STATES: Final = {
    True: events_pb2.CONSENT_STATE_GRANTED,
    False: events_pb2.CONSENT_STATE_DENIED,
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
    starter: bool = False
    _frames: dict[Any, bytes] = field(default_factory=dict)

    def score_response(
        self, session_id: str, score: Score, *, include_features: bool = False
    ) -> pb.ScoreResponse:
        """Encode an answer; `session_id` is the one that the caller used."""
        reply = pb.ScoreResponse()
        self.fill(reply, session_id, score, include_features=include_features)
        return reply

    def fill(
        self, reply: pb.ScoreResponse, session_id: str, score: Score, *, include_features: bool
    ) -> None:
        """Encode an answer into an empty message."""
        reply.MergeFromString(self._frame(score))
        reply.score_id = score.score_id
        reply.session_id = session_id
        if score.conversion is not None:
            reply.conversion = score.conversion
        if score.abandonment is not None:
            reply.abandonment = score.abandonment
        if score.churn is not None:
            _fill_churn(reply.churn, score.churn)
        self._fill_evidence(reply.evidence, score)
        reply.events_seen = score.events_seen
        reply.last_event_id = score.last_event_id
        reply.duplicates = score.duplicates
        _fill_user(reply.user_features, score.user)
        _fill_time(reply.as_of, score.as_of_us)
        _fill_reasons(reply, score)
        if score.consent is not None:
            _apply(score.consent, reply)
        if include_features:
            self._fill_features(reply.feature_vector, score)

    def session_response(self, session_id: str, score: Score) -> pb.GetSessionResponse:
        """Encode what is known of a session."""
        return pb.GetSessionResponse(
            state=_state(score.summary),
            scores=self.score_response(session_id, score, include_features=True),
        )

    def _frame(self, score: Score) -> bytes:
        """Give the part of a reply that many visits share, serialized."""
        churn = score.churn
        key = (
            score.converted, score.cluster, score.audiences, score.journey_stage, score.lifecycle,
            score.degraded, score.bundle, churn and (churn.horizon_days, churn.target),
        )  # fmt: skip
        frame = self._frames.get(key)
        if frame is None:
            frame = self._new_frame(score).SerializeToString()
            if len(self._frames) < _MAX_FRAMES:
                self._frames[key] = frame
        return frame

    def _new_frame(self, score: Score) -> pb.ScoreResponse:
        churn = score.churn
        return pb.ScoreResponse(
            converted=score.converted,
            churn=pb.Churn(horizon_days=churn.horizon_days, target=churn.target) if churn else None,
            cluster=_segment(score.cluster) if score.cluster else None,
            audiences=[_segment(one) for one in score.audiences],
            segment=_segment(score.segment) if score.segment else None,
            journey_stage=pb.JourneyStage.ValueType(score.journey_stage),
            lifecycle=LIFECYCLES[score.lifecycle],
            evidence=pb.Evidence(starter=self.starter),
            user_features=pb.UserFeatures(),
            degraded=[DEGRADED_REASONS[reason] for reason in score.degraded],
            bundle=score.bundle,
        )

    def _fill_evidence(self, evidence: pb.Evidence, score: Score) -> None:
        evidence.events_seen = score.events_seen
        if score.calibration_error is not None:
            evidence.calibration_error = score.calibration_error
        limited = self.abstention is not NEVER_ABSTAIN or score.consent is not None
        reasons = self.abstention.reasons(score) if limited else ()
        if reasons:
            evidence.abstain = True
            evidence.abstain_reasons.extend(ABSTAIN_REASONS[reason] for reason in reasons)

    def _fill_features(self, vector: pb.FeatureVector, score: Score) -> None:
        vector.fingerprint = self.fingerprint
        vector.names.extend(self.feature_names)
        vector.values.extend(score.features.tolist())


def _apply(consent: AppliedConsent, reply: pb.ScoreResponse) -> None:
    """Say which consent was applied; what it withholds is taken out of the reply."""
    if not consent.personalization:
        for name in _WITHHELD:
            reply.ClearField(name)
    fill_consent(reply.consent, consent)


def fill_consent(message: events_pb2.AppliedConsent, consent: AppliedConsent) -> None:
    """Say which consent was applied, what was not kept, deleted and withheld."""
    message.analytics = _CONSENT_STATES[consent.analytics]
    message.personalization = _CONSENT_STATES[consent.personalization]
    message.ads = _CONSENT_STATES[consent.ads]
    for reason, events in consent.not_kept:
        message.not_kept.add(reason=NOT_KEPT_REASONS[reason], events=events)
    message.withdrawal = WITHDRAWALS[consent.withdrawal]
    if not consent.personalization:
        message.withheld.extend(dict.fromkeys(_WITHHELD.values()))


def _fill_churn(message: pb.Churn, churn: Churn) -> None:
    message.probability = churn.probability
    coming = churn.coming
    if coming is not None:
        message.expected_orders = coming.orders
        value_micros = coming.value_micros
        if value_micros is not None:
            message.expected_value_micros = value_micros


def _fill_user(message: pb.UserFeatures, user: UserFeatureAge) -> None:
    if user.found:
        message.found = True
        message.stale = user.stale
        _fill_time(message.snapshot_time, user.snapshot_time_us)
        _fill_time(message.age, user.age_us)


def _fill_time(message: Timestamp | Duration, time_us: int) -> None:
    # Zero is a time as well: it is set even where nothing of it is written.
    message.SetInParent()
    seconds, micros = divmod(time_us, _US_PER_SECOND)
    message.seconds = seconds
    message.nanos = micros * 1_000


def _segment(segment: Segment) -> pb.Segment:
    return pb.Segment(segment_id=segment.id, display_name=segment.name)


def timestamp(time_us: int) -> Timestamp:
    """Make a Timestamp from microseconds since 1970."""
    message = Timestamp()
    _fill_time(message, time_us)
    return message


def _fill_reasons(reply: pb.ScoreResponse, score: Score) -> None:
    if score.explanation is not None:
        reply.reasons.extend(map(_reason, score.explanation.reasons))
        _fill_totals(reply.reason_totals, score.explanation)
    if score.churn is not None and score.churn.explanation is not None:
        reply.churn_reasons.extend(map(_reason, score.churn.explanation.reasons))
        _fill_totals(reply.churn_reason_totals, score.churn.explanation)


def _fill_totals(totals: pb.ReasonTotals, explanation: Explanation) -> None:
    totals.SetInParent()
    totals.base = explanation.base
    totals.other = explanation.other


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
