"""Whether people can be found at all where they are to be looked for: under which keys ids are.

Whoever looks for an id without the key under which a store has it finds nobody, and nothing would
tell that from a person who isn't there. So each store is asked first under which keys its ids are.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.identity import PSEUDONYM_PART, IdEncoder, key_id_of
from micromoment.events.schema import key_id_of_schema
from micromoment.scoring.manifest import MANIFEST_FILE
from micromoment.stores.event_log import OUTSIDE_FILE
from micromoment.stores.feast_config import repo_config, sqlite_file
from micromoment.stores.log_segments import segments
from micromoment.stores.online_visitors import entity_keys, entity_tables, visitors_of
from micromoment.stores.secure_sqlite import open_existing
from micromoment.stores.user_view import VISITOR_KEY
from micromoment.workspace_erasing import workspace_files
from training.importers.event_folder import STATE_NAME
from training.privacy.erase import ID_COLUMNS, OfflinePlaces, require_logs, table_files

_SESSION: Final = "session_id"
# As `key_id_of` knows a pseudonym, for whole columns.
_PSEUDONYM: Final = rf"^(?P<key>[A-Za-z0-9_-]{{1,16}})\.{PSEUDONYM_PART}(?:[^a-z2-7]|$)"
_IS_THERE: Final = "SELECT 1 FROM sqlite_master WHERE name = ?"


def forms_to_look_for(
    named: Collection[str],
    ids: IdEncoder,
    places: OfflinePlaces,
    *,
    lost_keys: Collection[str] = (),
) -> set[str]:
    """Give each form in which the people named may be stored in the places: plain, by each key.

    Raises `InvalidDataError` for a place with ids under a key by which somebody named can't be
    found there, unless it is one of `lost_keys`, which nobody has any more; for a folder that isn't
    there, and for a file that can't be read.
    """
    forms = {one: ids.forms(one) for one in named}
    reachable = [{"", *map(key_id_of, theirs)} for theirs in forms.values()]
    common = set.intersection(*reachable) if reachable else set()
    for place, held in _held(places):
        if lacking := sorted(held - common - set(lost_keys)):
            raise InvalidDataError(str(place), _lacking(lacking, ids))
    return {form for theirs in forms.values() for form in theirs}


def _lacking(lacking: list[str], ids: IdEncoder) -> str:
    keys = ", ".join(lacking)
    given = f"the given keys are {', '.join(ids.key_ids)}" if ids.is_on else "no keys are given"
    return (
        f"holds pseudonyms under the key {keys}, {given}: nobody would be found. Give a file with"
        f" {keys} (--id-keys); if nobody has it any more, its rows are nobody's: --lost-key"
    )


def _held(places: OfflinePlaces) -> Iterator[tuple[Path, set[str]]]:
    """Give the keys under which ids are, place by place, the empty one for plain ids."""
    require_logs(places.logs)
    for folder in places.events:
        yield folder, _of_events(folder)
    if places.workspace is not None:
        yield places.workspace, _of_workspace(places.workspace)
    for log in places.logs:
        yield log, _of_log(log, places.tenant)
    for table in table_files(places.tables):
        yield table, _of_table(table)
    if places.bundle_store is not None:
        yield places.bundle_store, _of_bundles(places.bundle_store)


def _of_events(folder: Path) -> set[str]:
    _require_folder(folder, "is no folder of events")
    held = {_key_of_day(path) for path in folder.glob("*.parquet")}
    # Days say it themselves; what is kept beside them may be of days that are elsewhere by now.
    states = (folder / STATE_NAME).glob("*/*.parquet")
    return held.union(*(_of_parquet(path, (*ID_COLUMNS, _SESSION)) for path in states))


def _key_of_day(path: Path) -> str:
    try:
        return key_id_of_schema(pq.read_schema(path))
    except (OSError, ValueError) as error:
        raise InvalidDataError(str(path), f"isn't a readable Parquet file: {error}") from None


def _of_workspace(workspace: Path) -> set[str]:
    _require_folder(workspace, "is no feature workspace")
    files = workspace_files(workspace)
    held = set().union(*(_of_parquet(path, (VISITOR_KEY,)) for path in files))
    # Online rows are published from snapshots; a server may have a copy of them alone.
    return held or _of_online(workspace)


def _of_online(workspace: Path) -> set[str]:
    config = repo_config(workspace)
    file = sqlite_file(config)
    if file is None or not file.exists():
        return set()
    try:
        with closing(open_existing(file)) as connection:
            keys = (
                key for table in entity_tables(connection) for key in entity_keys(connection, table)
            )
            return {key_id_of(visitor) for visitor in visitors_of(keys, config)}
    except sqlite3.Error as error:
        raise InvalidDataError(str(file), f"can't be read as an online store: {error}") from None


def _of_log(folder: Path, tenant: str) -> set[str]:
    files = [(path, "calls") for path in segments(folder)]
    files.append((folder / OUTSIDE_FILE, "outside_visit_events"))
    held: set[str] = set()
    for path, table in files:
        if not path.exists():
            continue
        try:
            with closing(open_existing(path)) as connection:
                connection.create_function("key_id", 1, key_id_of, deterministic=True)
                if connection.execute(_IS_THERE, (table,)).fetchall():
                    # nosemgrep: no-values-in-sql - a constant
                    query = f"SELECT DISTINCT key_id(visitor_id) FROM {table} WHERE tenant = ?"  # noqa: S608 - a constant  # nosec B608
                    held.update(key for (key,) in connection.execute(query, (tenant,)))
        except sqlite3.Error as error:
            raise InvalidDataError(str(path), f"can't be read as an event log: {error}") from None
    return held


def _of_table(path: Path) -> set[str]:
    if path.suffix == ".parquet":
        return _of_parquet(path, ID_COLUMNS)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            return {key_id_of(row.get(name) or "") for row in rows for name in ID_COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(str(path), f"can't be read as CSV: {error}") from None


def _of_bundles(store: Path) -> set[str]:
    golden = (
        path
        for manifest in store.glob(f"*/*/{MANIFEST_FILE}")
        for path in manifest.parent.glob("golden/*.parquet")
    )
    return set().union(*(_of_parquet(path, (*ID_COLUMNS, _SESSION)) for path in golden))


def _of_parquet(path: Path, columns: Iterable[str]) -> set[str]:
    held: set[str] = set()
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in columns if name in file.schema_arrow.names]
            for group in range(file.num_row_groups if names else 0):
                part = file.read_row_group(group, columns=names)
                for name in names:
                    held |= key_ids_in(part[name])
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidDataError(str(path), f"isn't a readable Parquet file: {error}") from None
    return held


def key_ids_in(column: pa.ChunkedArray) -> set[str]:
    """Give what `key_id_of` says of a column's ids, without plain ones."""
    found = pc.extract_regex(pc.unique(column.cast(pa.string())), _PSEUDONYM)
    return {key for key in pc.unique(pc.struct_field(found, "key")).to_pylist() if key}


def _require_folder(folder: Path, detail: str) -> None:
    if not folder.is_dir():
        raise InvalidDataError(str(folder), detail)
