"""What portraits are made of: one row per visit, as it stood at its last point before the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.vocabulary import PageType
from training.evaluation.segments import AUDIENCE, CLUSTER
from training.replay.decisions import eligible

# What is described of a visit, by the names of its features.
DESCRIBED: Final = (
    "n_events",
    "duration_s",
    "n_page_views",
    "n_item_views",
    "n_searches",
    "n_cart_adds",
    "cart_value",
    "n_checkout_steps",
    "median_view_price",
    "landing_page_type",
    "device",
    "referrer_medium",
    "user_prior_sessions",
)
# The steps of a path, in the order in which those of one moment are told, what counts them, and the
# landing that is the first of them: such a step is told from the second on.
STEPS: Final = {
    "list": (("n_list_views", "n_list_pages"), PageType.LIST),
    "search": (("n_searches",), PageType.SEARCH),
    "product": (("n_item_views", "n_item_pages"), PageType.ITEM),
    "cart": (("n_cart_adds",), None),
    "checkout": (("n_checkout_steps",), None),
}
ORDERS: Final = "order"
LEAVES: Final = "leave"
MORE_PAGES: Final = "pages"

IntArray = npt.NDArray[np.int64]


def points_in(kind: str, name: str) -> str:
    """Name the column that counts a visit's decision points in a cluster or an audience."""
    return f"{kind}:{name}"


def visits_of(
    scored: pa.Table, clusters: Sequence[str], audiences: Sequence[str], *, begun: bool = False
) -> pd.DataFrame:
    """Sum up scored decision rows of whole visits, which have all features, by visit.

    Columns: `DESCRIBED`; `points`, the visit's decision points, and by `points_in` those in each
    cluster and audience; `cluster`, the last one; `bought`; `path`, a tuple of steps. `begun`
    leaves out sessions whose beginning is not among the rows.
    """
    if begun:
        scored = scored.filter(_begins(scored))
    points = scored.filter(eligible(scored))
    visit = _visit_codes(points)
    order = np.lexsort((points["events_seen"].to_numpy(), visit))
    points, visit = points.take(pa.array(order)), visit[order]
    starts = np.flatnonzero(np.append(True, visit[1:] != visit[:-1])) if len(visit) else visit
    last = np.append(starts[1:], len(visit)) - 1 if len(visit) else visit
    at_end = points.take(pa.array(last))
    columns = {name: at_end[name].to_numpy() for name in DESCRIBED}
    columns["bought"] = at_end["label"].to_numpy()
    columns["cluster"] = at_end["cluster"].to_numpy()
    columns["points"] = last + 1 - starts
    columns |= _counts(points, starts, clusters, audiences)
    frame = pd.DataFrame(columns)
    frame["path"] = _paths(points, starts, last, frame)
    return frame


def _begins(scored: pa.Table) -> pa.Array:
    session = pc.dictionary_encode(scored["session_id"].combine_chunks()).indices.to_numpy()
    first = np.zeros(int(session.max(initial=-1)) + 1, np.bool_)
    first[session[scored["source_seq"].to_numpy() == 1]] = True
    return pa.array(first[session])


def _visit_codes(points: pa.Table) -> IntArray:
    epoch = pc.cast(points["epoch"], pa.string())
    visit = pc.binary_join_element_wise(points["session_id"], epoch, ":").combine_chunks()
    codes: IntArray = pc.dictionary_encode(visit).indices.to_numpy().astype(np.int64)
    return codes


def _counts(
    points: pa.Table, starts: IntArray, clusters: Sequence[str], audiences: Sequence[str]
) -> dict[str, IntArray]:
    cluster = points["cluster"].to_numpy()
    held = {points_in(CLUSTER, one): cluster == one for one in clusters}
    column = points["audiences"].combine_chunks()
    row, name = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
    for one in audiences:
        mask = np.zeros(len(points), np.bool_)
        mask[row[pc.equal(name, one).to_numpy(zero_copy_only=False)]] = True
        held[points_in(AUDIENCE, one)] = mask
    return {
        key: np.add.reduceat(mask.astype(np.int64), starts) if len(starts) else starts
        for key, mask in held.items()
    }


def _paths(
    points: pa.Table, starts: IntArray, last: IntArray, visits: pd.DataFrame
) -> list[tuple[str, ...]]:
    """Tell each visit as its landing, its steps in the order of their first time, and its end."""
    never = len(points)
    firsts = []
    landed = points["landing_page_type"].to_numpy()
    for counters, landing in STEPS.values():
        said = landed == landing if landing is not None else np.zeros(never, np.bool_)
        done = np.zeros(never, np.bool_)
        for name in counters:
            done |= points[name].to_numpy() > said
        place = np.where(done, np.arange(never), never)
        firsts.append(np.minimum.reduceat(place, starts) if len(starts) else starts)
    ends = (last + 1).tolist()
    names = list(STEPS)
    kinds = np.nan_to_num(visits["landing_page_type"].to_numpy()).astype(int).tolist()
    pages = visits["n_page_views"].tolist()
    paths = []
    for visit, (*first, end, bought) in enumerate(
        zip(*(one.tolist() for one in firsts), ends, visits["bought"].tolist(), strict=True)
    ):
        steps = [
            names[step]
            for at, step in sorted(zip(first, range(len(first)), strict=True))
            if at < end
        ]
        if not steps and pages[visit] > 1:
            steps = [MORE_PAGES]
        outcome = ORDERS if bought else LEAVES
        paths.append((PageType(kinds[visit]).name.lower(), *steps, outcome))
    return paths
