"""A scorer with a real bundle and a small real store."""

import pytest

from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.sessions import MemorySessionStore
from tests.support.bundles import bundle_parts
from tests.support.events import DAY
from tests.support.scoring import StoringScorer
from tests.support.segments import some_audiences, two_clusters
from training.publishing.bundle import write_bundle


@pytest.fixture
def store() -> MemorySessionStore:
    """A store for three sessions."""
    return MemorySessionStore(max_sessions=3, ttl_s=3_600)


@pytest.fixture
def scorer(tiny_bundle: LoadedBundle, store: MemorySessionStore) -> StoringScorer:
    """A scorer with the tiny bundle."""
    return StoringScorer(tiny_bundle, store, max_user_feature_age_us=2 * DAY)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> LoadedBundle:
    """A bundle with a conversion model, two clusters and three audiences."""
    folder = tmp_path_factory.mktemp("segmented") / "bundle"
    write_bundle(folder, bundle_parts(clusters=two_clusters(), audiences=some_audiences()))
    return load_bundle(folder)
