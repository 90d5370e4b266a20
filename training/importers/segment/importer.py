"""Segment calls to canonical events. `docs/events.md` says what becomes of each field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from zoneinfo import available_timezones

import duckdb
import pyarrow as pa

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from training.importers.engine import copy_rows, literal, script
from training.importers.ga4_stage import FIRST_TIME_US, LAST_TIME_US
from training.importers.page_rules import load_page_rules
from training.importers.progress import ProgressHook
from training.importers.report import ImportReport
from training.importers.segment.lines import LINE_SCHEMA, SUFFIXES, line_batches
from training.importers.segment.names import UNNAMED_TIE_RANK, segment_events
from training.importers.sources import find_all_files
from training.importers.tally import Tally
from training.importers.visits.cuts import SessionRules
from training.importers.visits.importing import VisitSettings, import_visits
from training.importers.visits.rows import DayRange, event_rows, raw_select


def import_segment(
    patterns: str | Path | Sequence[Path | str],
    out: Path,
    *,
    time_zone: str = "UTC",
    sessions: SessionRules | None = None,
    days: DayRange | None = None,
    page_rules: Path | None = None,
    replace: bool = False,
    ids: IdEncoder | None = None,
    progress: bool | ProgressHook = False,
) -> ImportReport:
    """Import files of Segment calls into `<out>/YYYY-MM-DD.parquet` and write `<out>/report.json`.

    `patterns` is a glob, a folder, a file or a list of those, of JSON lines, plain or gzipped.
    `time_zone` is the shop's, whose midnights part the days; `days` limits the import. Days that
    the folder holds already may be replaced only with `replace`. With keys in `ids`, ids are
    written as pseudonyms. Raises `InvalidDataError` naming file or day; nothing is written then.
    Lines that can't be used are dropped and counted.
    """
    shop = Shop(time_zone=time_zone)
    files = find_all_files(patterns, SUFFIXES)
    settings = VisitSettings(
        time_zone,
        sessions or SessionRules(),
        load_page_rules(page_rules),
        replace,
        ids=ids or IdEncoder(),
    )

    def read_rows(
        db: duckdb.DuckDBPyConnection, folder: Path, tally: Tally, show: ProgressHook
    ) -> list[Path]:
        _create_zones(db)
        target = folder / "rows.parquet"
        with _lines_of(db, files, tally, show):
            copy_rows(db, _rows_query(shop.time_zone, days or DayRange()), target)
        return [target]

    return import_visits(files, read_rows, out, settings, progress)


@contextmanager
def _lines_of(
    db: duckdb.DuckDBPyConnection, files: Sequence[Path], tally: Tally, show: ProgressHook
) -> Iterator[None]:
    """Let a query read the lines of all files, once and as a stream, as `segment_lines`."""
    broken: list[InvalidDataError] = []

    def finished(file_no: int, lines: int) -> None:
        tally.add_read(file_no, lines)
        show("files", file_no + 1, len(files))

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from line_batches(files, finished)
        except InvalidDataError as error:
            broken.append(error)
            raise

    db.register("segment_lines", pa.RecordBatchReader.from_batches(LINE_SCHEMA, batches()))
    try:
        yield
    except duckdb.Error as error:  # what the stream raised, as the engine tells it
        raise (broken[0] if broken else error) from None
    finally:
        db.unregister("segment_lines")


def _create_zones(db: duckdb.DuckDBPyConnection) -> None:
    known = db.sql("SELECT name FROM pg_timezone_names()").fetchall()
    zones = sorted(available_timezones() & {name for (name,) in known})
    db.execute("CREATE TEMP TABLE segment_zones (name VARCHAR)")
    db.executemany("INSERT INTO segment_zones VALUES (?)", [(zone,) for zone in zones])


def _names_map() -> str:
    entries = (
        f"{literal(key)}: {{'type': {literal(event_type)}, 'tie_rank': {rank}}}"
        for key, event_type, rank in segment_events()
    )
    return f"MAP {{{', '.join(entries)}}}"


def _rows_query(time_zone: str, days: DayRange) -> str:
    message = resources.files(__package__).joinpath("message.json").read_text(encoding="utf-8")
    structure = json.dumps(json.loads(message), separators=(",", ":"))
    messages = script(
        "segment/messages",
        lines="segment_lines",
        names=_names_map(),
        structure=literal(structure),
        answers=literal('"MAP(VARCHAR, VARCHAR)"'),
        unnamed_tie_rank=UNNAMED_TIE_RANK,
        first_time=FIRST_TIME_US,
        last_time=LAST_TIME_US,
    )
    names = [
        "file_no",
        "row_no",
        "content",
        "dropped",
        "flaws",
        "tie_rank",
        "event_id",
        "type",
        "event_time",
        "received_time",
        "session_id",
        "anonymous_id",
        "user_id",
        "items",
        "order_id",
        "value",
        "currency",
        "page",
        "page_title",
        "medium",
        "campaign",
        "source",
        "device",
        "locale",
        "utc_offset_minutes",
        "search_term",
        "consent_analytics",
        "consent_personalization",
        "consent_ads",
        "consent_gpc",
        "is_bot",
        "attributes",
    ]
    raw = raw_select({name: name for name in names}, f"({messages})")
    return event_rows(raw, time_zone, days)
