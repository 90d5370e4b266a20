"""Decision points through Feast, part by part, so that memory follows a part and not the whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.hashing import hash_distinct_strings
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.stores.feast_config import CONFIG_FILE
from micromoment.stores.user_view import VISITOR_KEY
from micromoment.workspace_erasing import JOINING_SCRATCH_PREFIX
from training.cluster import DaskCluster
from training.feature_store.definitions import CONVERSION_SERVICE, DECISION_KEY, DECISION_TIME
from training.feature_store.historical import TIME, TIME_TYPE, join
from training.feature_store.registry import apply
from training.feature_store.workspace import FeatureWorkspace

# Which of a table's rows are asked for, shape (n,).
KeepRows = Callable[[pa.Table], npt.NDArray[np.bool_]]

_SESSION: Final = "session_id"


@dataclass(frozen=True, slots=True)
class _PartJob:
    workspace: FeatureWorkspace
    path: Path
    columns: tuple[str, ...]
    keep: KeepRows | None
    folder: Path | None  # for a workspace of the part's own; None where it is the only part


def training_rows(
    workspace: FeatureWorkspace, decisions: Sequence[Path], columns: Sequence[str]
) -> pa.Table:
    """Give all rows of `training_parts` in one table."""
    return pa.concat_tables(training_parts(workspace, decisions, columns))


def training_parts(
    workspace: FeatureWorkspace,
    decisions: Sequence[Path],
    columns: Sequence[str],
    *,
    keep: KeepRows | None = None,
    cluster: DaskCluster | None = None,
) -> Iterator[pa.Table]:
    """Give the decision points of each Parquet file through the service `conversion`, in order.

    The files, which hold `decision_id`, `visitor_id`, `feature_time`, all session features and
    `columns`, become the workspace's decisions, in place of earlier ones. The tables have
    `columns`, then the session features (float32, NaN where missing), then the user snapshot as of
    `feature_time`. No model learns from the last: it may be newer than what the visit took up.
    `keep` leaves rows out before the join; a `cluster` joins the parts on its workers.

    Raises `InvalidDataError` when a column is missing, a `decision_id` repeats, or Feast's answer
    lacks rows or features that the files hold.
    """
    for path in decisions:
        _check_columns(path, [DECISION_KEY, VISITOR_KEY, DECISION_TIME, *columns, *FEATURE_NAMES])
    kept = _keep(decisions, workspace.decisions)
    _check_ids(kept)
    with TemporaryDirectory(dir=workspace.root, prefix=JOINING_SCRATCH_PREFIX) as temporary:
        # A workspace that is configured by hand may keep its data elsewhere: each part is asked of
        # it as a whole.
        single = len(kept) == 1 or (workspace.root / CONFIG_FILE).exists()
        folders = [None if single else Path(temporary, path.stem) for path in kept]
        jobs = [
            _PartJob(workspace, path, tuple(columns), keep, folder)
            for path, folder in zip(kept, folders, strict=True)
        ]
        if cluster is None or single:
            yield from map(_join_part, jobs)
            return
        for joined in cluster.run(_join_to_file, jobs):
            yield pq.read_table(joined)
            joined.unlink()


def _join_to_file(job: _PartJob) -> Path:
    """Join on a worker; what it found comes back as a file, past the scheduler."""
    table = _join_part(job)
    path = job.path if job.folder is None else job.folder / "joined.parquet"
    pq.write_table(table, path, compression="lz4")
    return path


def _join_part(job: _PartJob) -> pa.Table:
    workspace = job.workspace
    if job.folder is not None:
        workspace = _own_workspace(workspace, job.path, job.folder)
    needed = list(dict.fromkeys([DECISION_KEY, VISITOR_KEY, DECISION_TIME, *job.columns]))
    points = pq.read_table(job.path, columns=needed)
    if job.keep is not None:
        points = points.filter(pa.array(job.keep(points)))
    if not len(points):
        return _nothing(job)
    entities = pa.table(
        {
            DECISION_KEY: points[DECISION_KEY],
            VISITOR_KEY: pc.fill_null(points[VISITOR_KEY], ""),
            TIME: points[DECISION_TIME].cast(TIME_TYPE),
        }
    )
    joined = join(workspace, CONVERSION_SERVICE, entities).drop_columns(
        [DECISION_KEY, VISITOR_KEY, TIME]
    )
    _check_features(joined)
    for place, name in enumerate(job.columns):
        joined = joined.add_column(place, name, points[name])
    return joined


def _nothing(job: _PartJob) -> pa.Table:
    """Give the columns that models are learned from, without rows."""
    schema = pq.read_schema(job.path)
    names = [*job.columns, *FEATURE_NAMES]
    return pa.schema([schema.field(name) for name in names]).empty_table()


def _own_workspace(workspace: FeatureWorkspace, part: Path, folder: Path) -> FeatureWorkspace:
    """Make a workspace whose decisions are one part: Feast would read all of them for each."""
    own = FeatureWorkspace(folder)
    own.decisions.mkdir(parents=True)
    _link(part, own.decisions / part.name)
    own.snapshots.symlink_to(workspace.snapshots, target_is_directory=True)
    apply(own)
    return own


def _keep(files: Sequence[Path], folder: Path) -> list[Path]:
    """Make `files` the only Parquet files of `folder`; links where the file system allows it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [folder / f"{number:05}.parquet" for number in range(len(files))]
    if list(files) == kept:
        return kept
    for old in folder.glob("*.parquet"):
        old.unlink()
    for source, target in zip(files, kept, strict=True):
        _link(source, target)
    return kept


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _check_ids(files: Sequence[Path]) -> None:
    # As hashes: 8 bytes each, where the ids themselves take some fifty.
    hashes = [
        hash_distinct_strings(pq.read_table(path, columns=[DECISION_KEY])[DECISION_KEY])
        for path in files
    ]
    rows = sum(map(len, hashes))
    distinct = len(np.unique(np.concatenate(hashes))) if hashes else 0
    if distinct != rows:
        raise InvalidDataError("decisions", f"{rows} rows have {distinct} decision ids")


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
