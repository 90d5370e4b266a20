"""The offline commands: thin layers over the functions of this package."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from training import cli_cold_start, cli_privacy, cli_promotion, cli_rekey, cli_served
from training.cli_audience import audience
from training.cli_imports import imports
from training.cli_shared import (
    Features,
    IdKeys,
    KnownIds,
    OriginalIdsFlag,
    SignKey,
    bundle_folder,
    day_of,
    ids_of,
    signing_key,
    without_erased,
)

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the offline commands to the command line."""
    app.add_typer(imports, name="import")
    app.add_typer(audience, name="audience")
    for command in (train, evaluate, backtest, recalibrate, score, simulate, demo):
        app.command()(command)
    app.command("lint-data")(lint_data)
    cli_cold_start.register(app)
    cli_promotion.register(app)
    cli_served.register(app)
    cli_privacy.register(app)
    cli_rekey.register(app)


def train(
    events: Annotated[Path, typer.Option(help="Folder of events.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "shop",
    features: Annotated[Path, typer.Option(help="Feature workspace.")] = WORKSPACE,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
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
    params: Annotated[
        Path | None, typer.Option(help="File of LightGBM's parameters, as `tune` writes it.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    dask: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT.")] = None,
    max_decision_points: Annotated[
        int, typer.Option(min=1, help="Beyond, a sample of visitors is learned from.")
    ] = 1_500_000,
    sign_key: SignKey = None,
    id_keys: IdKeys = None,
) -> None:
    """Train a bundle; prints its tag."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.cluster import DaskCluster  # noqa: PLC0415
    from training.lint.report import check_names  # noqa: PLC0415
    from training.models.conversion import ConversionParams  # noqa: PLC0415
    from training.models.params_file import read_params  # noqa: PLC0415
    from training.pipeline import TrainRequest  # noqa: PLC0415
    from training.pipeline import train as run  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    request = TrainRequest(
        events=events,
        workspace=features,
        until=day_of(until),
        name=name,
        store=store,
        shop=Shop(currency, time_zone),
        publish_lag=timedelta(minutes=publish_lag_minutes),
        audiences=audiences,
        params=read_params(params) if params else ConversionParams(),
        workers=workers,
        acknowledged=check_names(acknowledge_leak or ()),
        max_decision_points=max_decision_points,
        cluster=None if dask is None else DaskCluster(dask),
        sign_key=signing_key(sign_key),
        ids=ids_of(id_keys),
    )
    report = run(request, Steps(console))
    console.print(
        f"{report.replay.events:,} events of {report.days} days, "
        f"{report.decision_points:,} decision points, {report.buyers:,} visits with an order; "
        f"replay {report.replay.events_per_second:,.0f} events/s from Parquet to Parquet"
    )
    if report.share_of_visitors < 1:
        console.print(f"models of visits learned from {report.share_of_visitors:.1%} of visitors")
    for model, reason in report.absent.items():
        console.print(f"no {model}: {reason}")
    for found in report.leaks.findings:
        console.print(f"{found.severity}: {found.check}: {found.subject}: {found.evidence}")
    typer.echo(report.tag)


def lint_data(
    events: Annotated[Path | None, typer.Option(help="Folder of events.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Parquet file of decision rows, in place of events.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of events, included.")
    ] = None,
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    acknowledge: Annotated[
        list[str] | None, typer.Option(help="Checks whose errors are known, commas between.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for lint.json and lint.html.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Look for leaks: what tells the outcome and must not. Ends with status 1 when it finds one."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.lint.report import check_names  # noqa: PLC0415
    from training.lint.view import lint_table_view, write_lint  # noqa: PLC0415
    from training.outputs import make_folder  # noqa: PLC0415
    from training.pipeline.lint_data import LintRequest, lint_anything  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    known = check_names(acknowledge or ())
    if out is not None:
        make_folder(out)
    if events is not None:
        without_erased(events, features, id_keys)
    request = LintRequest(events, rows, day_of(until), Shop(currency, time_zone), workers=workers)
    report = lint_anything(request, Steps(console))
    Console().print(lint_table_view(report, known))
    if out is not None:
        console.print(f"page: {write_lint(report, out, known)}")
    raise typer.Exit(1 if report.unacknowledged(known) else 0)


def evaluate(
    bundle: Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")],
    events: Annotated[Path, typer.Option(help="Folder of events, earlier days included.")],
    from_: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to evaluate.")
    ],
    to: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")
    ] = None,
    churn_every: Annotated[
        int | None,
        typer.Option(min=1, help="Days between cuts for churn; 14 for orders, 1 for activity."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for card.html, evaluation.json, portraits.json.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates of the intervals.")] = 500,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Compare a bundle's scores with what came: of visits, and of customers at midnights."""
    from training.card import write_card  # noqa: PLC0415 - heavy imports
    from training.churn.table import churn_table  # noqa: PLC0415
    from training.evaluation import evaluation_table  # noqa: PLC0415
    from training.outputs import make_folder  # noqa: PLC0415
    from training.pipeline import (  # noqa: PLC0415
        CARD_SAMPLE,
        EvaluateRequest,
        evaluate_all,
        gather_card,
    )
    from training.progress import Steps  # noqa: PLC0415
    from training.segments.portraits import PORTRAITS_FILE, write_portraits  # noqa: PLC0415

    without_erased(events, features, id_keys)
    request = EvaluateRequest(
        bundle=bundle_folder(bundle, store),
        events=events,
        first_day=from_.date(),
        last_day=day_of(to),
        churn_every=churn_every,
        workers=workers,
        bootstrap=bootstrap,
        sample=CARD_SAMPLE if out is not None else 0,
        ids=ids_of(id_keys),
    )
    if out is not None:
        make_folder(out)
    found = evaluate_all(request, Steps(console))
    if found.visits is not None:
        Console().print(evaluation_table(found.visits))
    if found.churn is not None:
        Console().print(churn_table(found.churn))
    for note in found.notes:
        console.print(note)
    if out is not None:
        page = write_card(gather_card(request, found, Steps(console)), out)
        write_portraits(out / PORTRAITS_FILE, found.portraits)
        console.print(f"page: {page}")


def backtest(
    events: Annotated[Path, typer.Option(help="Folder of events, as the importers write it.")],
    from_: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to serve.")
    ],
    to: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")],
    retrain_every: Annotated[
        int, typer.Option(min=0, help="Days between trainings; 0 trains once, before the first.")
    ] = 7,
    keep_tables: Annotated[
        bool, typer.Option("--keep-tables", help="Fit tables with the models only, not each night.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for scores.parquet, backtest.json and the page.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the bundles.")] = "shop",
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates of the intervals.")] = 500,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Walk forward: score each day as it would have been served, and judge all of them."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.evaluation import evaluation_table  # noqa: PLC0415
    from training.outputs import make_folder  # noqa: PLC0415
    from training.pipeline import TrainRequest  # noqa: PLC0415
    from training.pipeline.backtest import BacktestRequest, write_backtest  # noqa: PLC0415
    from training.pipeline.backtest import backtest as run  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    if out is not None:
        make_folder(out)
    without_erased(events, features, id_keys)
    request = BacktestRequest(
        training=TrainRequest(
            events=events,
            workspace=features,
            name=name,
            shop=Shop(currency, time_zone),
            workers=workers,
        ),
        first_day=from_.date(),
        last_day=to.date(),
        retrain_every=retrain_every or None,
        refresh_tables=not keep_tables,
        bootstrap=bootstrap,
    )
    found = run(request, Steps(console))
    Console().print(evaluation_table(found.evaluation))
    if out is not None:
        console.print(f"page: {write_backtest(found, out)}")


def recalibrate(
    bundle: Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")],
    events: Annotated[Path, typer.Option(help="Folder of events, later days included.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day to learn from.")
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Fit the tables of pages, sources, products anew too.")
    ] = False,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Publish a bundle with its calibration carried on through later days; prints its tag."""
    from training.pipeline.recalibrate import RecalibrateRequest  # noqa: PLC0415 - heavy imports
    from training.pipeline.recalibrate import recalibrate as run  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    without_erased(events, features, id_keys)
    request = RecalibrateRequest(
        bundle_folder(bundle, store),
        events,
        day_of(until),
        tables,
        store,
        ids=ids_of(id_keys),
        workers=workers,
    )
    report = run(request, Steps(console))
    first, last = report.days[0], report.days[-1]
    console.print(f"{len(report.days)} days, {first} to {last}: {report.visits:,} visits")
    for depth, before, after in report.changes():
        console.print(
            f"{depth}: level {before.intercept:+.3f} -> {after.intercept:+.3f}, "
            f"slope {before.slope:.3f} -> {after.slope:.3f}"
        )
    typer.echo(report.tag)


def score(
    bundle: Annotated[str, typer.Option(help="Bundle, name:version or name:latest.")],
    events: Annotated[Path, typer.Option(help="Folder of the events to score.")],
    out: Annotated[Path, typer.Option(help="Parquet file for the scores, one row per event.")],
    history: Annotated[
        Path | None, typer.Option(help="Folder of the days before: what users did earlier.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
    original_ids: OriginalIdsFlag = False,
    known_ids: KnownIds = None,
) -> None:
    """Score events offline, to the same bits as a server would."""
    from training.pipeline import ScoreRequest, score_events  # noqa: PLC0415 - heavy imports
    from training.progress import Steps  # noqa: PLC0415

    for folder in (events, *([history] if history else [])):
        without_erased(folder, features, id_keys)
    request = ScoreRequest(
        bundle_folder(bundle, store),
        events,
        out,
        history,
        ids=ids_of(id_keys),
        workers=workers,
        original_ids=original_ids,
        known_ids=known_ids,
    )
    rows = score_events(request, Steps(console))
    typer.echo(f"{rows:,} rows in {out}")


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the simulated export.")],
    days: Annotated[int, typer.Option(min=1, help="Days to simulate.")] = 14,
    sessions_per_day: Annotated[int, typer.Option(min=1, help="Sessions a day.")] = 1_200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 7,
    truth_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share of decision points with true probabilities.")
    ] = 0.0,
) -> None:
    """Simulate a shop and write it as a GA4 BigQuery export."""
    from training.simulator import run  # noqa: PLC0415 - heavy imports

    report = run(out, days, sessions_per_day, seed, truth_fraction)
    typer.echo(str(report))


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path("demo"),
    once: Annotated[bool, typer.Option("--once", help="End after the visit.")] = False,
    port: Annotated[int, typer.Option(help="gRPC port; 0 takes a free one.")] = 50_051,
) -> None:
    """Simulate a shop, train on it, serve it and play one visit."""
    from training.demo import run_demo  # noqa: PLC0415 - heavy imports

    raise typer.Exit(run_demo(folder, once=once, port=port))
