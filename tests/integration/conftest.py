"""What several modules on a real Redis ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.feature_stores import a_redis


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis for this module."""
    with a_redis(tmp_path_factory.mktemp("redis")) as (_, port):
        yield port


@pytest.fixture
def redis(port: int) -> Iterator[Redis]:
    """The Redis itself, emptied."""
    with Redis(port=port) as client:
        client.flushall()
        yield client
