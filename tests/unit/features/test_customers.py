"""Customers at given times, many at once."""

import numpy as np
import pytest

from micromoment.features.catalogue import FEATURES
from micromoment.features.customers import describe_customers
from micromoment.features.session import describe_session
from micromoment.features.tables import Tables, tables_to_arrays
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus
from tests.support.events import DAY, START_US
from tests.support.folding import NEUTRAL, random_tables, taken_up

N = 200


def random_rows(seed: int = 3) -> np.ndarray:
    """Make snapshot rows of small counts, and times of the year before `START_US`."""
    random = np.random.default_rng(seed)
    rows = np.zeros(N, USER_SNAPSHOT)
    for name in USER_SNAPSHOT.names or ():
        rows[name] = random.integers(0, 40, N)
    for name in ("snapshot_time", "first_seen", "last_seen", "first_order", "last_order"):
        rows[name] = START_US - random.integers(0, 365 * DAY, N)
    rows["last_order"][::3] = 0
    rows["order_gap_us"] = np.where(random.random(N) < 0.5, 0, random.integers(DAY, 90 * DAY, N))
    return rows


def of_fold(tables: Tables, fold: int) -> Tables:
    """Make tables that serve what a fold holds."""
    arrays = tables_to_arrays(tables)
    kept = {k: v if k.endswith("_keys") else v[fold : fold + 1] for k, v in arrays.items()}
    return Tables(**kept)


def test_each_is_described_as_in_serving() -> None:
    """Bit by bit the batch is what a session without events gives that takes the row up then."""
    random = np.random.default_rng(5)
    rows, tables = random_rows(), random_tables(6)
    times = START_US + random.integers(0, 30 * DAY, N)
    folds = random.integers(0, 6, N)
    features = describe_customers(rows, times, tables, folds)
    assert features.dtype == FEATURES
    for place in range(N):
        lookup = UserLookup(UserStatus.FOUND, rows[place : place + 1])
        now = int(times[place])
        one = describe_session(taken_up(lookup, now), now, of_fold(tables, int(folds[place])))
        assert features[place : place + 1].tobytes() == one.tobytes()


def test_nobody_makes_no_rows() -> None:
    """Of no customers there are no features."""
    nothing = np.zeros(0, np.int64)
    assert len(describe_customers(np.zeros(0, USER_SNAPSHOT), nothing, NEUTRAL, nothing)) == 0


@pytest.mark.parametrize(
    ("times", "folds", "message"),
    [(2, 3, "entries"), (3, 2, "entries"), (3, 3, "not among the tables' 1")],
)
def test_what_does_not_fit_is_refused(times: int, folds: int, message: str) -> None:
    """Arrays of other lengths and a fold that isn't there are errors."""
    rows = np.zeros(3, USER_SNAPSHOT)
    with pytest.raises(ValueError, match=message):
        describe_customers(rows, np.zeros(times, np.int64), NEUTRAL, np.ones(folds, np.int64))
