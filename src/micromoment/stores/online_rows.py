"""Reads of the user view from Feast's online store, for use in threads: every call may block.

Reads go to the store through Feast's provider, with the view made from code. The SDK's
`get_online_features` looks everything up in the registry again for each call, which costs more than
the read; and a registry can carry pickled functions, which nobody should run in a server
(docs/adr/0006-feast-online-reads.md).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from micromoment.errors import UserFeaturesUnavailableError
from micromoment.features.user_snapshot import USER_SNAPSHOT
from micromoment.stores.feast_config import limit_waiting, repo_config, sqlite_file
from micromoment.stores.user_view import VISITOR_KEY, user_view

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig
    from feast.infra.online_stores.sqlite import SqliteOnlineStore
    from feast.infra.provider import Provider

_MS_PER_SECOND: Final = 1000


class OnlineRows:
    """The rows of one workspace's online store; a read waits at most about `timeout_s` seconds."""

    def __init__(self, workspace: Path, timeout_s: float) -> None:
        self._workspace = workspace
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._store: tuple[Provider, RepoConfig, FeatureView] | None = None

    def open(self) -> None:
        """Import Feast and open the store, unless that is done.

        Raises `InvalidDataError` for a configuration that isn't usable and
        `UserFeaturesUnavailableError` when the store isn't there.
        """
        self._opened()

    def read(self, visitor_id: str) -> npt.NDArray[Any] | None:
        """Give the visitor's row, shape (1,), dtype `USER_SNAPSHOT`; None when there is none.

        Raises whatever the store raises, and `UserFeaturesUnavailableError` for a row that isn't
        what the view says.
        """
        from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

        provider, config, view = self._opened()
        key = feast.EntityKey(
            join_keys=[VISITOR_KEY], entity_values=[feast.Value(string_val=visitor_id)]
        )
        ((_, values),) = provider.online_read(config, view, [key])
        return _row(values or {})

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._store = None

    def _opened(self) -> tuple[Provider, RepoConfig, FeatureView]:
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _open(self) -> tuple[Provider, RepoConfig, FeatureView]:
        from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

        config = repo_config(self._workspace)
        limit_waiting(config, self._timeout_s)
        provider = feast.get_provider(config)
        file = sqlite_file(config)
        if file is not None:
            self._open_sqlite(provider, config, file)
        return provider, config, user_view()

    def _open_sqlite(self, provider: Provider, config: RepoConfig, file: Path) -> None:
        if not file.exists():  # SQLite would make an empty one
            raise UserFeaturesUnavailableError(f"{file}: no online store is there yet")
        # Feast offers no setting for either, and would wait for five seconds on a locked file.
        connection = cast("SqliteOnlineStore", provider.online_store)._get_conn(config)
        # nosemgrep: no-values-in-sql - a number; PRAGMA takes no parameter
        connection.execute(f"PRAGMA busy_timeout = {round(self._timeout_s * _MS_PER_SECOND)}")
        # Readers then go on while a writer writes. A file that can't be changed now was written by
        # `materialize`, which sets this too.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")


def _row(values: dict[str, Any]) -> npt.NDArray[Any] | None:
    # For a visitor without a row SQLite gives nothing, Redis a value without content per column.
    known = {name: value for name, value in values.items() if value.WhichOneof("val") is not None}
    if not known:
        return None
    names = USER_SNAPSHOT.names or ()
    missing = [name for name in names if name not in known]
    if missing:
        raise UserFeaturesUnavailableError(
            f"online row: columns are missing ({', '.join(missing)}); rows that an older version "
            "wrote must be cut and materialized again"
        )
    row = np.zeros(1, USER_SNAPSHOT)
    for name in names:
        if known[name].WhichOneof("val") != "int64_val":
            raise UserFeaturesUnavailableError(f"online row: {name} is no 64-bit integer")
        row[name] = known[name].int64_val
    return row
