"""The commands for tokens: make one, list them, revoke one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from micromoment.security.callers import DEFAULT_TENANT, Role

if TYPE_CHECKING:
    from micromoment.security.credentials import Entry

token = typer.Typer(help="Make and revoke the tokens of those who may call.", no_args_is_help=True)

_DAYS: Final = re.compile(r"(\d{1,5})d")

File = Annotated[
    Path,
    typer.Option(
        "--credentials",
        envvar="MICROMOMENT_CREDENTIALS",
        help="The file of hashes that servers read (setting credentials).",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(token, name="token")


@token.command()
def new(
    credentials: File,
    role: Annotated[list[Role], typer.Option(help="What it may do; can be repeated.")],
    tenant: Annotated[str, typer.Option(help="Whose sessions it reaches.")] = DEFAULT_TENANT,
    token_id: Annotated[
        str | None, typer.Option("--id", help="Name to speak of it by; else one is made up.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="As 90d, or a day as 2027-01-31 (its beginning, UTC).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="New file for the token, its owner's alone; else it is printed."),
    ] = None,
) -> None:
    """Make a token, tell it this once, and add its hash to the file, which is made if need be."""
    from pydantic import ValidationError  # noqa: PLC0415 - the command line starts without it

    from micromoment.errors import InvalidSettingError  # noqa: PLC0415
    from micromoment.faults import first_fault  # noqa: PLC0415
    from micromoment.security.credentials import (  # noqa: PLC0415
        SETTING,
        CredentialsFile,
        new_token,
        read_file,
        write_file,
    )

    if not credentials.parent.is_dir():
        raise InvalidSettingError(SETTING, f"{credentials}: there is no such folder")
    if out is not None and out.resolve() == credentials.resolve():
        # The list would be written over the token.
        raise typer.BadParameter("the token needs a file of its own", param_hint="--out")
    before = read_file(credentials) if credentials.exists() else CredentialsFile()
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        made, entry = new_token(
            tenant, role, token_id=token_id, created=now, expires=_moment(expires, now)
        )
        content = CredentialsFile(tokens=(*before.tokens, entry))
    except ValidationError as error:
        place, what = first_fault(error)
        raise InvalidSettingError(SETTING, f"{place or 'the token'}: {what}") from None
    whose = f"token {entry.id} of tenant {entry.tenant}"
    if out is None:
        write_file(credentials, content)
        typer.echo(f"{whose}; it is not shown again:", err=True)
        typer.echo(made)
        return
    with _for_its_owner(out) as file:
        file.write(f"{made}\n")
        file.flush()
        write_file(credentials, content)
    typer.echo(f"{whose} is in {out}", err=True)


@token.command("list")
def list_tokens(credentials: File) -> None:
    """List the tokens: ids, tenants, roles and when they end, but not themselves."""
    from rich.console import Console  # noqa: PLC0415 - the command line starts without it
    from rich.table import Table  # noqa: PLC0415

    from micromoment.security.credentials import read_file  # noqa: PLC0415

    table = Table("id", "tenant", "roles", "made (UTC)", "expires (UTC)")
    now = datetime.now(UTC)
    for entry in read_file(credentials).tokens:
        table.add_row(*_row(entry, now))
    Console().print(table, highlight=False)


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, as `token list` shows it.")],
    credentials: File,
) -> None:
    """Take a token out of the file; servers that read it refuse the token within seconds."""
    from micromoment.errors import InvalidSettingError  # noqa: PLC0415
    from micromoment.security.credentials import (  # noqa: PLC0415
        SETTING,
        CredentialsFile,
        read_file,
        write_file,
    )

    before = read_file(credentials).tokens
    left = tuple(entry for entry in before if entry.id != token_id)
    if len(left) == len(before):
        raise InvalidSettingError(SETTING, f"{credentials} holds no token with this id")
    write_file(credentials, CredentialsFile(tokens=left))
    typer.echo(f"token {token_id} is revoked")


@contextmanager
def _for_its_owner(path: Path) -> Iterator[TextIO]:
    """Open a new file that nobody else can read; it is removed where the block fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise typer.BadParameter(
            f"{path} can't be made: {error.strerror}", param_hint="--out"
        ) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _moment(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    days = _DAYS.fullmatch(text)
    try:
        moment = (
            now + timedelta(days=int(days[1]))
            if days
            else datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        )
    except (ValueError, OverflowError):
        raise typer.BadParameter("must be as 90d or 2027-01-31", param_hint="--expires") from None
    if moment <= now:
        raise typer.BadParameter("is over already", param_hint="--expires")
    return moment


def _row(entry: Entry, now: datetime) -> tuple[str, ...]:
    expires = "" if entry.expires is None else f"{entry.expires.astimezone(UTC):%Y-%m-%d %H:%M}"
    if entry.expires is not None and entry.expires <= now:
        expires += " (over)"
    created = "" if entry.created is None else f"{entry.created.astimezone(UTC):%Y-%m-%d %H:%M}"
    return entry.id, entry.tenant, ", ".join(sorted(entry.roles)), created, expires
