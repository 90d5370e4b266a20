"""Which session makes room."""

from __future__ import annotations

from micromoment.scoring.calls import SessionKey
from micromoment.stores.session_order import Eviction, SessionOrder


def key(name: str | int, tenant: str = "one") -> SessionKey:
    """Make a key."""
    return SessionKey(tenant, str(name))


def an_order(max_sessions: int, once: int, twice: int = 0, cap: int | None = None) -> SessionOrder:
    """Make an order with sessions 0, 1, ... of tenant one, the last `twice` of them used again."""
    order = SessionOrder(max_sessions, cap or max_sessions)
    for number in range(once + twice):
        order.add(key(number), number)
    for number in range(once, once + twice):
        order.touch(key(number))
    return order


def leaving(order: SessionOrder, new: SessionKey) -> tuple[str, str, str] | None:
    """Give tenant, id and reason of who makes room."""
    found = order.leaving_for(new)
    return None if found is None else (*found.key, found.why.value)


def test_nobody_leaves_while_there_is_room() -> None:
    """One place is left, then none."""
    assert leaving(an_order(3, 2), key("new")) is None
    assert leaving(an_order(3, 3), key("new")) == ("one", "0", "capacity")


def test_who_was_used_again_leaves_after_those_that_were_not() -> None:
    """The oldest one of a single use goes, though others were used longer ago."""
    order = an_order(5, 0, twice=3)
    order.add(key("a"), 3)
    order.add(key("b"), 4)
    assert leaving(order, key("new")) == ("one", "a", "capacity")


def test_at_most_four_fifths_are_protected() -> None:
    """Using all again leaves a fifth on probation: those that were used longest ago."""
    order = an_order(10, 0, twice=10)
    assert order.n_probation == 2
    assert {k.session_id for k, _ in order.segment(protected=False)} == {"0", "1"}
    assert leaving(order, key("new")) == ("one", "0", "capacity")


def test_a_use_of_one_put_back_on_probation_protects_it_again() -> None:
    """It changes places with the one that was used longest ago."""
    order = an_order(10, 0, twice=10)
    assert order.touch(key(0)) == 0
    assert {k.session_id for k, _ in order.segment(protected=False)} == {"1", "2"}


def test_a_tenant_at_its_cap_loses_its_own() -> None:
    """Though the store has room, and another tenant's sessions are older."""
    order = SessionOrder(10, 2)
    order.add(key("old", "two"), 0)
    order.add(key("a"), 1)
    order.add(key("b"), 2)
    assert leaving(order, key("new")) == ("one", "a", Eviction.TENANT_CAP.value)
    assert leaving(order, key("new", "two")) is None


def test_in_a_full_store_the_tenant_with_most_on_probation_gives() -> None:
    """One that opens sessions without using them again makes room for all others."""
    order = an_order(6, 0, twice=3)
    for number in range(3):
        order.add(key(number, "crawler"), 3 + number)
    assert leaving(order, key("new")) == ("crawler", "0", "capacity")
    assert leaving(order, key("new", "crawler")) == ("crawler", "0", "capacity")
    assert leaving(order, key("new", "third")) == ("crawler", "0", "capacity")


def test_all_tenants_together_keep_a_fifth_on_probation() -> None:
    """Else none of them could begin a visit that stays."""
    order = SessionOrder(10, 10)
    for number in range(10):
        order.add(key(number, f"t{number % 2}"), number)
    for number in range(10):
        order.touch(key(number, f"t{number % 2}"))
    assert order.n_probation == 2


def test_what_is_removed_is_gone() -> None:
    """From either segment; counts follow."""
    order = an_order(10, 1, twice=1)
    assert [order.remove(key(0)), order.remove(key(1))] == [0, 1]
    assert (len(order), order.n_probation) == (0, 0)
    assert order.touch(key(0)) is None
