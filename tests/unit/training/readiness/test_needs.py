"""Whether and when there is enough data, beside what training itself does with as much."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from training.models.rows import DecisionRows
from training.pipeline.blocks import forward_blocks
from training.pipeline.splits import MIN_BUYERS, usable_splits
from training.readiness.check import cluster_need, conversion_needs
from training.readiness.needs import Readiness, growing, spanning
from training.readiness.table import readiness_table, verdict
from training.segments.clusters import MIN_VISITS, fit_clusters
from training.segments.fit import _SHOWN as SHOWN

FIRST = date(2024, 3, 4)


def days_of(count: int) -> list[date]:
    """Give so many days in a row."""
    return [FIRST + timedelta(days=one) for one in range(count)]


def visits(by_day: list[int], buyers: list[int]) -> DecisionRows:
    """Make visits of one event each, so many a day, so many of them with an order to come."""
    day = np.repeat([one.toordinal() for one in days_of(len(by_day))], by_day)
    label = np.concatenate([np.arange(n) < b for n, b in zip(by_day, buyers, strict=True)])
    n = len(day)
    return DecisionRows(
        features=np.ones((n, len(SHOWN)), np.float32),
        feature_names=SHOWN,
        label=label,
        events_seen=np.ones(n, np.int64),
        session=np.arange(n),
        visitor=np.arange(n),
        day=day,
    )


@pytest.mark.parametrize("later", [MIN_BUYERS - 1, MIN_BUYERS])
@pytest.mark.parametrize("fit", [MIN_BUYERS - 1, MIN_BUYERS])
def test_enough_for_conversion_is_where_training_goes_on(fit: int, later: int) -> None:
    """On both sides of the limit, of days to fit on and of days to calibrate on."""
    rows = visits([30] * 5, [fit - 15, 5, 5, 5, later])
    days = days_of(5)
    needs = conversion_needs(rows, days)
    ready = all(need.enough for need in needs)
    assert [need.there for need in needs] == [5, fit, later]
    assert ready == (fit >= MIN_BUYERS and later >= MIN_BUYERS)
    if ready:
        assert usable_splits(rows, forward_blocks(days))
    else:
        with pytest.raises(NotEnoughDataError, match=f"{MIN_BUYERS} are needed"):
            usable_splits(rows, forward_blocks(days))


def test_too_few_days_are_said_as_training_says_them() -> None:
    """Two days are no walk forward."""
    (need,) = conversion_needs(visits([40, 40], [20, 20]), days_of(2))
    assert not need.enough
    assert need.days_left == 1
    with pytest.raises(NotEnoughDataError):
        forward_blocks(days_of(2))


def test_the_days_left_make_it_enough() -> None:
    """Data that go on at the same rate are enough after so many days, and not a day earlier."""
    needs = conversion_needs(visits([30] * 5, [2] * 5), days_of(5))
    (left,) = {need.days_left for need in needs[1:]}
    assert left

    def ready(days: int) -> bool:
        rows = visits([30] * days, [2] * days)
        return all(need.enough for need in conversion_needs(rows, days_of(days)))

    assert ready(5 + left)
    assert not ready(5 + left - 1)


@pytest.mark.parametrize(("buyers", "told"), [(2, "about [0-9]+ more days"), (0, "more days")])
def test_training_that_finds_too_few_orders_says_how_many_days_it_takes(
    buyers: int, told: str
) -> None:
    """As many as readiness says; and where there is no order, no number."""
    rows, days = visits([30] * 5, [buyers] * 5), days_of(5)
    left = conversion_needs(rows, days)[1].days_left
    with pytest.raises(NotEnoughDataError, match=rf"are needed: give {told} \(`micro") as caught:
        usable_splits(rows, forward_blocks(days))
    assert (str(left) in str(caught.value).partition("give")[2]) == (left is not None)


def test_a_shop_without_orders_is_never_ready() -> None:
    """At the rate of none no number of days is enough."""
    needs = conversion_needs(visits([30] * 5, [0] * 5), days_of(5))
    assert [need.days_left for need in needs[1:]] == [None, None]
    assert verdict(needs[1]) == "not at the present rate"


@pytest.mark.parametrize("count", [MIN_VISITS - 1, MIN_VISITS])
def test_clusters_ask_for_as_many_visits_as_training(count: int) -> None:
    """Visits that show nothing don't count."""
    rows = visits([count + 40], [0])
    rows.features[:40] = 0
    assert cluster_need(rows, 1).enough == (count >= MIN_VISITS)
    with pytest.raises((NotEnoughDataError, KeyError)) as found:
        fit_clusters(rows.take(rows.features[:, 0] > 0))
    # With enough visits it goes on to their features, which these rows lack.
    assert isinstance(found.value, NotEnoughDataError) == (count < MIN_VISITS)


def test_counts_grow_and_days_pass() -> None:
    """A count that is half there needs as many days again; a day a day."""
    assert growing("m", "what", 100, 50, 10).days_left == 10
    assert growing("m", "what", 100, 100, 10).days_left == 0
    assert growing("m", "what", 100, 0, 10).days_left is None
    assert spanning("m", "days", 14, 9).days_left == 5


def test_the_table_has_a_line_for_each_condition() -> None:
    """What holds is enough; what doesn't says when, and what is done until then."""
    enough = spanning("a", "days", 3, 5)
    later = spanning("b", "days", 6, 5, "it is left out")
    readiness = Readiness(FIRST, FIRST, 10, (enough, later, replace(later, model="c")))
    assert readiness_table(readiness).row_count == 3
    assert verdict(enough) == "enough"
    assert verdict(later) == "in about 1 day; until then it is left out"
    assert readiness.enough("a")
    assert not readiness.enough("b")
