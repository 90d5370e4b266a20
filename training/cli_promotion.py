"""The commands that change what serves: promote, roll back, retrain; and what did so before."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from training.cli_shared import (
    Features,
    IdKeys,
    SignKey,
    day_of,
    ids_of,
    signing_key,
    store_or_default,
    without_erased,
)

if TYPE_CHECKING:
    from training.promotion.checks import Check

console = Console(stderr=True)

REFUSED: Final = 3  # status of a retraining whose candidate the gate refused

_STORE = typer.Option(help="Folder of the bundle store.")
_BY = typer.Option("--by", help="Who does it, for the promotion log; user@host unless given.")
_REASON = typer.Option(help="Why, for the promotion log.")
_NAME = typer.Option(help="Name of the bundle.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (promote, rollback, promotions, retrain):
        app.command()(command)


def promote(
    bundle: Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")],
    events: Annotated[
        Path | None, typer.Option(help="Folder of events, later days included, to judge on.")
    ] = None,
    from_: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            help="First day to judge on; the first that neither bundle knows unless given.",
        ),
    ] = None,
    to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote though checks fail; the log says so.")
    ] = False,
    by: Annotated[str, _BY] = "",
    reason: Annotated[str, _REASON] = "",
    min_buyers: Annotated[
        int, typer.Option(min=2, help="Visits with an order below which nothing is judged.")
    ] = 20,
    bootstrap: Annotated[int, typer.Option(min=1, help="Replicates of the intervals.")] = 500,
    sign_key: SignKey = None,
    store: Annotated[Path | None, _STORE] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Compare a bundle with the one that serves; let it serve if it passes. Refused: status 1."""
    from training.progress import Steps  # noqa: PLC0415 - heavy imports
    from training.promotion.later import LaterDays  # noqa: PLC0415
    from training.promotion.promote import PromoteRequest  # noqa: PLC0415
    from training.promotion.promote import promote as run  # noqa: PLC0415

    later = None
    if events is not None:
        without_erased(events, features, id_keys)
        later = LaterDays(
            events,
            day_of(from_),
            day_of(to),
            min_buyers,
            bootstrap,
            ids_of(id_keys),
            workers,
        )
    request = PromoteRequest(
        bundle,
        store_or_default(store),
        later,
        force=force,
        who=by,
        reason=reason,
        sign_key=signing_key(sign_key),
    )
    report = run(request, Steps(console))
    if report.unchanged:
        console.print(f"{report.after} serves already")
        return
    _show(report.checks, f"{report.after}, serving: {report.before or 'none'}")
    if not report.promoted:
        console.print(f"refused: {report.before or 'nothing'} goes on serving")
        raise typer.Exit(1)
    if report.forced:
        console.print("promoted by force")
    typer.echo(report.after)


def rollback(
    name: Annotated[str, typer.Option("--name", "--bundle-name", help="Name of the bundle.")],
    by: Annotated[str, _BY] = "",
    reason: Annotated[str, _REASON] = "",
    store: Annotated[Path | None, _STORE] = None,
) -> None:
    """Let the bundle that served before serve again; prints its tag."""
    from training.promotion.promote import roll_back  # noqa: PLC0415 - heavy imports

    report = roll_back(store_or_default(store), name, by, reason)
    console.print(f"{report.before} served until now")
    typer.echo(report.after)


def promotions(
    name: Annotated[str, _NAME] = "shop",
    store: Annotated[Path | None, _STORE] = None,
) -> None:
    """Show who let which bundle serve, and when; a star is at the one that serves."""
    from training.promotion.log import read_log, serving_version  # noqa: PLC0415 - heavy imports
    from training.promotion.table import log_table  # noqa: PLC0415

    place = store_or_default(store)
    records = read_log(place, name)
    if not records:
        console.print(f"nothing was ever promoted as {name}")
        raise typer.Exit(1)
    wide = Console()
    # Piped into a file, a line is as long as it needs to be.
    wide.width = wide.width if wide.is_terminal else max(wide.width, 200)
    wide.print(log_table(records, serving_version(place, name)))


def retrain(
    events: Annotated[Path, typer.Option(help="Folder of events, new days included.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day to take in.")
    ] = None,
    name: Annotated[str, _NAME] = "shop",
    features: Annotated[Path, typer.Option(help="Feature workspace.")] = WORKSPACE,
    store: Annotated[Path | None, _STORE] = None,
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    publish_lag_minutes: Annotated[
        int, typer.Option(min=0, help="Minutes after midnight until user snapshots are out.")
    ] = 60,
    audiences: Annotated[
        Path | None, typer.Option(help="YAML with the shop's own audiences.")
    ] = None,
    acknowledge_leak: Annotated[
        list[str] | None,
        typer.Option(help="Check of lint-data whose errors are known and don't stop the run."),
    ] = None,
    hold_out: Annotated[
        int, typer.Option(min=1, help="Last days that candidates are judged on, at most.")
    ] = 7,
    train_every: Annotated[
        int, typer.Option(min=1, help="Days between trainings; calibration goes on in between.")
    ] = 7,
    min_new_days: Annotated[
        int, typer.Option(min=1, help="New days below which nothing is done.")
    ] = 1,
    min_buyers: Annotated[
        int, typer.Option(min=2, help="Visits with an order below which nothing is judged.")
    ] = 20,
    bootstrap: Annotated[int, typer.Option(min=1, help="Replicates of the intervals.")] = 500,
    reports: Annotated[
        Path | None, typer.Option(help="Folder for cards and checks, one folder a day.")
    ] = None,
    by: Annotated[str, _BY] = "",
    sign_key: SignKey = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    id_keys: IdKeys = None,
) -> None:
    """Take new days in, train, judge and promote, as a schedule does it each night.

    Ends with status 0 when something was promoted or there is nothing to do, 3 when the gate
    refused, 1 on an error.
    """
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.lint.report import check_names  # noqa: PLC0415
    from training.pipeline import TrainRequest  # noqa: PLC0415
    from training.pipeline.retrain import Outcome, RetrainRequest  # noqa: PLC0415
    from training.pipeline.retrain import retrain as run  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    # A schedule stops a run by SIGTERM: it ends as by Ctrl-C, and leaves nothing behind.
    stopped = Event()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        stopped.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    training = TrainRequest(
        events=events,
        workspace=features,
        until=day_of(until),
        name=name,
        store=store_or_default(store),
        shop=Shop(currency, time_zone),
        publish_lag=timedelta(minutes=publish_lag_minutes),
        audiences=audiences,
        workers=workers,
        ids=ids_of(id_keys),
        acknowledged=check_names(acknowledge_leak or ()),
    )
    request = RetrainRequest(
        training,
        hold_out,
        train_every,
        min_new_days,
        min_buyers,
        bootstrap,
        reports,
        by,
        signing_key(sign_key),
    )
    try:
        report = run(request, Steps(console))
    except Exception as error:
        # Libraries may turn what interrupts them into an error of their own.
        if stopped.is_set():
            raise KeyboardInterrupt from error
        raise
    if report.checks:
        _show(report.checks, report.summary)
    if report.card is not None:
        console.print(f"card: {report.card}")
    typer.echo(f"{report.outcome.value}: {report.summary}; serving: {report.serving or 'none'}")
    raise typer.Exit(REFUSED if report.outcome is Outcome.REFUSED else 0)


def _show(checks: tuple[Check, ...], title: str) -> None:
    from training.promotion.table import checks_table  # noqa: PLC0415 - heavy imports

    Console().print(checks_table(checks, title))
