"""What is remembered of lost sessions."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from micromoment.scoring.calls import SessionKey
from micromoment.stores.lost_sessions import LostSessions


@given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 12))))
def test_it_is_the_last_ones_added(size: int, steps: list[tuple[bool, int]]) -> None:
    """Whatever is added and discarded, the keys among the last `size` additions are remembered."""
    lost, ring = LostSessions(size), [-1] * size
    for place, (added, name) in enumerate(steps):
        ring = [-1 if known == name else known for known in ring]
        if added:
            ring = [*ring[1:], name]
            lost.add(a_key(name))
        else:
            lost.discard(a_key(name))
        remembered = {name for name in range(13) if a_key(name) in lost}
        assert remembered == {name for name in ring if name >= 0}, place


def test_crowded_chains_hold_together() -> None:
    """With many keys to a chain, taking some out of its middle loses no other."""
    chance, lost, ring = random.Random(3), LostSessions(100), [-1] * 100
    for _ in range(4_000):
        name = chance.randrange(300)
        ring = [-1 if known == name else known for known in ring]
        if chance.random() < 0.8:
            ring = [*ring[1:], name]
            lost.add(a_key(name))
        else:
            lost.discard(a_key(name))
    assert {name for name in range(300) if a_key(name) in lost} == {n for n in ring if n >= 0}


def test_tenants_are_told_apart() -> None:
    """The same id of another tenant is not lost."""
    lost = LostSessions()
    lost.add(SessionKey("one", "a"))
    assert SessionKey("one", "a") in lost
    assert SessionKey("two", "a") not in lost


def a_key(name: int) -> SessionKey:
    """Make a key."""
    return SessionKey("default", str(name))
