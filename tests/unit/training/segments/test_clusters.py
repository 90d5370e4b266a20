"""Fitting clusters: levels of depth are found, named, and stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.features.catalogue import FEATURE_FAMILIES
from micromoment.scoring.clusters import ClusterFile, Clusters
from training.models.rows import DecisionRows
from training.segments.clusters import FEATURES, fit_clusters, standardise
from training.segments.kmeans import nearest

Maker = Callable[..., tuple[DecisionRows, np.ndarray]]


@pytest.fixture(scope="module")
def fitted(shop: Maker) -> tuple[DecisionRows, np.ndarray, ClusterFile]:
    """A shop's decision points, their levels, and its clusters."""
    rows, levels = shop(1_500)
    return rows, levels, fit_clusters(rows)


def test_the_levels_of_a_shop_are_found(fitted: tuple) -> None:
    """Visits end as bouncers, window-shoppers and deep shoppers; on their way they browse."""
    rows, levels, file = fitted
    names = ["bouncers", "brief-browsers", "window-shoppers", "deep-shoppers"]
    assert [one.id for one in file.clusters] == names
    assert [one.number for one in file.clusters] == [1, 6, 2, 3]
    numbers = Clusters(file, rows.feature_names).numbers(rows.features)
    last = np.append(rows.session[1:] != rows.session[:-1], True)
    for level, number in enumerate((1, 2, 3)):
        assert (numbers[last & (levels == level)] == number).mean() > 0.95


def test_the_file_states_how_the_number_was_chosen(fitted: tuple) -> None:
    """Stability and separation stand there for each number that was tried."""
    rows, _, file = fitted
    assert set(file.quality["by_number"]) == {"2", "3", "4"}
    assert file.quality["chosen"] == len(file.clusters)
    assert file.quality["visits"] == 1_500
    for trial in file.quality["by_number"].values():
        weeks = {"between_weeks", "least_between_weeks"}
        assert set(trial) == {"stability", "least_stability", "separation", *weeks}
        assert {trial[name] for name in weeks} == {None}  # all is of one day
        assert trial["least_stability"] <= trial["stability"] <= 1
    assert sum(one.share for one in file.clusters) == pytest.approx(1, abs=1e-5)
    numbers = Clusters(file, rows.feature_names).numbers(rows.features)
    for one in file.clusters:
        assert one.share == pytest.approx((numbers == one.number).mean(), abs=1e-6)


def test_serving_assigns_as_training_did(fitted: tuple) -> None:
    """The compiled search and the arrays that k-means worked on say the same."""
    rows, _, file = fitted
    centroids = np.array([one.centroid for one in file.clusters])
    labels = nearest(standardise(rows, file.dimensions), centroids)
    numbers = Clusters(file, rows.feature_names).numbers(rows.features)
    assert np.array_equal(np.array([one.number for one in file.clusters])[labels], numbers)


def test_only_behaviour_makes_clusters() -> None:
    """No outcome, no score, and no encoding or popularity, which are learned from outcomes."""
    learned = {
        spec.name
        for family in ("encodings", "popularity", "sequence", "user", "customer")
        for spec in FEATURE_FAMILIES[family].FEATURES
    }
    assert not learned & set(FEATURES)


def test_the_label_does_not_matter(shop: Maker, fitted: tuple) -> None:
    """With every outcome turned around the file is the same."""
    rows, _ = shop(1_500)
    turned = DecisionRows(
        rows.features,
        rows.feature_names,
        ~rows.label,
        rows.events_seen,
        rows.session,
        rows.visitor,
        rows.day,
    )
    assert fit_clusters(turned) == fitted[2]


def test_training_again_gives_the_same_file(fitted: tuple) -> None:
    """On the same data, with or without the clusters of before at hand."""
    rows, _, file = fitted
    assert fit_clusters(rows).model_dump_json() == file.model_dump_json()
    assert fit_clusters(rows, file).model_dump_json() == file.model_dump_json()


def test_another_week_keeps_the_names_that_were_given(shop: Maker, fitted: tuple) -> None:
    """Number, id, name and meaning are those of the bundle before, whatever it called them."""
    renamed = fitted[2].model_copy(
        update={
            "clusters": tuple(
                one.model_copy(update={"number": one.number + 20, "id": f"own-{one.id}"})
                for one in fitted[2].clusters
            )
        }
    )
    week, _ = shop(1_200, seed=7)
    found = fit_clusters(week, renamed)
    assert [(one.number, one.id) for one in found.clusters] == [
        (one.number, one.id) for one in renamed.clusters
    ]
    assert found.retired == ()
    assert [one.centroid for one in found.clusters] != [one.centroid for one in renamed.clusters]


def test_more_days_keep_ids_and_names(shop: Maker, fitted: tuple) -> None:
    """A retraining that takes a second day in calls the same clusters the same."""
    rows, _, file = fitted
    later, _ = shop(1_000, seed=5)
    later = replace(later, session=later.session + 10_000, day=later.day + 1)
    both = DecisionRows(
        feature_names=rows.feature_names,
        **{
            name: np.concatenate([getattr(rows, name), getattr(later, name)])
            for name in ("features", "label", "events_seen", "session", "visitor", "day")
        },
    )
    found = fit_clusters(both, file)
    assert [(one.number, one.id, one.name, one.meaning) for one in found.clusters] == [
        (one.number, one.id, one.name, one.meaning) for one in file.clusters
    ]
    assert found.quality["periods"] == 2
    chosen = found.quality["by_number"][str(found.quality["chosen"])]
    assert chosen["between_weeks"] >= 0.8


def test_a_cluster_that_is_gone_is_retired(fitted: tuple) -> None:
    """Its number is kept so that no other cluster gets it."""
    rows, _, file = fitted
    gone = file.clusters[0].model_copy(
        update={"number": 30, "id": "gone", "centroid": (9.0,) * len(file.dimensions)}
    )
    previous = file.model_copy(update={"clusters": (*file.clusters, gone), "retired": (31,)})
    found = fit_clusters(rows, previous)
    assert found.retired == (30, 31)
    assert [one.number for one in found.clusters] == [1, 6, 2, 3]


def test_too_few_visits_are_said_so(shop: Maker) -> None:
    """The reason names how many there are and how many are needed."""
    rows, _ = shop(120)
    with pytest.raises(NotEnoughDataError, match="120 visits; 500 are needed"):
        fit_clusters(rows)


def test_visits_that_are_all_alike_have_none(shop: Maker) -> None:
    """Nothing varies, so there is nothing to tell them apart by."""
    rows, _ = shop(600)
    rows = rows.take(rows.events_seen == 1)
    rows.features[:] = 1
    with pytest.raises(NotEnoughDataError, match="alike"):
        fit_clusters(rows)
