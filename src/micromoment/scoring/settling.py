"""Where a visit belongs changes only when two decision points in a row agree.

The first point counts at once. The rule is the same for the cluster and for each audience, but for
this: once a visit has its order, its audiences are those of the point, so that nobody who has just
ordered is treated as about to leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from micromoment.features._compile import compiled


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
    kept = (before.points, before.cluster_last, before.cluster)
    return Assignment(
        *_settle(*kept, before.audiences_last, before.audiences, cluster, audiences, converted)
    )


@compiled
def _settle(
    points: int, cluster_last: int, cluster_before: int, audiences_last: int, before: int,
    cluster: int, audiences: int, converted: bool,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    if points == 0:
        return 1, cluster, cluster, audiences, audiences
    settled = cluster if cluster == cluster_last else cluster_before
    if not converted:
        differ = audiences ^ audiences_last
        return 2, cluster, settled, audiences, (before & differ) | (audiences & ~differ)
    return 2, cluster, settled, audiences, audiences


@compiled
def settle_state(state: Any, cluster: int, audiences: int, is_new: bool) -> tuple[int, int]:
    """Give where the visit of a session state belongs now: cluster and audiences.

    Only a new decision point is kept in the state.
    """
    points = int(state["n_assigned"])
    settled, belongs = int(state["cluster_settled"]), int(state["audiences_settled"])
    if is_new or points == 0:
        points, _, settled, _, belongs = _settle(
            points,
            int(state["cluster_last"]),
            settled,
            int(state["audiences_last"]),
            belongs,
            cluster,
            audiences,
            bool(state["converted"]),
        )
    if is_new:
        state["n_assigned"] = points
        state["cluster_last"] = cluster
        state["cluster_settled"] = settled
        state["audiences_last"] = audiences
        state["audiences_settled"] = belongs
    return settled, belongs
