"""Customers at cuts as arrays: what serving would have known of them then, and what came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from micromoment.errors import InvalidDataError
from micromoment.events.hashing import hash_strings
from micromoment.events.shop import Shop
from micromoment.features.catalogue import CHURN_FEATURES
from micromoment.features.customers import describe_customers
from micromoment.features.tables import Tables
from training.churn.cuts import CutPlan
from training.churn.population import labelled_visitors
from training.feature_store import FeatureWorkspace, user_rows_at
from training.snapshots.cuts import cut_at

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChurnRows:
    """n customers at cuts, by cut and visitor id.

    `features` is (n, f) float32, NaN where missing; the others are (n,): `label` is true for who
    churned, `visitor` holds a code per visitor (a hash of the id), `cut` the ordinal of the day.
    `orders` and `value`, in the shop's currency, are those of the window; 0 for activity.
    """

    features: npt.NDArray[np.float32]
    feature_names: tuple[str, ...]
    label: BoolArray
    visitor: npt.NDArray[np.uint64]
    cut: IntArray
    orders: FloatArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: BoolArray) -> ChurnRows:
        """Give the rows that a mask names."""
        return ChurnRows(
            np.ascontiguousarray(self.features[which]),
            self.feature_names,
            self.label[which],
            self.visitor[which],
            self.cut[which],
            self.orders[which],
            self.value[which],
        )

    def only(self, names: tuple[str, ...]) -> ChurnRows:
        """Give the rows with these features alone, in this order."""
        places = [self.feature_names.index(name) for name in names]
        features = np.ascontiguousarray(self.features[:, places])
        return replace(self, features=features, feature_names=names)

    def column(self, name: str) -> FloatArray:
        """Give one feature as float64, shape (n,)."""
        return self.features[:, self.feature_names.index(name)].astype(np.float64)


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """Where customers are read from: published snapshots, and how they are described."""

    workspace: FeatureWorkspace
    shop: Shop
    publish_lag: timedelta
    tables: Tables


def churn_rows(history: CustomerHistory, plan: CutPlan, max_rows: int) -> ChurnRows:
    """Describe everybody who is asked about at the cuts, at most `max_rows` rows.

    What is known at cut T is the snapshot that was available at T + publish lag, described as of T
    by the compiled features that serve. Raises `InvalidDataError` when the join gives a snapshot
    from after T, or none.
    """
    asked = labelled_visitors(history.workspace.snapshots, plan, history.shop, max_rows)
    tables = [table.append_column("cut", _repeat(cut.toordinal(), table)) for cut, table in asked]
    columns = ("churned", "orders", "value", "cut")
    empty = pa.table({"visitor_id": pa.array([], pa.string())} | {name: [] for name in columns})
    table = pa.concat_tables(tables) if tables else empty
    visitors = table["visitor_id"].combine_chunks()
    cuts = table["cut"].to_numpy().astype(np.int64)
    times = np.zeros(len(table), np.int64)
    for cut, _ in asked:
        times[cuts == cut.toordinal()] = cut_at(cut, history.shop).time_us
    return ChurnRows(
        features=_describe(history, visitors, times),
        feature_names=CHURN_FEATURES,
        label=table["churned"].to_numpy(zero_copy_only=False).astype(np.bool_),
        visitor=hash_strings(visitors),
        cut=cuts,
        orders=table["orders"].to_numpy().astype(np.float64),
        value=table["value"].to_numpy().astype(np.float64),
    )


def describe_at(history: CustomerHistory, visitors: pa.Array, time_us: int) -> ChurnRows:
    """Describe visitors as of one cut; what came of them is all false and 0."""
    times = np.full(len(visitors), time_us, np.int64)
    nothing = np.zeros(len(visitors), np.int64)
    features = _describe(history, visitors, times)
    labels, none = np.zeros(len(visitors), np.bool_), np.zeros(len(visitors))
    codes = hash_strings(visitors)
    return ChurnRows(features, CHURN_FEATURES, labels, codes, nothing, none, none)


def _describe(
    history: CustomerHistory, visitors: pa.Array, times: IntArray
) -> npt.NDArray[np.float32]:
    published = times + history.publish_lag // timedelta(microseconds=1)
    take_ups = pa.table(
        {
            "visitor_id": visitors,
            "take_up_time": pa.array(published).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    rows, _ = user_rows_at(history.workspace, take_ups)
    late = (rows["snapshot_time"] > times) | (rows["snapshot_time"] == 0)
    if late.any():
        place = int(np.flatnonzero(late)[0])
        raise InvalidDataError(
            "user snapshots",
            f"visitor {visitors[place]} has none from before the cut at {times[place]} us",
        )
    # Fold 0 of the tables, the one that serves: the shop's median gap is one number for all.
    folds = np.zeros(len(times), np.int64)
    features = describe_customers(rows, times, history.tables, folds)
    columns = [features[name] for name in CHURN_FEATURES]
    return np.ascontiguousarray(np.stack(columns, axis=1, dtype=np.float32))


def _repeat(value: int, table: pa.Table) -> pa.Array:
    return pa.array(np.full(len(table), value, np.int64))
