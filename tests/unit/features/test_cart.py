"""The cart, by hand."""

from dataclasses import replace
from math import isnan

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType, PageType
from tests.support.events import SECOND, START_US, AnEvent, AnItem, an_event, to_batch
from tests.support.folding import features_of, fold, vector

CART_ADD = EventType.CART_ADD
CART_REMOVE = EventType.CART_REMOVE


def act(number: int, kind: EventType, *items: AnItem, at: int = 0) -> AnEvent:
    """Act on products, `at` seconds into the visit."""
    time = START_US + at * SECOND
    return an_event(event_id=f"e{number}", type=kind, event_time=time, items=items)


def pieces(name: str, quantity: int | None, price: int | None = None) -> AnItem:
    """Make so many pieces of a product, price in currency units."""
    micros = None if price is None else price * SECOND
    return AnItem(item_id=name, quantity=quantity, price_micros=micros)


def test_additions_and_removals() -> None:
    """2 A at 10 and 1 B at 5 less 1 A leave 2 pieces worth 15."""
    visit = [
        act(1, CART_ADD, pieces("A", 2, 10)),
        act(2, CART_ADD, pieces("B", 1, 5), at=10),
        act(3, CART_REMOVE, pieces("A", 1, 10), at=30),
    ]
    features = features_of(visit)
    assert (features["n_cart_adds"], features["n_cart_removes"]) == (2, 1)
    assert (features["cart_qty"], features["cart_value"]) == (2, 15)
    assert features["secs_since_last_add"] == 20
    assert features["events_since_first_add"] == 2
    assert features["same_item_readds"] == 0
    assert features["cart_viewed"] == 0


def test_an_untouched_cart() -> None:
    """Without an addition counts are 0, and value and times are missing."""
    features = features_of([an_event()])
    assert features["cart_qty"] == features["n_cart_adds"] == 0
    for name in ("cart_value", "secs_since_last_add", "events_since_first_add"):
        assert isnan(features[name]), name


def test_a_product_added_again() -> None:
    """Only the second addition of A counts as added again, also after it was taken out."""
    visit = [
        act(1, CART_ADD, pieces("A", 1)),
        act(2, CART_REMOVE, pieces("A", 1)),
        act(3, CART_ADD, pieces("A", 1)),
        act(4, CART_ADD, pieces("B", 1)),
    ]
    assert features_of(visit)["same_item_readds"] == 1


def test_two_lines_of_one_product_are_one_addition() -> None:
    """A first addition in two lines (two sizes of one product) adds nothing again."""
    first = act(1, CART_ADD, pieces("A", 1), pieces("A", 2))
    assert features_of([first])["same_item_readds"] == 0
    again = act(2, CART_ADD, pieces("A", 1), pieces("A", 2))
    assert features_of([first, again])["same_item_readds"] == 1


def test_what_is_not_stated_counts_as_one_piece() -> None:
    """An addition without a product or without a quantity is one piece of unknown value."""
    features = features_of([act(1, CART_ADD), act(2, CART_ADD, pieces("A", None))])
    assert features["cart_qty"] == 2
    assert isnan(features["cart_value"])
    shelf = act(3, CART_ADD, pieces("A", None), pieces("B", None))
    assert features_of([shelf])["cart_qty"] == 1
    removed = [act(1, CART_ADD), act(2, CART_ADD), act(3, CART_REMOVE)]
    assert features_of(removed)["cart_qty"] == 1


def test_an_emptied_cart_has_no_value() -> None:
    """Taking out more than was put in empties the cart; value never turns negative."""
    visit = [act(1, CART_ADD, pieces("A", 1, 10)), act(2, CART_REMOVE, pieces("A", 3, 10))]
    features = features_of(visit)
    assert features["cart_qty"] == 0
    assert isnan(features["cart_value"])
    dear = [act(1, CART_ADD, pieces("A", 2, 10)), act(2, CART_REMOVE, pieces("A", 1, 99))]
    assert features_of(dear)["cart_value"] == 0


def test_a_cart_that_is_shown_states_what_is_in_it() -> None:
    """A cart view, a cart page or a checkout with quantities replaces what was counted."""
    added = act(1, CART_ADD, pieces("A", 1, 10))
    shown = (pieces("A", 2, 10), pieces("B", 3, 1), pieces("C", None, 99))
    for kind in (EventType.CART_VIEW, EventType.CHECKOUT_START):
        features = features_of([added, act(2, kind, *shown)])
        assert (features["cart_qty"], features["cart_value"]) == (5, 23)
    page = an_event(event_id="e2", page_type=PageType.CART, items=shown)
    assert features_of([added, page])["cart_qty"] == 5


def test_a_cart_view_without_quantities_changes_nothing() -> None:
    """A cart that is shown without quantities is only looked at."""
    added = act(1, CART_ADD, pieces("A", 1, 10))
    features = features_of([added, act(2, EventType.CART_VIEW, pieces("B", None, 5))])
    assert (features["cart_qty"], features["cart_value"], features["cart_viewed"]) == (1, 10, 1)
    page = an_event(event_id="e2", page_type=PageType.CART)
    assert features_of([page])["cart_viewed"] == 1


def test_an_order_empties_the_cart() -> None:
    """After a purchase nothing is left to abandon."""
    state = fold([act(1, CART_ADD, pieces("A", 1, 10)), act(2, EventType.PURCHASE)])[0]
    assert (state["cart_quantity"], state["converted"]) == (0, 1)


def test_foreign_prices_are_unknown() -> None:
    """A price in another currency adds pieces, no value, and marks the visit."""
    added = replace(act(1, CART_ADD, pieces("A", 1, 10)), currency="JPY")
    states = fold(to_batch([added], Shop("EUR")))
    assert states[0]["foreign_currency"] == 1
    assert vector(states)[0]["cart_qty"] == 1
    assert isnan(vector(states)[0]["cart_value"])
