"""The commands for a server's event log: check it, copy it while the server writes, restore it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from micromoment.stores.log_care import LogReport

log = typer.Typer(help="Look after the event log of a server.", no_args_is_help=True)


def _is_folder(value: Path) -> Path:
    # Not the value: a URL may hold a password.
    if str(value).startswith(("redis:/", "rediss:/")):
        raise typer.BadParameter(
            "is no folder: check, backup and restore are for folders, Redis keeps its own log"
        )
    return value


Folder = Annotated[
    Path,
    typer.Argument(help="Folder of the event log (setting event_log).", callback=_is_folder),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(log, name="log")


@log.command()
def check(folder: Folder) -> None:
    """Read all of a log and say what it holds; status 1 when something is wrong with it."""
    from micromoment.stores.log_care import check_log  # noqa: PLC0415 - where it is used

    _tell(check_log(folder))


@log.command()
def backup(
    folder: Folder,
    target: Annotated[Path, typer.Argument(help="An empty folder.", callback=_is_folder)],
) -> None:
    """Copy a log while its server may go on writing, and check the copy."""
    from micromoment.stores.log_care import back_up_log  # noqa: PLC0415 - where it is used

    _tell(back_up_log(folder, target))


@log.command()
def restore(
    copy: Annotated[
        Path, typer.Argument(help="Folder that `log backup` wrote.", callback=_is_folder)
    ],
    target: Annotated[
        Path,
        typer.Argument(help="An empty folder, where a server will look.", callback=_is_folder),
    ],
) -> None:
    """Bring a whole copy into an empty folder; a server started on it goes on from there."""
    from micromoment.stores.log_care import restore_log  # noqa: PLC0415 - where it is used

    _tell(restore_log(copy, target))


def _tell(report: LogReport) -> None:
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it

    Console().print(_table(report), highlight=False)
    if report.is_failing:
        typer.echo("the server that wrote it could not write its last rows: a gap is to follow")
    for problem in report.problems:
        typer.echo(problem, err=True)
    raise typer.Exit(0 if report.is_whole else 1)


def _table(report: LogReport) -> Table:
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table("file", "MiB", "rows", "events", "sessions", "gaps", "erased", "from", "to")
    for one in report.files:
        table.add_row(
            one.name,
            f"{one.size / 2**20:,.1f}",
            f"{one.rows:,}",
            f"{one.events:,}",
            f"{len(one.sessions):,}",
            f"{one.gaps:,}",
            f"{one.erased:,}",
            _time(one.first_us),
            _time(one.last_us),
        )
    files = report.files
    table.add_section()
    table.add_row(
        "all",
        f"{sum(one.size for one in files) / 2**20:,.1f}",
        f"{sum(one.rows for one in files):,}",
        f"{sum(one.events for one in files):,}",
        f"{report.sessions:,}",
        f"{sum(one.gaps for one in files):,}",
        f"{sum(one.erased for one in files):,}",
        _time(min((one.first_us for one in files if one.rows), default=0)),
        _time(max((one.last_us for one in files), default=0)),
    )
    return table


def _time(time_us: int) -> str:
    if not time_us:
        return ""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
