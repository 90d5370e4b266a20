"""The command that brings stored ids under the current key for pseudonyms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from micromoment.stores.redis_keys import DEFAULT_PREFIX
from training.cli_shared import IdKeys, SessionPrefix, ids_of

console = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rekey)


def rekey(
    log: Annotated[
        str, typer.Option(help="Event log of a stopped server, or redis://... of running ones.")
    ] = "",
    state_file: Annotated[
        Path | None, typer.Option(help="The stopped server's state_file, if it has one.")
    ] = None,
    events: Annotated[
        list[Path] | None, typer.Option(help="Folder of events; may be given several times.")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="Feature workspace.")] = None,
    session_prefix: SessionPrefix = DEFAULT_PREFIX,
    id_keys: IdKeys = None,
) -> None:
    """Bring what is stored under the current key. May be run again; status 1 when ids are left."""
    from training.progress import Steps  # noqa: PLC0415 - heavy imports
    from training.rekeying.run import RekeyRequest, rekey_lines  # noqa: PLC0415
    from training.rekeying.run import rekey as run  # noqa: PLC0415

    request = RekeyRequest(
        ids_of(id_keys), log, state_file, tuple(events or ()), features, session_prefix
    )
    reports = run(request, Steps(console))
    for line in rekey_lines(reports):
        typer.echo(line)
    left = sum(one.left for one in reports)
    if left:
        typer.echo(f"{left:,} rows have ids under keys from which the current one does not lead on")
    raise typer.Exit(1 if left else 0)
