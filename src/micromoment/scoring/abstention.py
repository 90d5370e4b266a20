"""When a shop had better not act on a conversion: by limits that it set itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from micromoment.scoring.calls import Degraded, Score


class AbstainReason(StrEnum):
    """Why the advice is not to act."""

    TOO_FEW_EVENTS = "too_few_events"
    CALIBRATION_ERROR = "calibration_error"
    WITHIN_BAND = "within_band"
    DEGRADED = "degraded"
    CONSENT = "consent"


# What a score lacks then may have changed it by much; a stale snapshot or a foreign price has not.
_LACKING: Final = frozenset(
    {Degraded.STATE_LOST, Degraded.STATE_UNAVAILABLE, Degraded.USER_FEATURES_UNAVAILABLE}
)


@dataclass(frozen=True, slots=True)
class Abstention:
    """The limits; by default none.

    `below_evidence` counts events. `within` are the ends of a band of probability, both in it,
    around where the shop decides. `above_calibration_error` is an expected calibration error.
    """

    below_evidence: int = 0
    within: tuple[float, float] | None = None
    above_calibration_error: float | None = None
    degraded: bool = False

    def reasons(self, score: Score) -> tuple[AbstainReason, ...]:
        """Say why not to act on the score's conversion; nothing where there is none.

        That personalization was denied is said whatever the limits are.
        """
        if score.conversion is None:
            return ()
        holds = (
            (AbstainReason.TOO_FEW_EVENTS, score.events_seen < self.below_evidence),
            (AbstainReason.CALIBRATION_ERROR, self._is_uncertain(score.calibration_error)),
            (AbstainReason.WITHIN_BAND, self._is_undecided(score.conversion)),
            (AbstainReason.DEGRADED, self.degraded and not _LACKING.isdisjoint(score.degraded)),
            (AbstainReason.CONSENT, bool(score.consent and not score.consent.personalization)),
        )
        return tuple(reason for reason, applies in holds if applies)

    def _is_uncertain(self, error: float | None) -> bool:
        limit = self.above_calibration_error
        # Where it was never measured nobody knows that it is small enough.
        return limit is not None and (error is None or error > limit)

    def _is_undecided(self, conversion: float) -> bool:
        return self.within is not None and self.within[0] <= conversion <= self.within[1]


NEVER_ABSTAIN: Final = Abstention()
