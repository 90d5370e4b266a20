"""From numbers and bits to names: which cluster and audiences an answer states."""

from __future__ import annotations

from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Segment


def cluster_of(bundle: LoadedBundle, settled: int, alone: int) -> Segment | None:
    """Give the cluster that a visit settled in; that of the point alone where it isn't known.

    A visit may have settled under another bundle.
    """
    if bundle.clusters is None:
        return None
    found = bundle.clusters.get(settled) or bundle.clusters.get(alone)
    return None if found is None else Segment(found.id, found.name)


def audiences_of(bundle: LoadedBundle, settled: int) -> tuple[Segment, ...]:
    """Give the audiences that a visit settled in and the bundle has, the most specific first."""
    if bundle.audiences is None:
        return ()
    return tuple(Segment(one.id, one.name) for one in bundle.audiences.holding(settled))
