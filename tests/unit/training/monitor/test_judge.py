"""When live figures count as dropped: where the shop has changed, and only there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.planted_shop import KS, figures_of, planted_points
from training.monitor.judge import (
    CALIBRATION,
    LOG_LOSS,
    PR_AUC,
    Points,
    live_rows,
    own_figures,
)

SAME_SHOPS = 25
CHANGED_SHOPS = 6
OWN_VISITS, LIVE_VISITS = 4_000, 6_000


def dropped(seed: int, **world: float) -> set[str]:
    """Judge a shop; give the figures that dropped, at any number of events seen."""
    own = figures_of(planted_points(1_000 + seed, OWN_VISITS))
    rows = live_rows(planted_points(seed, LIVE_VISITS, **world), own)
    assert [len(row.judged) for row in rows] == [3, 3, 3]
    return {one.name for row in rows for one in row.judged if one.dropped}


def test_a_shop_that_does_not_change_raises_no_alarm(
    record_property: Callable[[str, object], None],
) -> None:
    """Of looks at unchanged shops one in a hundred may: over 25 shops at most two do."""
    alarms = [seed for seed in range(SAME_SHOPS) if dropped(seed)]
    record_property("alarms", f"{len(alarms)} of {SAME_SHOPS}")
    assert len(alarms) <= 2


@pytest.mark.parametrize(
    ("world", "figures"),
    [
        ({"shift": -0.7}, {CALIBRATION}),
        ({"shift": 0.7}, {CALIBRATION, LOG_LOSS}),
        ({"blindness": 0.8}, {PR_AUC}),
    ],
    ids=["fewer orders", "more orders", "a feature went blind"],
)
def test_a_shop_that_changes_raises_it_each_time(
    world: dict[str, float], figures: set[str]
) -> None:
    """Half or twice as many orders, or scores that know little: seen in every shop."""
    for seed in range(CHANGED_SHOPS):
        assert figures <= dropped(seed, **world)


def test_too_few_orders_are_not_judged() -> None:
    """A handful of orders gives figures, and no verdict."""
    own = figures_of(planted_points(1, OWN_VISITS))
    rows = live_rows(planted_points(2, 150, shift=2.0), own)
    assert rows
    assert all(not row.judged for row in rows if row.buyers < 20)
    assert all(not row.judged for row in live_rows(planted_points(2, 150), own))


def test_a_visit_counts_once_at_each_number() -> None:
    """A score after four events is that after three where there is none of its own."""
    points = Points(
        np.array([1, 4, 5]),
        np.array([0, 0, 0]),
        np.array([0, 0, 0]),
        np.array([0.1, 0.2, 0.3]),
        np.array([True, True, True]),
    )
    own = figures_of(planted_points(1, OWN_VISITS))
    rows = live_rows(points, own)
    assert [(row.k, row.n) for row in rows] == [(1, 1), (3, 1)]


def test_a_bundle_without_figures_is_not_judged() -> None:
    """What metrics lack or can't define is left out."""
    assert own_figures({}) == {}
    unknown = {"pr_auc": 0.1, "log_loss": 0.2, "predicted_over_observed": None}
    metrics = {"calibration_days": {"1": {"n": 10, "buyers": 0, "model": unknown}}}
    assert own_figures(metrics) == {}
    assert set(figures_of(planted_points(1, OWN_VISITS))) == set(KS)
