"""What is said of a decision point: which probabilities apply, and where it belongs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import Audiences
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.judging import (
    ABANDONMENT,
    CONVERSION,
    N_COUNTS,
    N_NUMBERS,
    Rules,
    judge_points,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.outcome import PointStates, known_or_none, outcomes_of
from micromoment.scoring.rules import NO_SPACE
from tests.support.bundles import made_up_rows
from tests.support.segments import (
    audience,
    audience_file,
    matrix_of,
    row_of,
)

NAN = float("nan")
# A calibration that changes nothing, and no rules.
PLAIN = Rules(
    calibration=np.array([1.0, 0.0, 1.0, 0.0]),
    churn=np.empty(0),
    churn_eligible=np.empty(0, np.int64),
    space=NO_SPACE,
    lifecycle_places=np.empty(0, np.int64),
    lifecycle_limits=np.ones(3),
    steps=np.empty((0, 2), np.int64),
    constants=np.empty(0),
)


LOG_ODDS = st.floats(-800, 800)


def judged(raw: float, *, converted: bool, cart_filled: bool) -> tuple[float, float]:
    """Judge a point whose conversion has these log-odds; gives conversion and abandonment."""
    known = np.array([[1, converted, cart_filled, 0]], np.int64)
    numbers, counts = np.zeros((1, N_NUMBERS)), np.zeros((1, N_COUNTS), np.int64)
    judge_points(
        1, matrix_of(row_of()), np.array([raw]), np.array([NAN]), known, PLAIN, numbers, counts
    )
    return float(numbers[0, CONVERSION]), float(numbers[0, ABANDONMENT])


@given(LOG_ODDS, st.booleans())
def test_after_a_purchase_nothing_is_predicted(raw: float, cart_filled: bool) -> None:
    """A converted visit has neither a conversion nor an abandonment, whatever is in its cart."""
    assert np.isnan(judged(raw, converted=True, cart_filled=cart_filled)).all()


@given(LOG_ODDS)
def test_abandonment_is_the_exact_complement(raw: float) -> None:
    """With something in the cart it is 1 - conversion to the last bit, without it is absent."""
    conversion, abandonment = judged(raw, converted=False, cart_filled=True)
    assert conversion == PlattCalibrator(1.0, 0.0).probability(raw)
    assert abandonment == 1.0 - conversion
    alone, nothing = judged(raw, converted=False, cart_filled=False)
    assert (alone, np.isnan(nothing)) == (conversion, True)


@pytest.mark.parametrize(("raw", "probability"), [(-800.0, 0.0), (800.0, 1.0)])
def test_certainty_is_a_value(raw: float, probability: float) -> None:
    """A probability of 0 is not an absent one."""
    assert judged(raw, converted=False, cart_filled=False)[0] == probability
    assert known_or_none(probability) == probability
    assert known_or_none(NAN) is None


def states(n: int, **columns: list[int]) -> PointStates:
    """Make point states: nothing ordered, nothing in the cart, no stage, or as given."""

    def column(name: str, kind: type) -> np.ndarray:
        return np.array(columns.get(name, [0] * n)).astype(kind)

    return PointStates(
        events_seen=column("events_seen", np.int64),
        converted=column("converted", np.bool_),
        cart_filled=column("cart_filled", np.bool_),
        stage=column("stage", np.uint8),
    )


def test_each_point_gets_its_cluster_audiences_and_lifecycle(segmented: LoadedBundle) -> None:
    """By hand: events part the clusters, rules see cluster and lifecycle of the same point."""
    rows = matrix_of(
        row_of(n_events=2, user_tenure_days=1, customer_recency_days=NAN),
        row_of(n_events=50, n_item_views=3, user_tenure_days=90, customer_recency_days=NAN),
        row_of(n_events=50, cart_qty=2, user_prior_sessions=NAN),
    )
    found = outcomes_of(segmented, rows, states(3))
    assert [one.cluster for one in found] == [3, 7, 7]
    assert [one.audiences for one in found] == [1 << 9, 1 << 0, 1 << 4]
    assert [one.lifecycle for one in found] == [
        Lifecycle.NEW,
        Lifecycle.ENGAGED,
        Lifecycle.UNSPECIFIED,
    ]


def test_rules_see_the_scores_that_the_reply_has(segmented: LoadedBundle) -> None:
    """After the order there is no conversion for a rule either."""
    file = audience_file(
        audience(0, "scored", "conversion >= 0.0"),
        audience(1, "left", "abandonment >= 0.0"),
        audience(2, "ordered", "converted"),
        audience(3, "doing", "stage == 'do'"),
        audience(4, "nowhere", "stage == 'unspecified'"),
    )
    bundle = replace(segmented, audiences=Audiences(file, FEATURE_NAMES))
    points = states(3, converted=[0, 0, 1], cart_filled=[0, 1, 1], stage=[0, 4, 4])
    found = outcomes_of(bundle, matrix_of(*[row_of()] * 3), points)
    assert [one.audiences for one in found] == [0b10001, 0b01011, 0b01100]


def test_without_clusters_and_audiences_there_are_none(tiny_bundle: LoadedBundle) -> None:
    """Number 0 and no bits; the lifecycle needs neither."""
    (found,) = outcomes_of(tiny_bundle, matrix_of(row_of(user_tenure_days=1)), states(1))
    assert (found.cluster, found.audiences, found.lifecycle) == (0, 0, Lifecycle.NEW)


def test_one_point_and_many_get_the_same(segmented: LoadedBundle) -> None:
    """Serving asks for one, files for all: the answers are the same to the bit."""
    rows, _ = made_up_rows()
    rows = np.ascontiguousarray(rows[:300])
    of_all = states(300, cart_filled=[place % 2 for place in range(300)])
    together = outcomes_of(segmented, rows, of_all)
    alone = [
        outcomes_of(segmented, rows[at : at + 1], states(1, cart_filled=[at % 2]))[0]
        for at in range(300)
    ]
    assert together == alone
    assert len({(one.cluster, one.audiences) for one in together}) > 3
