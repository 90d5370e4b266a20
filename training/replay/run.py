"""Replay: days of events through the reducer to decision points, in parts and in processes."""

from __future__ import annotations

import ctypes
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.identity import IdEncoder
from micromoment.events.record import RecordArray
from micromoment.events.shop import Shop
from micromoment.features import reducer
from micromoment.features.replay import find_take_ups, replay_sessions
from micromoment.features.tables import N_FOLDS, Tables, neutral_tables
from micromoment.features.user_snapshot import USER_SNAPSHOT
from training.cluster import DaskCluster
from training.replay.decisions import decision_table, eligible
from training.replay.labels import batch_ends, label_batches
from training.replay.sessions import GroupedEvents, group_by_session, visitor_ids

_US_PER_SECOND: Final = 1_000_000
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
# Parts whose take-ups are joined in one go: more read the snapshots less often, for more memory.
_PARTS_PER_JOIN: Final = 4

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

UserRows = tuple[RecordArray, npt.NDArray[np.uint8]]  # USER_SNAPSHOT rows and UserStatus, (n,)
FindUsers = Callable[[pa.Table], UserRows]
Workers = int | DaskCluster  # processes of this machine, or the workers of a cluster


@dataclass(frozen=True)
class ReplaySettings:
    """How events are folded, which must be the same offline and online, and by how many workers."""

    shop: Shop
    session_expiry_s: int = 1_800
    max_clock_skew_s: int = 300
    ids: IdEncoder | None = None
    workers: Workers = 1

    @property
    def expiry_us(self) -> int:
        """Gap that ends a visit, in microseconds."""
        return self.session_expiry_s * _US_PER_SECOND

    @property
    def skew_us(self) -> int:
        """How far an event may run ahead of its arrival, in microseconds."""
        return self.max_clock_skew_s * _US_PER_SECOND


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One part to replay: what to read, what to look up by, where to write.

    With `only_eligible`, only decision points that a model may learn from are written, with
    `only_wanted` those of wanted days. With `cross_fit`, each visitor is encoded by the fold of the
    tables that has not seen them. With `to_keep`, visits have pseudonyms wherever visitors have.
    """

    part: Path
    users: Path
    out: Path
    settings: ReplaySettings
    tables: Tables
    only_eligible: bool
    only_wanted: bool
    cross_fit: bool
    to_keep: bool = False


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What was replayed and how long it took, wall-clock seconds, reading and writing included."""

    events: int
    decisions: int
    seconds: float
    outputs: tuple[Path, ...]

    @property
    def events_per_second(self) -> float:
        """Rate over all workers."""
        return self.events / self.seconds if self.seconds > 0 else float("nan")


def take_up_table(part: Path, settings: ReplaySettings) -> pa.Table:
    """List where user features are taken up: `row`, `visitor_id`, `take_up_time`."""
    grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
    moments = find_take_ups(
        grouped.batch, grouped.order, grouped.starts, settings.expiry_us, settings.skew_us
    )
    rows = np.flatnonzero(moments["outcome"] == reducer.TAKES_UP)
    times = pa.array(moments["feature_time"][rows]).cast(pa.timestamp("us", tz="UTC"))
    visitors = visitor_ids(grouped.table, settings.ids)
    return pa.table({"row": rows, "visitor_id": visitors.take(rows), "take_up_time": times})


def replay_parts(
    parts: list[Path],
    out: Path,
    settings: ReplaySettings,
    find_users: FindUsers,
    tables: Tables,
    *,
    only_eligible: bool = False,
    only_wanted: bool = True,
    cross_fit: bool = False,
    to_keep: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> ReplayReport:
    """Replay all parts to Parquet files of decision rows in `out`, one per part.

    `find_users` answers a table of take-ups (`visitor_id`, `take_up_time`) in its order. Rows
    `to_keep` name visits as they are stored, not as the events do.
    """
    start = time.perf_counter()
    users = look_up_users(parts, out / "users", settings, find_users)
    jobs = [
        ReplayJob(
            part=part,
            users=user,
            out=out / part.name,
            settings=settings,
            tables=tables,
            only_eligible=only_eligible,
            only_wanted=only_wanted,
            cross_fit=cross_fit,
            to_keep=to_keep,
        )
        for part, user in zip(parts, users, strict=True)
    ]
    events = 0
    decisions = 0
    for n_events, n_rows in run_jobs(replay_part, jobs, settings.workers):
        events += n_events
        decisions += n_rows
        advance(n_events)
    outputs = tuple(job.out for job in jobs)
    return ReplayReport(events, decisions, time.perf_counter() - start, outputs)


def look_up_users(
    parts: list[Path], folder: Path, settings: ReplaySettings, find_users: FindUsers
) -> list[Path]:
    """Find the user rows of all take-ups, some parts in one go; keep them beside the parts.

    A cluster's workers find them; of processes only this one does, which has Feast already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{part.stem}.npz" for part in parts]
    if isinstance(settings.workers, DaskCluster):
        starts = range(0, len(parts), _PARTS_PER_JOIN)
        groups = [slice(start, start + _PARTS_PER_JOIN) for start in starts]
        jobs = [(parts[one], paths[one], settings, find_users) for one in groups]
        for _ in run_jobs(_look_up, jobs, settings.workers):
            pass
        return paths
    found = run_jobs(_take_ups, [(part, settings) for part in parts], settings.workers)
    group: list[pa.Table] = []
    done = 0
    for take_ups in found:
        group.append(take_ups)
        if len(group) == _PARTS_PER_JOIN or done + len(group) == len(parts):
            _keep_users(group, paths[done : done + len(group)], find_users)
            done += len(group)
            group = []
    return paths


def _look_up(job: tuple[list[Path], list[Path], ReplaySettings, FindUsers]) -> None:
    parts, paths, settings, find_users = job
    _keep_users([take_up_table(part, settings) for part in parts], paths, find_users)


def _keep_users(take_ups: list[pa.Table], paths: list[Path], find_users: FindUsers) -> None:
    rows, status = find_users(pa.concat_tables(take_ups).drop_columns(["row"]))
    begin = 0
    for path, table in zip(paths, take_ups, strict=True):
        end = begin + len(table)
        index = table["row"].to_numpy()
        np.savez(path, row=index, users=rows[begin:end], status=status[begin:end])
        begin = end


def replay_part(job: ReplayJob) -> tuple[int, int]:
    """Replay one part and write its rows; gives the numbers of events and of rows written."""
    settings = job.settings
    grouped = group_by_session(pq.read_table(job.part), settings.shop, settings.ids)
    last, _ = batch_ends(grouped)
    moments, features = replay_grouped(
        grouped, load_users(job.users), settings, job.tables, last, cross_fit=job.cross_fit
    )
    labels = label_batches(grouped, moments)
    table = decision_table(
        grouped, moments, features, labels, settings.shop, settings.ids, to_keep=job.to_keep
    )
    if job.only_eligible:
        table = table.filter(eligible(table))
    if job.only_wanted:
        table = table.filter(table["wanted"])
    pq.write_table(table, job.out, compression="lz4")
    return len(grouped.table), len(table)


def replay_grouped(
    grouped: GroupedEvents,
    users: tuple[RecordArray, npt.NDArray[np.uint8], npt.NDArray[np.int64]],
    settings: ReplaySettings,
    tables: Tables,
    described: npt.NDArray[np.bool_],
    *,
    cross_fit: bool,
) -> tuple[RecordArray, RecordArray]:
    """Run the kernel; `users` are the rows, their status and the event rows that take them up."""
    rows, status, at = users
    user_index = np.zeros(len(grouped.batch), dtype=np.int64)
    user_index[at] = np.arange(len(at))
    folds = np.zeros(grouped.n_sessions, dtype=np.int64)
    if cross_fit:
        folds = 1 + session_folds(grouped)
    return replay_sessions(
        grouped.batch,
        grouped.order,
        grouped.starts,
        rows,
        status,
        user_index,
        tables,
        folds,
        described,
        settings.expiry_us,
        settings.skew_us,
    )


def replay_moments(grouped: GroupedEvents, settings: ReplaySettings) -> RecordArray:
    """Replay without features: what holds after each event, `MOMENT` records, shape (n,)."""
    # One row without history, which every visit takes up.
    users = (np.zeros(1, USER_SNAPSHOT), np.zeros(1, np.uint8), np.zeros(0, np.int64))
    nothing = np.zeros(len(grouped.batch), dtype=np.bool_)
    return replay_grouped(grouped, users, settings, neutral_tables(), nothing, cross_fit=False)[0]


def session_folds(grouped: GroupedEvents) -> npt.NDArray[np.int64]:
    """Give each session's part of the visitors, 0 to N_FOLDS - 1, by its first event's visitor."""
    first = grouped.order[grouped.starts[:-1]]
    visitors = grouped.batch.events["visitor"][first]
    # The hash's high bits: its low bits choose the parts of a partition.
    return ((visitors >> np.uint64(32)) % np.uint64(N_FOLDS)).astype(np.int64)


def load_users(path: Path) -> tuple[RecordArray, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read what `look_up_users` wrote: rows, status, event rows."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["users"], arrays["status"], arrays["row"]


def run_jobs(
    work: Callable[[_Job], _Result], jobs: Sequence[_Job], workers: Workers
) -> Iterator[_Result]:
    """Give the jobs' results in order: done here, in so many fresh processes, or on a cluster.

    The processes end with this one.
    """
    if isinstance(workers, DaskCluster):
        yield from workers.run(work, jobs)
        return
    if workers <= 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        yield from pool.map(work, jobs)


def _end_with_parent() -> None:
    """Let the kernel end this process when the one that started it is gone, killed say."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _take_ups(job: tuple[Path, ReplaySettings]) -> pa.Table:
    return take_up_table(*job)
