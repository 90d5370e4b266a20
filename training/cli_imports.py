"""The commands that turn a shop's data into canonical events."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from training.cli_shared import IdKeys, SessionPrefix, day_of, ids_of

console = Console(stderr=True)
imports = typer.Typer(help="Turn a shop's data into canonical events.", no_args_is_help=True)


@imports.command("ga4")
def import_ga4(
    pattern: Annotated[str, typer.Argument(help="Files of a GA4 BigQuery export, or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the events, one file per day.")],
    currency: Annotated[str, typer.Option(help="Currency of prices that name none.")] = "",
    page_rules: Annotated[
        Path | None, typer.Option(help="YAML with the shop's own rules for page types.")
    ] = None,
    id_keys: IdKeys = None,
) -> None:
    """Import a GA4 BigQuery export: raw daily Parquet files."""
    from training.importers.ga4 import import_ga4 as run  # noqa: PLC0415 - heavy imports

    report = run(
        pattern,
        out,
        currency=currency,
        page_rules=page_rules,
        ids=ids_of(id_keys),
        progress=True,
    )
    console.print(report.table())


@imports.command("table")
def import_table(
    files: Annotated[list[str], typer.Argument(help="Parquet and CSV files, globs or folders.")],
    mapping: Annotated[Path, typer.Option(help="YAML that says what the columns mean.")],
    out: Annotated[Path, typer.Option(help="Folder for the events, one file per day.")],
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First shop-day.")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last shop-day, included.")
    ] = None,
    page_rules: Annotated[
        Path | None, typer.Option(help="YAML with the shop's own rules for page types.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace days that the folder holds already.")
    ] = False,
    id_keys: IdKeys = None,
) -> None:
    """Import tables of orders or of events by a mapping of their columns."""
    from training.importers.table import import_table as run  # noqa: PLC0415 - heavy imports
    from training.importers.visits import DayRange  # noqa: PLC0415

    report = run(
        files,
        mapping,
        out,
        days=DayRange(day_of(from_), day_of(to)),
        page_rules=page_rules,
        replace=replace,
        ids=ids_of(id_keys),
        progress=True,
    )
    console.print(report.table())


@imports.command("segment")
def import_segment(
    files: Annotated[list[str], typer.Argument(help="Files of JSON lines, globs or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for the events, one file per day.")],
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    session_minutes: Annotated[
        int, typer.Option(min=1, max=1_440, help="Silence that ends a session.")
    ] = 30,
    max_session_hours: Annotated[
        int, typer.Option(min=1, max=168, help="The longest session.")
    ] = 24,
    cut_at_midnight: Annotated[
        bool, typer.Option("--cut-at-midnight", help="End sessions at the shop's midnight.")
    ] = False,
    cut_on_campaign: Annotated[
        bool, typer.Option("--cut-on-campaign", help="A new campaign begins a session.")
    ] = False,
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First shop-day.")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last shop-day, included.")
    ] = None,
    page_rules: Annotated[
        Path | None, typer.Option(help="YAML with the shop's own rules for page types.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace days that the folder holds already.")
    ] = False,
    id_keys: IdKeys = None,
) -> None:
    """Import Segment calls: JSON lines, plain or gzipped."""
    from training.importers.segment import import_segment as run  # noqa: PLC0415 - heavy imports
    from training.importers.visits import DayRange, SessionRules  # noqa: PLC0415

    report = run(
        files,
        out,
        time_zone=time_zone,
        sessions=SessionRules(session_minutes, cut_at_midnight, cut_on_campaign, max_session_hours),
        days=DayRange(day_of(from_), day_of(to)),
        page_rules=page_rules,
        replace=replace,
        ids=ids_of(id_keys),
        progress=True,
    )
    console.print(report.table())


@imports.command("log")
def import_log(
    source: Annotated[str, typer.Argument(help="Folder of a server's event log, or redis://...")],
    out: Annotated[Path, typer.Option(help="Folder for the events, one file per day.")],
    time_zone: Annotated[
        str, typer.Option(help="The shop's IANA time zone; without one the log's own.")
    ] = "",
    from_: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First shop-day.")
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last shop-day, included.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace days that the folder holds already.")
    ] = False,
    id_keys: IdKeys = None,
    session_prefix: SessionPrefix = DEFAULT_PREFIX,
    tenant: Annotated[str, typer.Option(help="Whose calls are imported.")] = DEFAULT_TENANT,
) -> None:
    """Import the event log of a server: what was served can be learned from."""
    from training.importers.log import import_log as run  # noqa: PLC0415 - heavy imports
    from training.importers.log import log_source  # noqa: PLC0415
    from training.importers.visits import DayRange  # noqa: PLC0415

    report = run(
        log_source(source, session_prefix, tenant),
        out,
        time_zone=time_zone,
        days=DayRange(day_of(from_), day_of(to)),
        replace=replace,
        ids=ids_of(id_keys),
        progress=True,
    )
    console.print(report.table())
