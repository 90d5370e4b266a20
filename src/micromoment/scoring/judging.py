"""What is said of decision points, from their features and raw scores, in one compiled pass."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from micromoment.features._compile import compiled
from micromoment.features.points import CART_FILLED, CONVERTED, EVENTS_SEEN, STAGE
from micromoment.scoring import audience_program, clusters, lifecycle
from micromoment.scoring.calibration import between, depth_of, platt

# Numbers that are said of a point; NaN for what does not apply.
CONVERSION: Final = 0
ABANDONMENT: Final = 1
CHURN: Final = 2
N_NUMBERS: Final = 3

# Whole numbers that are said of it.
CLUSTER: Final = 0  # number, 0 for none
AUDIENCES: Final = 1  # bits
LIFECYCLE: Final = 2  # place in `lifecycle.ORDER`
N_COUNTS: Final = 3

# What audiences' rules see: the bundle's n features, then these.
SEEN_CONVERSION: Final = 0
SEEN_ABANDONMENT: Final = 1
SEEN_CHURN: Final = 2
SEEN_CONVERTED: Final = 3
SEEN_STAGE: Final = 4
SEEN_LIFECYCLE: Final = 5
SEEN_CLUSTER: Final = 6
N_SEEN: Final = 7

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Rules(NamedTuple):
    """A bundle's rules as compiled code takes them; a part that it lacks has no length.

    `calibration` is slope and intercept of conversion after one event, then of a deep visit,
    shape (4,). `churn` is slope and intercept of churn where trees alone say it, shape (2,), and
    `churn_eligible` the place of the feature that is 1 or more for whom it speaks of, shape (1,).
    """

    calibration: FloatArray
    churn: FloatArray
    churn_eligible: IntArray
    space: clusters.ClusterSpace
    lifecycle_places: IntArray
    lifecycle_limits: FloatArray
    steps: IntArray
    constants: FloatArray


def judge_points(
    points: int, rows: Float32Array, raws: FloatArray, churn: FloatArray, known: IntArray,
    rules: Rules, numbers: FloatArray, counts: IntArray,
) -> None:  # fmt: skip
    """Judge the first so many points, of m.

    `rows`, shape (m, n), are the bundle's features, `raws` the raw scores of conversion and `churn`
    those of churn where `rules.churn` calibrates them, else its probabilities, NaN for none; both
    have shape (m,). `known`, shape (m, N_KNOWN), is what
    `features.points` knows of the visits. Fills `numbers`, shape (m, N_NUMBERS), and `counts`,
    shape (m, N_COUNTS).
    """
    # One by one: handing over a tuple of arrays takes longer.
    space = rules.space
    _judge(
        points, rows, raws, churn, known, numbers, counts,
        rules.calibration, rules.churn, rules.churn_eligible,
        space.places, space.scaling, space.centroids, space.numbers,
        rules.lifecycle_places, rules.lifecycle_limits, rules.steps, rules.constants,
    )  # fmt: skip


@compiled
def _judge(
    points: int, rows: Any, raws: Any, churn: Any, known: Any, numbers: Any, counts: Any,
    calibration: Any, churn_calibration: Any, churn_eligible: Any,
    places: Any, scaling: Any, centroids: Any, cluster_numbers: Any,
    lifecycle_places: Any, lifecycle_limits: Any, steps: Any, constants: Any,
) -> None:  # fmt: skip
    space = clusters.ClusterSpace(places, scaling, centroids, cluster_numbers)
    n = rows.shape[1]
    seen = np.empty(n + N_SEEN)
    stack = np.empty(audience_program.MAX_DEPTH)
    coordinates = np.empty(len(places))
    for place in range(points):
        number, count, what = numbers[place], counts[place], known[place]
        number[CHURN] = churn[place]
        if len(churn_calibration):
            number[CHURN] = np.nan
            if rows[place, churn_eligible[0]] >= 1:
                number[CHURN] = platt(churn_calibration[0], churn_calibration[1], churn[place])
        _judge_conversion(raws[place], what, calibration, number)
        count[CLUSTER] = 0
        if len(cluster_numbers):
            count[CLUSTER] = clusters.nearest(rows[place], space, coordinates)
        count[LIFECYCLE] = lifecycle.judge(rows[place], lifecycle_places, lifecycle_limits)
        count[AUDIENCES] = 0
        if len(steps):
            seen[:n] = rows[place]
            _show(number, count, what, seen[n:])
            count[AUDIENCES] = audience_program.run_program(steps, constants, seen, stack)


@compiled
def _judge_conversion(raw: float, known: Any, calibration: Any, number: Any) -> None:
    number[CONVERSION] = np.nan
    number[ABANDONMENT] = np.nan
    if known[CONVERTED] or len(calibration) == 0:
        return
    depth = depth_of(known[EVENTS_SEEN])
    slope = between(calibration[0], calibration[2], depth)
    intercept = between(calibration[1], calibration[3], depth)
    number[CONVERSION] = platt(slope, intercept, raw)
    if known[CART_FILLED]:
        number[ABANDONMENT] = 1.0 - number[CONVERSION]


@compiled
def _show(number: Any, count: Any, known: Any, seen: Any) -> None:
    seen[SEEN_CONVERSION] = number[CONVERSION]
    seen[SEEN_ABANDONMENT] = number[ABANDONMENT]
    seen[SEEN_CHURN] = number[CHURN]
    seen[SEEN_CONVERTED] = known[CONVERTED]
    seen[SEEN_STAGE] = known[STAGE]
    seen[SEEN_LIFECYCLE] = count[LIFECYCLE]
    seen[SEEN_CLUSTER] = count[CLUSTER]
