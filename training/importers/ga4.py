"""GA4's BigQuery export to canonical events. `docs/events.md` says what becomes of each column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from micromoment.stores.erasure_list import load_erasures
from training.importers.day_notes import day_notes
from training.importers.days import rebuild_state, write_day
from training.importers.denials import denials_in, stage_denials
from training.importers.engine import engine, file_list, script
from training.importers.erased import leave_out_erased
from training.importers.event_folder import event_folder
from training.importers.ga4_stage import Stage, stage_files
from training.importers.page_rules import load_page_rules
from training.importers.progress import ProgressHook, reporting
from training.importers.pseudonyms import Pseudonyms
from training.importers.report import ImportReport
from training.importers.sources import find_files, open_file
from training.importers.tally import Tally

_IDS: Final = ("session_id", "anonymous_id", "user_id")


def import_ga4(
    pattern: str | Path | Sequence[Path | str],
    out: Path,
    *,
    currency: str = "",
    page_rules: Path | None = None,
    ids: IdEncoder | None = None,
    progress: bool | ProgressHook = False,
) -> ImportReport:
    """Import GA4 export files into `<out>/YYYY-MM-DD.parquet` and write `<out>/report.json`.

    `pattern` is a glob, a folder or a list of files; `currency` the shop's (ISO 4217), which
    decides whether prices in US dollars may stand in for missing ones; `page_rules` a YAML file
    whose rules come before the general ones. Days that the folder holds already are replaced;
    later days are numbered on from earlier ones. With keys in `ids`, ids are written as pseudonyms.
    Raises `InvalidDataError` naming file, column or
    row; nothing is written then.
    """
    shop = Shop(currency)
    rules = load_page_rules(page_rules)
    sources = [open_file(path) for path in find_files(pattern)]
    tally = Tally([source.path for source in sources])
    pseudonyms = Pseudonyms(ids or IdEncoder())
    with (
        event_folder(out, pseudonyms.key_id) as folder,
        engine(folder.work) as db,
        reporting(progress) as show,
    ):
        stage = stage_files(db, sources, folder.work / "rows", shop.currency, tally, show)
        erasures = load_erasures(folder.path)
        pseudonyms.encode_files(stage.all_rows(), _IDS, erasures)
        stage_denials(folder, denials_in(db, stage.dropped()))
        leave_out_erased(stage, erasures, tally)
        days = stage.days()
        notes = day_notes(folder, days)
        if days:
            rebuild_state(db, folder, days[0])
        kept = {}
        for done, day in enumerate(days, start=1):
            kept[day] = write_day(db, day, stage.rows_of(day), folder, rules, tally)
            show("days", done, len(days))
        report = _report(db, stage, tally, kept, notes)
        folder.publish()
    report.write(out)
    return report


def _report(
    db: duckdb.DuckDBPyConnection,
    stage: Stage,
    tally: Tally,
    kept: dict[date, int],
    notes: tuple[str, ...],
) -> ImportReport:
    files = tally.files()
    visitors, sessions, purchase_events, purchase_sessions = _totals(db, stage)
    return ImportReport(
        rows_read=sum(file.rows_read for file in files),
        rows_kept=sum(kept.values()),
        merged=tally.total("merged"),
        dropped=tally.total("dropped"),
        cleaned=tally.total("cleaned"),
        visitors=visitors,
        sessions=sessions,
        purchase_events_read=purchase_events,
        purchase_sessions=purchase_sessions,
        events=tally.events(),
        days={day.isoformat(): rows for day, rows in kept.items()},
        files=files,
        examples=tally.examples(),
        notes=notes,
    )


def _totals(db: duckdb.DuckDBPyConnection, stage: Stage) -> tuple[int, int, int, int]:
    files = stage.all_rows()
    if not files:
        return 0, 0, 0, 0
    rows = f"read_parquet({file_list(files)}, hive_partitioning = false)"
    (totals,) = db.sql(script("ga4_totals", rows=rows)).fetchall()
    return totals
