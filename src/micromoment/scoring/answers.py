"""What an answer says of a visit besides scores, read from session states in one compiled pass."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.features._compile import compiled
from micromoment.features.points import ACCEPTED, AS_OF, NOW
from micromoment.features.state import STATE_VERSION
from micromoment.features.user_snapshot import RENEWED_DAYS, UserStatus
from micromoment.scoring.judging import AUDIENCES, CLUSTER
from micromoment.scoring.settling import settle_state

# Columns of an answer.
SETTLED_CLUSTER: Final = 0
SETTLED_AUDIENCES: Final = 1
CONVERTED: Final = 2
STAGE: Final = 3
EVENTS_SEEN: Final = 4
AS_OF_TIME: Final = 5  # microseconds since 1970
DEGRADED: Final = 6  # bits, by the three places below
USER_FOUND: Final = 7
SNAPSHOT_TIME: Final = 8
USER_AGE: Final = 9  # microseconds
USER_STALE: Final = 10
CONSENT: Final = 11  # what the session last said, as `CONSENT_FLAGS`
# The session's summary, in its order.
SUMMARY: Final = 12  # events seen
FIRST_TIME: Final = 13  # microseconds since 1970, and the next
LAST_TIME: Final = 14
EPOCH: Final = 15
VERSION: Final = 16  # of the state
CART_QUANTITY: Final = 17
CART_MICROS: Final = 18  # -1 where no price is known
N_ANSWERED: Final = 19

STATE_LOST: Final = 1
USER_UNAVAILABLE: Final = 2
FOREIGN_CURRENCY: Final = 4

_FOUND = int(UserStatus.FOUND)
_UNAVAILABLE = int(UserStatus.UNAVAILABLE)
_US_PER_DAY = 86_400_000_000
_MICROS = 1_000_000
_MOST_MICROS = 2.0**63 - 1_024  # the largest float below 2**63

IntArray = npt.NDArray[np.int64]


def answer_points(
    points: int, states: RecordArray, asked: IntArray, told: IntArray, counts: IntArray,
    max_user_age_us: int, answers: IntArray,
) -> None:  # fmt: skip
    """Settle the first so many visits, of m, and say what holds of each.

    `asked` and `told` are those of `features.points`, `counts` those of `judging`. Changes where
    `states`, shape (m,), belong, and fills `answers`, shape (m, N_ANSWERED).
    """
    _answer(points, states, asked, told, counts, max_user_age_us, answers)


@compiled
def _answer(
    points: int, states: Any, asked: Any, told: Any, counts: Any, max_user_age_us: int,
    answers: Any,
) -> None:  # fmt: skip
    for place in range(points):
        state, answer = states[place], answers[place]
        # What only asks again, or asks about a later time, is no new decision point.
        is_new = told[place, ACCEPTED] > 0 and asked[place, AS_OF] < 0
        cluster, audiences = settle_state(
            state, counts[place, CLUSTER], counts[place, AUDIENCES], is_new
        )
        answer[SETTLED_CLUSTER] = cluster
        answer[SETTLED_AUDIENCES] = audiences
        answer[CONVERTED] = state["converted"] > 0
        answer[STAGE] = state["stage"]
        answer[EVENTS_SEEN] = state["events_seen"]
        answer[AS_OF_TIME] = told[place, NOW]
        answer[DEGRADED] = (
            STATE_LOST * (state["state_lost"] > 0)
            + USER_UNAVAILABLE * (state["user_status"] == _UNAVAILABLE)
            + FOREIGN_CURRENCY * (state["foreign_currency"] > 0)
        )
        _answer_of_user(state, max_user_age_us, answer)
        answer[CONSENT] = state["consent"]
        answer[SUMMARY] = state["events_seen"]
        answer[VERSION] = STATE_VERSION
        answer[FIRST_TIME] = state["first_time"]
        answer[LAST_TIME] = state["last_time"]
        answer[EPOCH] = state["epoch"]
        answer[CART_QUANTITY] = state["cart_quantity"]
        answer[CART_MICROS] = -1
        if state["cart_priced"]:
            answer[CART_MICROS] = np.int64(
                min(np.rint(state["cart_value"] * _MICROS), _MOST_MICROS)
            )


@compiled
def _answer_of_user(state: Any, max_age_us: int, answer: Any) -> None:
    found = state["user_status"] == _FOUND
    answer[USER_FOUND] = found
    answer[SNAPSHOT_TIME] = 0
    answer[USER_AGE] = 0
    answer[USER_STALE] = 0
    if found:
        # A visitor's clock may be behind the snapshot.
        age_us = max(state["user_taken_up"] - state["user_snapshot_time"], 0)
        # The row of somebody long away is old, but final: it isn't written again.
        away_days = np.float64(state["user_days_since_visit"]) - age_us / _US_PER_DAY
        answer[SNAPSHOT_TIME] = state["user_snapshot_time"]
        answer[USER_AGE] = age_us
        answer[USER_STALE] = age_us > max_age_us and away_days < RENEWED_DAYS - 1
