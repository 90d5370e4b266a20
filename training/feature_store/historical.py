"""Point-in-time joins: features as they were known at a moment, with no row lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from micromoment.stores.user_view import VISITOR_KEY
from training.feature_store.definitions import (
    CONVERSION_SERVICE,
    DECISION_KEY,
    DECISION_TIME,
    USER_SERVICE,
)
from training.feature_store.workspace import FeatureWorkspace

UserRows = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

_ROW: Final = "entity_row"
_TIME: Final = "event_timestamp"
_TIME_TYPE: Final = pa.timestamp("us", tz="UTC")


def user_rows_at(workspace: FeatureWorkspace, take_ups: pa.Table) -> UserRows:
    """Give the newest snapshot that was available when each of n take-ups happened.

    `take_ups` has `visitor_id` (encoded) and `take_up_time`; a row whose `available_at` equals that
    time is taken. Gives `USER_SNAPSHOT` rows, zeros where there is none, and `UserStatus` as uint8
    (FOUND or UNKNOWN), both of shape (n,), in the order of `take_ups`.

    Raises `InvalidDataError` when Feast gives another number of rows than it was asked for.
    """
    rows = np.zeros(len(take_ups), USER_SNAPSHOT)
    status = np.full(len(take_ups), UserStatus.UNKNOWN, np.uint8)
    if not len(take_ups) or not any(workspace.snapshots.glob("*.parquet")):
        return rows, status
    visitors = pc.fill_null(take_ups[VISITOR_KEY], "")
    entities = pa.table({VISITOR_KEY: visitors, _TIME: take_ups["take_up_time"].cast(_TIME_TYPE)})
    joined = _join(workspace, USER_SERVICE, entities)
    for name in USER_SNAPSHOT.names or ():
        rows[name] = pc.fill_null(joined[name], 0).to_numpy()
    found = pc.is_valid(joined["snapshot_time"]).to_numpy(zero_copy_only=False)
    status[found] = UserStatus.FOUND
    return rows, status


def training_rows(
    workspace: FeatureWorkspace, decisions: Sequence[Path], columns: Sequence[str]
) -> pa.Table:
    """Give the decision points of Parquet files through the service `conversion`, in their order.

    The files, which hold `decision_id`, `visitor_id`, `feature_time`, all session features and
    `columns`, become the workspace's decisions, in place of earlier ones. The table has `columns`,
    then the session features (float32, NaN where missing), then the user snapshot as of
    `feature_time`. No model learns from the last: it may be newer than what the visit took up.

    Raises `InvalidDataError` when a column is missing, a `decision_id` repeats, or Feast's answer
    lacks rows or features that the files hold.
    """
    for path in decisions:
        _check_columns(path, [DECISION_KEY, VISITOR_KEY, DECISION_TIME, *columns, *FEATURE_NAMES])
    kept = _keep(decisions, workspace.decisions)
    needed = list(dict.fromkeys([DECISION_KEY, VISITOR_KEY, DECISION_TIME, *columns]))
    points = pa.concat_tables([pq.read_table(path, columns=needed) for path in kept])
    distinct = pc.count_distinct(points[DECISION_KEY]).as_py()
    if distinct != len(points):
        raise InvalidDataError("decisions", f"{len(points)} rows have {distinct} decision ids")
    entities = pa.table(
        {
            DECISION_KEY: points[DECISION_KEY],
            VISITOR_KEY: pc.fill_null(points[VISITOR_KEY], ""),
            _TIME: points[DECISION_TIME].cast(_TIME_TYPE),
        }
    )
    joined = _join(workspace, CONVERSION_SERVICE, entities).drop_columns(
        [DECISION_KEY, VISITOR_KEY, _TIME]
    )
    _check_features(joined)
    for place, name in enumerate(columns):
        joined = joined.add_column(place, name, points[name])
    return joined


def _join(workspace: FeatureWorkspace, service: str, entities: pa.Table) -> pa.Table:
    """Join through a service; gives the entities' rows in their order."""
    asked = len(entities)
    numbered = entities.append_column(_ROW, pa.array(np.arange(asked)))
    store = workspace.open()
    answer: pa.Table = store.get_historical_features(
        entity_df=numbered.to_pandas(), features=store.get_feature_service(service)
    ).to_arrow()
    rows = answer[_ROW].to_numpy()
    order = np.argsort(rows, kind="stable")
    if not np.array_equal(rows[order], np.arange(asked)):
        raise InvalidDataError(
            f"feature service {service}",
            f"asked for {asked} rows, got {len(rows)}, {len(np.unique(rows))} of them distinct",
        )
    return answer.take(order).drop_columns([_ROW])


def _keep(files: Sequence[Path], folder: Path) -> list[Path]:
    """Make `files` the only Parquet files of `folder`; links where the file system allows it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [folder / f"{number:05}.parquet" for number in range(len(files))]
    if list(files) == kept:
        return kept
    for old in folder.glob("*.parquet"):
        old.unlink()
    for source, target in zip(files, kept, strict=True):
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
    return kept


def _check_columns(path: Path, wanted: Sequence[str]) -> None:
    schema = pq.read_schema(path)
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise InvalidDataError(str(path), f"columns are missing: {', '.join(missing)}")
    wrong = [name for name in FEATURE_NAMES if schema.field(name).type != pa.float32()]
    if wrong:
        raise InvalidDataError(str(path), f"features aren't float32: {', '.join(wrong)}")


def _check_features(joined: pa.Table) -> None:
    # Replayed features are numbers or NaN, so a null is a decision point that Feast didn't find.
    lost = {name: joined[name].null_count for name in FEATURE_NAMES if joined[name].null_count}
    if lost:
        name, count = max(lost.items(), key=lambda item: item[1])
        raise InvalidDataError(
            f"feature service {CONVERSION_SERVICE}",
            f"{count} of {len(joined)} decision points came back without {name}",
        )
