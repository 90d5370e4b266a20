"""Small files of clusters and audiences, and rows of features for them."""

from __future__ import annotations

import numpy as np

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import AudienceFile, AudienceRecord, PointFacts
from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Dimension

UNSURE = PointFacts(
    conversion=None,
    abandonment=None,
    churn=None,
    converted=False,
    stage="unspecified",
    lifecycle="unspecified",
    cluster="",
)


def row_of(**values: float) -> list[float]:
    """Give a full feature vector: the values given, 0 for all others."""
    return [values.get(name, 0.0) for name in FEATURE_NAMES]


def matrix_of(*rows: list[float]) -> np.ndarray:
    """Stack feature vectors as the scorer takes them."""
    return np.array(rows, np.float32)


def audience(bit: int, name: str, rule: str) -> AudienceRecord:
    """Make an audience."""
    return AudienceRecord(bit=bit, id=name, name=name.title(), meaning="made up", rule=rule)


def audience_file(*records: AudienceRecord, **limits: float) -> AudienceFile:
    """Make a file of audiences."""
    return AudienceFile(limits=limits, audiences=records)


def two_clusters(cut: float = 2.0) -> ClusterFile:
    """Give two clusters, number 3 of few events and number 7 of many.

    They part where log(1 + events) is `cut`, with 2.0 between 6 and 7 events.
    """
    return ClusterFile(
        dimensions=(Dimension(feature="n_events", log=True, fill=0.0, mean=cut, scale=1.0),),
        clusters=(
            ClusterRecord(
                number=3, id="few", name="Few events", meaning="", share=0.8, centroid=(-1.0,)
            ),
            ClusterRecord(
                number=7, id="many", name="Many events", meaning="", share=0.2, centroid=(1.0,)
            ),
        ),
        quality={},
    )


def some_audiences() -> AudienceFile:
    """Give three audiences over cart, cluster and lifecycle."""
    return audience_file(
        audience(4, "full-carts", "cart_qty >= limits.pieces"),
        audience(0, "deep-lookers", "cluster == 'many' && n_item_views >= 3.0"),
        audience(9, "newcomers", "lifecycle == 'new' && !converted"),
        pieces=2.0,
    )
