"""Where a visit belongs changes only when two decision points in a row agree.

The first point counts at once. The rule is the same for the cluster and for each audience, but for
this: once a visit has its order, its audiences are those of the point, so that nobody who has just
ordered is treated as about to leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a visit's state keeps: what its last point said alone, and what counts.

    Clusters are numbers, 0 for none; audiences are bits. `points` counts decision points up to 2.
    """

    points: int = 0
    cluster_last: int = 0
    cluster: int = 0
    audiences_last: int = 0
    audiences: int = 0


def settle(
    before: Assignment, cluster: int, audiences: int, *, converted: bool = False
) -> Assignment:
    """Take in what one more decision point said; `converted`: the visit has its order."""
    if before.points == 0:
        return Assignment(1, cluster, cluster, audiences, audiences)
    agree = ~(audiences ^ before.audiences_last)
    return Assignment(
        points=2,
        cluster_last=cluster,
        cluster=cluster if cluster == before.cluster_last else before.cluster,
        audiences_last=audiences,
        audiences=audiences if converted else (before.audiences & ~agree) | (audiences & agree),
    )


def assignment_of(state: np.void) -> Assignment:
    """Read a session state's assignment."""
    return Assignment(
        points=int(state["n_assigned"]),
        cluster_last=int(state["cluster_last"]),
        cluster=int(state["cluster_settled"]),
        audiences_last=int(state["audiences_last"]),
        audiences=int(state["audiences_settled"]),
    )


def keep_assignment(state: np.void, assignment: Assignment) -> None:
    """Write it into the state."""
    state["n_assigned"] = assignment.points
    state["cluster_last"] = assignment.cluster_last
    state["cluster_settled"] = assignment.cluster
    state["audiences_last"] = assignment.audiences_last
    state["audiences_settled"] = assignment.audiences
