"""Small worlds for the linter: a sample of the shop's events, run through the real pipeline.

One world is the sample as it is; others are the same but for something that a feature must not
know: what comes later, or the visitors' own outcomes. What differs then, leaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.hashing import hash_strings
from micromoment.events.schema import EVENT_SCHEMA
from micromoment.features.tables import Tables
from training.event_files import EventDays
from training.feature_store import FeatureWorkspace, apply
from training.replay.partition import partition_events
from training.replay.run import ReplaySettings, UserRows, replay_parts
from training.replay.sessions import visitor_ids

MAX_EVENTS: Final = 40_000
MAX_DAYS: Final = 21

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class History(Protocol):
    """Users' snapshots of a world: what a visit takes up."""

    def rows_at(self, take_ups: pa.Table) -> UserRows:
        """Find the snapshot that each take-up would have got, in order."""


BuildHistory = Callable[[EventDays, FeatureWorkspace, ReplaySettings, timedelta, date], History]
FitTables = Callable[[list[Path], ReplaySettings], Tables]


@dataclass(frozen=True)
class PipelineParts:
    """The pipeline's own steps, handed in: they are what is tested."""

    build_history: BuildHistory
    fit_tables: FitTables
    settings: ReplaySettings
    publish_lag: timedelta


@dataclass(frozen=True)
class World:
    """A world after its run. `rows` are the eligible decision rows, with all features."""

    events: pa.Table
    workspace: FeatureWorkspace
    tables: Tables
    rows: pa.Table
    settings: ReplaySettings


def sample_events(days: EventDays) -> pa.Table:
    """Take all events of some visitors, at most about `MAX_EVENTS` of the last `MAX_DAYS` days.

    Half of the sample is of visitors who order, if there are as many: their outcomes are what
    can leak. Columns are `EVENT_SCHEMA` and `day`, days since 1970; order is that of arrival.
    """
    chosen = days.days[-MAX_DAYS:]
    rows = sum(pq.read_metadata(days.files[day]).num_rows for day in chosen)
    ids = pa.concat_tables(
        pq.read_table(days.files[day], columns=["anonymous_id", "user_id", "type"])
        for day in chosen
    )
    person = _person(ids)
    bought = pc.equal(ids["type"], "purchase").to_numpy(zero_copy_only=False)
    buyers = np.unique(person[bought])
    of_buyers = np.isin(person, buyers)
    others_share = min(1.0, 0.5 * MAX_EVENTS / max(rows - int(of_buyers.sum()), 1))
    buyers_share = min(1.0, 0.5 * MAX_EVENTS / max(int(of_buyers.sum()), 1))
    tables = []
    for day in chosen:
        table = pq.read_table(days.files[day]).select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)
        person = _person(table)
        share = np.where(np.isin(person, buyers), buyers_share, others_share)
        kept = table.filter(pa.array(person.astype(np.float64) / 2.0**64 < share))
        number = pa.array(np.full(len(kept), day.toordinal() - _EPOCH, np.int32))
        tables.append(kept.append_column("day", number))
    return pa.concat_tables(tables).combine_chunks()


_EPOCH: Final = date(1970, 1, 1).toordinal()


def _person(table: pa.Table) -> npt.NDArray[np.uint64]:
    ids = pc.coalesce(table["anonymous_id"], table["user_id"], pa.scalar(""))
    hashes = hash_strings(ids).astype(np.uint64)
    return hashes * np.uint64(0x9E3779B97F4A7C15)


def run_world(
    events: pa.Table, folder: Path, parts: PipelineParts, tables: Tables | None = None
) -> World:
    """Run the pipeline up to the decision rows; `tables` are fitted here unless given."""
    days = _write(events, folder / "events")
    settings = replace(parts.settings, workers=1)
    workspace = FeatureWorkspace(folder / "features")
    last_cut = days.days[-1] + timedelta(days=1)
    history = parts.build_history(days, workspace, settings, parts.publish_lag, last_cut)
    apply(workspace)
    files = partition_events(days, folder / "parts")
    fitted = parts.fit_tables(files, settings) if tables is None else tables
    report = replay_parts(
        files,
        folder / "decisions",
        settings,
        history.rows_at,
        fitted,
        only_eligible=True,
        cross_fit=True,
    )
    rows = pa.concat_tables(pq.read_table(path) for path in report.outputs)
    return World(events, workspace, fitted, rows, settings)


def _write(events: pa.Table, folder: Path) -> EventDays:
    folder.mkdir(parents=True)
    files = {}
    numbers = events["day"].to_numpy()
    for number in range(int(numbers.min()), int(numbers.max()) + 1):
        day = date.fromordinal(int(number) + _EPOCH)
        files[day] = folder / f"{day.isoformat()}.parquet"
        own = events.filter(pa.array(numbers == number)).select(EVENT_SCHEMA.names)
        pq.write_table(own, files[day])
    return EventDays(files)


def codes(column: pa.ChunkedArray | pa.Array) -> IntArray:
    """Number the distinct values of a column, missing included."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    indices: IntArray = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return indices


def visitor_codes(events: pa.Table) -> IntArray:
    """Number the visitors of events: the user where known, else the anonymous id."""
    return codes(visitor_ids(events))


def times_us(events: pa.Table) -> IntArray:
    """Give the events' times in microseconds."""
    times: IntArray = pc.cast(events["event_time"], pa.int64()).to_numpy()
    return times
