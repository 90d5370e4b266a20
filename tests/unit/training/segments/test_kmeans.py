"""How many clusters there are: as many as hold when the visits are drawn again."""

from __future__ import annotations

import numpy as np
import pytest

from training.segments.kmeans import Trial, choose, explain, nearest, try_numbers


def blobs(*centres: tuple[float, float], visits: int = 300, spread: float = 0.3) -> np.ndarray:
    """Make visits of two points each around every centre, in order of visits."""
    random = np.random.default_rng(4)
    home = np.repeat(np.array(centres, float), visits, axis=0)
    points = np.repeat(home, 2, axis=0)
    return points + random.normal(0, spread, points.shape)


def visits_of(points: np.ndarray) -> np.ndarray:
    """Number the visits of `blobs`."""
    return np.arange(len(points)) // 2


@pytest.mark.parametrize(
    "centres",
    [((0, 0), (9, 0)), ((0, 0), (9, 0), (0, 9)), ((0, 0), (9, 0), (0, 9), (12, 12))],
)
def test_as_many_as_there_are(centres: tuple[tuple[float, float], ...]) -> None:
    """Two, three and four heaps well apart are found as such, up to their centres."""
    points = blobs(*centres)
    trials = try_numbers(points, visits_of(points), seed=1)
    k = choose(trials)
    assert k == len(centres)
    trial = trials[k]
    assert trial.stability > 0.99
    assert trial.separation > 0.8
    found = trial.centroids[nearest(np.array(centres, float), trial.centroids)]
    assert np.abs(found - np.array(centres)).max() < 0.2


def test_one_heap_has_no_clusters() -> None:
    """Cutting a round heap into parts isn't stable, so that there is nothing to name."""
    points = blobs((0, 0), visits=800, spread=1.0)
    wide = np.concatenate([points, np.random.default_rng(1).normal(0, 1, (len(points), 4))], axis=1)
    assert choose(try_numbers(wide, visits_of(points), seed=1)) is None


@pytest.mark.parametrize(
    ("stability", "separation", "expected"),
    [(0.8, 0.25, 4), (0.79, 0.9, 2), (0.9, 0.24, 2)],
)
def test_both_have_to_hold(stability: float, separation: float, expected: int) -> None:
    """The highest number with enough stability and enough separation is taken."""
    good = Trial(np.zeros((2, 1)), 0.97, 0.95, 0.6)
    doubtful = Trial(np.zeros((4, 1)), stability, 0.5, separation)
    assert choose({2: good, 4: doubtful}) == expected


def test_the_same_twice_to_the_bit() -> None:
    """Two trainings on one shop must give one bundle."""
    points = blobs((0, 0), (3, 0), (0, 3), spread=1.0)
    first, second = (try_numbers(points, visits_of(points), seed=1) for _ in range(2))
    for k, trial in first.items():
        assert trial.centroids.tobytes() == second[k].centroids.tobytes()
        assert trial.stability == second[k].stability
        assert trial.separation == second[k].separation


def test_visits_have_to_be_in_order() -> None:
    """A draw takes whole visits, whose points must lie together."""
    points = blobs((0, 0), (9, 0), visits=10)
    with pytest.raises(ValueError, match="in order of visits"):
        try_numbers(points, np.arange(len(points)) % 3, seed=1)


def weeks_of(*weeks: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Put the points of weeks one after the other; gives them and each week's places."""
    ends = np.cumsum([len(week) for week in weeks])
    places = [np.arange(end - len(week), end) for week, end in zip(weeks, ends, strict=True)]
    return np.concatenate(weeks), places


def test_weeks_that_are_alike_agree() -> None:
    """Clusters of one week are those of the next; without weeks nothing is said of them."""
    points, weeks = weeks_of(*[blobs((0, 0), (9, 0), (0, 9), visits=200)] * 3)
    trial = try_numbers(points, visits_of(points), 1, weeks)[3]
    assert trial.between_weeks == pytest.approx(1)
    assert trial.least_between_weeks == pytest.approx(1)
    assert try_numbers(points, visits_of(points), 1)[3].between_weeks is None


def test_what_another_week_cuts_elsewhere_does_not_hold() -> None:
    """Three heaps in all, of which the first week has two alone: three are cut by chance there."""
    first = blobs((0, 0), (9, 0), visits=600)
    second = blobs((0, 0), (9, 0), (0, 9), visits=400)
    points, weeks = weeks_of(first, second)
    trials = try_numbers(points, visits_of(points), 1, weeks)
    assert trials[3].stability > 0.9
    assert trials[3].between_weeks is not None
    assert trials[3].between_weeks < 0.8
    assert not trials[3].holds
    assert any(one.startswith("between weeks") for one in trials[3].falls_short())


def test_the_choice_is_explained() -> None:
    """In words: what holds, and why a higher number doesn't."""
    good = Trial(np.zeros((2, 1)), 0.97, 0.95, 0.6, 0.93, 0.9)
    moving = Trial(np.zeros((3, 1)), 0.97, 0.95, 0.6, 0.5, 0.4)
    assert choose({2: good, 3: moving}) == 2
    assert explain({2: good, 3: moving}) == (
        "2 clusters are the most that hold by every measure; 3 clusters: between weeks 0.50 is"
        " below 0.8"
    )
    assert explain({2: good}) == "2 clusters hold by every measure; no more are tried"
    thin = Trial(np.zeros((2, 1)), 0.7, 0.95, 0.2)
    assert explain({2: thin}) == (
        "2 clusters: stability 0.70 is below 0.8, separation 0.20 is below 0.25"
    )
