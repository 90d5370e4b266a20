"""Customers at cuts: who is asked about, what came of them, and that no feature knows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from micromoment.errors import InvalidDataError
from micromoment.features.tables import neutral_tables
from tests.support.happenings import Happening, moment, write_events
from tests.support.shoppers import SHOP, customers, order, view
from training.churn.cuts import CutPlan
from training.churn.population import customers_at, labelled_visitors
from training.churn.rows import ChurnRows, CustomerHistory, churn_rows
from training.churn.target import Target
from training.feature_store import FeatureWorkspace, apply
from training.snapshots import build_user_snapshots
from training.snapshots.cuts import cut_at

FIRST = date(2021, 1, 1)
LAG = timedelta(hours=1)
CUT = date(2021, 1, 15)
PURCHASE = CutPlan(Target("purchase", 10), (CUT,))
ACTIVITY = CutPlan(Target("activity", 7), (CUT,))
END = date(2021, 2, 10)


def on(day: int) -> date:
    """Give the shop-day so many days after the cut."""
    return CUT + timedelta(days=day)


def cancelled(visitor: str, number: int, day: date) -> Happening:
    """Undo an order as a whole."""
    return Happening(
        moment(day, 15, shop=SHOP), user_id=visitor, type="cancel", order_id=f"{visitor}-{number}"
    )


def snapshots(folder: Path, happenings: list[Happening]) -> CustomerHistory:
    """Cut snapshots of all midnights from the first event's day to `END`."""
    events = write_events(folder / "events", happenings, SHOP)
    workspace = FeatureWorkspace(folder / "features")
    build_user_snapshots(
        events,
        workspace.snapshots,
        shop=SHOP,
        first_day=FIRST,
        last_day=END,
        publish_lag=LAG,
    )
    apply(workspace)
    return CustomerHistory(workspace, SHOP, LAG, neutral_tables())


def labels(history: CustomerHistory, plan: CutPlan) -> dict[str, bool]:
    """Give who churned, by visitor, at the plan's one cut."""
    ((_, table),) = labelled_visitors(history.workspace.snapshots, plan, SHOP, 1_000)
    return dict(zip(table["visitor_id"].to_pylist(), table["churned"].to_pylist(), strict=True))


def of_the_window(history: CustomerHistory) -> dict[str, tuple[int, float]]:
    """Give number and value of the window's orders, by visitor."""
    ((_, table),) = labelled_visitors(history.workspace.snapshots, PURCHASE, SHOP, 1_000)
    columns = (table[name].to_pylist() for name in ("visitor_id", "orders", "value"))
    return {name: (orders, value) for name, orders, value in zip(*columns, strict=True)}


def test_what_comes_is_what_stands_at_the_window_s_end(tmp_path: Path) -> None:
    """Orders and values add up, less what is undone meanwhile; who came back has one order."""
    happenings = [
        *(order(name, on(-5), 0) for name in ("twice", "swap", "back")),
        order("twice", on(1), 1),
        replace(order("twice", on(2), 2), value_micros=25_500_000),
        order("twice", on(11), 3),
        order("swap", on(1), 1),
        cancelled("swap", 0, on(2)),
        order("back", on(-3), 1),
        cancelled("back", 0, on(2)),
    ]
    assert of_the_window(snapshots(tmp_path, happenings)) == {
        "twice": (2, 35.5),
        "swap": (1, 0),
        "back": (0, 0),
    }


def test_who_churned_by_orders(tmp_path: Path) -> None:
    """The window is whole days from the cut on; an undone order goes by when it was undone."""
    happenings = [
        *(order(name, on(-5), 0) for name in ("none", "first", "last", "after", "undone", "late")),
        order("first", CUT, 1, hour=0),
        order("last", on(9), 1, hour=23),
        order("after", on(10), 1, hour=0),
        order("undone", on(3), 1),
        cancelled("undone", 1, on(6)),
        order("late", on(3), 1),
        cancelled("late", 1, on(12)),
        order("new", on(2), 0),  # no customer yet at the cut
        order("gone", on(-9), 0),  # not one any more
        cancelled("gone", 0, on(-8)),
        view("visitor", on(-1), 0),
    ]
    history = snapshots(tmp_path, happenings)
    assert labels(history, PURCHASE) == {
        "none": True,
        "first": False,
        "last": False,
        "after": True,
        "undone": True,
        "late": False,
    }
    assert of_the_window(history) == {
        "none": (0, 0),
        "first": (1, 10),
        "last": (1, 10),
        "after": (0, 0),
        "undone": (0, 0),
        "late": (1, 10),
    }
    known = customers_at(history.workspace.snapshots, cut_at(CUT, SHOP), 100)
    assert sorted(known.to_pylist()) == ["after", "first", "last", "late", "none", "undone"]


def test_who_churned_by_visits(tmp_path: Path) -> None:
    """Asked about is who came on the 7 days before; coming on any of the 7 after is staying."""
    happenings = [
        *(view(name, on(-1), 0) for name in ("none", "first", "last", "after")),
        view("week", on(-7), 0),
        view("longer", on(-8), 0),
        view("new", CUT, 0),
        view("first", CUT, 1),
        view("last", on(6), 1),
        view("after", on(7), 1),
    ]
    assert labels(snapshots(tmp_path, happenings), ACTIVITY) == {
        "none": True,
        "first": False,
        "last": False,
        "after": True,
        "week": True,
    }


def test_features_know_nothing_of_the_window(tmp_path: Path) -> None:
    """Whatever is planted from the cut on, features stay the same bits; labels follow it."""
    past = list(customers(FIRST, 14, 60))
    future = [order(f"c{place}", on(place % 9), 90 + place) for place in range(0, 60, 2)]
    planted = [*(replace(one, value_micros=987_000_000, on_sale=True) for one in future)]
    planted += [view(f"c{place}", on(1), place) for place in range(60)]
    planted += [cancelled(one.user_id or "", 0, CUT) for one in past[:20]]
    plain = churn_rows(snapshots(tmp_path / "plain", past), PURCHASE, 1_000)
    with_leak = churn_rows(snapshots(tmp_path / "leak", [*past, *planted]), PURCHASE, 1_000)
    assert len(plain) > 40
    assert np.array_equal(plain.visitor, with_leak.visitor)
    assert plain.features.tobytes() == with_leak.features.tobytes()
    assert plain.label.all()
    assert 10 < with_leak.label.sum() < len(plain)


def test_labels_know_nothing_of_what_follows_the_window(tmp_path: Path) -> None:
    """Orders and cancellations after it change neither labels nor features."""
    past = [*customers(FIRST, 24, 60)]
    later = [order(f"c{place}", on(10 + place % 5), 90 + place) for place in range(60)]
    later += [cancelled(one.user_id or "", 0, on(11)) for one in past[:20]]
    plain = churn_rows(snapshots(tmp_path / "plain", past), PURCHASE, 1_000)
    more = churn_rows(snapshots(tmp_path / "more", [*past, *later]), PURCHASE, 1_000)
    assert plain.label.tolist() == more.label.tolist()
    assert plain.features.tobytes() == more.features.tobytes()


def test_features_are_those_of_the_cut(tmp_path: Path) -> None:
    """Ages run to the cut, by the snapshot that was published after it."""
    rows = churn_rows(
        snapshots(tmp_path, [order("a", on(-5), 0), order("a", on(-2), 1)]), PURCHASE, 10
    )
    assert rows.column("customer_orders").tolist() == [2]
    assert rows.column("customer_recency_days").tolist() == [1.5]
    assert rows.column("customer_order_age_days").tolist() == [4.5]
    assert rows.cut.tolist() == [CUT.toordinal()]


def test_a_snapshot_from_after_the_cut_is_refused(tmp_path: Path) -> None:
    """Were a later snapshot published before its time, the join would leak: it is an error."""
    history = snapshots(tmp_path, [order("a", on(-5), 0)])
    with pytest.raises(InvalidDataError, match="visitor a has none from before the cut"):
        churn_rows(replace(history, publish_lag=timedelta(days=2)), PURCHASE, 10)


def test_above_the_bound_some_visitors_stay_with_all_their_cuts(tmp_path: Path) -> None:
    """A share of the visitors is taken, the same at each cut."""
    history = snapshots(tmp_path, list(customers(FIRST, 10, 200, leaves=1.0)))
    plan = CutPlan(Target("purchase", 10), (on(-2), CUT))
    everybody = churn_rows(history, plan, 10_000)
    some = churn_rows(history, plan, 100)
    assert len(everybody) == 400
    assert 50 < len(some) <= 150
    assert _visitors(some, 0) == _visitors(some, 1)
    assert _visitors(some, 0) < _visitors(everybody, 0)


def _visitors(rows: ChurnRows, cut: int) -> set[int]:
    return set(rows.visitor[rows.cut == np.unique(rows.cut)[cut]].tolist())
