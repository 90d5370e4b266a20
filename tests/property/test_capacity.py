"""Beyond each capacity of the state, what is documented happens and nothing else."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.vocabulary import N_EVENT_GROUPS, EventGroup, EventType, PageType
from micromoment.features import reducer
from micromoment.features.families import items, pages, sequence
from tests.support.events import SECOND, START_US, AnEvent, AnItem, an_event, to_batch
from tests.support.folding import NEUTRAL, features_of, fold, vector

COUNTER_CAP = 32_767


def views(item_ids: list[int]) -> list[AnEvent]:
    """Look at products; the category is the product's number."""
    return [
        an_event(
            event_id=f"e{place}",
            type=EventType.ITEM_VIEW,
            event_time=START_US + place * SECOND,
            items=(
                AnItem(
                    item_id=f"i{number}",
                    category_path=(f"c{number}", "sub"),
                    price_micros=(number + 1) * SECOND,
                ),
            ),
        )
        for place, number in enumerate(item_ids)
    ]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_products_and_categories_are_told_apart_up_to_16(looked_at: list[int]) -> None:
    """The first 16 distinct ones are counted exactly; looks at further ones count as looks only."""
    kept = list(dict.fromkeys(looked_at))[: items.SLOTS]
    counts = Counter(number for number in looked_at if number in kept)
    total = sum(counts.values())
    shares = np.array(list(counts.values())) / total
    features = features_of(views(looked_at))
    assert features["n_item_views"] == len(looked_at)
    assert features["n_distinct_items"] == features["n_distinct_categories"] == len(kept)
    assert features["max_views_one_item"] == max(counts.values())
    assert features["repeat_view_ratio"] == np.float32((total - len(kept)) / total)
    assert features["top_category_share"] == np.float32(max(counts.values()) / total)
    assert features["category_entropy"] == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-6)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_prices_are_those_of_the_last_16_looks(looked_at: list[int]) -> None:
    """Median, spread and last price are computed over the last 16 prices alone."""
    prices = np.array([number + 1 for number in looked_at[-items.SLOTS :]], float)
    features = features_of(views(looked_at))
    assert features["last_price"] == prices[-1]
    assert features["median_view_price"] == np.median(prices)
    assert features["last_price_vs_median"] == np.float32(prices[-1] / np.median(prices))
    if len(prices) > 1:
        assert features["price_cv"] == pytest.approx(prices.std() / prices.mean(), rel=1e-6)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_pages_are_told_apart_up_to_16(shown: list[int]) -> None:
    """The first 16 distinct pages are known again; further ones never count as repeated."""
    kept = list(dict.fromkeys(shown))[: pages.SLOTS]
    repeats = sum(Counter(number for number in shown if number in kept).values()) - len(kept)
    features = features_of(
        [an_event(event_id=f"e{place}", page_id=f"/{number}") for place, number in enumerate(shown)]
    )
    assert features["n_page_views"] == len(shown)
    assert features["n_distinct_pages"] == len(kept)
    assert features["repeat_page_ratio"] == np.float32(repeats / len(shown))


@given(
    st.lists(st.sampled_from([kind for kind in EventType if kind.name != "PURCHASE"]), max_size=70)
)
def test_transitions_count_every_symbol_and_the_ring_keeps_32(kinds: list[EventType]) -> None:
    """Each symbol adds one transition, the first from OTHER; the ring holds the last 32."""
    visit = [an_event(event_id=f"e{place}", type=kind) for place, kind in enumerate(kinds)]
    batch = to_batch(visit)
    symbols = [s for s in (reducer.event_group(event) for event in batch.events) if s >= 0]
    expected = np.zeros((N_EVENT_GROUPS, N_EVENT_GROUPS), np.int64)
    for before, after in zip([EventGroup.OTHER, *symbols], symbols, strict=False):
        expected[before, after] += 1
    state = fold(batch)[0]
    assert (state["transitions"] == expected).all()
    assert state["n_symbols"] == len(symbols)
    for back, symbol in enumerate(reversed(symbols[-sequence.RING :])):
        assert state["symbols"][(len(symbols) - 1 - back) % sequence.RING] == symbol


def test_a_transition_is_counted_up_to_255() -> None:
    """The 256th of one kind changes neither its count nor another one's."""
    visit = [
        an_event(event_id=f"e{place}", page_type=PageType.HOME, event_time=START_US + place)
        for place in range(300)
    ]
    state = fold(visit)[0]
    assert state["transitions"][EventGroup.HOME, EventGroup.HOME] == 255
    assert state["transitions"].sum(dtype=int) == 256  # with the first one, from OTHER
    assert state["n_symbols"] == 300


@pytest.mark.parametrize(
    ("counter", "place", "event"),
    [
        ("item_views", 0, views([1])[0]),
        ("category_views", 0, views([1])[0]),
        (
            "item_adds",
            0,
            an_event(type=EventType.CART_ADD, items=(AnItem(item_id="i1", quantity=1),)),
        ),
        ("page_type_views", PageType.HOME, an_event(page_type=PageType.HOME)),
        ("act_counts", 1, an_event(type=EventType.SHARE)),
    ],
)
def test_two_byte_counters_stop_at_their_largest_value(
    counter: str, place: int, event: AnEvent
) -> None:
    """A counter goes up to 32,767 and stays there: it neither overflows nor turns negative."""
    states = fold([event])
    assert states[0][counter][place] == 1
    states[0][counter][place] = COUNTER_CAP - 1
    for number, expected in enumerate([COUNTER_CAP, COUNTER_CAP, COUNTER_CAP]):
        again = to_batch([event])
        again.events["event_key"] = number + 1
        fold(again, states)
        assert states[0][counter][place] == expected
    assert np.isfinite(vector(states, NEUTRAL)[0]["max_views_one_item"])


def test_an_event_with_50_products_fills_the_slots_once() -> None:
    """50 products acted on in one event take the 16 slots; the cart still counts them all."""
    fifty = tuple(
        AnItem(item_id=f"i{number}", quantity=2, price_micros=SECOND) for number in range(50)
    )
    features = features_of([an_event(type=EventType.CART_ADD, items=fifty)])
    assert features["n_distinct_items"] == 16
    assert (features["cart_qty"], features["cart_value"]) == (100, 100.0)


def test_coupons_are_counted_up_to_255() -> None:
    """The 256th coupon is not counted, so that 255 removals leave none applied."""
    applied = [an_event(event_id=f"a{n}", type=EventType.COUPON_APPLY) for n in range(256)]
    removed = [an_event(event_id=f"r{n}", type=EventType.COUPON_REMOVE) for n in range(255)]
    states = fold(applied)
    assert states[0]["n_coupons"] == 255
    assert vector(fold(removed, states), NEUTRAL)[0]["coupon_applied"] == 0
