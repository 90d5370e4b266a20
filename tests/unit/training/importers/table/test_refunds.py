from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from training.importers.table.refunds import MAX_PURCHASES, OrderLine, link_refunds


def _bought(order: str, quantity: float, item: str = "a") -> OrderLine:
    return OrderLine("u", item, 1, False, order, quantity, None, (0, 0))


def _returned(row: int, quantity: float, known: str | None = None, item: str = "a") -> OrderLine:
    return OrderLine("u", item, 1, True, f"C{row}", quantity, known, (0, row))


def _links(*lines: OrderLine) -> dict[int, str]:
    return {row: order for (_, row), order in link_refunds(lines)}


def test_a_refund_is_of_the_latest_purchase_of_its_quantity() -> None:
    """Equal quantities win over later purchases of more; each purchase is taken back once."""
    lines = [_bought("1", 2), _bought("2", 2), _bought("3", 5)]
    assert _links(*lines, _returned(1, 2)) == {1: "2"}
    assert _links(*lines, _returned(1, 2), _returned(2, 2), _returned(3, 2)) == {
        1: "2",
        2: "1",
        3: "3",
    }


def test_a_refund_may_be_a_part_of_a_purchase() -> None:
    """What is left of a purchase can be taken back later, and not more than that."""
    lines = [_bought("1", 5), _returned(1, 3), _returned(2, 2), _returned(3, 1)]
    assert _links(*lines) == {1: "1", 2: "1"}


def test_nothing_is_found_before_it_was_bought() -> None:
    """Purchases that come later, of other things or of too little are not the ones."""
    assert _links(_returned(1, 1), _bought("1", 1)) == {}
    assert _links(_bought("1", 1), _returned(1, 1, item="b")) == {}
    assert _links(_bought("1", 1), _returned(1, 2)) == {}


def test_known_refunds_use_up_what_they_are_of() -> None:
    """A refund whose order is known is not linked again, but what it took is gone."""
    lines = [_bought("1", 1), _bought("2", 1), _returned(1, 1, "2"), _returned(2, 1)]
    assert _links(*lines) == {2: "1"}
    assert _links(_bought("1", 1), _returned(1, 1, ""), _returned(2, 1)) == {2: "1"}


def test_only_so_many_purchases_back_are_looked_at() -> None:
    """The search through one customer's purchases of one thing is bounded."""
    later = [_bought(str(n), 1) for n in range(MAX_PURCHASES)]
    assert _links(_bought("first", 9), *later[1:], _returned(1, 9)) == {1: "first"}
    assert _links(_bought("first", 9), *later, _returned(1, 9)) == {}


_LINES = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(1, 4), st.sampled_from("xyz")),
    max_size=40,
)


@given(_LINES)
def test_no_more_is_taken_back_than_was_bought(found: list[tuple[str, bool, int, str]]) -> None:
    """Of each order and item, refunds never exceed the quantity bought before them."""
    lines = [
        (_returned(row, quantity, item=item) if returned else _bought(order, quantity, item))
        for row, (item, returned, quantity, order) in enumerate(sorted(found, key=lambda f: f[0]))
    ]
    links = _links(*lines)
    left: dict[tuple[str, str], float] = defaultdict(float)
    for made in lines:
        if not made.is_refund:
            left[made.item_id, made.order_id or ""] += made.quantity
        elif made.key[1] in links:
            place = (made.item_id, links[made.key[1]])
            left[place] -= made.quantity
            assert left[place] >= 0
