"""A table of events, one row each, to canonical events."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import duckdb

from micromoment.events.identity import IdEncoder
from micromoment.events.vocabulary import DeviceType, EventType, PageType
from training.importers.engine import literal
from training.importers.page_rules import PageRules
from training.importers.progress import ProgressHook
from training.importers.report import ImportReport
from training.importers.table.expressions import Expressions
from training.importers.table.files import Table
from training.importers.table.mapping import EventColumns, EventsMapping
from training.importers.table.reading import Tables
from training.importers.table.sources import Time, Word
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
    ids: IdEncoder,
    progress: bool | ProgressHook,
) -> ImportReport:
    """Import tables of events; `training.importers.table.import_table` says more."""

    def rows_of(table: Table, file_no: int) -> str:
        give = Expressions(table, mapping)
        raw = raw_select(_expressions(give, table, file_no, mapping), give.source)
        return event_rows(raw, mapping.time_zone, days)

    def read_rows(
        db: duckdb.DuckDBPyConnection, folder: Path, tally: Tally, show: ProgressHook
    ) -> list[Path]:
        return tables.read(db, rows_of, folder, tally, show)

    settings = VisitSettings(
        mapping.time_zone, mapping.sessions.rules(), page_rules, replace, "duplicate_row", ids
    )
    return import_visits(tables.files, read_rows, out, settings, progress)


def _expressions(
    give: Expressions, table: Table, file_no: int, mapping: EventsMapping
) -> dict[str, str]:
    columns = mapping.columns
    found = {
        "file_no": str(file_no),
        "row_no": table.row_no,
        "content": give.content(),
        "dropped": _dropped(give, mapping),
        "flaws": _flaws(give, columns),
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
    columns = mapping.columns
    reasons = [give.dropped(mapping.drop), _no_time(give, columns.time, "event_time_not_a_time")]
    if columns.type.unlisted == "drop":
        reasons.insert(1, give.unlisted(columns.type, EventType, "unlisted_type"))
    return f"COALESCE({', '.join(reasons)})"


def _flaws(give: Expressions, columns: EventColumns) -> str:
    words: tuple[tuple[str, Word | None, type[IntEnum]], ...] = (
        ("page_type", columns.page_type, PageType),
        ("device", columns.device, DeviceType),
    )
    flaws = [give.unlisted(word, kind, f"{name}.unlisted") for name, word, kind in words if word]
    if columns.referrer_medium:
        medium = give.word(columns.referrer_medium)
        flaws.append(
            f"CASE WHEN as_medium({medium}) = 'other' AND lower({medium}) <> 'other'"
            " THEN 'referrer_medium.unlisted' END"
        )
    if columns.received_time:
        flaws.append(_no_time(give, columns.received_time, "received_time.not_a_time"))
    flags = {"consent_gpc": columns.consent_gpc, "is_bot": columns.is_bot}
    flaws.extend(
        f"flag_flaw({give.plain(source)}, '{name}')" for name, source in flags.items() if source
    )
    return f"concat_ws(' ', {', '.join(flaws)})" if flaws else "NULL"


def _no_time(give: Expressions, source: Time, reason: str) -> str:
    text, time = give.plain(source), give.time(source)
    return f"CASE WHEN {text} IS NOT NULL AND {time} IS NULL THEN {literal(reason)} END"


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
