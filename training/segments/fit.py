"""Fit what a bundle says of where a visit belongs: clusters, and the limits of audiences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import AudienceFile
from micromoment.scoring.clusters import ClusterFile
from micromoment.stores.bundles import LATEST
from training.models.rows import DecisionRows
from training.segments.clusters import MIN_VISITS, fit_clusters
from training.segments.definitions import DEFAULT_AUDIENCES, AudienceDefinitions, read_definitions
from training.segments.limits import learn_limits
from training.segments.previous import PreviousSegments, check_meanings, previous_segments

_SHOWN: Final = ("n_page_views", "n_item_views", "n_list_views")


@dataclass(frozen=True)
class SegmentPlan:
    """What is known before the long work: the audiences as written, and the bundle before."""

    definitions: AudienceDefinitions
    previous: PreviousSegments


@dataclass(frozen=True)
class FittedSegments:
    """Clusters, or why there are none, and audiences; `record` says what the limits rest on."""

    clusters: ClusterFile | None
    absent: str | None
    audiences: AudienceFile
    record: dict[str, Any]


def plan_segments(
    audiences: Path | None, store: Path, name: str, pointer: str = LATEST
) -> SegmentPlan:
    """Read and check the audiences, the default ones for None, and the bundle before.

    The bundle before is the one that `pointer` of the store names.

    Raises `InvalidDataError` naming the audience or limit that is wrong.
    """
    source = audiences or DEFAULT_AUDIENCES
    definitions = read_definitions(source, FEATURE_NAMES)
    previous = previous_segments(store, name, pointer)
    defaults = {name: limit.default for name, limit in definitions.limits.items()}
    check_meanings(previous, definitions.with_limits(defaults), source)
    return SegmentPlan(definitions, previous)


def fit_segments(
    rows: DecisionRows | None, decisions: Sequence[Path], plan: SegmentPlan
) -> FittedSegments:
    """Fit clusters on decision points and learn limits from the replay's files of them.

    `rows` is None where no event precedes the order of its visit.
    """
    clusters, absent = None, None
    try:
        if rows is None:
            raise NotEnoughDataError("no event precedes the first order of its visit")
        clusters = fit_clusters(_browsing(rows), plan.previous.clusters)
    except NotEnoughDataError as error:
        absent = str(error)
    values, used = learn_limits(plan.definitions, decisions)
    audiences = plan.definitions.with_limits(values)
    record: dict[str, Any] = {"limits_rest_on": used}
    if clusters is not None:
        record["clusters"] = clusters.quality
    return FittedSegments(clusters, absent, audiences, record)


def _browsing(rows: DecisionRows) -> DecisionRows:
    """Keep the visits that show something: refunds and calls to support are no behaviour."""
    kept = rows.take(shows_something(rows))
    visits, every = len(np.unique(kept.session)), len(np.unique(rows.session))
    if visits < MIN_VISITS <= every:
        raise NotEnoughDataError(
            f"{visits} of {every} visits show a page, a product or a list;"
            f" {MIN_VISITS} are needed for clusters"
        )
    return kept


def shows_something(rows: DecisionRows) -> npt.NDArray[np.bool_]:
    """Mark the rows of visits that show a page, a product or a list, shape (n,)."""
    shows = rows.columns(_SHOWN).sum(axis=1) > 0
    return np.isin(rows.session, rows.session[shows])
