"""A scorer with a real bundle and a small real store."""

import pytest

from micromoment.scoring.bundle import LoadedBundle
from micromoment.stores.sessions import MemorySessionStore
from tests.support.events import DAY
from tests.support.scoring import StoringScorer


@pytest.fixture
def store() -> MemorySessionStore:
    """A store for three sessions."""
    return MemorySessionStore(max_sessions=3, ttl_s=3_600)


@pytest.fixture
def scorer(tiny_bundle: LoadedBundle, store: MemorySessionStore) -> StoringScorer:
    """A scorer with the tiny bundle."""
    return StoringScorer(tiny_bundle, store, max_user_feature_age_us=2 * DAY)
