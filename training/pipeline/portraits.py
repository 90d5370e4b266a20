"""Portraits at training: the bundle's own answers for the visits that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.hashing import hash_strings
from micromoment.scoring.bundle import LoadedBundle
from training.pipeline.score import score_table
from training.segments.portraits import Portrait, portray
from training.segments.visits import visits_of

# Judging a decision point takes a tenth of a millisecond: so many visits take half a minute.
MAX_SESSIONS: Final = 20_000


class VisitRecords:
    """Sums up scored decision rows by visit, part by part, for portraits of a bundle's segments."""

    def __init__(self, bundle: LoadedBundle, *, begun: bool = False) -> None:
        self._bundle = bundle
        self._begun = begun
        self._frames: list[pd.DataFrame] = []

    def look(self, scored: pa.Table) -> None:
        """Take in one part, as `score_table` gives it."""
        clusters, audiences = segment_ids(self._bundle)
        self._frames.append(visits_of(scored, clusters, audiences, begun=self._begun))

    def portraits(self, *, trained_on: bool = False) -> list[Portrait]:
        """Portray the visits so far, as `portray` does; none where there were none."""
        if not self._frames:
            return []
        return portray(
            pd.concat(self._frames, ignore_index=True), self._bundle, trained_on=trained_on
        )


def segment_ids(bundle: LoadedBundle) -> tuple[list[str], list[str]]:
    """List the ids of a bundle's clusters and of its audiences."""
    clusters = bundle.clusters.file.clusters if bundle.clusters else ()
    audiences = bundle.audiences.file.audiences if bundle.audiences else ()
    return [one.id for one in clusters], [one.id for one in audiences]


def portray_training(bundle: LoadedBundle, decisions: Sequence[Path]) -> list[Portrait]:
    """Portray a bundle's segments by the replay's files of decision points.

    At most `MAX_SESSIONS` sessions count, those of the lowest hashes: the same for the same data.
    """
    records = VisitRecords(bundle)
    for path, kept in zip(decisions, _sample(decisions), strict=True):
        if kept.any():
            records.look(score_table(bundle, pq.read_table(path).filter(pa.array(kept))))
    return records.portraits(trained_on=True)


def _sample(decisions: Sequence[Path]) -> list[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    hashes = [
        hash_strings(pq.read_table(path, columns=["session_id"])["session_id"])
        for path in decisions
    ]
    sessions = np.unique(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)
    if len(sessions) <= MAX_SESSIONS:
        return [np.ones(len(own), np.bool_) for own in hashes]
    return [own <= sessions[MAX_SESSIONS - 1] for own in hashes]
