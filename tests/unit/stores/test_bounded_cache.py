"""The cache in front of the online store."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from micromoment.stores.bounded_cache import BoundedCache


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time in seconds."""
        return self.now


def test_an_entry_is_gone_when_its_time_is_over() -> None:
    """An entry is there until just before its time, counted from when it was put."""
    clock = Clock()
    cache: BoundedCache[str, int] = BoundedCache(10, 5.0, clock)
    cache.put("a", 1)
    clock.now += 4.9
    assert cache.get("a") == 1
    clock.now += 0.1
    assert cache.get("a") is None
    assert len(cache) == 0


def test_the_least_recently_used_entry_goes_first() -> None:
    """What was read lately outlives what was only put lately."""
    cache: BoundedCache[str, int] = BoundedCache(2, 5.0)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_putting_again_starts_the_time_anew() -> None:
    """The newest value counts, for its own time."""
    clock = Clock()
    cache: BoundedCache[str, int] = BoundedCache(2, 5.0, clock)
    cache.put("a", 1)
    clock.now += 4.0
    cache.put("a", 2)
    clock.now += 4.0
    assert cache.get("a") == 2


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_holds_more_than_its_size(keys: list[int], size: int) -> None:
    """Whatever is put, the size is the limit and the newest entry is there."""
    cache: BoundedCache[int, int] = BoundedCache(size, 5.0)
    for key in keys:
        cache.put(key, -key)
        assert len(cache) <= size
        assert cache.get(key) == -key
