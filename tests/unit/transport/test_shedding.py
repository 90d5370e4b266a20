"""Which calls are refused, period by period."""

from __future__ import annotations

import pytest

from micromoment.transport.errors import OverloadedError
from micromoment.transport.shedding import MOST, NEVER, Shedding

PERIOD_S = 0.1


def shedding() -> Shedding:
    """Let calls wait for 20 ms, 64 of them."""
    return Shedding(max_wait_s=0.02, most_waiting=64)


def refused(policy: Shedding, calls: int) -> int:
    """Count how many of some calls are refused."""
    return sum(policy.refuses() for _ in range(calls))


def test_nothing_is_refused_while_all_that_comes_is_taken() -> None:
    """At any rate, also where the number of calls differs from period to period."""
    policy = shedding()
    for arrived in (10, 500, 30, 900, 0, 250):
        policy.measured(arrived, arrived, PERIOD_S)
        assert not policy.is_on
    assert refused(policy, 1_000) == 0


def test_a_burst_that_is_worked_off_in_time_refuses_nothing() -> None:
    """Forty calls wait for 10 ms where 400 are taken in a period, and then none."""
    policy = shedding()
    policy.measured(440, 400, PERIOD_S)
    assert policy.wait_s == pytest.approx(0.01)
    policy.measured(160, 200, PERIOD_S)
    assert policy.wait_s == 0
    assert not policy.is_on


def test_a_long_wait_that_ends_by_itself_refuses_nothing() -> None:
    """A hundred calls at once wait for 50 ms, and a tenth of a second later none does."""
    policy = shedding()
    policy.measured(300, 200, PERIOD_S)
    assert policy.wait_s > 0.02
    assert not policy.is_on
    policy.measured(100, 200, PERIOD_S)
    assert not policy.is_on


def test_where_nothing_comes_nothing_waits() -> None:
    """Also after calls that were dropped."""
    policy = shedding()
    policy.measured(1_000, 200, PERIOD_S)
    for _ in range(20):
        policy.measured(0, 0, PERIOD_S)
    assert policy.wait_s == pytest.approx(0, abs=1e-4)


def test_a_little_too_much_is_found_out_and_a_little_refused() -> None:
    """A tenth more than can be taken makes calls wait longer and longer, until some are refused."""
    policy = shedding()
    periods = 0
    while not policy.is_on:
        policy.measured(220, 200, PERIOD_S)
        periods += 1
    assert 2 <= periods <= 6
    assert 0.05 < policy.share <= MOST
    assert refused(policy, 1_000) == pytest.approx(1_000 * policy.share, abs=1)


def test_however_much_comes_most_of_what_is_taken_is_answered() -> None:
    """Refusing takes time, too: its share has a limit."""
    policy = shedding()
    for _ in range(50):
        policy.measured(10_000, 300, PERIOD_S)
    assert policy.share == MOST
    assert refused(policy, 1_000) == pytest.approx(1_000 * MOST, abs=1)


def test_it_ends_within_a_second_of_the_overload() -> None:
    """What the core dropped never comes, and is forgotten."""
    policy = shedding()
    for _ in range(50):
        policy.measured(10_000, 300, PERIOD_S)
    periods = 0
    while policy.is_on:
        policy.measured(100, 100, PERIOD_S)
        periods += 1
    assert periods <= 10
    assert refused(policy, 1_000) == 0


def test_a_few_calls_that_wait_long_are_no_overload() -> None:
    """One after the other, on a machine that did something else for half a period."""
    policy = shedding()
    for _ in range(20):
        policy.measured(2, 1, PERIOD_S)
        policy.measured(1, 2, PERIOD_S)
    assert not policy.is_on


def test_on_a_fast_machine_a_full_queue_is_enough() -> None:
    """Sixty-four calls wait for 6 ms where 1,000 are taken in a period; gRPC drops the rest."""
    policy = shedding()
    for _ in range(2):
        policy.measured(3_000, 1_000, PERIOD_S)
    assert policy.wait_s < 0.02
    assert policy.is_on


def test_work_is_weighed() -> None:
    """Under overload, work of many calls is refused rather than a call, and no debt is left."""
    policy = shedding()
    for _ in range(2):
        policy.measured(300, 200, PERIOD_S)
    with pytest.raises(OverloadedError) as caught:
        policy.check(32.0)
    assert caught.value.reason == "max_wait"
    assert refused(policy, 10) <= 5


def test_without_a_watch_nothing_is_refused() -> None:
    """The front door for HTTP and the tests of services have none."""
    NEVER.check(1_000.0)
