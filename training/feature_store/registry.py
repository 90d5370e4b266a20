"""Registration of a workspace's features with Feast."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from micromoment.stores.feast_config import repo_config, sqlite_file
from training.feature_store.definitions import define
from training.feature_store.workspace import FeatureWorkspace


def apply(workspace: FeatureWorkspace) -> None:
    """Register the workspace's entities, views and services; make what they need.

    May be repeated at any time. Raises `InvalidDataError` when the workspace's own
    `feature_store.yaml` isn't usable.
    """
    workspace.make_folders()
    file = sqlite_file(repo_config(workspace.root))
    if file is not None:
        let_readers_go_on(file)
    workspace.open().apply(define(workspace).all)


def let_readers_go_on(file: Path) -> None:
    """Put an SQLite file, made if it isn't there, into WAL mode for good; Feast does not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
