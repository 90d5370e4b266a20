"""Commands for a shop that begins: a bundle to start with, when its own data are enough, tuning."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from training.cli_shared import Features, IdKeys, day_of, without_erased

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (starter, readiness, tune):
        app.command()(command)


def starter(
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "shop",
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    conversion_rate: Annotated[
        float, typer.Option(help="Share of visits that end with an order, 0 to 1.")
    ] = 0.02,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Publish a bundle made without the shop's data, to begin with; prints its tag."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.progress import Steps  # noqa: PLC0415
    from training.starter import StarterRequest, publish_starter  # noqa: PLC0415

    request = StarterRequest(
        name=name,
        store=store,
        shop=Shop(currency, time_zone),
        conversion_rate=conversion_rate,
        workers=workers,
    )
    report = publish_starter(request, Steps(console))
    console.print(
        f"a starter, of simulated shops: {report.rows:,} decision points, {report.buyers:,} visits "
        f"with an order, {report.trees} trees. It knows nothing of this shop but its rate of "
        "conversion; `micromoment readiness` tells when to train on the shop's own data"
    )
    typer.echo(report.tag)


def readiness(
    events: Annotated[Path, typer.Option(help="Folder of events.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")
    ] = None,
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Tell for each model whether there are enough data to train it, or when there will be."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.progress import Steps  # noqa: PLC0415
    from training.readiness import (  # noqa: PLC0415
        ReadinessRequest,
        check_readiness,
        readiness_table,
    )

    without_erased(events, features, id_keys)
    request = ReadinessRequest(events, day_of(until), Shop(currency, time_zone), workers=workers)
    found = check_readiness(request, Steps(console))
    Console().print(readiness_table(found))
    if found.enough("conversion"):
        console.print(
            "Enough for a conversion model of the shop's own: `micromoment train --until "
            f"{found.last_day.isoformat()}`. Let it replace a starter when it is better on later "
            "days: `micromoment evaluate` both. An earlier --until is for readiness, too."
        )
    else:
        console.print("Not enough for a conversion model yet: serve `micromoment starter`.")


def tune(
    events: Annotated[Path, typer.Option(help="Folder of events.")],
    out: Annotated[Path, typer.Option(help="File for the parameters, for `train --params`.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")
    ] = None,
    currency: Annotated[str, typer.Option(help="The shop's currency; empty takes any.")] = "",
    time_zone: Annotated[str, typer.Option(help="The shop's IANA time zone.")] = "UTC",
    trials: Annotated[int, typer.Option(min=1, help="Sets of parameters to try.")] = 30,
    timeout_minutes: Annotated[
        float, typer.Option(min=0.01, help="No trial begins after so many minutes of search.")
    ] = 30.0,
    allow_larger: Annotated[
        bool, typer.Option("--allow-larger", help="Models that cost more to serve, too.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed tries the same sets.")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="Processes of the replay.")] = 2,
    features: Features = WORKSPACE,
    id_keys: IdKeys = None,
) -> None:
    """Search for LightGBM's parameters on earlier and later days; Ctrl-C keeps the best so far."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.models.params_file import write_params  # noqa: PLC0415
    from training.outputs import make_folder  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415
    from training.tuning import Budget, TuneRequest, run_search  # noqa: PLC0415

    make_folder(out.parent)
    budget = Budget(trials, timeout_minutes * 60, seed, allow_larger)
    last = day_of(until)
    without_erased(events, features, id_keys)
    request = TuneRequest(events, last, Shop(currency, time_zone), budget, workers=workers)
    found = run_search(request, Steps(console))
    write_params(out, found.params, found.record)
    console.print(
        f"{found.complete} trials to the end, {found.pruned} given up early; loss {found.loss:.5f},"
        f" by the defaults {found.default_loss:.5f}. The least of many is too good by chance: "
        "compare both on days that the search has not seen"
    )
    typer.echo(out)
