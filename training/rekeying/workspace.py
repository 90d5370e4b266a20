"""A feature workspace: the users' snapshots, decision points, and the rows of the online store.

Servers may read meanwhile: they seek a visitor under the current key and then under the others.
First all rows are there under both, then those under the earlier keys go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError, UserFeaturesUnavailableError
from micromoment.stores.feast_config import repo_config, sqlite_file
from micromoment.stores.online_visitors import entity_keys, entity_tables
from micromoment.stores.secure_sqlite import UNCLEAN, erasing
from micromoment.stores.user_view import VISITOR_KEY
from micromoment.workspace_erasing import is_scratch
from training.feature_store.workspace import FeatureWorkspace
from training.progress import Advance
from training.rekeying.decisions import rekey_decisions
from training.rekeying.renaming import Renaming, StoreReport, put_in_place

if TYPE_CHECKING:
    from feast import RepoConfig

_DRAFT: Final = ".unfinished"  # as building snapshots calls its own, and removes it
_TOGETHER: Final = 1_000
_BUSY_TIMEOUT_S: Final = 30.0
# How long readers may go on before the write-ahead log is cut.
_READERS_S: Final = 5.0


def files_with_ids(workspace: Path) -> list[Path]:
    """List the files of users' snapshots and decision points."""
    made = FeatureWorkspace(workspace)
    return [*sorted(made.snapshots.glob("*.parquet")), *sorted(made.decisions.glob("*.parquet"))]


def rekey_workspace(root: Path, renaming: Renaming, advance: Advance) -> list[StoreReport]:
    """Bring a workspace under the current key; `advance` gets 1 for each file and 1 at the end.

    Raises `InvalidDataError` for a folder that is no workspace or has files of a training that has
    not ended, `UserFeaturesUnavailableError` when the online store can't be written.
    """
    require_at_rest(root)
    files = files_with_ids(root)
    online = _online_report(root)
    if not files and online is None:
        raise InvalidDataError(str(root), "is no feature workspace: no snapshots, no online store")
    snapshots = StoreReport(f"user snapshots {root}")
    decisions = StoreReport(f"decision points {root}")
    for path in files:
        is_snapshot = path.parent.name == FeatureWorkspace(root).snapshots.name
        report, rekey = (
            (snapshots, _rekey_snapshot) if is_snapshot else (decisions, rekey_decisions)
        )
        report.files += 1
        report.rewritten += rekey(path, renaming, report)
        advance(1)
    reports = [snapshots, *([decisions] if decisions.files else [])]
    if online is not None:
        _rekey_online(root, renaming, online)
        reports.append(online)
    advance(1)
    return reports


def _rekey_snapshot(path: Path, renaming: Renaming, report: StoreReport) -> bool:
    table = pq.read_table(path)
    before = report.renamed
    named = renaming.take_columns(report, table, [VISITOR_KEY])
    if report.renamed == before:
        return False
    draft = path.with_suffix(_DRAFT)
    # Cuts are in the order of visitors.
    ordered = named.take(pc.sort_indices(named, [(VISITOR_KEY, "ascending")]))
    pq.write_table(ordered, draft, compression="zstd")
    put_in_place(draft, path)
    return True


def require_at_rest(root: Path) -> None:
    """Raise `InvalidDataError` where a training has work files, which have ids as they were."""
    for path in sorted(root.glob("*")):
        if path.is_dir() and is_scratch(path.name):
            raise InvalidDataError(
                str(path),
                "a training works here: let it end; if it was broken off, remove this folder",
            )


def _online_report(root: Path) -> StoreReport | None:
    config = repo_config(root)
    file = sqlite_file(config)
    if file is None:
        return StoreReport(f"online store ({config.online_store.type})", files=1)
    return StoreReport(f"online store {file}", files=1) if file.exists() else None


def _rekey_online(root: Path, renaming: Renaming, report: StoreReport) -> None:
    from redis.exceptions import RedisError  # noqa: PLC0415 - only where Feast is used

    config = repo_config(root)
    file = sqlite_file(config)
    try:
        if file is not None:
            with closing(
                sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            ) as own:
                _rekey_sqlite(own, config.entity_key_serialization_version, renaming, report)
            # Nothing is left to change: it cleans the file and its write-ahead log.
            with erasing(file, wait_s=_READERS_S):
                pass
        elif config.online_store.type == "redis":
            _rekey_redis(config, renaming, report)
        else:
            report.note = "is not known here: materialize the re-keyed snapshots into an empty one"
    except (sqlite3.Error, RedisError, OSError) as error:
        message = type(error).__name__
        raise UserFeaturesUnavailableError(
            f"the online store can't be written: {message}"
        ) from None
    report.rewritten = int(report.renamed > 0)


def _rekey_sqlite(
    connection: sqlite3.Connection, version: int, renaming: Renaming, report: StoreReport
) -> None:
    # What is overwritten is filled with zeros.
    connection.execute("PRAGMA secure_delete = ON")
    for name in entity_tables(connection):
        moves = list(_moves(entity_keys(connection, name), version, renaming, report))
        others = ", ".join(
            f'"{row[1]}"'
            # nosemgrep: no-values-in-sql - Feast's names of tables
            for row in connection.execute(f'PRAGMA table_info("{name}")')
            if row[1] != "entity_key"
        )
        if moves:
            # Whoever breaks off leaves a file that is known to need cleaning.
            # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
            connection.execute(f"PRAGMA application_id = {UNCLEAN}")
        # A row that is there under the current key was published later.
        copy = (
            f'INSERT OR IGNORE INTO "{name}" (entity_key, {others})'  # noqa: S608 - Feast's names  # nosec B608
            f' SELECT ?, {others} FROM "{name}" WHERE entity_key = ?'
        )
        _in_parts(connection, copy, [(new, old) for old, new in moves])
        remove = f'DELETE FROM "{name}" WHERE entity_key = ?'  # noqa: S608 - Feast's names  # nosec B608
        _in_parts(connection, remove, [(old,) for old, _ in moves])


def _in_parts(
    connection: sqlite3.Connection, statement: str, values: Sequence[tuple[bytes, ...]]
) -> None:
    """Run a statement for many values, in transactions so short that readers don't notice."""
    for start in range(0, len(values), _TOGETHER):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, values[start : start + _TOGETHER])
        connection.execute("COMMIT")


def _rekey_redis(config: RepoConfig, renaming: Renaming, report: StoreReport) -> None:
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    store: Any = feast.get_provider(config).online_store
    client = store._get_client(config.online_store)
    suffix = config.project.encode()
    keys = [key for key in client.scan_iter(count=_TOGETHER) if key.endswith(suffix)]
    plain = [key[: -len(suffix)] for key in keys]
    moves = list(_moves(plain, config.entity_key_serialization_version, renaming, report))
    for old, new in moves:
        client.copy(old + suffix, new + suffix)  # keeps how long it lives
    for old, _ in moves:
        client.delete(old + suffix)


def _moves(
    keys: list[bytes], version: int, renaming: Renaming, report: StoreReport
) -> Iterator[tuple[bytes, bytes]]:
    """Give the visitors' keys that change, each with its new form, and count visitors."""
    from micromoment.stores import feast_sdk as feast  # noqa: PLC0415 - seconds

    read: Callable[[bytes, int], Any] = feast.deserialize_entity_key
    for key in keys:
        try:
            entity = read(key, version)
        except (ValueError, UnicodeDecodeError):
            continue  # another's
        if list(entity.join_keys) != [VISITOR_KEY]:
            continue
        (value,) = entity.entity_values
        (named,) = renaming.take(report, value.string_val)
        if named != value.string_val:
            value.string_val = named
            yield key, feast.serialize_entity_key(entity, entity_key_serialization_version=version)
