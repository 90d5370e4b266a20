"""Tables to canonical events. `docs/events.md` explains mappings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micromoment.events.identity import IdEncoder
from training.importers.page_rules import load_page_rules
from training.importers.progress import ProgressHook
from training.importers.report import ImportReport
from training.importers.table.events import import_event_table
from training.importers.table.mapping import OrdersMapping, load_mapping
from training.importers.table.orders import import_orders
from training.importers.table.reading import find_tables
from training.importers.visits.rows import DayRange


def import_table(
    patterns: str | Path | Sequence[Path | str],
    mapping: Path,
    out: Path,
    *,
    days: DayRange | None = None,
    page_rules: Path | None = None,
    replace: bool = False,
    ids: IdEncoder | None = None,
    progress: bool | ProgressHook = False,
) -> ImportReport:
    """Import tables into `<out>/YYYY-MM-DD.parquet` and write `<out>/report.json`.

    `patterns` is a glob, a folder, a file or a list of those, of Parquet and CSV files; `mapping` a
    YAML file that says what their columns mean; `days` limits the import; `page_rules` names rules
    for page types. Days that the folder holds already may be replaced only with `replace`. With
    keys in `ids`, ids are written as pseudonyms. Raises
    `InvalidDataError` naming the place in the mapping, the file or the day; nothing is written
    then. Rows that can't be used are dropped and counted.
    """
    loaded = load_mapping(mapping)
    tables = find_tables(patterns, loaded, mapping)
    days, ids = days or DayRange(), ids or IdEncoder()
    if isinstance(loaded, OrdersMapping):
        return import_orders(tables, loaded, out, days, replace=replace, ids=ids, progress=progress)
    rules = load_page_rules(page_rules)
    return import_event_table(
        tables, loaded, out, days, rules, replace=replace, ids=ids, progress=progress
    )
