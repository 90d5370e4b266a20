"""From numbers and bits to names: which cluster and audiences an answer states."""

from __future__ import annotations

from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Segment
from micromoment.scoring.outcome import Outcome
from micromoment.scoring.settling import Assignment


def cluster_of(bundle: LoadedBundle, assignment: Assignment, outcome: Outcome) -> Segment | None:
    """Give the settled cluster; that of the point alone where the bundle doesn't know it.

    A visit may have settled under another bundle.
    """
    if bundle.clusters is None:
        return None
    found = bundle.clusters.get(assignment.cluster) or bundle.clusters.get(outcome.cluster)
    return None if found is None else Segment(found.id, found.name)


def audiences_of(bundle: LoadedBundle, assignment: Assignment) -> tuple[Segment, ...]:
    """Give the settled audiences that the bundle has, the most specific first."""
    if bundle.audiences is None:
        return ()
    holding = bundle.audiences.holding(assignment.audiences)
    return tuple(Segment(one.id, one.name) for one in holding)
