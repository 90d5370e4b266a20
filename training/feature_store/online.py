"""Publishing of user snapshots: from Parquet to the online store that serving reads."""

from __future__ import annotations

import io
import sqlite3
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
import pyarrow.dataset as ds

from micromoment.errors import UserFeaturesUnavailableError
from micromoment.stores.feast_config import repo_config, sqlite_file
from micromoment.stores.user_view import USER_VIEW, VISITOR_KEY
from training.feature_store.registry import let_readers_go_on
from training.feature_store.workspace import FeatureWorkspace
from training.snapshots.rows import AVAILABLE_AT, SNAPSHOT_SCHEMA

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView, RepoConfig

_BEGINNING: Final = datetime(1970, 1, 2, tzinfo=UTC)


def materialize(workspace: FeatureWorkspace, until: datetime) -> int:
    """Put each visitor's newest row that was available at `until` into the online store.

    Gives the number of visitors. The workspace must have been registered (`apply`). Readers of an
    SQLite store go on meanwhile. Going back to an earlier `until` than the last one empties the
    view first, so that no newer row stays: readers find nobody until it is done.

    Raises `UserFeaturesUnavailableError` when the online store can't be written.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415 - only where Feast is used

    if until.tzinfo is None:
        raise ValueError("until needs a time zone")
    visitors = _visitors(workspace, until)
    config = repo_config(workspace.root)
    file = sqlite_file(config)
    try:
        if file is not None:
            let_readers_go_on(file)
        _materialize(workspace.open(), until)
    except (sqlite3.Error, RedisError, OSError) as error:
        raise UserFeaturesUnavailableError(f"the online store can't be written: {error}") from error
    return visitors


def _materialize(store: FeatureStore, until: datetime) -> None:
    view = store.get_feature_view(USER_VIEW)
    intervals = view.materialization_intervals
    if intervals and intervals[-1][1] > until:
        _empty(store.config, view)
    # Without this Feast writes all rows, and in SQLite the last one written wins, not the newest.
    store.config.materialization_config.pull_latest_features = True
    # In Redis Feast passes over rows that are as old as those there, though they may have columns
    # that those lack. No row there is newer: it was emptied above.
    if hasattr(store.config.online_store, "skip_dedup"):
        store.config.online_store.skip_dedup = True
    with redirect_stdout(io.StringIO()):  # it reports by printing
        store.materialize(start_date=_BEGINNING, end_date=until, feature_views=[USER_VIEW])


def _empty(config: RepoConfig, view: FeatureView) -> None:
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    provider = feast.get_provider(config)
    for deleted, kept in (([view], []), ([], [view])):
        provider.update_infra(config.project, deleted, kept, [], [], partial=True)


def _visitors(workspace: FeatureWorkspace, until: datetime) -> int:
    files = sorted(workspace.snapshots.glob("*.parquet"))
    if not files:
        return 0
    snapshots = ds.dataset([str(file) for file in files], schema=SNAPSHOT_SCHEMA)
    rows = snapshots.to_table(columns=[VISITOR_KEY], filter=ds.field(AVAILABLE_AT) <= until)
    count: int = pc.count_distinct(rows[VISITOR_KEY]).as_py()
    return count
