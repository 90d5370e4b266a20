"""View-to-buy rates of the visit's products and categories, by hand."""

from math import isnan

import numpy as np
import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.vocabulary import EventType
from micromoment.features.tables import Tables, neutral_tables
from tests.support.events import DAY, SECOND, START_US, AnEvent, AnItem, an_event
from tests.support.folding import features_of

ITEMS = ("item_popularity_7d", "max_item_popularity_7d")


def rates(name: str, known: dict[str, tuple[float, ...]], prior: tuple[float, ...]) -> Tables:
    """Make tables whose rows begin a day apart, the first of them at `START_US`."""
    columns = sorted((hash_id(word), values) for word, values in known.items())
    arrays = {
        f"{name}_starts": START_US + DAY * np.arange(len(prior)),
        f"{name}_prior": np.array(prior),
        f"{name}_keys": np.array([key for key, _ in columns], np.uint64),
        f"{name}_values": np.array([values for _, values in columns]).T.copy(),
    }
    return neutral_tables()._replace(**arrays)


ITEM_RATES = rates("item_popularity", {"a": (0.5, 0.25), "b": (0.125, 0.75)}, (0.0625, 0.03125))
CATEGORY_RATES = rates("category_popularity", {"shoes": (0.5,), "hats": (0.25,)}, (0.125,))


def act(number: int, kind: EventType, *items: AnItem) -> AnEvent:
    """Act on products."""
    return an_event(event_id=f"e{number}", type=kind, items=items)


def look(number: int, name: str, *category: str) -> AnEvent:
    """Look at one product."""
    return act(number, EventType.ITEM_VIEW, AnItem(item_id=name, category_path=category))


def test_the_last_and_the_most_popular_product() -> None:
    """After A and B the last is B with 1/8; the highest is A's 1/2."""
    features = features_of([look(1, "a"), look(2, "b")], tables=ITEM_RATES)
    assert [features[name] for name in ITEMS] == [0.125, 0.5]


def test_a_product_put_into_the_cart_is_acted_on() -> None:
    """An addition counts as a look does; what lies beside it in the list does not."""
    added = act(2, EventType.CART_ADD, AnItem(item_id="b", quantity=1), AnItem(item_id="a"))
    features = features_of([added], tables=ITEM_RATES)
    assert [features[name] for name in ITEMS] == [0.125, 0.125]
    clicked = act(3, EventType.ITEM_CLICK, AnItem(item_id="a"))
    assert features_of([added, clicked], tables=ITEM_RATES)["item_popularity_7d"] == 0.125


def test_an_unknown_product_has_the_rate_of_all() -> None:
    """A product too rare for the table counts with the shop's own rate of those days."""
    features = features_of([look(1, "b"), look(2, "rare")], tables=ITEM_RATES)
    assert [features[name] for name in ITEMS] == [0.0625, 0.125]


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [(0, 0.5), (86_399, 0.5), (86_400, 0.25), (30 * 86_400, 0.25)],
)
def test_the_last_row_that_has_begun_counts(seconds: int, rate: float) -> None:
    """The second row holds from its start on, whatever day it is by then."""
    now = START_US + seconds * SECOND
    assert features_of([look(1, "a")], tables=ITEM_RATES, now=now)["item_popularity_7d"] == rate


def test_before_the_first_row_nothing_is_known() -> None:
    """On the first day of training there is no day before, and no later one is asked."""
    early = an_event(type=EventType.ITEM_VIEW, event_time=START_US - 1, items=(AnItem(),))
    features = features_of([early], tables=ITEM_RATES)
    assert all(isnan(features[name]) for name in ITEMS)


def test_the_last_category() -> None:
    """The last known category looked at counts, by its top level; an unknown one as all do."""
    visit = [look(1, "x", "shoes", "boots"), look(2, "y"), look(3, "z", "hats")]
    values = [
        features_of(visit[:n], tables=CATEGORY_RATES)["category_popularity_7d"] for n in (1, 2, 3)
    ]
    assert values == [0.5, 0.5, 0.25]
    other = features_of([look(1, "x", "bags")], tables=CATEGORY_RATES)
    assert other["category_popularity_7d"] == 0.125
    assert isnan(features_of([look(1, "x", "bags")])["category_popularity_7d"])


def test_nothing_acted_on_is_missing() -> None:
    """A visit without a product, or with a whole shelf in view, has no rate."""
    shelf = act(1, EventType.ITEM_VIEW, AnItem(item_id="a"), AnItem(item_id="b"))
    for visit in ([an_event()], [shelf]):
        features = features_of(visit, tables=ITEM_RATES)
        assert all(isnan(features[name]) for name in ITEMS)
        features = features_of(visit, tables=CATEGORY_RATES)
        assert isnan(features["category_popularity_7d"])
