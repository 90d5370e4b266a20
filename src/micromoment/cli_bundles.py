"""The commands for bundles of a running server: list them, let another one answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from micromoment.errors import ServerCallError

if TYPE_CHECKING:
    import grpc

    from micromoment.client.admin import AdminClient
    from micromoment.v1 import models_pb2 as pb

_MIB = 1_024 * 1_024
_SHOWN_OF_KEY = 12  # characters; the rest says no more to people

Port = Annotated[
    int,
    typer.Option(
        min=1,
        max=65_535,
        envvar="MICROMOMENT_ADMIN_PORT",
        help="Admin port of the server on this machine.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="MICROMOMENT_TOKEN_FILE",
        help="File with a token of the role admin, where the server asks for one; or the variable "
        "MICROMOMENT_TOKEN.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(bundles)
    app.command()(activate)


def bundles(
    name: Annotated[str, typer.Argument(help="Name, such as shop; without it all.")] = "",
    port: Port = 50_052,
    token_file: TokenFile = None,
) -> None:
    """List the bundles that a running server could answer with; * marks the one that does."""
    import grpc  # noqa: PLC0415 - the command line starts without it
    from rich.console import Console  # noqa: PLC0415

    with _connect(port, token_file, deadline_s=10.0) as client:
        try:
            reply = client.list_bundles(name)
        except grpc.RpcError as error:
            raise _failed(error, port) from None
    rows = [_row(one) for one in reply.bundles]
    if not rows:
        typer.echo(f"no bundles; {reply.active_bundle} answers")
        return
    # A tag is there to be copied: rather long lines than cut ones.
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(
        _table(rows), highlight=False
    )
    if not any(one.active for one in reply.bundles):
        typer.echo(f"{reply.active_bundle} answers")


def activate(
    bundle: Annotated[str, typer.Argument(help="name:version, name:latest or name:serving.")],
    port: Port = 50_052,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it, change nothing.")] = False,
    token_file: TokenFile = None,
) -> None:
    """Let a bundle answer on a running server, without a restart; status 1 when it is refused."""
    import grpc  # noqa: PLC0415 - the command line starts without it

    with _connect(port, token_file) as client:
        try:
            reply = client.activate_bundle(bundle, dry_run=dry_run)
        except grpc.RpcError as error:
            raise _failed(error, port) from None
    typer.echo(_told(reply, dry_run=dry_run))


def _told(reply: pb.ActivateBundleResponse, *, dry_run: bool) -> str:
    if not reply.golden_answers:
        return f"{reply.bundle} answers already"
    checked = f"{reply.golden_answers} golden answers agree"
    if reply.golden_inexact:
        checked += f", {reply.golden_inexact} numbers not to the last bit"
    seconds = reply.duration.ToTimedelta().total_seconds()
    does = "could answer" if dry_run else "answers now"
    text = f"{reply.bundle} {does} in place of {reply.previous_bundle}: {checked}; {seconds:.1f} s"
    return "\n".join([text, *(f"note: {note}" for note in reply.notes)])


def _connect(port: int, token_file: Path | None, deadline_s: float | None = None) -> AdminClient:
    from micromoment.client.access import AccessOptions  # noqa: PLC0415 - as above
    from micromoment.client.admin import DEFAULT_DEADLINE_S, AdminClient  # noqa: PLC0415

    options: AccessOptions = {} if token_file is None else {"token_file": token_file}
    try:
        return AdminClient(
            f"127.0.0.1:{port}", deadline_s=deadline_s or DEFAULT_DEADLINE_S, **options
        )
    except OSError as error:
        raise ServerCallError(f"--token-file can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ServerCallError(str(error)) from None


def _failed(error: grpc.RpcError, port: int) -> ServerCallError:
    code = error.code().name
    if code == "UNAVAILABLE":
        return ServerCallError(f"port {port}: no server answers there (setting admin_port)")
    return ServerCallError(f"{code}: {error.details()}")


def _row(bundle: pb.Bundle) -> tuple[str, ...]:
    added = bundle.added_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
    marks = ("*" if bundle.active else "", bundle.bundle, ", ".join(bundle.pointers), added)
    if bundle.problem:
        return (*marks, "", "", bundle.problem, "")
    through = "starter" if bundle.starter else bundle.trained_through
    models = ", ".join(_models(bundle.models))
    signers = ", ".join(map(_signer, bundle.signers))
    return (*marks, through, f"{bundle.size_bytes / _MIB:.1f}", models, signers)


def _signer(signer: pb.BundleSigner) -> str:
    key = signer.key_id[:_SHOWN_OF_KEY]
    return f"{signer.key_name} ({key})" if signer.trusted else f"not trusted ({key})"


def _models(models: Iterable[pb.BundleModel]) -> Iterable[str]:
    from micromoment.v1 import models_pb2 as pb  # noqa: PLC0415

    for one in models:
        if one.present:
            yield pb.Predicted.Name(one.predicted).removeprefix("PREDICTED_").lower()


def _table(rows: Iterable[tuple[str, ...]]) -> object:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    for head in (
        "",
        "bundle",
        "named by",
        "added (UTC)",
        "trained through",
        "MiB",
        "models",
        "signed by",
    ):
        table.add_column(head, overflow="fold", no_wrap=head == "bundle")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
