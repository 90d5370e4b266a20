from dataclasses import replace

import numpy as np
import pytest

from training.simulator import DecisionPoints, ShopConfig, SimulatedShop, simulate
from training.simulator.shopping.codes import Kind, Page
from training.simulator.shopping.emission import complete, new_batch
from training.simulator.shopping.records import VISIT
from training.simulator.shopping.visit import step

HALF_HOUR_US = 30 * 60 * 1_000_000


def test_the_same_config_gives_the_same_shop(small_config: ShopConfig) -> None:
    """Two simulations of one config agree bit for bit; another seed gives another shop."""
    first, second = simulate(small_config), simulate(small_config)
    for name in ("shoppers", "sessions", "openings", "rows"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    other = simulate(replace(small_config, seed=12))
    assert first.rows.tobytes() != other.rows.tobytes()


def test_a_session_replays_from_its_opening(shop: SimulatedShop) -> None:
    """The opening and the stream of a session are enough to give its rows again."""
    longest = np.argsort(np.bincount(shop.rows["session"]))[-3:]
    for session in [0, 1, *longest]:
        record = shop.sessions[session]
        rng = np.array([record["stream"]])
        visit = np.zeros(1, VISIT)
        visit[0] = shop.openings[session]
        batch = new_batch()
        again = []
        while visit[0]["ended"] == 0:
            step(shop.catalogue.shop, shop.shoppers[record["shopper"]], visit[0], rng, batch)
            complete(batch, visit[0])
            again += [batch.rows[: batch.size[0]].copy()]
        rows = shop.rows[shop.rows["session"] == session].copy()
        rows["session"] = 0
        replayed = np.concatenate(again)
        replayed["session"] = 0
        assert (replayed == rows).all()


def test_traffic_and_conversion_come_out_as_asked(shop: SimulatedShop) -> None:
    """Sessions a day and the share that converts lie within sampling error of the config."""
    sessions = shop.sessions
    assert sessions.size / shop.config.days == pytest.approx(600, rel=0.06)
    assert sessions["converted"].mean() == pytest.approx(0.03, abs=0.007)


def test_a_higher_target_converts_more(small_config: ShopConfig) -> None:
    """The target conversion is a dial."""
    eager = simulate(replace(small_config, target_conversion=0.1))
    assert 0.07 < eager.sessions["converted"].mean() < 0.13


def test_batches_of_a_session_follow_each_other(shop: SimulatedShop) -> None:
    """Within a session time rises from batch to batch, and no pause would end a GA4 session."""
    rows = shop.rows
    same = np.diff(rows["session"]) == 0
    gaps = np.diff(rows["time_us"])[same]
    new_batch_starts = np.diff(rows["step"])[same] > 0
    assert (gaps[new_batch_starts] > 0).all()
    assert gaps.max() < HALF_HOUR_US
    inside = ~new_batch_starts & (rows["kind"][1:][same] != Kind.PURCHASE)
    assert (gaps[inside] == 0).all()


def test_shoppers_come_back_with_a_past(shop: SimulatedShop) -> None:
    """A third of the sessions are returns, and those convert more than first visits."""
    again = shop.sessions["number"] > 1
    assert 0.2 < again.mean() < 0.5
    converted = shop.sessions["converted"]
    assert converted[again].mean() > 1.5 * converted[~again].mean()


def test_some_sessions_of_a_visitor_overlap(shop: SimulatedShop) -> None:
    """A few visitors have two sessions at once."""
    order = np.lexsort((shop.sessions["start_us"], shop.sessions["shopper"]))
    sessions = shop.sessions[order]
    same = np.diff(sessions["shopper"]) == 0
    overlap = same & (sessions["start_us"][1:] < sessions["end_us"][:-1])
    assert 5 < overlap.sum() < 0.03 * sessions.size


def test_the_week_and_the_day_have_a_rhythm(shop: SimulatedShop) -> None:
    """Mondays see more visits than Saturdays, and evenings more than nights."""
    start_us = shop.sessions["start_us"]
    weekday = (start_us // 86_400_000_000 + 3) % 7
    hour = start_us // 3_600_000_000 % 24
    assert (weekday == 0).sum() > (weekday == 5).sum()
    assert (hour == 20).sum() > 3 * (hour == 4).sum()


def test_decision_points_end_before_the_order(shop: SimulatedShop, points: DecisionPoints) -> None:
    """No decision point is a confirmation page or comes after it; each session has its first."""
    bought = shop.rows[shop.rows["kind"] == Kind.PURCHASE]
    first_order = dict(zip(bought["session"][::-1], bought["time_us"][::-1], strict=True))
    confirmations = shop.rows[shop.rows["page"] == Page.CONFIRMATION]
    shown = set(zip(confirmations["session"], confirmations["step"], strict=True))
    for session, step_number, time_us in zip(
        points.session, points.step, points.time_us, strict=True
    ):
        assert (session, step_number) not in shown
        assert time_us < first_order.get(session, shop.config.end_us)
    whole = shop.sessions["end_us"] < shop.config.end_us
    assert set(points.session[points.step == 1]) == set(np.flatnonzero(whole))
    assert set(points.session[points.converts]) <= set(first_order)
