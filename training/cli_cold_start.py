"""Commands for a shop that begins: a bundle to start with, when its own data are enough, tuning."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (starter,):
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
