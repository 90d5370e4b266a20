"""Queries that count rows of files by what became of them, as `Tally` takes them."""

from __future__ import annotations

import duckdb

from training.importers.engine import script
from training.importers.tally import ReasonRow


def by_reason(
    db: duckdb.DuckDBPyConnection, rows: str, reason: str, condition: str = "true"
) -> list[ReasonRow]:
    """Count the rows of an SQL source that meet a condition, by an SQL expression."""
    query = script("reasons", rows=rows, reason=reason, condition=condition)
    return db.sql(query).fetchall()


def by_tag(db: duckdb.DuckDBPyConnection, rows: str, condition: str = "true") -> list[ReasonRow]:
    """Count the rows of an SQL source by each of the tags in their column `cleaned`."""
    return db.sql(script("tags", rows=rows, condition=condition)).fetchall()
