"""The scorer and the users' features: when they are taken up, and what is said of their age."""

from dataclasses import replace

import numpy as np
import pytest

from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import Degraded
from tests.support.calls import KEY, a_call, visit
from tests.support.events import DAY, SECOND, START_US, to_batch
from tests.support.folding import a_lookup
from tests.support.scoring import StoringScorer


def test_user_features_are_taken_up_at_the_start(scorer: StoringScorer) -> None:
    """The first event's look-up counts for the visit; a later one is not asked for nor used."""
    known = a_lookup(snapshot_time=START_US - DAY, first_seen=START_US - 9 * DAY, sessions=7)
    assert scorer.needs_user(KEY, to_batch(visit(1)))
    first = scorer.score(a_call(visit(1), user=known))
    assert first.user.found
    assert first.user.snapshot_time_us == START_US - DAY
    assert first.user.age_us == DAY + 10 * SECOND
    assert not first.user.stale
    assert not scorer.needs_user(KEY, to_batch(visit(1, first=2)))
    other = a_lookup(snapshot_time=START_US, sessions=99)
    later = scorer.score(a_call(visit(1, first=2), user=other))
    assert later.user == first.user
    assert later.features[scorer.bundle.feature_names.index("user_prior_sessions")] == 7


def test_identify_takes_user_features_up_again(scorer: StoringScorer) -> None:
    """When the visitor becomes known, the customer's history is asked for and replaces theirs."""
    scorer.score(a_call(visit(1), user=no_lookup(UserStatus.UNKNOWN)))
    known = a_lookup(snapshot_time=START_US - DAY, sessions=7)
    login = [replace(event, user_id="u1") for event in visit(1, first=2)]
    assert scorer.needs_user(KEY, to_batch(login))
    score = scorer.score(a_call(login, user=known))
    assert score.user.found
    assert score.features[scorer.bundle.feature_names.index("user_prior_sessions")] == 7
    assert score.events_seen == 2


def test_a_stale_snapshot_is_told(scorer: StoringScorer) -> None:
    """A snapshot older than allowed when it was taken up marks the answers of the visit."""
    old = a_lookup(
        snapshot_time=START_US - 3 * DAY,
        first_seen=START_US - 9 * DAY,
        last_seen=START_US - 4 * DAY,
    )
    score = scorer.score(a_call(visit(1), user=old))
    assert score.user.stale
    assert score.degraded == (Degraded.USER_FEATURES_STALE,)


def test_the_snapshot_of_somebody_long_away_is_not_stale(scorer: StoringScorer) -> None:
    """Somebody who was away when their row was cut keeps it: it is final, however old."""
    final = a_lookup(
        snapshot_time=START_US - 40 * DAY,
        first_seen=START_US - 200 * DAY,
        last_seen=START_US - 97 * DAY,
    )
    assert not scorer.score(a_call(visit(1), user=final)).user.stale


def test_a_snapshot_from_the_future_has_no_negative_age(scorer: StoringScorer) -> None:
    """A visitor's clock may be behind the snapshot: its age is then 0."""
    future = a_lookup(snapshot_time=START_US + DAY, first_seen=START_US)
    assert scorer.score(a_call(visit(1), user=future)).user.age_us == 0


@pytest.mark.parametrize("user", [None, no_lookup(UserStatus.UNAVAILABLE)])
def test_without_an_answer_of_the_user_store(
    scorer: StoringScorer, user: UserLookup | None
) -> None:
    """Where nobody was looked up, or the store was silent, the answer says so."""
    score = scorer.score(a_call(visit(1), user=user))
    assert score.degraded == (Degraded.USER_FEATURES_UNAVAILABLE,)
    assert not score.user.found
    assert np.isnan(score.features[scorer.bundle.feature_names.index("user_prior_sessions")])
