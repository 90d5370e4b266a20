"""How a workspace's Feast configuration is found and limited."""

from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from micromoment.stores.feast_config import limit_waiting, repo_config, sqlite_file

REDIS = """
project: micromoment
registry: registry.db
offline_store: {type: duckdb}
online_store: {type: redis, connection_string: "%s"}
entity_key_serialization_version: 3
"""


def test_a_workspace_is_embedded_by_default(tmp_path: Path) -> None:
    """Without a file of its own a workspace keeps online rows in its own SQLite file."""
    config = repo_config(tmp_path)
    assert config.offline_store.type == "duckdb"
    assert sqlite_file(config) == tmp_path / "online.db"
    assert config.materialization_config.pull_latest_features


def test_a_file_of_its_own_replaces_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workspace's feature_store.yaml counts, environment variables in it are filled in."""
    monkeypatch.setenv("CACHE_HOST", "cache.example")
    (tmp_path / "feature_store.yaml").write_text(REDIS % "${CACHE_HOST}:6379")
    config = repo_config(tmp_path)
    assert config.online_store.connection_string == "cache.example:6379"
    assert sqlite_file(config) is None


@pytest.mark.parametrize("text", ["a: [", "project: micromoment", "- 1"])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    """Broken YAML, a missing part and another shape all name the file."""
    (tmp_path / "feature_store.yaml").write_text(text)
    with pytest.raises(InvalidDataError, match=r"feature_store\.yaml: is no Feast configuration"):
        repo_config(tmp_path)


@pytest.mark.parametrize(
    ("given", "limited"),
    [
        ("h:1", "h:1,retry=null,socket_timeout=0.05,socket_connect_timeout=0.05"),
        (
            "h:1,db=2,retry=null,socket_timeout=3",
            "h:1,db=2,retry=null,socket_timeout=3,socket_connect_timeout=0.05",
        ),
    ],
)
def test_redis_gets_time_limits_unless_it_has_them(
    tmp_path: Path, given: str, limited: str
) -> None:
    """Retries are switched off and waiting is bounded; what is set explicitly stays."""
    (tmp_path / "feature_store.yaml").write_text(REDIS % given)
    config = repo_config(tmp_path)
    limit_waiting(config, 0.05)
    assert config.online_store.connection_string == limited
