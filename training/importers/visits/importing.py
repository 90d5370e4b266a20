"""The last steps of an import of single events: sessions, day files, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from micromoment.events.identity import IdEncoder
from micromoment.stores.erasure_list import load_erasures
from training.importers.day_notes import check_replaced, day_notes
from training.importers.days import rebuild_state, write_day
from training.importers.denials import denials_in, stage_denials
from training.importers.engine import engine, file_list, script
from training.importers.erased import leave_out_erased
from training.importers.event_folder import EventFolder, event_folder
from training.importers.ga4_stage import Stage
from training.importers.page_rules import PageRules
from training.importers.progress import ProgressHook, reporting
from training.importers.pseudonyms import Pseudonyms
from training.importers.report import ImportReport
from training.importers.tally import Tally
from training.importers.visits.cuts import SessionRules
from training.importers.visits.stage import stage_visits


@dataclass(frozen=True, slots=True)
class VisitSettings:
    """What an importer of single events is told: the shop's days, sessions, pages and files.

    `replace` allows to replace days that the folder holds already; `duplicates` is the reason under
    which rows of one event id are merged. With keys in `ids`, ids are written as pseudonyms.
    """

    time_zone: str
    sessions: SessionRules
    page_rules: PageRules
    replace: bool = False
    duplicates: str = "duplicate_message"
    ids: IdEncoder = field(default_factory=IdEncoder)


_IDS: Final = ("anonymous_id", "user_id", "stated_session_id")

# Writes the event rows of all files into a folder, counts the rows read, and lists what it wrote.
ReadRows = Callable[[duckdb.DuckDBPyConnection, Path, Tally, ProgressHook], Sequence[Path]]


def import_visits(
    files: Sequence[Path],
    read_rows: ReadRows,
    out: Path,
    settings: VisitSettings,
    progress: bool | ProgressHook = False,
) -> ImportReport:
    """Turn the rows that `read_rows` makes of `files` into day files and a report in `out`.

    Raises `InvalidDataError` naming a day that would be replaced but must not be.
    """
    tally = Tally(files)
    pseudonyms = Pseudonyms(settings.ids)
    with (
        event_folder(out, pseudonyms.key_id) as folder,
        engine(folder.work) as db,
        reporting(progress) as show,
    ):
        rows_folder = folder.work / "rows"
        rows_folder.mkdir()
        rows = read_rows(db, rows_folder, tally, show)
        erasures = load_erasures(folder.path)
        pseudonyms.encode_files(rows, _IDS, erasures)
        stage_denials(folder, denials_in(db, list(rows)))
        stage = stage_visits(
            db,
            rows,
            folder,
            settings.time_zone,
            settings.sessions,
            tally,
            duplicates=settings.duplicates,
        )
        leave_out_erased(stage, erasures, tally)
        days = stage.days()
        if not settings.replace:
            check_replaced(folder, days)
        notes = day_notes(folder, days)
        kept = _write_days(db, stage, folder, settings.page_rules, tally, show)
        report = _report(db, stage, tally, kept, notes)
        folder.publish()
    report.write(out)
    return report


def _write_days(
    db: duckdb.DuckDBPyConnection,
    stage: Stage,
    folder: EventFolder,
    page_rules: PageRules,
    tally: Tally,
    show: ProgressHook,
) -> dict[date, int]:
    days = stage.days()
    if days:
        rebuild_state(db, folder, days[0])
    kept = {}
    for done, day in enumerate(days, start=1):
        staged = stage.rows_of(day)
        kept[day] = write_day(db, day, staged, folder, page_rules, tally, shop_wide_orders=True)
        show("days", done, len(days))
    return kept


def _report(
    db: duckdb.DuckDBPyConnection,
    stage: Stage,
    tally: Tally,
    kept: dict[date, int],
    notes: tuple[str, ...],
) -> ImportReport:
    files = tally.files()
    staged = stage.all_rows()
    totals = (0, 0, 0, 0)
    if staged:
        rows = f"read_parquet({file_list(staged)}, hive_partitioning = false)"
        (totals,) = db.sql(script("visits/totals", rows=rows)).fetchall()
    visitors, sessions, purchase_events, purchase_sessions = totals
    return ImportReport(
        rows_read=sum(file.rows_read for file in files),
        rows_kept=sum(file.rows_kept for file in files),
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
