"""The lifecycle: every branch of the rules, and where one gives way to the next."""

from __future__ import annotations

import pytest

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.lifecycle import READS, Lifecycle, lifecycle_of
from micromoment.scoring.manifest import LifecycleRecord

RULES = LifecycleRecord(new_days=7, away_days=28, overdue_ratio=1.5)
PLACES = {name: place for place, name in enumerate(READS)}
NAN = float("nan")


def judge(
    *,
    sessions: float = 3,
    tenure: float = 100,
    away: float = 2,
    before: tuple[float, float] = (NAN, NAN),
    now: tuple[float, float] = (NAN, NAN),
) -> Lifecycle:
    """Judge a visitor; `before` and `now` are days since the last order and its ratio."""
    values = (sessions, tenure, away, *before, *now)
    return lifecycle_of(values, PLACES, RULES)


def test_without_an_answer_from_the_store_it_is_not_known() -> None:
    """All features of the user are missing, and even an order of this visit says too little."""
    assert judge(sessions=NAN, tenure=NAN, away=NAN) is Lifecycle.UNSPECIFIED
    assert judge(sessions=NAN, tenure=NAN, away=NAN, now=(0, 0)) is Lifecycle.UNSPECIFIED


@pytest.mark.parametrize("missing", READS)
def test_a_bundle_without_one_of_the_features_cannot_tell(missing: str) -> None:
    """A bundle of older code may lack any of them."""
    places = {name: place for name, place in PLACES.items() if name != missing}
    assert lifecycle_of((3.0,) * len(READS), places, RULES) is Lifecycle.UNSPECIFIED


def test_its_features_exist() -> None:
    """Every feature that the rules read is one of the catalogue."""
    assert set(READS) <= set(FEATURE_NAMES)


def test_a_stranger_is_new() -> None:
    """Somebody of whom the store knows nothing is seen for the first time."""
    assert judge(sessions=0, tenure=NAN, away=NAN) is Lifecycle.NEW
    assert judge(sessions=0, tenure=NAN, away=NAN, now=(0, 0)) is Lifecycle.NEW


@pytest.mark.parametrize(
    ("tenure", "expected"), [(0.1, Lifecycle.NEW), (6.99, Lifecycle.NEW), (7, Lifecycle.ENGAGED)]
)
def test_first_seen_lately_is_new(tenure: float, expected: Lifecycle) -> None:
    """With or without an order, until `new_days` are over."""
    assert judge(tenure=tenure) is expected
    assert judge(tenure=tenure, now=(1, 0.1)) is expected


@pytest.mark.parametrize(
    ("away", "expected"),
    [(0.5, Lifecycle.ENGAGED), (27.9, Lifecycle.ENGAGED), (28, Lifecycle.RESURRECTED)],
)
def test_who_never_ordered_is_judged_by_visits(away: float, expected: Lifecycle) -> None:
    """Back after `away_days` is resurrected, else engaged."""
    assert judge(away=away) is expected


@pytest.mark.parametrize(
    ("recency", "ratio", "expected"),
    [
        (5, 0.5, Lifecycle.ENGAGED),
        (5, 1.49, Lifecycle.ENGAGED),
        (5, 1.5, Lifecycle.AT_RISK),
        (27.9, 9, Lifecycle.AT_RISK),
        (28, 1.5, Lifecycle.CHURNED),
        (400, 20, Lifecycle.CHURNED),
        (60, 0.9, Lifecycle.ENGAGED),  # orders every other month
        (60, 1.49, Lifecycle.ENGAGED),
        (27.9, NAN, Lifecycle.ENGAGED),  # no gap is known, neither theirs nor the shop's
        (28, NAN, Lifecycle.CHURNED),
    ],
)
def test_a_customer_is_judged_by_orders(recency: float, ratio: float, expected: Lifecycle) -> None:
    """At risk when overdue by their own pace, churned when away for long as well."""
    assert judge(before=(recency, ratio), now=(recency, ratio)) is expected


def test_visits_do_not_bring_a_customer_back() -> None:
    """Who looks around again without an order stays churned, however often."""
    for away in (0.5, 40.0):
        assert judge(away=away, before=(90, 3), now=(90, 3)) is Lifecycle.CHURNED


def test_an_order_brings_a_churned_customer_back() -> None:
    """Resurrected is who was churned until this visit's order, nobody else."""
    assert judge(before=(90, 3), now=(0, 0)) is Lifecycle.RESURRECTED
    assert judge(before=(90, NAN), now=(0, NAN)) is Lifecycle.RESURRECTED
    assert judge(before=(90, 0.9), now=(0, 0)) is Lifecycle.ENGAGED
    assert judge(before=(5, 3), now=(0, 0)) is Lifecycle.ENGAGED


def test_a_first_order_engages() -> None:
    """A visitor of long standing who orders for the first time is a customer from then on."""
    assert judge(away=60, now=(0, NAN)) is Lifecycle.ENGAGED
