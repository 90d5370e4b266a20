"""How Feast is set up in a feature workspace: its own `feature_store.yaml`, else the embedded form.

Embedded is DuckDB over Parquet offline and one SQLite file online. A `feature_store.yaml` in the
workspace's folder replaces it as a whole, for instance to keep the online rows in Redis; relative
paths in it start at the folder, `${NAME}` takes an environment variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from micromoment.errors import InvalidDataError

if TYPE_CHECKING:
    from feast import RepoConfig

PROJECT: Final = "micromoment"
CONFIG_FILE: Final = "feature_store.yaml"


def repo_config(root: Path) -> RepoConfig:
    """Give the configuration of a workspace.

    Raises `InvalidDataError` naming the file when its `feature_store.yaml` isn't usable.
    """
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    file = root / CONFIG_FILE
    if not file.exists():
        return feast.RepoConfig(**embedded(), repo_path=root)
    try:
        return feast.load_repo_config(root, file)
    except Exception as error:  # Feast, pydantic and yaml raise without a common root
        raise InvalidDataError(str(file), f"is no Feast configuration: {error}") from error


def embedded() -> dict[str, Any]:
    """Give the configuration of a workspace without a file of its own, paths relative to it."""
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {"registry_type": "file", "path": "registry.db"},
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": "online.db"},
        "entity_key_serialization_version": 3,
        "materialization": {"pull_latest_features": True, "online_write_batch_size": 10_000},
    }


def sqlite_file(config: RepoConfig) -> Path | None:
    """Give the path of the SQLite online store, None when it is another store."""
    options = config.online_store
    if options.type != "sqlite":
        return None
    return Path(config.repo_path or "", options.path)


def limit_waiting(config: RepoConfig, timeout_s: float) -> None:
    """Bound what one read may wait for Redis and stop redis-py from retrying on its own.

    What the connection string says itself is left alone. SQLite takes its limit per connection.
    """
    options = config.online_store
    if options.type != "redis":
        return
    defaults = ("retry=null", f"socket_timeout={timeout_s}", f"socket_connect_timeout={timeout_s}")
    parts = options.connection_string.split(",")
    named = {part.partition("=")[0] for part in parts}
    missing = [part for part in defaults if part.partition("=")[0] not in named]
    options.connection_string = ",".join([*parts, *missing])
