"""A table of events, one row each, to canonical events."""

from __future__ import annotations

from pathlib import Path

import duckdb

from training.importers.page_rules import PageRules
from training.importers.progress import ProgressHook
from training.importers.report import ImportReport
from training.importers.table.expressions import Expressions
from training.importers.table.files import Table
from training.importers.table.mapping import EventColumns, EventsMapping
from training.importers.table.reading import Tables
from training.importers.tally import Tally
from training.importers.visits.importing import VisitSettings, import_visits
from training.importers.visits.rows import DayRange, event_rows, raw_select

# Columns of a raw row that are texts of the mapping's columns of the same name.
_TEXTS = ("event_id", "session_id", "anonymous_id", "user_id", "order_id", "currency", "page")


def import_event_table(
    tables: Tables,
    mapping: EventsMapping,
    out: Path,
    days: DayRange,
    page_rules: PageRules,
    *,
    replace: bool,
    progress: bool | ProgressHook,
) -> ImportReport:
    """Import tables of events; `training.importers.table.import_table` says more."""

    def rows_of(table: Table, file_no: int) -> str:
        raw = raw_select(_expressions(table, file_no, mapping, tables.columns), table.source)
        return event_rows(raw, mapping.time_zone, days)

    def read_rows(
        db: duckdb.DuckDBPyConnection, folder: Path, tally: Tally, show: ProgressHook
    ) -> list[Path]:
        return tables.read(db, rows_of, folder, tally, show)

    settings = VisitSettings(
        mapping.time_zone, mapping.sessions.rules(), page_rules, replace, "duplicate_row"
    )
    return import_visits(tables.files, read_rows, out, settings, progress)


def _expressions(
    table: Table, file_no: int, mapping: EventsMapping, content: tuple[str, ...]
) -> dict[str, str]:
    give, columns = Expressions(table, mapping), mapping.columns
    found = {
        "file_no": str(file_no),
        "row_no": table.row_no,
        "content": give.content(content),
        "dropped": _dropped(give, mapping),
        "type": give.event_type(columns.type),
        "event_time": give.time(columns.time),
        "items": _items(give, columns),
        "attributes": _attributes(give, mapping),
        "page_title": give.optional(columns.page_title),
        "campaign": give.optional(columns.referrer_campaign),
        "source": give.optional(columns.referrer_source),
        "locale": give.optional(columns.locale),
        "search_term": give.optional(columns.search_term),
    }
    found.update({name: give.optional(getattr(columns, name)) for name in _TEXTS})
    if columns.received_time:
        found["received_time"] = give.time(columns.received_time)
    if columns.value:
        found["value"] = give.money(columns.value)
    if columns.page_type:
        found["page_type"] = give.page_type(columns.page_type)
    for name in ("consent_gpc", "is_bot"):
        if source := getattr(columns, name):
            found[name] = f"as_flag({give.plain(source)})"
    words = {"medium": "referrer_medium", "device": "device"} | {
        name: name for name in ("consent_analytics", "consent_personalization", "consent_ads")
    }
    for name, column in words.items():
        if source := getattr(columns, column):
            found[name] = give.word(source)
    for name in ("utc_offset_minutes", "scroll_percent"):
        if source := getattr(columns, name):
            found[name] = give.number(source)
    for name in ("dwell", "hover", "engagement"):
        if source := getattr(columns, name):
            found[f"{name}_ms"] = give.duration(source)
    return found


def _dropped(give: Expressions, mapping: EventsMapping) -> str:
    rules = give.dropped(mapping.drop)
    if mapping.columns.type.unlisted == "other":
        return rules
    text, event_type = give.plain(mapping.columns.type), give.event_type(mapping.columns.type)
    unlisted = f"CASE WHEN {text} IS NOT NULL AND {event_type} IS NULL THEN 'unlisted_type' END"
    return f"COALESCE({rules}, {unlisted})"


def _items(give: Expressions, columns: EventColumns) -> str:
    if columns.item_id is None:
        return "NULL"
    item_id = give.text(columns.item_id)
    category = give.category(columns.category) if columns.category else "NULL::VARCHAR[]"
    price = give.money(columns.price) if columns.price else "NULL"
    quantity = give.number(columns.quantity) if columns.quantity else "NULL"
    position = give.number(columns.position) if columns.position else "NULL"
    return (
        f"CASE WHEN {item_id} IS NOT NULL THEN [{{'item_id': {item_id},"
        f" 'category_path': {category}, 'brand': {give.optional(columns.brand)},"
        f" 'price': {price}, 'quantity': {quantity}, 'position': {position},"
        f" 'on_sale': {give.optional(columns.on_sale)}}}] END"
    )


def _attributes(give: Expressions, mapping: EventsMapping) -> str:
    listed = give.attributes(mapping.attributes)
    if mapping.columns.type.unlisted == "drop":
        return listed
    text, event_type = give.plain(mapping.columns.type), give.event_type(mapping.columns.type)
    unlisted = f"CASE WHEN {event_type} = 'other' THEN {text} END"
    return give.attributes(mapping.attributes, {"table_event": unlisted})
