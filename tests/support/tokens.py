"""Credentials made for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from micromoment.security.access import Access
from micromoment.security.callers import Role
from micromoment.security.credentials import (
    CredentialsFile,
    Entry,
    new_token,
    read_credentials,
    write_file,
)


class Tokens:
    """A file of credentials, and the tokens that it lets in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made: list[str] = []
        self._entries: dict[str, Entry] = {}

    def new(
        self,
        tenant: str = "default",
        roles: Sequence[Role] = (Role.SCORE,),
        *,
        expires: datetime | None = None,
    ) -> str:
        """Make a token and write its entry."""
        token, entry = new_token(
            tenant, roles, token_id=f"t{len(self.made)}", created=datetime.now(UTC), expires=expires
        )
        self.made.append(token)
        self._entries[token] = entry
        self.write()
        return token

    def expired(self, tenant: str = "default") -> str:
        """Make one that was valid until a minute ago."""
        return self.new(tenant, expires=datetime.now(UTC) - timedelta(minutes=1))

    def revoke(self, token: str) -> None:
        """Take one out of the file."""
        del self._entries[token]
        self.write()

    def write(self) -> None:
        """Write the file again."""
        write_file(self.path, CredentialsFile(tokens=tuple(self._entries.values())))

    def access(self) -> Access:
        """Give what lets these in and reads the file for each call."""
        return Access(lambda: read_credentials(self.path))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Give gRPC metadata with a token."""
    return (("authorization", f"Bearer {token}"),)


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Make a call that is refused; give status and details, which are told in the trailers too."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code().name, f"{error.details()} {error.trailing_metadata()}"
