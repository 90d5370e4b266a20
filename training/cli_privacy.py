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
from micromoment.security.callers import DEFAULT_TENANT
from training.cli_shared import IdKeys, ids_of

if TYPE_CHECKING:
    from micromoment.client.admin import AdminClient
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
Workspace = Annotated[
    Path | None, typer.Option("--features", "--workspace", help="Feature workspace.")
]
Logs = Annotated[
    list[Path] | None, typer.Option("--log", help="Event log that no server uses, a back-up say.")
]
Tables = Annotated[
    list[Path] | None,
    typer.Option("--table", help="CSV or Parquet with ids, such as an audience; or a folder."),
]
Tenant = Annotated[str, typer.Option(help="Whose rows of the logs are meant.")]
LostKeys = Annotated[
    list[str] | None,
    typer.Option(help="Id of a key that nobody has any more: rows under it are nobody's and stay."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="MICROMOMENT_TOKEN_FILE",
        help="File with a token of the role privacy, where the server asks for one; or the "
        "variable MICROMOMENT_TOKEN.",
    ),
]
Issuers = Annotated[
    Path | None, typer.Option(help="PEM file of those who vouch for the server: speaks TLS.")
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
    tenant: Tenant = DEFAULT_TENANT,
    id_keys: IdKeys = None,
    lost_key: LostKeys = None,
    server: Annotated[
        str, typer.Option(help="Admin port of a server, host:port, which erases first.")
    ] = "",
    token_file: TokenFile = None,
    ca: Issuers = None,
) -> None:
    """Erase people from events, features, logs and tables; status 1 where something is left."""
    from training.privacy import erase_people  # noqa: PLC0415 - heavy imports

    users, browsers = list(user_id or ()), list(anonymous_id or ())
    others = _ids_of(ids)
    _require(users, browsers, others)
    _require_store(server, workspace, events, log, table, bundle_store)
    places = _places(events, workspace, log, table, bundle_store, tenant)
    forms = _forms([*users, *browsers, *others], id_keys, places, lost_key)
    if server:
        with _connected(server, token_file, ca) as client:
            _erase_at(client, server, users, [*browsers, *others])
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
    tenant: Tenant = DEFAULT_TENANT,
    id_keys: IdKeys = None,
    lost_key: LostKeys = None,
    server: Annotated[
        str, typer.Option(help="Admin port of a server, host:port, which tells what it holds.")
    ] = "",
    token_file: TokenFile = None,
    ca: Issuers = None,
) -> None:
    """Write all that is held of people to standard output, a line of JSON for each row."""
    from training.privacy import export_people  # noqa: PLC0415 - heavy imports

    users, browsers = list(user_id or ()), list(anonymous_id or ())
    others = _ids_of(ids)
    _require(users, browsers, others)
    _require_store(server, workspace, events, log, table)
    places = _places(events, workspace, log, table, None, tenant)
    forms = _forms([*users, *browsers, *others], id_keys, places, lost_key)
    rows = 0
    if server:
        with _connected(server, token_file, ca) as client:
            rows += _export_at(client, server, users, [*browsers, *others])
    for name, row in export_people(forms, places):
        typer.echo(json.dumps({"held_in": name, "row": row}, default=str))
        rows += 1
    console.print(f"{rows:,} rows")


def expire_command(
    older_than: Annotated[str, typer.Option(help="Age in days, as 400d.")],
    events: Annotated[Path | None, typer.Option(help="Folder of events.")] = None,
    workspace: Workspace = None,
) -> None:
    """Remove events, users' snapshots, decision points and notes of erasures beyond an age."""
    from training.privacy import expire  # noqa: PLC0415 - heavy imports

    match = re.fullmatch(r"([1-9][0-9]{0,4})d", older_than)
    if match is None:
        raise typer.BadParameter("must be days, as 400d", param_hint="--older-than")
    if events is None and workspace is None:
        raise typer.BadParameter("give --events or --features")
    before = (datetime.now(UTC) - timedelta(days=int(match[1]))).date()
    report = expire(before, events=events, workspace=workspace)
    console.print(
        f"removed {report.days:,} days of events, {report.snapshots:,} snapshots, "
        f"{report.decisions:,} decision points, "
        f"{report.online_rows:,} visitors of the online store, {report.erasures:,} erasures"
    )


def _places(
    events: list[Path] | None,
    workspace: Path | None,
    logs: list[Path] | None,
    tables: list[Path] | None,
    bundle_store: Path | None,
    tenant: str,
) -> OfflinePlaces:
    from training.privacy import OfflinePlaces  # noqa: PLC0415 - heavy imports
    from training.privacy.erase import require_logs  # noqa: PLC0415 - as above

    require_logs(logs or ())  # before anything is erased anywhere

    if workspace is None and WORKSPACE.is_dir():
        workspace = WORKSPACE
    return OfflinePlaces(
        tuple(events or ()), workspace, tuple(logs or ()), tuple(tables or ()), bundle_store, tenant
    )


def _ids_of(file: Path | None) -> list[str]:
    if file is None:
        return []
    if str(file) == "-":
        lines = sys.stdin.read().splitlines()
    else:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InvalidDataError(str(file), f"can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidDataError(str(file), "can't be read as text") from None
    return [line.strip() for line in lines if line.strip()]


def _require(*ids: list[str]) -> None:
    if not any(ids):
        raise typer.BadParameter("give --user-id, --anonymous-id or --ids")


def _require_store(*stores: object) -> None:
    if not any(stores):
        raise typer.BadParameter("name where to look: --server, --events, --features and the like")


def _forms(
    ids: list[str], id_keys: Path | None, places: OfflinePlaces, lost_keys: list[str] | None
) -> set[str]:
    """Give each form in which the ids may be stored, before anything is asked of a server."""
    from training.privacy.held_keys import forms_to_look_for  # noqa: PLC0415 - heavy imports

    return forms_to_look_for(ids, ids_of(id_keys), places, lost_keys=lost_keys or ())


def _erase_at(client: AdminClient, server: str, users: list[str], others: list[str]) -> None:
    for user, browsers in _asked(users, others):
        reply = client.erase_user(user, browsers)
        console.print(
            f"{server}: {reply.sessions:,} sessions, {reply.logged_calls:,} logged calls, "
            f"{reply.outside_events:,} events outside visits, {reply.online_rows:,} online "
            f"rows, {reply.workspace_rows:,} rows of the workspace erased",
            highlight=False,
        )


def _export_at(client: AdminClient, server: str, users: list[str], others: list[str]) -> int:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - where it is used

    rows = 0
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
def _connected(server: str, token_file: Path | None, ca: Path | None) -> Iterator[AdminClient]:
    """Connect to a server; what fails becomes a `ServerCallError` that tells what it answered."""
    import grpc  # noqa: PLC0415 - where it is used

    from micromoment.client.access import AccessOptions  # noqa: PLC0415 - as above
    from micromoment.client.admin import AdminClient  # noqa: PLC0415 - as above

    options: AccessOptions = {}
    if token_file is not None:
        options["token_file"] = token_file
    if ca is not None:
        options["ca"] = ca
    try:
        client = AdminClient(server, **options)
    except OSError as error:
        raise ServerCallError(f"--token-file or --ca can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ServerCallError("--token-file can't be read as text") from None
    except ValueError as error:
        raise ServerCallError(f"server {server}: {error}") from None
    with client:
        try:
            yield client
        except grpc.RpcError as error:
            # The annotations lack that it is a call as well.
            details = getattr(error, "details", str)()
            raise ServerCallError(f"server {server}: {details or 'no answer'}") from None
