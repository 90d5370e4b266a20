"""Whose rows an embedded online store has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from micromoment.stores.user_view import VISITOR_KEY

if TYPE_CHECKING:
    from feast import RepoConfig


def entity_tables(connection: sqlite3.Connection) -> list[str]:
    """Name the tables that hold rows of entities. Raises `sqlite3.Error`."""
    return [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        # nosemgrep: no-values-in-sql - Feast's names of tables
        if any(row[1] == "entity_key" for row in connection.execute(f'PRAGMA table_info("{name}")'))
    ]


def entity_keys(connection: sqlite3.Connection, table: str) -> list[bytes]:
    """Give the keys of a table's rows as Feast writes them, each once. Raises `sqlite3.Error`."""
    # nosemgrep: no-values-in-sql - Feast's names of tables
    query = f'SELECT DISTINCT entity_key FROM "{table}"'  # noqa: S608 - Feast's  # nosec B608
    return [key for (key,) in connection.execute(query)]


def visitors_of(keys: Iterable[bytes], config: RepoConfig) -> Iterator[str]:
    """Give the visitors whose keys they are, by encoded ids; keys of others are passed over."""
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    for key in keys:
        try:
            entity = feast.deserialize_entity_key(key, config.entity_key_serialization_version)
        except (ValueError, UnicodeDecodeError):
            continue
        if list(entity.join_keys) == [VISITOR_KEY]:
            yield entity.entity_values[0].string_val
