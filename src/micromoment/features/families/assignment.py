"""Where the last answers put the visit: cluster and audiences, as numbers of every bundle.

No event folds these; `scoring.settling` writes them after each decision point, so that a visit
moves only when two points in a row agree. A cluster is its number from 1, an audience a bit.
"""

from __future__ import annotations

STATE_FIELDS = [
    ("n_assigned", "u1"),  # decision points so far, up to 2
    ("cluster_last", "u1"),  # of the last point alone, 0 for none
    ("cluster_settled", "u1"),
    ("audiences_last", "u4"),
    ("audiences_settled", "u4"),
]
