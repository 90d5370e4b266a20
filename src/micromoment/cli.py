"""The command line: a thin layer over `bootstrap`, and over the offline commands if installed.

Offline commands come from the entry-point group `micromoment.commands`, so that the service never
imports the training package.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from micromoment import __version__
from micromoment.cli_bundles import register as register_bundles
from micromoment.cli_log import register as register_log
from micromoment.cli_signing import register as register_signing
from micromoment.cli_tokens import register as register_tokens
from micromoment.errors import MicromomentError
from micromoment.ports import LOOPBACK, check_port

COMMAND_GROUP = "micromoment.commands"
# Where `micromoment train` keeps features unless told otherwise.
WORKSPACE = Path("data/features")
FEATURE_STORE_VARIABLE = "MICROMOMENT_FEATURE_STORE"

app = typer.Typer(
    help="Conversion, churn and segment of a shop's visitors, after every event.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"micromoment {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    del version


@app.command()
def serve(
    bundle: Annotated[
        str | None, typer.Option(help="Bundle to serve, name:version, name:latest or :serving.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="gRPC port; 0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Prometheus port.")] = None,
    admin_port: Annotated[int | None, typer.Option(help="gRPC port for operators.")] = None,
    features: Annotated[
        Path | None,
        typer.Option(help=f"Feature workspace of the users; {WORKSPACE} if it is there."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the bundle store.")] = None,
) -> None:
    """Serve a bundle over gRPC until SIGTERM.

    Settings come from variables too: that of the setting tls_key is MICROMOMENT_TLS_KEY.
    """
    from micromoment.settings import load_settings  # noqa: PLC0415

    if features is None and FEATURE_STORE_VARIABLE not in os.environ and WORKSPACE.is_dir():
        features = WORKSPACE
    given = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "metrics_port": metrics_port,
        "admin_port": admin_port,
        "feature_store": features,
        "bundle_store": store,
    }
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    # Of each handshake that fails gRPC would write a line of its own among those of the log.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from micromoment.exposure import check_exposure  # noqa: PLC0415

    check_exposure(settings)
    for setting, address, number in (
        ("port", settings.host, settings.port),
        ("metrics_port", settings.metrics_host, settings.metrics_port),
        ("health_port", settings.metrics_host, settings.health_port),
        ("admin_port", LOOPBACK, settings.admin_port),
    ):
        if number is not None:
            check_port(address, number, setting)
    from micromoment.bootstrap import serve as run  # noqa: PLC0415 - grpc and numba take a second

    run(settings)


register_bundles(app)
register_log(app)
register_signing(app)
register_tokens(app)


@cache
def _with_offline_commands() -> typer.Typer:
    for point in entry_points(group=COMMAND_GROUP):
        point.load()(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors that people can mend are one line, not a traceback."""
    try:
        _with_offline_commands()(args=arguments)
    except MicromomentError as error:
        typer.echo(f"micromoment: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("micromoment: interrupted", err=True)
        sys.exit(130)
