"""Raw rows, as a source's reader gives them, and the query that makes event rows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from micromoment.errors import InvalidDataError
from training.importers.engine import script
from training.importers.ga4_stage import FIRST_TIME_US, LAST_TIME_US

ITEM_TEXTS: Final = (
    "STRUCT(item_id VARCHAR, category_path VARCHAR[], brand VARCHAR, price VARCHAR,"
    " quantity VARCHAR, position VARCHAR, on_sale VARCHAR)"
)

# Columns of a raw row and their types. Texts are as the source has them, money in whole units of
# its currency, times in microseconds since 1970; `type` and `page_type` are canonical words,
# `page` a path or an address, `content` a digest of the row, `dropped` why the reader refuses it,
# `flaws` what it has cleaned, as `column.reason`.
RAW_COLUMNS: Final[dict[str, str]] = {
    "file_no": "INTEGER",
    "row_no": "BIGINT",
    "content": "VARCHAR",
    "dropped": "VARCHAR",
    "flaws": "VARCHAR",
    "tie_rank": "INTEGER",
    "event_id": "VARCHAR",
    "type": "VARCHAR",
    "event_time": "BIGINT",
    "received_time": "BIGINT",
    "session_id": "VARCHAR",
    "anonymous_id": "VARCHAR",
    "user_id": "VARCHAR",
    "items": f"{ITEM_TEXTS}[]",
    "order_id": "VARCHAR",
    "value": "VARCHAR",
    "currency": "VARCHAR",
    "page": "VARCHAR",
    "page_type": "VARCHAR",
    "page_title": "VARCHAR",
    "medium": "VARCHAR",
    "campaign": "VARCHAR",
    "source": "VARCHAR",
    "device": "VARCHAR",
    "locale": "VARCHAR",
    "utc_offset_minutes": "VARCHAR",
    "scroll_percent": "VARCHAR",
    "dwell_ms": "VARCHAR",
    "hover_ms": "VARCHAR",
    "engagement_ms": "VARCHAR",
    "search_term": "VARCHAR",
    "consent_analytics": "VARCHAR",
    "consent_personalization": "VARCHAR",
    "consent_ads": "VARCHAR",
    "consent_gpc": "BOOLEAN",
    "is_bot": "BOOLEAN",
    "attributes": "MAP(VARCHAR, VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class DayRange:
    """The shop-days to import, both included where given; rows of others are dropped."""

    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise InvalidDataError("import", f"no day from {self.first} to {self.last}")

    @property
    def bounds(self) -> tuple[str, str]:
        """First and last day as YYYY-MM-DD, which compare as text; open ends are far away."""
        return (
            self.first.isoformat() if self.first else "0001-01-01",
            self.last.isoformat() if self.last else "9999-12-31",
        )


def raw_select(expressions: Mapping[str, str], source: str) -> str:
    """Select raw rows from SQL `source`; a column without an expression is null."""
    unknown = expressions.keys() - RAW_COLUMNS.keys()
    if unknown:
        raise ValueError(f"not columns of a raw row: {sorted(unknown)}")
    columns = ", ".join(
        f"CAST({expressions.get(name, 'NULL')} AS {kind}) AS {name}"
        for name, kind in RAW_COLUMNS.items()
    )
    return script("visits/raw", columns=columns, source=source)


def event_rows(raw: str, time_zone: str, days: DayRange) -> str:
    """Give the query that makes event rows (see rows.sql) of the raw rows that `raw` selects."""
    first_day, last_day = days.bounds
    return script(
        "visits/rows",
        raw=raw,
        zone=time_zone,
        first_time=FIRST_TIME_US,
        last_time=LAST_TIME_US,
        first_day=first_day,
        last_day=last_day,
        day_ms=86_400_000,
    )
