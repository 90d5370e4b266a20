"""Where a visit belongs, request by request: what is a decision point and what is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from micromoment.events.vocabulary import EventType
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.audiences import Audiences
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calls import Score
from micromoment.scoring.clusters import Clusters
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.stores.sessions import MemorySessionStore
from tests.support.bundles import bundle_parts
from tests.support.calls import KEY, a_call, visit
from tests.support.events import DAY, MINUTE, SECOND, START_US, AnItem, an_event
from tests.support.scoring import StoringScorer
from tests.support.segments import audience, audience_file, some_audiences, two_clusters
from training.publishing.bundle import write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> LoadedBundle:
    """A bundle with two clusters, which part between 6 and 7 events, and three audiences."""
    folder = tmp_path_factory.mktemp("segmented") / "bundle"
    write_bundle(folder, bundle_parts(clusters=two_clusters(), audiences=some_audiences()))
    return load_bundle(folder)


@pytest.fixture
def store() -> MemorySessionStore:
    """A store for three sessions."""
    return MemorySessionStore(max_sessions=3, ttl_s=3_600)


@pytest.fixture
def scorer(bundle: LoadedBundle, store: MemorySessionStore) -> StoringScorer:
    """A scorer with that bundle."""
    return StoringScorer(bundle, store, max_user_feature_age_us=2 * DAY)


def cluster(score: Score) -> str | None:
    """Name the answer's cluster."""
    return score.cluster.id if score.cluster else None


def audiences(score: Score) -> list[str]:
    """Name the answer's audiences."""
    return [one.id for one in score.audiences]


def test_a_cluster_changes_at_the_second_request(scorer: StoringScorer) -> None:
    """The seventh event is the first point in the other cluster, the eighth the second."""
    found = [cluster(scorer.score(a_call(visit(1, first=n)))) for n in range(1, 9)]
    assert found == ["few"] * 7 + ["many"]


def test_a_request_is_one_point(scorer: StoringScorer) -> None:
    """Eight events at once are the first point, which counts at once."""
    assert cluster(scorer.score(a_call(visit(8)))) == "many"


def test_the_segment_is_the_first_audience_else_the_cluster(scorer: StoringScorer) -> None:
    """A stranger is a newcomer; with two pieces in the cart for two points, a full cart first."""
    first = scorer.score(a_call(visit(1)))
    assert first.segment is not None
    assert (audiences(first), first.segment.name) == (["newcomers"], "Newcomers")
    add = an_event(
        event_id="add",
        event_time=START_US + MINUTE,
        type=EventType.CART_ADD,
        items=(AnItem(quantity=2),),
    )
    assert audiences(scorer.score(a_call([add]))) == ["newcomers"]
    later = an_event(event_id="later", event_time=START_US + 2 * MINUTE)
    last = scorer.score(a_call([later]))
    assert last.segment is not None
    assert (audiences(last), last.segment.id) == (["full-carts", "newcomers"], "full-carts")


def test_what_only_asks_changes_nothing(scorer: StoringScorer) -> None:
    """No events, repeats, another time, a dry run and GetSession are no points of the visit."""
    scorer.score(a_call(visit(6)))
    seventh = visit(1, first=7)
    for _ in range(3):
        assert cluster(scorer.score(a_call(seventh, dry_run=True))) == "few"
    assert cluster(scorer.score(a_call(seventh))) == "few"
    for _ in range(3):
        assert cluster(scorer.score(a_call())) == "few"
        assert cluster(scorer.score(a_call(seventh))) == "few"
        assert cluster(scorer.score(a_call(as_of_us=START_US + 10 * MINUTE))) == "few"
        assert cluster(scorer.session(KEY)) == "few"
    assert cluster(scorer.score(a_call(visit(1, first=8)))) == "many"
    assert cluster(scorer.session(KEY)) == "many"


def test_a_new_visit_begins_anew(scorer: StoringScorer) -> None:
    """After a gap the first point of the session counts at once again."""
    assert cluster(scorer.score(a_call(visit(9)))) == "many"
    late = an_event(event_id="late", event_time=START_US + 90 * SECOND + 31 * MINUTE)
    assert cluster(scorer.score(a_call([late]))) == "few"


def test_a_swap_keeps_what_still_means_something(
    bundle: LoadedBundle, store: MemorySessionStore, scorer: StoringScorer
) -> None:
    """Numbers and bits outlive the bundle; those that the new one lacks are passed over."""
    scorer.score(a_call(visit(2)))
    names = bundle.feature_names
    assert bundle.clusters is not None
    few, many = bundle.clusters.file.clusters
    renumbered = (few.model_copy(update={"number": 9, "id": "fresh"}), many)
    swapped = replace(
        bundle,
        clusters=Clusters(bundle.clusters.file.model_copy(update={"clusters": renumbered}), names),
        audiences=Audiences(audience_file(audience(1, "other", "false")), names),
    )
    after = StoringScorer(swapped, store, max_user_feature_age_us=2 * DAY)
    assert cluster(after.session(KEY)) == "fresh"
    assert audiences(after.session(KEY)) == []
    assert audiences(scorer.session(KEY)) == ["newcomers"]


def test_without_the_store_of_users_the_lifecycle_is_not_known(scorer: StoringScorer) -> None:
    """And rules over it don't hold."""
    score = scorer.score(a_call(visit(1), user=no_lookup(UserStatus.UNAVAILABLE)))
    assert score.lifecycle is Lifecycle.UNSPECIFIED
    assert audiences(score) == []
    assert score.segment == score.cluster


def test_a_bundle_without_segments_leaves_them_out(
    tiny_bundle: LoadedBundle, store: MemorySessionStore
) -> None:
    """No cluster, no audience, no segment; the lifecycle is there."""
    scorer = StoringScorer(tiny_bundle, store, max_user_feature_age_us=2 * DAY)
    score = scorer.score(a_call(visit(3)))
    assert (score.cluster, score.audiences, score.segment) == (None, (), None)
    assert score.lifecycle is Lifecycle.NEW
