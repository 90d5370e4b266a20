"""Point-in-time joins: features as they were known at a moment, with no row lost."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import InvalidDataError
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from micromoment.stores.user_view import VISITOR_KEY
from training.feature_store.definitions import USER_SERVICE
from training.feature_store.workspace import FeatureWorkspace

UserRows = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

_ROW: Final = "entity_row"
TIME: Final = "event_timestamp"
TIME_TYPE: Final = pa.timestamp("us", tz="UTC")


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
    entities = pa.table({VISITOR_KEY: visitors, TIME: take_ups["take_up_time"].cast(TIME_TYPE)})
    joined = join(workspace, USER_SERVICE, entities)
    for name in USER_SNAPSHOT.names or ():
        rows[name] = pc.fill_null(joined[name], 0).to_numpy()
    found = pc.is_valid(joined["snapshot_time"]).to_numpy(zero_copy_only=False)
    status[found] = UserStatus.FOUND
    return rows, status


def join(workspace: FeatureWorkspace, service: str, entities: pa.Table) -> pa.Table:
    """Join through a service; gives the entities' rows in their order.

    Raises `InvalidDataError` when Feast gives another number of rows than it was asked for.
    """
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
