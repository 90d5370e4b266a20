"""Erases visitors from a feature workspace: its snapshots and decision points."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from micromoment.stores.erasure_list import load_erasures
from micromoment.stores.parquet_erasing import erase_rows, rows_where, values_where
from micromoment.stores.user_view import VISITOR_KEY

# Where trainings that run keep temporary files; theirs may be half written.
RETRAIN_SCRATCH: Final = "retrain.unfinished"
TRAINING_SCRATCH_PREFIX: Final = "training-"
JOINING_SCRATCH_PREFIX: Final = "joining-"
_SCRATCH_PREFIXES: Final = (TRAINING_SCRATCH_PREFIX, JOINING_SCRATCH_PREFIX)
_SESSION: Final = "session_id"


def erase_from_workspace(workspace: Path, visitors: Collection[str], time_us: int) -> int:
    """Note the erasure in the workspace, then remove the visitors' rows; give how many.

    Temporary files of a training are left to it: they go at its end or when the next one begins.
    One that can't be written, but holds nothing of them, is left as it is. Raises
    `InvalidDataError` for a file that can't be read, and `OSError`.
    """
    if not workspace.is_dir():
        return 0
    erasures = load_erasures(workspace)
    erasures.add(visitors, time_us)
    files = workspace_files(workspace)
    theirs = {VISITOR_KEY: visitors}
    try:
        erasures.save(workspace)
    except OSError:
        if any(values_where(path, theirs, VISITOR_KEY) for path in files):
            raise
        return 0
    sessions = set().union(*(values_where(path, theirs, _SESSION) for path in files))
    return sum(erase_rows(path, {VISITOR_KEY: visitors, _SESSION: sessions}) for path in files)


def workspace_rows(
    workspace: Path, visitors: Collection[str]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Go through the visitors' rows with the names of their files."""
    if workspace.is_dir():
        for path in workspace_files(workspace):
            for row in rows_where(path, {VISITOR_KEY: visitors}):
                yield str(path.relative_to(workspace)), row


def workspace_files(workspace: Path) -> list[Path]:
    """List the Parquet files that hold visitors, without those of trainings that run."""
    return sorted(
        path
        for path in workspace.rglob("*.parquet")
        if not is_scratch(path.relative_to(workspace).parts[0])
    )


def is_scratch(name: str) -> bool:
    """Tell whether a training that runs, or was broken off, has a folder of this name."""
    return name == RETRAIN_SCRATCH or name.startswith(_SCRATCH_PREFIXES)
