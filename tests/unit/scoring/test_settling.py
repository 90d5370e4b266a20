"""Settling: a visit moves only when two decision points in a row agree."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.record import RecordArray
from micromoment.features.points import ACCEPTED, AS_OF, N_ASKED, N_TOLD
from micromoment.features.state import new_state
from micromoment.scoring.answers import (
    N_ANSWERED,
    SETTLED_AUDIENCES,
    SETTLED_CLUSTER,
    answer_points,
)
from micromoment.scoring.judging import AUDIENCES, CLUSTER, N_COUNTS
from micromoment.scoring.settling import Assignment, settle

points = st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1))
# Few values, so that points in a row often agree.
visits = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=30)


def settled(*visit: tuple[int, int]) -> Assignment:
    """Take in all points of a visit."""
    assignment = Assignment()
    for cluster, audiences in visit:
        assignment = settle(assignment, cluster, audiences)
    return assignment


def settle_in(
    states: RecordArray, cluster: int, audiences: int, *, is_new: bool
) -> tuple[int, int]:
    """Answer for a session about which a point says this; gives where the visit belongs."""
    counts = np.zeros((1, N_COUNTS), np.int64)
    counts[0, [CLUSTER, AUDIENCES]] = cluster, audiences
    asked, told = np.zeros((1, N_ASKED), np.int64), np.zeros((1, N_TOLD), np.int64)
    asked[0, AS_OF] = -1
    told[0, ACCEPTED] = is_new
    answers = np.zeros((1, N_ANSWERED), np.int64)
    answer_points(1, states, asked, told, counts, 0, answers)
    return int(answers[0, SETTLED_CLUSTER]), int(answers[0, SETTLED_AUDIENCES])


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
def test_a_session_s_state_settles_by_the_same_rule(visit: list[tuple[int, int]]) -> None:
    """Whole visits kept in the state, up to the highest values, belong where they do by hand."""
    states = new_state()
    for place, point in enumerate(visit):
        found = settled(*visit[: place + 1])
        assert settle_in(states, *point, is_new=True) == (found.cluster, found.audiences)


@given(st.lists(points, max_size=3), points)
def test_who_only_asks_again_changes_nothing(
    visit: list[tuple[int, int]], point: tuple[int, int]
) -> None:
    """The state stays as it is: it belongs where it did, or where the point says if it is new."""
    states = new_state()
    for one in visit:
        settle_in(states, *one, is_new=True)
    before = states.tobytes()
    found = settled(*visit) if visit else settled(point)
    assert settle_in(states, *point, is_new=False) == (found.cluster, found.audiences)
    assert states.tobytes() == before
