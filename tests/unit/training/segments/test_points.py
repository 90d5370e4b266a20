"""Which decision points stand for a visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.models.rows import DecisionRows
from training.segments import points
from training.segments.points import KS, periods_of, points_at, sample_visits

Maker = Callable[..., tuple[DecisionRows, np.ndarray]]


def rows(*visits: list[int]) -> DecisionRows:
    """Make visits by the events seen at each of their points."""
    session = np.repeat(np.arange(len(visits)), [len(visit) for visit in visits])
    seen = np.concatenate([np.array(visit, np.int64) for visit in visits])
    return DecisionRows(
        features=seen.astype(np.float32)[:, None],
        feature_names=("n_events",),
        label=np.zeros(len(seen), np.bool_),
        events_seen=seen,
        session=session,
        visitor=session,
        day=session,
    )


def seen_at(*visits: list[int]) -> list[list[int]]:
    """Give the events seen at the points that are taken, by visit."""
    data = rows(*visits)
    at = points_at(data)
    return [sorted(data.events_seen[at][data.session[at] == v]) for v in range(len(visits))]


def test_a_visit_is_taken_at_each_number_that_it_reaches() -> None:
    """At 1, 2, 3, 5, 10, 20 and 40 events, whatever comes after."""
    assert seen_at([1], [1, 2, 3, 4], list(range(1, 101))) == [[1], [1, 2, 3], list(KS)]


def test_a_batch_that_leaps_stands_for_all_it_leaps_over() -> None:
    """The first point with as many events or more is it."""
    assert seen_at([4], [1, 12]) == [[4, 4, 4], [1, 12, 12, 12, 12]]


def test_the_order_of_rows_does_not_matter() -> None:
    """Rows may lie in any order."""
    data = rows([1, 2, 5], [1, 3])
    mixed = data.take(np.array([4, 1, 3, 0, 2]))
    for one in (data, mixed):
        at = points_at(one)
        taken = sorted(zip(one.session[at].tolist(), one.events_seen[at].tolist(), strict=True))
        assert taken == [(0, 1), (0, 2), (0, 5), (0, 5), (1, 1), (1, 3), (1, 3)]


def test_a_sample_holds_whole_visits(shop: Maker, monkeypatch: object) -> None:
    """Every row of a chosen visit is kept, and the same ones for one seed."""
    data, _ = shop(200)
    assert sample_visits(data, 1) is data
    monkeypatch.setattr(points, "MAX_VISITS", 50)  # type: ignore[attr-defined]
    some = sample_visits(data, 1)
    chosen = np.unique(some.session)
    assert len(chosen) == 50
    assert len(some) == np.isin(data.session, chosen).sum()
    assert np.array_equal(sample_visits(data, 1).session, some.session)
    assert not np.array_equal(np.unique(sample_visits(data, 2).session), chosen)


def a_period(*visits_by_day: int, length: int = 1) -> DecisionRows:
    """Make visits of `length` points, on one day each, by how many begin on each day."""
    days = np.repeat(np.arange(len(visits_by_day)), visits_by_day)
    session = np.repeat(np.arange(len(days)), length)
    seen = np.tile(np.arange(1, length + 1), len(days))
    data = rows(*[[1]] * len(session))
    return replace(data, session=session, events_seen=seen, day=np.repeat(days, length))


def days_of(data: DecisionRows) -> list[tuple[int, int]]:
    """Give the first and the last day of each period."""
    return [(int(data.day[own].min()), int(data.day[own].max())) for own in periods_of(data)]


def test_periods_are_whole_weeks_back_from_the_last_day() -> None:
    """The latest four of them, in order of time; days before the first whole week are left out."""
    assert days_of(a_period(*[40] * 16)) == [(2, 8), (9, 15)]
    assert days_of(a_period(*[40] * 50)) == [(22, 28), (29, 35), (36, 42), (43, 49)]


def test_below_two_weeks_there_are_two_halves() -> None:
    """Of an odd number of days the first is left out; a single day has no halves."""
    assert days_of(a_period(*[150] * 6)) == [(0, 2), (3, 5)]
    assert days_of(a_period(*[150] * 5)) == [(1, 2), (3, 4)]
    assert days_of(a_period(900)) == []
    assert periods_of(a_period(1).take(np.zeros(1, np.bool_))) == []


def test_periods_of_few_visits_are_not_compared() -> None:
    """What differs there is chance."""
    assert days_of(a_period(199, 900)) == []
    assert days_of(a_period(200, 900)) == [(0, 0), (1, 1)]


def test_a_visit_over_midnight_belongs_to_where_it_began() -> None:
    """All of its points do."""
    data = a_period(300, 300, length=2)
    data.day[1] = 1
    first, second = periods_of(data)
    assert set(data.session[first]) & set(data.session[second]) == set()
    assert 1 in first
