"""Visits summed up for portraits: how they stood at their last point before the order."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from micromoment.events.vocabulary import PageType
from tests.support.scored_points import scored_rows
from training.segments.visits import visits_of


def summed(*rows: dict[str, Any], begun: bool = False) -> pd.DataFrame:
    """Sum up visits with the clusters few and many and the audiences x and y."""
    return visits_of(scored_rows(*rows), ["few", "many"], ["x", "y"], begun=begun)


def test_a_visit_is_as_it_stood_before_its_order() -> None:
    """Rows of the order and after it say nothing, nor do rows inside a batch."""
    found = summed(
        {"n_events": 1, "label": True, "cluster": "few"},
        {"n_events": 3, "label": True, "cluster": "many", "median_view_price": 12.5},
        {"n_events": 9, "converted": True, "cluster": "few"},
        {"n_events": 9, "label": True, "batch_last": False},
        {"n_events": 9, "label": True, "after_order": True},
    )
    (visit,) = found.to_dict("records")
    assert (visit["n_events"], visit["points"], visit["cluster"]) == (3, 2, "many")
    assert visit["bought"]
    assert visit["median_view_price"] == 12.5


def test_points_are_counted_by_cluster_and_audience() -> None:
    """Also of visits that interleave, and of two visits of one session."""
    found = summed(
        {"session": "a", "cluster": "few", "audiences": ["x"]},
        {"session": "b", "cluster": "many", "audiences": ["x", "y"]},
        {"session": "a", "cluster": "many", "audiences": []},
        {"session": "a", "epoch": 1, "cluster": "few", "audiences": ["y"]},
    )
    counted = found[["cluster:few", "cluster:many", "audience:x", "audience:y"]]
    assert sorted(map(tuple, counted.to_numpy().tolist())) == [
        (0, 1, 1, 1),
        (1, 0, 0, 1),
        (1, 1, 1, 0),
    ]
    assert sorted(found["points"]) == [1, 1, 2]


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        ([{"n_page_views": 1}], ("unspecified", "leave")),
        ([{"n_page_views": 3}], ("unspecified", "pages", "leave")),
        (
            [{"n_searches": 1}, {"n_searches": 1, "n_item_views": 1, "n_list_views": 1}],
            ("unspecified", "search", "list", "product", "leave"),
        ),
        (
            [{"n_cart_adds": 1, "label": True}, {"n_item_views": 2, "n_cart_adds": 1}],
            ("unspecified", "cart", "product", "leave"),
        ),
        (
            [{"n_checkout_steps": 1, "label": True}],
            ("unspecified", "checkout", "order"),
        ),
        ([{"n_list_pages": 1, "landing_page_type": PageType.LIST}], ("list", "leave")),
        ([{"n_list_pages": 2, "landing_page_type": PageType.LIST}], ("list", "list", "leave")),
        ([{"n_list_pages": 1, "landing_page_type": PageType.HOME}], ("home", "list", "leave")),
    ],
)
def test_a_path_is_told_by_first_times(rows: list[dict[str, Any]], path: tuple[str, ...]) -> None:
    """Steps come as they first happened, those of one moment in the order of the funnel.

    What the landing page says is not told again before its second time.
    """
    assert summed(*rows)["path"].tolist() == [path]


def test_sessions_whose_beginning_is_elsewhere_can_be_left_out() -> None:
    """Of a session that goes on from the day before only a part is among the rows."""
    rows = ({"session": "a", "seq": 4}, {"session": "b", "seq": 1})
    assert len(summed(*rows)) == 2
    assert len(summed(*rows, begun=True)) == 1


def test_without_decision_points_there_are_no_visits() -> None:
    """A part may hold orders alone."""
    assert len(summed({"converted": True})) == 0
    assert len(summed()) == 0
