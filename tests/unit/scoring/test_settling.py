"""Settling: a visit moves only when two decision points in a row agree."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from micromoment.features.state import new_state
from micromoment.scoring.settling import Assignment, assignment_of, keep_assignment, settle

points = st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1))
# Few values, so that points in a row often agree.
visits = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=30)


def settled(*visit: tuple[int, int]) -> Assignment:
    """Take in all points of a visit."""
    assignment = Assignment()
    for cluster, audiences in visit:
        assignment = settle(assignment, cluster, audiences)
    return assignment


def test_the_first_point_counts_at_once() -> None:
    """There is nothing to hold on to before it."""
    found = settled((2, 0b101))
    assert (found.points, found.cluster, found.audiences) == (1, 2, 0b101)


def test_one_point_changes_nothing_two_do() -> None:
    """A cluster has to be said twice in a row."""
    assert settled((1, 0), (2, 0)).cluster == 1
    assert settled((1, 0), (2, 0), (2, 0)).cluster == 2
    assert settled((1, 0), (2, 0), (3, 0)).cluster == 1
    assert settled((1, 0), (2, 0), (1, 0), (2, 0)).cluster == 1


def test_each_audience_settles_by_itself() -> None:
    """One enters while another flickers and a third leaves."""
    found = settled((1, 0b100), (1, 0b011), (1, 0b001))
    assert found.audiences == 0b001
    found = settled((1, 0b100), (1, 0b001), (1, 0b101))
    assert found.audiences == 0b101


def test_an_order_settles_audiences_at_once() -> None:
    """Who has just ordered is in no audience of those about to leave; the cluster waits."""
    before = settled((1, 0b01), (1, 0b01))
    after = settle(before, 2, 0b10, converted=True)
    assert (after.cluster, after.audiences) == (1, 0b10)
    assert settle(before, 2, 0b10).audiences == 0b01


@given(visits)
def test_follows_the_rule_as_it_is_told(visit: list[tuple[int, int]]) -> None:
    """Each value is the last one that two points in a row said, or else the first point's."""
    clusters = [cluster for cluster, _ in visit]
    agreed = [now for was, now in pairwise(clusters) if was == now]
    found = settled(*visit)
    assert found.cluster == (agreed or clusters[:1])[-1]
    for bit in range(3):
        said = [audiences >> bit & 1 for _, audiences in visit]
        agreed = [now for was, now in pairwise(said) if was == now]
        assert found.audiences >> bit & 1 == (agreed or said[:1])[-1]


@given(st.lists(points, min_size=1, max_size=4))
def test_the_state_keeps_it(visit: list[tuple[int, int]]) -> None:
    """Written into a session's state and read back it is the same, up to the highest values."""
    state = new_state()[0]
    assert assignment_of(state) == Assignment()
    found = settled(*visit)
    keep_assignment(state, found)
    assert assignment_of(state) == found
