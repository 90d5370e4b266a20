"""Whose rows an embedded online store has."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from micromoment.stores.user_view import VISITOR_KEY

if TYPE_CHECKING:
    from feast import RepoConfig


def entity_keys(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Go through the keys of rows as Feast writes them. Raises `sqlite3.Error`."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in tables:
        # nosemgrep: no-values-in-sql - Feast's names of tables
        columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
        if any(column[1] == "entity_key" for column in columns):
            # nosemgrep: no-values-in-sql - Feast's names of tables
            query = f'SELECT DISTINCT entity_key FROM "{name}"'  # noqa: S608 - Feast's  # nosec B608
            yield from (key for (key,) in connection.execute(query))


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
