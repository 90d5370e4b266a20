"""What several modules ask for that start servers, or a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support.feature_stores import a_redis
from tests.support.server_process import Start, servers


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


@pytest.fixture
def start(store: Path, tmp_path: Path) -> Iterator[Start]:
    """Start servers; those that still run are killed afterwards."""
    with servers(store, tmp_path) as start_server:
        yield start_server
