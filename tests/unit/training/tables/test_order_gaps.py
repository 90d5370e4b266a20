"""The shop's median order gap: by hand, and without the customers that it measures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import ConsentState, EventType
from micromoment.features.tables import N_FOLDS
from tests.support.events import DAY, MINUTE, PLAIN_SHOP, START_US, AnEvent, an_event, to_table
from training.replay.partition import PART_SCHEMA
from training.replay.run import ReplaySettings
from training.tables.order_gaps import MIN_GAPS, PURCHASE, collect_purchases, fit_order_gaps


def write_part(path: Path, events: Sequence[AnEvent]) -> Path:
    """Write events as one part."""
    table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
    pq.write_table(table.cast(PART_SCHEMA), path)
    return path


def a_purchase(visitor: str, day: float, **fields: object) -> AnEvent:
    """Make a visitor's purchase so many days after `START_US`, in a visit of its own."""
    given = {
        "event_id": f"{visitor}-{day}",
        "session_id": f"{visitor}-{day}",
        "anonymous_id": visitor,
        "event_time": START_US + round(day * DAY),
        **fields,
    }
    return an_event(type=EventType.PURCHASE, **given)  # type: ignore[arg-type] # a test's own


def fit(tmp_path: Path, *parts: Sequence[AnEvent], shop: Shop = PLAIN_SHOP) -> np.ndarray:
    """Collect the purchases of some parts and fit the gaps."""
    paths = [write_part(tmp_path / f"{n}.parquet", part) for n, part in enumerate(parts)]
    return fit_order_gaps(collect_purchases(paths, ReplaySettings(shop)))


def customers(gap_of: dict[str, float]) -> list[AnEvent]:
    """Let each visitor buy twice, so many days apart."""
    return [a_purchase(name, day) for name, gap in gap_of.items() for day in (0, gap)]


EVENLY = {f"v{n}": 1.0 + n for n in range(2 * MIN_GAPS + 1)}


def test_the_median_over_all_gaps(tmp_path: Path) -> None:
    """Each customer with two order days gives a gap; the median of 1 to 41 days is 21."""
    events = customers(EVENLY)
    once = [a_purchase("once", 0)]
    assert fit(tmp_path, events, once)[0] == 21
    # A customer's orders may lie in several parts.
    assert fit(tmp_path, events[::2], events[1::2])[0] == 21


def test_orders_of_one_day_are_one(tmp_path: Path) -> None:
    """What follows on the same day of the shop makes no gap, and gaps run from the day's first."""
    again = [a_purchase(name, 0.25) for name in EVENLY]
    assert fit(tmp_path, [*customers(EVENLY), *again])[0] == 21
    # 14:01 UTC, two minutes before midnight and one after it in this shop.
    shop = Shop("", "Asia/Vladivostok")
    minutes = [a_purchase(f"v{n}", day) for n in range(MIN_GAPS)
               for day in (237 * MINUTE / DAY, 241 * MINUTE / DAY)]  # fmt: skip
    assert fit(tmp_path, minutes, shop=shop)[0] == pytest.approx(4 * MINUTE / DAY)
    assert fit(tmp_path, minutes)[0] == 0


def test_too_few_gaps_tell_nothing(tmp_path: Path) -> None:
    """Below `MIN_GAPS` the shop's gap is not known, and no orders at all are no error."""
    few = dict(list(EVENLY.items())[: MIN_GAPS - 1])
    assert fit(tmp_path, customers(few)).tolist() == [0] * (1 + N_FOLDS)
    assert fit(tmp_path, [an_event()]).tolist() == [0] * (1 + N_FOLDS)


def test_bots_and_those_who_denied_are_left_out(tmp_path: Path) -> None:
    """User snapshots don't hold their orders either."""
    events = customers(EVENLY)
    others = [replace(event, is_bot=True) for event in customers({f"b{n}": 90 for n in range(99)})]
    denied = [
        replace(event, analytics=ConsentState.DENIED)
        for event in customers({f"d{n}": 90 for n in range(99)})
    ]
    assert fit(tmp_path, [*events, *others, *denied])[0] == 21


@pytest.mark.parametrize("fold", range(N_FOLDS))
def test_a_fold_s_gap_never_sees_its_own_customers(fold: int) -> None:
    """Whatever those do who ordered in a visit of a part, the gap that measures them stays."""
    random = np.random.default_rng(2)
    purchases = np.zeros(600, PURCHASE)
    purchases["visitor"] = random.integers(0, 150, 600)
    purchases["day"] = random.integers(0, 60, 600)
    purchases["time"] = purchases["day"] * DAY + random.integers(0, DAY, 600)
    purchases["fold"] = purchases["visitor"] % N_FOLDS
    # Some were another visitor yet when one of their visits began.
    purchases["fold"][:20] = random.integers(0, N_FOLDS, 20)
    own = np.unique(purchases["visitor"][purchases["fold"] == fold])
    changed = purchases.copy()
    changed["time"][np.isin(changed["visitor"], own)] *= 3
    before, after = fit_order_gaps(purchases), fit_order_gaps(changed)
    assert after[1 + fold] == before[1 + fold] > 0
    assert after[0] != before[0]
