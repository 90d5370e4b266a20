"""The members of an audience: visitors who were in it, as replies would have said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS: Final = (
    "visitor_id",
    "user_id",
    "anonymous_id",
    "first_time",
    "last_time",
    "visits",
    "conversion",
    "churn",
    "lifecycle",
)


@dataclass(frozen=True)
class Members:
    """Rows of `COLUMNS` by visitor, and how many visitors were left out, by reason."""

    frame: pd.DataFrame
    points: int
    visitors: int
    left_out: dict[str, int] = field(default_factory=dict)


def members_of(scored: pa.Table, audience: str, *, at_end: bool = False) -> Members:
    """List the visitors who were in an audience at any decision point, or `at_end` at their last.

    `scored` is a table of `score_days`. Times are those of a visitor's first and last point in it;
    conversion, churn and lifecycle are as of the visitor's last point of all, missing where they do
    not apply. `visits` counts those that were in it.
    """
    points = scored.filter(pc.and_(scored["batch_last"], pc.is_valid(scored["visitor_id"])))
    held = holds(points, audience)
    frame = points.select(
        ["visitor_id", "session_id", "epoch", "event_time", "source_seq",
         "conversion", "churn", "lifecycle"]
    ).to_pandas()  # fmt: skip
    frame = frame.assign(held=held).sort_values(
        ["visitor_id", "event_time", "session_id", "source_seq"], kind="stable"
    )
    last = frame.drop_duplicates("visitor_id", keep="last").set_index("visitor_id")
    inside = frame[frame["held"]]
    if at_end:
        inside = inside[inside["visitor_id"].isin(last.index[last["held"]])]
    by_visitor = inside.groupby("visitor_id", sort=True)
    found = pd.DataFrame(
        {
            "first_time": by_visitor["event_time"].first(),
            "last_time": by_visitor["event_time"].last(),
            "visits": inside.drop_duplicates(["visitor_id", "session_id", "epoch"])
            .groupby("visitor_id")
            .size(),
        }
    )
    found = found.join(last[["conversion", "churn", "lifecycle"]])
    return Members(found, len(points), len(last))


def with_people(members: Members, people: pd.DataFrame, *, for_ads: bool = False) -> Members:
    """Add user and anonymous ids from `read_people`, and leave out who may not be exported.

    That is bots, and who denied analytics or personalization; `for_ads` leaves out who denied ads
    or opted out of sale and sharing as well. Each visitor counts for the first reason that holds.
    """
    found = members.frame.join(people.loc[members.frame.index])
    reasons = {"bots": "is_bot", "analytics denied": "denied_analytics",
               "personalization denied": "denied_personalization"}  # fmt: skip
    if for_ads:
        reasons |= {"ads denied": "denied_ads", "opted out of sale and sharing": "opted_out"}
    left_out = {}
    for reason, column in reasons.items():
        gone = found[column]
        left_out[reason] = int(gone.sum())
        found = found[~gone]
    frame = found.reset_index(names="visitor_id")[list(COLUMNS)]
    return Members(frame, members.points, members.visitors, left_out)


def holds(points: pa.Table, audience: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the rows whose `audiences` name one."""
    column = points["audiences"].combine_chunks()
    mask = np.zeros(len(points), np.bool_)
    named = pc.equal(pc.list_flatten(column), audience).to_numpy(zero_copy_only=False)
    mask[pc.list_parent_indices(column).to_numpy()[named]] = True
    return mask
