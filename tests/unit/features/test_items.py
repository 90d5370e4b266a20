"""Products looked at, by hand."""

from math import isnan, log, sqrt

import numpy as np
import pytest

from micromoment.events.vocabulary import EventType
from micromoment.features.tables import neutral_tables
from tests.support.events import SECOND, START_US, AnEvent, AnItem, an_event
from tests.support.folding import features_of


def look(number: int, *items: AnItem, at: float = 0.0) -> AnEvent:
    """Look at products, `at` seconds into the visit."""
    time = START_US + round(at * SECOND)
    return an_event(event_id=f"e{number}", type=EventType.ITEM_VIEW, event_time=time, items=items)


def priced(name: str, price: float, category: str = "", *, on_sale: bool | None = None) -> AnItem:
    """Make a product with a price in currency units."""
    path = (category, "sub") if category else ()
    return AnItem(
        item_id=name, price_micros=round(price * SECOND), category_path=path, on_sale=on_sale
    )


def test_counts_of_acts() -> None:
    """Each kind of act is counted under its own name; a filter shows a list too."""
    kinds = {
        "SEARCH": 2, "LIST_VIEW": 3, "LIST_FILTER": 1, "ITEM_CLICK": 2, "WISHLIST_ADD": 1,
        "PROMO_CLICK": 1, "EMAIL_CLICK": 1, "AD_CLICK": 1, "PROMO_VIEW": 4, "WISHLIST_REMOVE": 5,
    }  # fmt: skip
    drawn = [EventType[name] for name, count in kinds.items() for _ in range(count)]
    features = features_of([an_event(event_id=f"e{n}", type=kind) for n, kind in enumerate(drawn)])
    assert features["n_searches"] == 2
    assert features["n_list_views"] == 4
    assert features["n_filters"] == 1
    assert features["n_item_clicks"] == 2
    assert features["n_promo_clicks"] == 3
    assert features["n_wishlist_adds"] == 1
    assert features["n_item_views"] == 0


def test_repeated_looks() -> None:
    """Of looks at A, B, A, A, half are repeated, and the most viewed product has three."""
    visit = [look(n, AnItem(item_id=name)) for n, name in enumerate("ABAA")]
    features = features_of(visit)
    assert features["n_item_views"] == 4
    assert features["n_distinct_items"] == 2
    assert features["max_views_one_item"] == 3
    assert features["repeat_view_ratio"] == 0.5


def test_no_look_no_ratio() -> None:
    """Without a look ratios and times are missing, and counts are 0."""
    features = features_of([an_event()])
    assert features["max_views_one_item"] == features["n_distinct_items"] == 0
    for name in ("repeat_view_ratio", "category_entropy", "top_category_share", "last_price",
                 "median_view_price", "price_cv", "last_price_vs_median", "on_sale_share",
                 "mean_dwell_s", "last_dwell_s"):  # fmt: skip
        assert isnan(features[name]), name


def test_a_shelf_of_products_is_a_list() -> None:
    """A view of several products is a list, unless quantities say which ones it is about."""
    shelf = look(1, AnItem(item_id="A"), AnItem(item_id="B"), AnItem(item_id="C"))
    features = features_of([shelf])
    assert (features["n_list_views"], features["n_item_views"]) == (1, 0)
    assert features["n_distinct_items"] == 0
    marked = look(1, AnItem(item_id="A"), AnItem(item_id="B", quantity=1), AnItem(item_id="C"))
    features = features_of([marked])
    assert (features["n_list_views"], features["n_item_views"]) == (0, 1)
    assert features["n_distinct_items"] == 1


def test_spread_over_top_categories() -> None:
    """Two looks in one category, one each in two others: 1/2, 1/4 and 1/4."""
    items = [priced("A", 1, "shoes"), priced("B", 1, "shoes"), priced("C", 1, "hats"),
             priced("D", 1, "bags"), priced("E", 1)]  # fmt: skip
    features = features_of([look(n, item) for n, item in enumerate(items)])
    assert features["n_distinct_categories"] == 3
    assert features["top_category_share"] == 0.5
    assert features["category_entropy"] == pytest.approx(0.5 * log(2) + 0.5 * log(4))


def test_prices() -> None:
    """Prices 10, 30, 20 and 40 have the median 25, the last is 1.6 times that."""
    visit = [look(n, priced(f"i{n}", price)) for n, price in enumerate((10, 30, 20, 40))]
    features = features_of(visit)
    assert features["last_price"] == 40
    assert features["median_view_price"] == 25
    assert features["last_price_vs_median"] == pytest.approx(1.6)
    deviation = sqrt((15**2 + 5**2 + 5**2 + 15**2) / 4)
    assert features["price_cv"] == pytest.approx(deviation / 25)


def test_one_price_has_no_spread_and_a_zero_median_no_ratio() -> None:
    """A single price has a median and no spread; free products have no ratio to their median."""
    features = features_of([look(1, priced("A", 9.5))])
    assert features["median_view_price"] == 9.5
    assert isnan(features["price_cv"])
    features = features_of([look(1, priced("A", 0)), look(2, priced("B", 0))])
    assert features["last_price"] == 0
    assert isnan(features["last_price_vs_median"])
    assert isnan(features["price_cv"])


def test_share_on_sale() -> None:
    """Of three looks that say so, one is at a reduced product; a silent one does not count."""
    items = [priced("A", 1, on_sale=True), priced("B", 1, on_sale=False),
             priced("C", 1, on_sale=False), priced("D", 1)]  # fmt: skip
    features = features_of([look(n, item) for n, item in enumerate(items)])
    assert features["on_sale_share"] == pytest.approx(1 / 3)


def test_dwell_runs_to_the_next_moment() -> None:
    """A look lasts until something happens later, 300 s at most; the open one doesn't count."""
    visit = [
        look(1, AnItem(item_id="A")),
        an_event(event_id="e2", event_time=START_US),  # the same moment: closes nothing
        an_event(event_id="e3", event_time=START_US + 20 * SECOND),
        look(4, AnItem(item_id="B"), at=30),
        look(5, AnItem(item_id="C"), at=930),
    ]
    assert features_of(visit[:3])["last_dwell_s"] == 20
    features = features_of(visit)
    assert features["last_dwell_s"] == 300
    assert features["mean_dwell_s"] == 160


def search(number: int, terms: int | None, at: float) -> AnEvent:
    """Search for something, `at` seconds into the visit."""
    time = START_US + round(at * SECOND)
    return an_event(
        event_id=f"s{number}", type=EventType.SEARCH, event_time=time, search_terms_hash=terms
    )


def test_refined_searches() -> None:
    """Other terms 60 s after the search before refine it; the same terms or a later one don't."""
    visit = [
        search(1, 10, at=0),
        search(2, 10, at=5),  # the same once more
        search(3, 11, at=65),  # refines: 60 s after the second
        search(4, 12, at=125.1),  # too late
        search(5, 10, at=130),  # refines
    ]
    assert [features_of(visit[:n])["search_refinements"] for n in range(1, 6)] == [0, 0, 1, 1, 2]
    assert features_of(visit)["n_searches"] == 5


def test_searches_without_terms_refine_nothing() -> None:
    """A search whose terms are unknown is counted only; the next looks back past it."""
    visit = [search(1, 10, at=0), search(2, None, at=10), search(3, 11, at=20)]
    assert [features_of(visit[:n])["search_refinements"] for n in (1, 2, 3)] == [0, 0, 1]
    assert features_of([search(1, None, at=0), search(2, 11, at=1)])["search_refinements"] == 0


@pytest.mark.parametrize(
    ("price", "bucket"), [(0, 1), (10, 1), (10.01, 2), (50, 5), (90, 9), (90.01, 10), (5_000, 10)]
)
def test_price_buckets(price: float, bucket: int) -> None:
    """With edges at 10, 20 and so on to 90, an edge belongs to the bucket below it."""
    tables = neutral_tables()._replace(price_edges=np.arange(10.0, 100.0, 10.0))
    visit = [look(1, priced("A", 33)), look(2, priced("B", price)), look(3, AnItem(item_id="C"))]
    assert features_of(visit, tables=tables)["price_bucket"] == bucket


def test_no_price_no_bucket() -> None:
    """Without a price, or without edges, there is no bucket."""
    tables = neutral_tables()._replace(price_edges=np.arange(10.0, 100.0, 10.0))
    assert isnan(features_of([look(1, AnItem(item_id="A"))], tables=tables)["price_bucket"])
    assert isnan(features_of([look(1, priced("A", 5))])["price_bucket"])
