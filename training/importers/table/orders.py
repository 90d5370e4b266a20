"""A table of order lines to purchases and refunds, one event per order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb

from micromoment.events.identity import IdEncoder
from micromoment.stores.erasure_list import load_erasures
from training.importers.day_notes import check_replaced, day_notes
from training.importers.engine import engine, file_list, literal, script
from training.importers.erased import leave_out_erased
from training.importers.event_folder import event_folder
from training.importers.ga4_stage import FIRST_TIME_US, LAST_TIME_US
from training.importers.progress import ProgressHook, reporting
from training.importers.pseudonyms import Pseudonyms
from training.importers.report import ImportReport
from training.importers.table.expressions import Expressions
from training.importers.table.files import Table
from training.importers.table.mapping import OrdersMapping
from training.importers.table.order_days import count_lines, write_order_day
from training.importers.table.order_stage import make_events, stage_lines
from training.importers.table.reading import Tables
from training.importers.tally import Tally
from training.importers.visits.rows import DayRange


def import_orders(
    tables: Tables,
    mapping: OrdersMapping,
    out: Path,
    days: DayRange,
    *,
    replace: bool,
    ids: IdEncoder,
    progress: bool | ProgressHook,
) -> ImportReport:
    """Import tables of order lines; `training.importers.table.import_table` says more."""
    tally = Tally(tables.files)
    pseudonyms = Pseudonyms(ids)
    with (
        event_folder(out, pseudonyms.key_id) as folder,
        engine(folder.work) as db,
        reporting(progress) as show,
    ):

        def lines_of(table: Table, file_no: int) -> str:
            return lines_query(table, file_no, mapping)

        files = tables.read(db, lines_of, folder.work / "lines", tally, show)
        erasures = load_erasures(folder.path)
        pseudonyms.encode_files(files, ["customer_id"], erasures)
        lines = f"read_parquet({file_list(files)})"
        make_events(db, lines, folder, mapping, tally)
        stage = stage_lines(db, lines, folder.work / "staged", days, tally)
        leave_out_erased(stage, erasures, tally)
        if not replace:
            check_replaced(folder, stage.days())
        notes = day_notes(folder, stage.days())
        count_lines(db, stage.all_rows(), tally)
        written = {}
        for done, day in enumerate(stage.days(), start=1):
            written[day] = write_order_day(db, day, stage.rows_of(day), folder)
            show("days", done, len(stage.days()))
        report = _report(db, days, tally, written, notes)
        folder.publish()
    report.write(out)
    return report


def lines_query(table: Table, file_no: int, mapping: OrdersMapping) -> str:
    """Give the query that reads a table's order lines."""
    columns = mapping.columns
    give = Expressions(table, mapping)
    cancelled, charged = mapping.refunds.order_id_matches, mapping.charges
    return script(
        "table/order_lines",
        source=give.source,
        file_no=file_no,
        row_no=table.row_no,
        order_id=give.text(columns.order_id),
        customer_id=give.text(columns.customer_id),
        time=give.time(columns.time),
        time_text=give.plain(columns.time),
        item_id=give.text(columns.item_id),
        quantity=give.number(columns.quantity),
        price=give.money(columns.price),
        currency=give.optional(columns.currency),
        category=give.category(columns.category) if columns.category else "NULL::VARCHAR[]",
        brand=give.optional(columns.brand),
        on_sale=give.optional(columns.on_sale),
        original_order_id=give.optional(columns.original_order_id),
        attributes=give.attributes(mapping.attributes),
        rule_dropped=give.dropped(mapping.drop),
        refund_pattern=literal(cancelled) if cancelled else "NULL",
        negative_refunds=mapping.refunds.negative_quantity,
        charge_pattern=literal(charged.item_id_matches) if charged else "NULL",
        keeps_guests=mapping.without_customer == "keep",
        first_time=FIRST_TIME_US,
        last_time=LAST_TIME_US,
    )


def _report(
    db: duckdb.DuckDBPyConnection,
    days: DayRange,
    tally: Tally,
    written: Mapping[date, int],
    notes: tuple[str, ...],
) -> ImportReport:
    files = tally.files()
    first_day, last_day = days.bounds
    query = script("table/report", first_day=first_day, last_day=last_day)
    ((customers, sessions, orders, returned, linked),) = db.sql(query).fetchall()
    if returned:
        found = f"of {returned:,} lines that take something back, {linked:,} are of a known order;"
        notes = (f"{found} the refunds of the others have no order_id", *notes)
    return ImportReport(
        rows_read=sum(file.rows_read for file in files),
        rows_kept=sum(file.rows_kept for file in files),
        merged=tally.total("merged"),
        dropped=tally.total("dropped"),
        cleaned=tally.total("cleaned"),
        visitors=customers,
        sessions=sessions,
        purchase_events_read=orders,
        purchase_sessions=orders,
        events=tally.events(),
        days={day.isoformat(): events for day, events in written.items()},
        files=files,
        examples=tally.examples(),
        notes=notes,
    )
