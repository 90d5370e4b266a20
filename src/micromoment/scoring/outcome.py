"""What is said of one decision point, from its features. One rule for serving and for files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.features.points import CART_FILLED, CONVERTED, EVENTS_SEEN, STAGE
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.judging import (
    ABANDONMENT,
    AUDIENCES,
    CHURN,
    CLUSTER,
    CONVERSION,
    LIFECYCLE,
)
from micromoment.scoring.lifecycle import ORDER, Lifecycle
from micromoment.scoring.orders import OrderForecast
from micromoment.scoring.point_judge import PointJudge

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PointStates:
    """What the models need besides features, of m decision points: arrays of shape (m,).

    `stage` holds `JourneyStage` numbers.
    """

    events_seen: npt.NDArray[np.int64]
    converted: npt.NDArray[np.bool_]
    cart_filled: npt.NDArray[np.bool_]
    stage: npt.NDArray[np.uint8]


def point_states(states: RecordArray) -> PointStates:
    """Take them out of m session states, dtype `STATE`."""
    return PointStates(
        events_seen=states["events_seen"],
        converted=states["converted"] > 0,
        cart_filled=states["cart_quantity"] > 0,
        stage=states["stage"],
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one decision point by itself; None where it does not apply.

    `coming` goes with churn of orders. `cluster` is a number, `audiences` are bits: what a visit
    belongs to follows by `settling`.
    """

    conversion: float | None
    abandonment: float | None
    churn: float | None
    cluster: int
    audiences: int
    lifecycle: Lifecycle
    coming: OrderForecast | None = None


def outcomes_of(bundle: LoadedBundle, rows: Float32Array, states: PointStates) -> list[Outcome]:
    """Judge m decision points; `rows` are the bundle's features, shape (m, n)."""
    judge = PointJudge(bundle, len(rows))
    judge.rows[:] = rows
    judge.known[:, EVENTS_SEEN] = states.events_seen
    judge.known[:, CONVERTED] = states.converted
    judge.known[:, CART_FILLED] = states.cart_filled
    judge.known[:, STAGE] = states.stage
    coming = judge.run(len(rows))
    return [
        Outcome(
            conversion=known_or_none(numbers[CONVERSION]),
            abandonment=known_or_none(numbers[ABANDONMENT]),
            churn=known_or_none(numbers[CHURN]),
            cluster=counts[CLUSTER],
            audiences=counts[AUDIENCES],
            lifecycle=ORDER[counts[LIFECYCLE]],
            coming=ahead,
        )
        for numbers, counts, ahead in zip(
            judge.numbers.tolist(), judge.counts.tolist(), coming, strict=True
        )
    ]


def known_or_none(value: float) -> float | None:
    """Give a number that stands for what applies, None for NaN, which stands for what doesn't."""
    return value if value == value else None  # noqa: PLR0124 - NaN is unequal to itself
