"""Leaves out events whose visitors denied analytics, wherever events are read to learn or count.

Importers drop them, and no server logs them. What is in a folder all the same came in another way.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMN: Final = "consent_analytics"
DENIED: Final = "denied"
# The same in SQL, of the events that stay.
CONSENTED: Final = f"{COLUMN} IS DISTINCT FROM '{DENIED}'"
# The reason under which they are counted.
REASON: Final = "analytics_denied"

_log = logging.getLogger(__name__)


def without_denied(events: pa.Table) -> pa.Table:
    """Give a table of events, `EVENT_SCHEMA`, without those; the same one where there are none."""
    denied = pc.fill_null(pc.equal(events[COLUMN], DENIED), fill_value=False)
    return events.filter(pc.invert(denied)) if pc.any(denied).as_py() else events


def read_consented(path: Path) -> pa.Table:
    """Read a day file without those."""
    return without_denied(pq.read_table(path))


def tell_denied(events: int) -> None:
    """Say how many were left out."""
    if events:
        _log.warning("%d events are left out: analytics are denied (%s)", events, REASON)
