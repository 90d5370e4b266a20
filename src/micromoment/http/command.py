"""The command `serve-http`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from micromoment.cli import FEATURE_STORE_VARIABLE, WORKSPACE
from micromoment.ports import check_port


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("serve-http")(serve_http)


def serve_http(
    bundle: Annotated[
        str | None, typer.Option(help="Bundle to serve, name:version or name:latest.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port; 0 takes a free one.")] = None,
    features: Annotated[
        Path | None,
        typer.Option(help=f"Feature workspace of the users; {WORKSPACE} if it is there."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
) -> None:
    """Serve a bundle over HTTP, as JSON, until SIGTERM. Settings are those of `serve`."""
    if find_spec("bentoml") is None:
        typer.echo(
            "micromoment: serve-http needs BentoML: pip install 'micromoment[http]'", err=True
        )
        raise typer.Exit(1)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from micromoment.exposure import check_exposure  # noqa: PLC0415
    from micromoment.settings import load_settings  # noqa: PLC0415

    if features is None and FEATURE_STORE_VARIABLE not in os.environ and WORKSPACE.is_dir():
        features = WORKSPACE
    given = {
        "bundle": bundle,
        "host": host,
        "http_port": port,
        "feature_store": features,
        "bundle_store": store,
    }
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    check_exposure(settings)
    check_port(settings.host, settings.http_port, "http_port")
    from micromoment.http.server import serve_http as run  # noqa: PLC0415 - heavy imports

    run(settings)
