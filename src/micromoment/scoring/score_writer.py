"""From the numbers of a pass to a `Score`."""

from __future__ import annotations

from functools import lru_cache

from micromoment.events.vocabulary import JourneyStage
from micromoment.scoring import answers as at
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import (
    Churn,
    Degraded,
    Score,
    SessionSummary,
    UserFeatureAge,
)
from micromoment.scoring.judging import ABANDONMENT, CHURN, CLUSTER, CONVERSION, LIFECYCLE
from micromoment.scoring.lifecycle import ORDER
from micromoment.scoring.models import Float32Array
from micromoment.scoring.orders import OrderForecast
from micromoment.scoring.outcome import known_or_none
from micromoment.scoring.segments import audiences_of, cluster_of

_STAGES = tuple(JourneyStage)
_NO_USER = UserFeatureAge(found=False, snapshot_time_us=0, age_us=0, stale=False)


class ScoreWriter:
    """Words the answers of one bundle. What many visits share is made once."""

    def __init__(self, bundle: LoadedBundle) -> None:
        self._tag = bundle.tag
        self._churn = bundle.churn
        model = bundle.conversion
        self._error_at = lru_cache(maxsize=1_024)(model.error_at) if model else lambda _: None
        # A bundle has at most 255 clusters; audiences hold in few combinations.
        self._cluster = lru_cache(maxsize=1_024)(lambda *numbers: cluster_of(bundle, *numbers))
        self._audiences = lru_cache(maxsize=4_096)(lambda bits: audiences_of(bundle, bits))

    def score(
        self,
        answer: list[int],
        numbers: list[float],
        counts: list[int],
        coming: OrderForecast | None,
        row: Float32Array,
    ) -> Score:
        """Write what `answers`, `judging` and the churn model said of a point, without reasons."""
        events_seen = answer[at.EVENTS_SEEN]
        conversion, abandonment = numbers[CONVERSION], numbers[ABANDONMENT]
        user = _user(answer) if answer[at.USER_FOUND] else _NO_USER
        return Score(
            conversion=conversion if conversion == conversion else None,  # noqa: PLR0124 - not NaN
            abandonment=abandonment if abandonment == abandonment else None,  # noqa: PLR0124
            converted=answer[at.CONVERTED] > 0,
            churn=self._churn_of(numbers[CHURN], coming),
            cluster=self._cluster(answer[at.SETTLED_CLUSTER], counts[CLUSTER]),
            audiences=self._audiences(answer[at.SETTLED_AUDIENCES]),
            journey_stage=_STAGES[answer[at.STAGE]],
            lifecycle=ORDER[counts[LIFECYCLE]],
            events_seen=events_seen,
            last_event_id="",
            duplicates=0,
            as_of_us=answer[at.AS_OF_TIME],
            bundle=self._tag,
            calibration_error=self._error_at(events_seen),
            user=user,
            degraded=_degraded(answer[at.DEGRADED], user.stale),
            features=row,
            explanation=None,
            summary=_summary(answer),
            said_consent=answer[at.CONSENT],
        )

    def _churn_of(self, probability: float, coming: OrderForecast | None) -> Churn | None:
        model = self._churn
        if model is None or known_or_none(probability) is None:
            return None
        return Churn(probability, model.horizon_days, model.target, coming)


def _degraded(bits: int, stale: bool) -> tuple[Degraded, ...]:
    if not bits and not stale:
        return ()
    reasons = (
        (Degraded.STATE_LOST, bits & at.STATE_LOST),
        (Degraded.USER_FEATURES_UNAVAILABLE, bits & at.USER_UNAVAILABLE),
        (Degraded.USER_FEATURES_STALE, stale),
        (Degraded.FOREIGN_CURRENCY, bits & at.FOREIGN_CURRENCY),
    )
    return tuple(reason for reason, holds in reasons if holds)


def _user(answer: list[int]) -> UserFeatureAge:
    return UserFeatureAge(
        True, answer[at.SNAPSHOT_TIME], answer[at.USER_AGE], answer[at.USER_STALE] > 0
    )


def _summary(answer: list[int]) -> SessionSummary:
    summary = SessionSummary._make(answer[at.SUMMARY :])
    return summary if answer[at.CART_MICROS] >= 0 else summary._replace(cart_value_micros=None)
