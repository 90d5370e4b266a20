"""Who the visitors of a folder of events are, and what they may be used for."""

from __future__ import annotations

from typing import Final

import duckdb
import pandas as pd

from micromoment.events.identity import IdEncoder
from training.event_files import EventDays
from training.importers.denials import read_denials, visitor_hash

# At the same moment a denial wins, and the highest id, so that a run can be repeated.
_QUERY: Final = """
    SELECT
        coalesce(nullif(user_id, ''), anonymous_id) AS visitor_id,
        max(nullif(user_id, '')) AS user_id,
        (max({'at': event_time, 'id': anonymous_id})
            FILTER (anonymous_id IS NOT NULL)).id AS anonymous_id,
        coalesce(bool_or(is_bot), false) AS is_bot,
        coalesce(bool_or(consent_gpc), false) AS opted_out,
        {analytics} AS denied_analytics,
        coalesce(max(epoch_us(event_time)) FILTER (consent_analytics = 'granted'), -1)
            AS granted_us,
        {personalization} AS denied_personalization,
        {ads} AS denied_ads
    FROM read_parquet($files)
    WHERE coalesce(nullif(user_id, ''), anonymous_id) IS NOT NULL
    GROUP BY 1
    ORDER BY 1
"""
_PURPOSES: Final = ("analytics", "personalization", "ads")


def read_people(days: EventDays, ids: IdEncoder | None = None) -> pd.DataFrame:
    """Read one row per visitor, by `visitor_id` as scores have it; other ids are as in the events.

    Columns: `user_id`, the latest `anonymous_id`, `is_bot`, `opted_out` (by Global Privacy
    Control), and `denied_<purpose>`: whether the last answer of theirs is a denial, of analytics
    also in rows that imports dropped for it.
    """
    answers = {purpose: _last_answer(f"consent_{purpose}") for purpose in _PURPOSES}
    query = _QUERY
    for purpose, answer in answers.items():
        query = query.replace(f"{{{purpose}}}", answer)
    files = [str(path) for path in days.files.values()]
    with duckdb.connect() as connection:
        people = connection.execute(query, {"files": files}).df()
    denied_us = _denied_us(days, people["visitor_id"])
    people["denied_analytics"] |= denied_us > people.pop("granted_us")
    if ids is not None:
        people["visitor_id"] = [ids.encode(one) for one in people["visitor_id"]]
    return people.set_index("visitor_id")


def _denied_us(days: EventDays, visitors: pd.Series[str]) -> pd.Series[int]:
    """Give when each visitor last denied analytics in a row that was not imported, -1 for never."""
    folders = {path.parent for path in days.files.values()}
    denials = [read_denials(folder) for folder in sorted(folders)]
    last = [
        max((found.get(visitor_hash(visitor), -1) for found in denials), default=-1)
        for visitor in visitors
    ]
    return pd.Series(last, index=visitors.index, dtype="int64")


def _last_answer(column: str) -> str:
    denied = f"({column} = 'denied')"
    return (
        f"coalesce((max({{'at': event_time, 'denied': {denied}}})"
        f" FILTER ({column} IN ('granted', 'denied'))).denied, false)"
    )
