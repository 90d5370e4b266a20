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
    for command in (starter, readiness):
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
) -> None:
    """Tell for each model whether there are enough data to train it, or when there will be."""
    from micromoment.events.shop import Shop  # noqa: PLC0415 - heavy imports
    from training.progress import Steps  # noqa: PLC0415
    from training.readiness import (  # noqa: PLC0415
        ReadinessRequest,
        check_readiness,
        readiness_table,
    )

    request = ReadinessRequest(
        events, until.date() if until else None, Shop(currency, time_zone), workers=workers
    )
    found = check_readiness(request, Steps(console))
    Console().print(readiness_table(found))
    if found.enough("conversion"):
        console.print(
            "Enough for a conversion model of the shop's own: `micromoment train`. Let it replace "
            "a starter when it is better on later days: `micromoment evaluate` both."
        )
    else:
        console.print("Not enough for a conversion model yet: serve `micromoment starter`.")
