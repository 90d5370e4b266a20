"""The breaker in front of a store that fails."""

from __future__ import annotations

from micromoment.stores.breaker import Breaker


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time in seconds."""
        return self.now


def test_single_failures_leave_it_closed() -> None:
    """A success between failures starts the count anew."""
    breaker = Breaker(failures=3, pause_s=1.0)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        assert not breaker.succeeded()
    assert not breaker.is_open


def test_failures_in_a_row_open_it_for_a_while() -> None:
    """After the third failure it is open for the pause, then lets calls through."""
    clock = Clock()
    breaker = Breaker(failures=3, pause_s=1.0, clock=clock)
    for _ in range(3):
        assert not breaker.is_open
        breaker.failed()
    assert breaker.is_open
    clock.now += 0.99
    assert breaker.is_open
    clock.now += 0.01
    assert not breaker.is_open


def test_one_more_failure_opens_it_again() -> None:
    """A failed trial after the pause costs another pause."""
    clock = Clock()
    breaker = Breaker(failures=3, pause_s=1.0, clock=clock)
    for _ in range(3):
        breaker.failed()
    clock.now += 1.5
    breaker.failed()
    assert breaker.is_open


def test_success_after_the_pause_closes_it() -> None:
    """The recovery is told once."""
    clock = Clock()
    breaker = Breaker(failures=2, pause_s=1.0, clock=clock)
    breaker.failed()
    breaker.failed()
    clock.now += 1.5
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert not breaker.is_open


def test_one_caller_tries_for_all() -> None:
    """Once open, it admits a single caller after each pause, and everybody after a success."""
    clock = Clock()
    breaker = Breaker(failures=2, pause_s=1.0, clock=clock)
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    clock.now += 1.0
    assert [breaker.admits() for _ in range(3)] == [True, False, False]
    clock.now += 1.0
    assert [breaker.admits() for _ in range(2)] == [True, False]
    breaker.succeeded()
    assert [breaker.admits() for _ in range(2)] == [True, True]
