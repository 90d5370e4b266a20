"""A server's event log to canonical events, as the server folded them.

`docs/event-log.md` says what becomes of a row, and which sessions are left out.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from micromoment.events.identity import IdEncoder
from micromoment.stores.erasure_list import load_erasures
from training.importers.day_notes import check_replaced, day_notes
from training.importers.days import rebuild_state, write_state
from training.importers.denials import stage_denials
from training.importers.engine import engine
from training.importers.event_folder import EventFolder, event_folder
from training.importers.event_writer import write_events
from training.importers.log.keys import LogKeys
from training.importers.log.reader import BoolArray, LogReader
from training.importers.log.source import LogSource
from training.importers.progress import ProgressHook, reporting
from training.importers.report import ImportReport
from training.importers.tally import Tally
from training.importers.visits.rows import DayRange


def import_log(
    source: LogSource,
    out: Path,
    *,
    time_zone: str = "",
    days: DayRange | None = None,
    replace: bool = False,
    ids: IdEncoder | None = None,
    progress: bool | ProgressHook = False,
) -> ImportReport:
    """Import a log into `<out>/YYYY-MM-DD.parquet` and write `<out>/report.json`.

    `time_zone` is the shop's, whose midnights part the days, without one the log's own; `days`
    limits the import. Days that the folder holds already may be replaced only with `replace`.
    Ids are those of the log or, with keys in `ids`, brought under the current one. Raises
    `InvalidDataError` for a log that can't be read, is of several time zones or has ids under
    several keys; nothing is written then.
    """
    tally = Tally(source.parts, source.row_name)
    with event_folder(out, None) as opened, reporting(progress) as show:
        erasures = load_erasures(opened.path)
        keys = LogKeys(ids or IdEncoder(), erasures)
        reader = LogReader(
            keys.reading(source),
            opened.work / "staged",
            time_zone,
            days or DayRange(),
            erasures,
        )
        reader.read(show)
        folder = opened.under(keys.key_id)
        usable = reader.usable()
        kept = _write_days(reader, usable, folder, tally, show)
        if not replace:
            check_replaced(folder, list(kept))
        _write_states(folder, list(kept))
        stage_denials(folder, reader.denials)
        reader.count(tally, usable)
        notes = (*day_notes(folder, list(kept)), *reader.notes())
        report = _report(reader, usable, tally, kept, notes)
        folder.publish()
    report.write(out)
    return report


def _write_days(
    reader: LogReader, usable: BoolArray, folder: EventFolder, tally: Tally, show: ProgressHook
) -> dict[date, int]:
    days = reader.stage.days()
    kept = {}
    for done, day in enumerate(days, start=1):
        rows = reader.stage.kept(day, usable)
        path = folder.staged_day(day)
        written = write_events(path, rows.batches(), folder.key_id)
        if written:
            kept[day] = written
        else:
            path.unlink()
        tally.add_kept(rows.by_part.items())
        tally.add_events(rows.by_type.items())
        show("days", done, len(days))
    return kept


def _write_states(folder: EventFolder, days: list[date]) -> None:
    if not days:
        return
    with engine(folder.work) as db:
        rebuild_state(db, folder, days[0])
        for day in days:
            write_state(db, day, folder.staged_day(day), folder)


def _report(
    reader: LogReader,
    usable: BoolArray,
    tally: Tally,
    kept: dict[date, int],
    notes: tuple[str, ...],
) -> ImportReport:
    files = tally.files()
    visitors, sessions, purchase_sessions = reader.totals(usable)
    return ImportReport(
        rows_read=sum(file.rows_read for file in files),
        rows_kept=sum(file.rows_kept for file in files),
        merged=tally.total("merged"),
        dropped=tally.total("dropped"),
        visitors=visitors,
        sessions=sessions,
        purchase_events_read=reader.purchases,
        purchase_sessions=purchase_sessions,
        events=tally.events(),
        days={day.isoformat(): rows for day, rows in kept.items()},
        files=files,
        examples=tally.examples(),
        notes=notes,
    )
