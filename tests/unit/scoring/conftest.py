"""A scorer with a real bundle and a small real store."""

import pytest

from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.scorer import Scorer
from micromoment.stores.sessions import MemorySessionStore
from tests.support.events import DAY


@pytest.fixture
def store() -> MemorySessionStore:
    """A store for three sessions."""
    return MemorySessionStore(max_sessions=3, ttl_s=3_600)


@pytest.fixture
def scorer(tiny_bundle: LoadedBundle, store: MemorySessionStore) -> Scorer:
    """A scorer with the tiny bundle."""
    return Scorer(tiny_bundle, store, max_user_feature_age_us=2 * DAY)
