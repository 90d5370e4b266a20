"""The commands of the privacy office: erase, export, and keep no longer than needed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from micromoment.cli import WORKSPACE
from micromoment.errors import InvalidDataError, ServerCallError

if TYPE_CHECKING:
    from training.privacy import OfflinePlaces

console = Console(stderr=True)
# That one request takes.
_MOST_IDS = 100

UserIds = Annotated[
    list[str] | None,
    typer.Option(help="A user's id as the shop has it; it stays in the shell's history."),
]
AnonymousIds = Annotated[
    list[str] | None,
    typer.Option(help="Id of a browser or device that is the person's alone."),
]
IdsFile = Annotated[
    Path | None, typer.Option(help="File with an id of either kind a line; - is standard input.")
]
Events = Annotated[list[Path] | None, typer.Option(help="Folder of events.")]
Workspace = Annotated[Path | None, typer.Option("--workspace", help="Feature workspace.")]
Logs = Annotated[
    list[Path] | None, typer.Option("--log", help="Event log that no server uses, a back-up say.")
]
Tables = Annotated[
    list[Path] | None,
    typer.Option("--table", help="CSV or Parquet with ids, such as an audience; or a folder."),
]
IdKeys = Annotated[
    Path | None, typer.Option("--id-key-file", help="Keys of pseudonyms: each form is looked for.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(erase)
    app.command("export-user")(export_user)
    app.command("expire")(expire_command)


def erase(
    user_id: UserIds = None,
    anonymous_id: AnonymousIds = None,
    ids: IdsFile = None,
    events: Events = None,
    workspace: Workspace = None,
    log: Logs = None,
    table: Tables = None,
    bundle_store: Annotated[
        Path | None,
        typer.Option(help="Bundle store: bundles whose golden sessions hold an id are named."),
    ] = None,
    id_key_file: IdKeys = None,
    server: Annotated[
        str, typer.Option(help="Admin port of a server, host:port, which erases first.")
    ] = "",
) -> None:
    """Erase people from events, features, logs and tables; status 1 where something is left."""
    from training.privacy import erase_people  # noqa: PLC0415 - heavy imports

    users, browsers = list(user_id or ()), list(anonymous_id or ())
    others = _ids_of(ids)
    _require(users, browsers, others)
    if server:
        _erase_at(server, users, [*browsers, *others])
    places = _places(events, workspace, log, table, bundle_store)
    forms = _forms([*users, *browsers, *others], id_key_file)
    report = erase_people(forms, places)
    for name, rows in sorted(report.rows.items()):
        console.print(f"{name}: {rows:,} rows erased", highlight=False)
    console.print(f"erased {sum(report.rows.values()):,} rows of {len(report.rows):,} files")
    if report.bundles:
        for tag in report.bundles:
            console.print(f"bundle {tag} holds an id in its golden sessions: train anew, remove it")
        raise typer.Exit(1)


def export_user(
    user_id: UserIds = None,
    anonymous_id: AnonymousIds = None,
    ids: IdsFile = None,
    events: Events = None,
    workspace: Workspace = None,
    log: Logs = None,
    table: Tables = None,
    id_key_file: IdKeys = None,
    server: Annotated[
        str, typer.Option(help="Admin port of a server, host:port, which tells what it holds.")
    ] = "",
) -> None:
    """Write all that is held of people to standard output, a line of JSON for each row."""
    from training.privacy import export_people  # noqa: PLC0415 - heavy imports

    users, browsers = list(user_id or ()), list(anonymous_id or ())
    others = _ids_of(ids)
    _require(users, browsers, others)
    rows = 0
    if server:
        rows += _export_at(server, users, [*browsers, *others])
    places = _places(events, workspace, log, table, None)
    for name, row in export_people(_forms([*users, *browsers, *others], id_key_file), places):
        typer.echo(json.dumps({"held_in": name, "row": row}, default=str))
        rows += 1
    console.print(f"{rows:,} rows")


def expire_command(
    older_than: Annotated[str, typer.Option(help="Age in days, as 400d.")],
    events: Annotated[Path | None, typer.Option(help="Folder of events.")] = None,
    workspace: Workspace = None,
) -> None:
    """Remove days of events, snapshots of users and notes of erasures beyond an age."""
    from training.privacy import expire  # noqa: PLC0415 - heavy imports

    match = re.fullmatch(r"([1-9][0-9]{0,4})d", older_than)
    if match is None:
        raise typer.BadParameter("must be days, as 400d", param_hint="--older-than")
    if events is None and workspace is None:
        raise typer.BadParameter("give --events or --workspace")
    before = (datetime.now(UTC) - timedelta(days=int(match[1]))).date()
    report = expire(before, events=events, workspace=workspace)
    console.print(
        f"removed {report.days:,} days of events, {report.snapshots:,} snapshots, "
        f"{report.online_rows:,} visitors of the online store, {report.erasures:,} erasures"
    )


def _places(
    events: list[Path] | None,
    workspace: Path | None,
    logs: list[Path] | None,
    tables: list[Path] | None,
    bundle_store: Path | None,
) -> OfflinePlaces:
    from training.privacy import OfflinePlaces  # noqa: PLC0415 - heavy imports

    if workspace is None and WORKSPACE.is_dir():
        workspace = WORKSPACE
    return OfflinePlaces(
        tuple(events or ()), workspace, tuple(logs or ()), tuple(tables or ()), bundle_store
    )


def _ids_of(file: Path | None) -> list[str]:
    if file is None:
        return []
    if str(file) == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise InvalidDataError(str(file), "can't be read as text") from None
    return [line.strip() for line in lines if line.strip()]


def _require(*ids: list[str]) -> None:
    if not any(ids):
        raise typer.BadParameter("give --user-id, --anonymous-id or --ids")


def _forms(ids: list[str], id_key_file: Path | None) -> set[str]:
    """Give each form in which the ids may be stored: plain, and by each key."""
    from micromoment.events.identity import IdEncoder  # noqa: PLC0415 - where it is used
    from micromoment.stores.id_keys import load_id_keys  # noqa: PLC0415 - as above

    encoder = IdEncoder(load_id_keys(id_key_file) if id_key_file else ())
    return {form for one in ids for form in (one, *encoder.candidates(one))}


def _erase_at(server: str, users: list[str], others: list[str]) -> None:
    from micromoment.client.admin import AdminClient  # noqa: PLC0415 - where it is used

    with AdminClient(server) as client, _told(server):
        for user, browsers in _asked(users, others):
            reply = client.erase_user(user, browsers)
            console.print(
                f"{server}: {reply.sessions:,} sessions, {reply.logged_calls:,} logged calls, "
                f"{reply.outside_events:,} events outside visits, {reply.online_rows:,} online "
                f"rows, {reply.workspace_rows:,} rows of the workspace erased",
                highlight=False,
            )


def _export_at(server: str, users: list[str], others: list[str]) -> int:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - where it is used

    from micromoment.client.admin import AdminClient  # noqa: PLC0415 - as above

    rows = 0
    with AdminClient(server) as client, _told(server):
        for user, browsers in _asked(users, others):
            for piece in client.export_user(user, browsers):
                row = MessageToDict(piece, preserving_proto_field_name=True)
                typer.echo(json.dumps({"held_in": server, "row": row}))
                rows += 1
    return rows


def _asked(users: list[str], others: list[str]) -> list[tuple[str, list[str]]]:
    """Part ids into requests: one user each, and as many others as a request takes."""
    asked: list[tuple[str, list[str]]] = [(user, []) for user in users]
    firsts = range(0, len(others), _MOST_IDS)
    return [*asked, *(("", others[first : first + _MOST_IDS]) for first in firsts)]


@contextmanager
def _told(server: str) -> Iterator[None]:
    """Tell people what a server answered."""
    import grpc  # noqa: PLC0415 - where it is used

    try:
        yield
    except grpc.RpcError as error:
        # The annotations lack that it is a call as well.
        details = getattr(error, "details", str)()
        raise ServerCallError(f"server {server}: {details or 'no answer'}") from None
