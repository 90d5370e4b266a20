"""What goes into the scorer and what comes out: plain values, no protobuf, no arrays of state.

Those that each call makes anew are not frozen: freezing takes longer than scoring does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from micromoment.events.record import EventBatch
from micromoment.events.vocabulary import JourneyStage
from micromoment.features.user_snapshot import UserLookup
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.orders import OrderForecast


class Degraded(StrEnum):
    """What was missing when a score was made."""

    STATE_LOST = "state_lost"
    STATE_UNAVAILABLE = "state_unavailable"
    LOG_UNAVAILABLE = "log_unavailable"
    USER_FEATURES_UNAVAILABLE = "user_features_unavailable"
    USER_FEATURES_STALE = "user_features_stale"
    FOREIGN_CURRENCY = "foreign_currency"


class NotKept(StrEnum):
    """Why an event was not kept."""

    DENIED = "denied"
    PRIVACY_CONTROL = "global_privacy_control"
    WITHDRAWN = "withdrawn"
    DEFAULT = "default"
    DENIED_LATER = "denied_later"


class Withdrawal(StrEnum):
    """What became of what was kept of a session whose consent was withdrawn."""

    NONE = "unspecified"
    DONE = "done"
    PENDING = "pending"


class AppliedConsent(NamedTuple):
    """Which purposes were granted for a call, what was not kept, and what was deleted."""

    analytics: bool = True
    personalization: bool = True
    ads: bool = True
    not_kept: tuple[tuple[NotKept, int], ...] = ()  # events by reason
    withdrawal: Withdrawal = Withdrawal.NONE


class SessionKey(NamedTuple):
    """Where a session's state is kept: the tenant, then the encoded session id."""

    tenant: str
    session_id: str


@dataclass(slots=True)
class ScoreCall:
    """One request to score, decoded and validated.

    `event_ids` are the ids of `batch`'s events, in order. `first_sequence` is the caller's number
    of the first event, None where it isn't numbered. `user` is None where it wasn't looked up.
    `as_of_us` is in microseconds since 1970.
    """

    key: SessionKey
    visitor: int
    batch: EventBatch
    event_ids: tuple[str, ...]
    first_sequence: int | None = None
    user: UserLookup | None = None
    as_of_us: int | None = None
    explain: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """What a group of features contributes, in log-odds; `value` None is missing.

    `feature` is the one that contributes most in the group's direction.
    """

    group: str
    feature: str
    value: float | None
    contribution: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a probability is what it is: base, reasons and other add up to its log-odds."""

    base: float
    reasons: tuple[Reason, ...]  # the largest first
    other: float  # what contributes and is no reason


class UserFeatureAge(NamedTuple):
    """Which snapshot a session took up; times in microseconds."""

    found: bool
    snapshot_time_us: int
    age_us: int
    stale: bool


@dataclass(slots=True)
class Churn:
    """Churn of the customer: the probability, of what, within how many days; what comes; why."""

    probability: float
    horizon_days: int
    target: str
    coming: OrderForecast | None  # of churn of orders alone
    explanation: Explanation | None = None  # where it was asked for


class Segment(NamedTuple):
    """A cluster or an audience: its stable id and its name."""

    id: str
    name: str


class SessionSummary(NamedTuple):
    """What was folded into a session; times in microseconds, value in micros or None."""

    events_seen: int
    first_event_time_us: int
    last_event_time_us: int
    epoch: int
    state_version: int
    cart_quantity: int
    cart_value_micros: int | None


@dataclass(slots=True)
class Score:
    """The answer for one session. None stands for what does not apply or isn't in the bundle."""

    conversion: float | None
    abandonment: float | None
    converted: bool
    churn: Churn | None
    cluster: Segment | None
    audiences: tuple[Segment, ...]  # the most specific first
    journey_stage: JourneyStage
    lifecycle: Lifecycle
    events_seen: int
    last_event_id: str
    duplicates: int
    as_of_us: int
    bundle: str
    calibration_error: float | None
    user: UserFeatureAge
    degraded: tuple[Degraded, ...]
    features: npt.NDArray[np.float32]  # shape (n_features,), the bundle's order
    explanation: Explanation | None  # of the conversion, if asked for
    summary: SessionSummary
    said_consent: int = 0  # what the session last said, as `record.CONSENT_FLAGS`
    consent: AppliedConsent | None = None  # given by whoever serves it, and the next
    score_id: str = ""

    @property
    def segment(self) -> Segment | None:
        """Give the most specific audience that holds, else the cluster."""
        return self.audiences[0] if self.audiences else self.cluster
