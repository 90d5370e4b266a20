"""Erases visitors from Feast's online store, which has no delete for one of them; for threads.

`delete_entity_values` of Feast's Redis store deletes everybody's, so the rows of their keys are
deleted here, in SQLite and in Redis.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from micromoment.errors import UserFeaturesUnavailableError
from micromoment.stores.feast_config import limit_waiting, repo_config, sqlite_file
from micromoment.stores.secure_sqlite import erasing
from micromoment.stores.user_view import VISITOR_KEY

if TYPE_CHECKING:
    from feast import RepoConfig
    from feast.infra.online_stores.redis import RedisOnlineStore

_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%entity_key BLOB%'"
)
_TIMEOUT_S: Final = 5.0


def erase_online(workspace: Path, visitors: Sequence[str]) -> int:
    """Delete the visitors' rows, by encoded ids; give how many visitors had some.

    None of their bytes stay in an SQLite store. Raises `UserFeaturesUnavailableError` for a store
    that fails and for one of another kind than SQLite and Redis.
    """
    config = repo_config(workspace)
    limit_waiting(config, _TIMEOUT_S)
    keys = _keys(config, visitors)
    file = sqlite_file(config)
    try:
        if file is not None:
            return _erase_sqlite(file, keys) if file.exists() else 0
        if config.online_store.type == "redis":
            return _erase_redis(config, keys)
    except Exception as error:  # sqlite3, redis and Feast raise without a common root
        raise UserFeaturesUnavailableError(f"online store: {type(error).__name__}") from error
    raise UserFeaturesUnavailableError(
        f"online store: erasing from one of type {config.online_store.type} is not supported"
    )


def _keys(config: RepoConfig, visitors: Sequence[str]) -> list[bytes]:
    from feast.infra.key_encoding_utils import serialize_entity_key  # noqa: PLC0415 - seconds

    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    return [
        serialize_entity_key(
            feast.EntityKey(
                join_keys=[VISITOR_KEY], entity_values=[feast.Value(string_val=visitor)]
            ),
            entity_key_serialization_version=config.entity_key_serialization_version,
        )
        for visitor in visitors
    ]


def _erase_sqlite(file: Path, keys: Sequence[bytes]) -> int:
    log = file.with_name(f"{file.name}-wal")
    held = any(_holds(one, keys) for one in (file, log))
    if not held and not os.access(file, os.W_OK):
        return 0  # mounted to be read, and erased from where it is written
    found = 0
    with erasing(file) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        for key in keys:
            rows = 0
            for table in tables:
                quoted = '"' + table.replace('"', '""') + '"'
                statement = f"DELETE FROM {quoted} WHERE entity_key = ?"  # noqa: S608 - quoted  # nosec B608
                rows += connection.execute(statement, (key,)).rowcount
            found += rows > 0
    return found


def _holds(file: Path, keys: Sequence[bytes]) -> bool:
    longest = max(map(len, keys), default=1)
    # SQLite removes a write-ahead log with its last connection.
    with suppress(FileNotFoundError), file.open("rb") as opened:
        before = b""
        while part := opened.read(1 << 24):
            text = before + part
            if any(key in text for key in keys):
                return True
            before = text[-longest:]
    return False


def _erase_redis(config: RepoConfig, keys: Sequence[bytes]) -> int:
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    provider = feast.get_provider(config)
    store = cast("RedisOnlineStore", provider.online_store)
    client: Any = store._get_client(config.online_store)
    project = config.project.encode()
    return sum(int(client.delete(key + project)) for key in keys)
