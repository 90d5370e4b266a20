"""What a visit has shown, for judging models by what can be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.simulator import DecisionPoints, SimulatedShop, observables, point_keys
from training.simulator.shopping.codes import Kind, Page
from training.simulator.shopping.rhythm import DAY_US


@pytest.fixture(scope="module")
def shown(shop: SimulatedShop, points: DecisionPoints) -> pd.DataFrame:
    """What all decision points of the shop show."""
    return observables(shop, points)


def test_points_keep_their_order(points: DecisionPoints, shown: pd.DataFrame) -> None:
    """There is one row per point, and it is that point's."""
    assert (shown["step"] == points.step).all()
    assert len(shown) == len(points)


def test_a_part_shows_what_the_whole_does(
    shop: SimulatedShop, points: DecisionPoints, shown: pd.DataFrame
) -> None:
    """A point's row does not depend on which others are asked for."""
    some = np.random.default_rng(0).permutation(len(points))[:500]
    part = observables(shop, points.take(some))
    pd.testing.assert_frame_equal(part, shown.iloc[some].reset_index(drop=True))


def test_nothing_is_known_ahead(
    shop: SimulatedShop, points: DecisionPoints, shown: pd.DataFrame
) -> None:
    """What happens later, in the same visit and in others, changes nothing."""
    moment = shop.config.start_us + 10 * DAY_US + DAY_US // 2
    sessions = shop.sessions.copy()
    sessions["converted"][sessions["end_us"] > moment] = 0
    until_then = replace(shop, sessions=sessions, rows=shop.rows[shop.rows["time_us"] <= moment])
    early = points.time_us <= moment
    assert (shop.sessions["converted"] != sessions["converted"]).sum() > 50
    expected = shown[early].reset_index(drop=True)
    pd.testing.assert_frame_equal(observables(until_then, points.take(early)), expected)


def test_counts_are_those_of_the_visit_so_far(
    shop: SimulatedShop, points: DecisionPoints, shown: pd.DataFrame
) -> None:
    """Rows of a kind are counted up to the batch, additions by what was added."""
    rows = shop.rows
    for place in range(0, len(points), 9_001):
        session, step = points.session[place], points.step[place]
        before = rows[(rows["session"] == session) & (rows["step"] <= step)]
        added = before[before["kind"] == Kind.ADD_TO_CART]
        assert shown["n_page_view"][place] == (before["kind"] == Kind.PAGE_VIEW).sum()
        assert shown["n_add_to_cart"][place] == len(added)
        price = shop.catalogue.shop.price[added["item"]].sum()
        if not shown["cart_shown"][place]:
            assert shown["cart_value"][place] == pytest.approx(price)


def test_hidden_carts_stay_hidden(
    shop: SimulatedShop, points: DecisionPoints, shown: pd.DataFrame
) -> None:
    """A cart of the visit before is known by that visit's end, not by this one's state."""
    first = shown[points.step == 1]
    elsewhere = first[first["n_view_cart"] == 0]
    assert (elsewhere["cart_lines"] == 0).all()
    assert (elsewhere["cart_left"] > 0).sum() > 100
    assert (first["cart_lines"] > 0).any()


def test_the_mission_stays_hidden(points: DecisionPoints, shown: pd.DataFrame) -> None:
    """What the shopper came for shows when a shelf does, not on the front page."""
    home = shown[(points.step == 1) & (shown["page"] == Page.HOME)]
    assert len(home) > 1_000
    assert home["shelf"].isna().all()


def test_keys_name_each_point_once(shop: SimulatedShop, points: DecisionPoints) -> None:
    """Visitor, session and time of a point are unique, as the export has them."""
    keys = point_keys(shop, points).to_pandas()
    assert list(keys) == ["user_pseudo_id", "ga_session_id", "event_timestamp"]
    assert not keys.duplicated().any()
    assert (keys["event_timestamp"] == points.time_us).all()
