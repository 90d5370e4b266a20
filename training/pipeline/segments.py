"""Clusters and audiences of scored events, settled along each visit as serving settles them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.outcome import Outcome
from micromoment.scoring.segments import audiences_of, cluster_of
from micromoment.scoring.settling import Assignment, settle


def segment_columns(
    bundle: LoadedBundle, table: pa.Table, outcomes: Sequence[Outcome]
) -> dict[str, pa.Array]:
    """Give `cluster` and `segment` (ids, null for none) and `audiences` (ids), one of each a row.

    `table` holds decision rows (`DECISION_COLUMNS`) of whole visits, `outcomes` those of its rows.
    """
    segments: list[str | None] = [None] * len(table)
    clusters: list[str | None] = [None] * len(table)
    audiences: list[list[str]] = [[]] * len(table)
    for rows, settled in _settled(table, outcomes):
        cluster = cluster_of(bundle, settled.cluster, outcomes[rows[-1]].cluster)
        names = [one.id for one in audiences_of(bundle, settled.audiences)]
        for row in rows:
            clusters[row] = cluster.id if cluster else None
            audiences[row] = names
            segments[row] = names[0] if names else clusters[row]
    return {
        "segment": pa.array(segments, pa.string()),
        "cluster": pa.array(clusters, pa.string()),
        "audiences": pa.array(audiences, pa.list_(pa.string())),
    }


def _settled(
    table: pa.Table, outcomes: Sequence[Outcome]
) -> Iterator[tuple[list[int], Assignment]]:
    """Go through the batches of each visit: their rows, and where the visit belongs after them."""
    seen = table["events_seen"].to_numpy()
    converted = table["converted"].to_numpy()
    assignment, visit, before = Assignment(), (-1, -1), 0
    for of_visit, rows in _batches(table):
        if of_visit != visit:
            assignment, visit, before = Assignment(), of_visit, 0
        last = rows[-1]
        # A batch that holds repeated events alone is no decision point.
        if seen[last] > before or assignment.points == 0:
            assignment = settle(
                assignment,
                outcomes[last].cluster,
                outcomes[last].audiences,
                converted=bool(converted[last]),
            )
        before = int(seen[last])
        yield rows, assignment


def _batches(table: pa.Table) -> Iterable[tuple[tuple[int, int], list[int]]]:
    codes = table["session_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    epochs = table["epoch"].to_numpy()
    times = table["event_time"].to_numpy()
    order = np.lexsort((table["source_seq"].to_numpy(), times, codes))
    rows: list[int] = []
    for row in order.tolist():
        if rows and (codes[row], times[row]) != (codes[rows[-1]], times[rows[-1]]):
            yield (int(codes[rows[-1]]), int(epochs[rows[-1]])), rows
            rows = []
        rows.append(row)
    if rows:
        yield (int(codes[rows[-1]]), int(epochs[rows[-1]])), rows
