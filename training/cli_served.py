"""The commands that look at what was served: is it what is computed offline, is it still right?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from training.cli_shared import (
    Features,
    IdKeys,
    SessionPrefix,
    bundle_folder,
    ids_of,
    keys_of,
    store_or_default,
    without_erased,
)

if TYPE_CHECKING:
    from micromoment.stores.log_rows import LoggedVisit

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(parity)
    app.command()(monitor)


def parity(
    bundle: Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")] = "",
    events: Annotated[
        Path | None, typer.Option(help="Folder of events; the last day is compared.")
    ] = None,
    log: Annotated[
        str,
        typer.Option(help="In place of events a server's event log: its folder, or redis://..."),
    ] = "",
    store: Annotated[
        Path | None, typer.Option("--store", "--bundle-store", help="Folder of the bundle store.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most events to compare.")] = 30_000,
    seed: Annotated[int, typer.Option(help="Seed of the random requests.")] = 1,
    sabotage: Annotated[
        bool, typer.Option("--sabotage", help="Change one feature on one path: must be found.")
    ] = False,
    sabotage_centroid: Annotated[
        bool, typer.Option("--sabotage-centroid", help="Move one cluster likewise.")
    ] = False,
    session_store: Annotated[
        str, typer.Option(help="Where the server keeps sessions: memory or redis://...")
    ] = "",
    feature_config: Annotated[
        Path | None,
        typer.Option(help="feature_store.yaml that puts users' features elsewhere than in SQLite."),
    ] = None,
    via: Annotated[
        str, typer.Option(help="How the server is called: grpc, stream, batch or http.")
    ] = "grpc",
    session_prefix: SessionPrefix = DEFAULT_PREFIX,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Compare offline and online to the last bit: a running server's answers, or a log's."""
    from training.importers.log import visits_of  # noqa: PLC0415 - heavy imports
    from training.parity import OnlineStores, ParityRequest, Via, check_parity  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    if log:
        _log_parity(visits_of(log, session_prefix), store, sabotage=sabotage)
    if not bundle or events is None:
        raise typer.BadParameter("give --bundle and --events, or --log")
    if via not in list(Via):
        raise typer.BadParameter(f"{via!r} is none of {', '.join(Via)}", param_hint="--via")
    without_erased(events, features, id_keys)
    stores = OnlineStores("" if session_store == "memory" else session_store, feature_config)
    request = ParityRequest(
        bundle_folder(bundle, store),
        events,
        limit,
        seed,
        sabotage,
        sabotage_centroid,
        stores,
        Via(via),
        keys_of(id_keys),
    )
    report = check_parity(request, Steps(console))
    Console().print(report.table())
    raise typer.Exit(0 if report.equal else 1)


def _log_parity(visits: Iterable[LoggedVisit], store: Path | None, *, sabotage: bool) -> NoReturn:
    from training.parity import check_log  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    with Steps(console).step("Score the log again") as advance:
        report = check_log(visits, store_or_default(store), sabotage=sabotage, advance=advance)
    Console().print(report.table())
    raise typer.Exit(0 if report.equal else 1)


def in_a_folder(value: Path | None) -> Path | None:
    """Refuse a file whose folder does not exist."""
    if value is not None and not value.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {value.parent}")
    return value


def textfile_name(value: Path | None) -> Path | None:
    """Refuse what a textfile collector would not read, and a folder that does not exist."""
    if value is not None and value.suffix != ".prom":
        raise typer.BadParameter(f"{value.name} does not end in .prom: no collector reads it")
    return in_a_folder(value)


def monitor(
    log: Annotated[str, typer.Option(help="Folder of a server's event log, or redis://...")],
    store: Annotated[
        Path | None, typer.Option("--store", "--bundle-store", help="Folder of the bundle store.")
    ] = None,
    bundle: Annotated[
        str,
        typer.Option(
            help="Bundle to judge, name:version or name:latest; without one the last that served."
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="HTML file for the page.", callback=in_a_folder)
    ] = None,
    prometheus: Annotated[
        Path | None,
        typer.Option(
            help="File of gauges for a textfile collector, *.prom.", callback=textfile_name
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days that are looked at together.")] = 7,
    wait_hours: Annotated[
        float, typer.Option(min=0, help="How late orders are told from outside a visit.")
    ] = 24.0,
    alarm_rate: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, help="Share of looks at an unchanged shop that may fail."),
    ] = 0.01,
    session_prefix: SessionPrefix = DEFAULT_PREFIX,
    tenant: Annotated[str, typer.Option(help="Whose scores are looked at.")] = DEFAULT_TENANT,
    id_keys: IdKeys = None,
) -> None:
    """Compare served scores with what came of them; status 1 when a figure has dropped."""
    from training.importers.log import LogKeys, log_source  # noqa: PLC0415 - heavy imports
    from training.monitor import MonitorRequest  # noqa: PLC0415
    from training.monitor import monitor as run  # noqa: PLC0415
    from training.monitor.page import verdict, write_page  # noqa: PLC0415
    from training.monitor.textfile import write_textfile  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    source = log_source(log, session_prefix, tenant)
    # A visitor of before and after a change of keys is one.
    keys = LogKeys(ids_of(id_keys))
    with Steps(console).step("Join scores with what came of them"):
        report = run(
            MonitorRequest(
                keys.visits(visit for _, visit in source.visits),
                keys.outside(event for _, _, event in source.outside),
                store_or_default(store),
                bundle,
                days,
                wait_hours,
                alarm_rate,
            )
        )
    if out is not None:
        write_page(out, report)
        console.print(f"page: {out}")
    if prometheus is not None:
        write_textfile(prometheus, report)
    for note in source.left_out():
        console.print(note)
    counts = [f"{count:,} {state}" for state, count in report.scores.items()]
    console.print(f"{report.tag}: scores {', '.join(counts)}")
    typer.echo(verdict(report))
    raise typer.Exit(1 if report.degraded else 0)
