"""Tokens: how they are made, and the file that says whose they are.

The file is JSON and holds of each token its SHA-256 alone. A token is 256 random bits, which nobody
finds by trying, so that a slow hash as for passwords would protect nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import structlog
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from micromoment.errors import InvalidSettingError
from micromoment.faults import first_fault
from micromoment.security.callers import Caller, Role

SETTING: Final = "credentials"
# What scanners for secrets can look for.
TOKEN_PREFIX: Final = "mmt_"  # noqa: S105 - it is the part that is no secret
_TOKEN_BYTES: Final = 32
_VERSION: Final = 1

_log = structlog.get_logger(__name__)


def _named(form: str, words: str) -> AfterValidator:
    """Refuse names of another form, in words."""
    pattern = re.compile(form)

    def check(name: str) -> str:
        if not pattern.fullmatch(name):
            raise ValueError(f"must be {words}")
        return name

    return AfterValidator(check)


Tenant = Annotated[
    str,
    _named(
        "[a-z0-9][a-z0-9_-]{0,62}",
        "1 to 63 small letters, digits, _ and -, of which the first is a letter or a digit",
    ),
]
TokenId = Annotated[str, _named("[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, _ and -")]


class Entry(BaseModel):
    """One token: an id to speak of it, its SHA-256 in hex, whose it is and what it may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: TokenId
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    tenant: Tenant
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None


class CredentialsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = _VERSION
    tokens: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _are_distinct(self) -> CredentialsFile:
        for name in ("id", "sha256"):
            if len({getattr(entry, name) for entry in self.tokens}) < len(self.tokens):
                raise ValueError(f"two tokens have the same {name}")
        return self


Credentials = Mapping[bytes, Caller]


def read_credentials(path: Path) -> Credentials:
    """Give the callers by the digests of their tokens.

    Raises `InvalidSettingError` naming what is wrong in the file, never what it holds. Warns of a
    file without tokens: it lets nobody in.
    """
    entries = read_file(path).tokens
    if not entries:
        _log.warning("credentials_without_tokens", setting=SETTING, path=str(path))
    return {
        bytes.fromhex(entry.sha256): Caller(
            entry.tenant,
            entry.roles,
            bytes.fromhex(entry.sha256),
            math.inf if entry.expires is None else entry.expires.timestamp(),
        )
        for entry in entries
    }


def read_file(path: Path) -> CredentialsFile:
    """Read the file. Raises `InvalidSettingError`, as `read_credentials`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidSettingError(SETTING, f"{path} can't be read: {error.strerror}") from None
    try:
        content = CredentialsFile.model_validate_json(text)
    except ValidationError as error:
        place, what = first_fault(error)
        raise InvalidSettingError(SETTING, f"{path}, {place or 'as a whole'}: {what}") from None
    if "version" not in content.model_fields_set:
        # As `{}` has none: it would lock everybody out.
        raise InvalidSettingError(SETTING, f"{path}, version: missing; it must be {_VERSION}")
    return content


def write_file(path: Path, content: CredentialsFile) -> None:
    """Write the file, for its owner alone to read; it appears whole or stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    told = content.model_dump(mode="json", exclude_none=True)
    for entry in told["tokens"]:
        entry["roles"] = sorted(entry["roles"])
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(told, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def new_token(
    tenant: str,
    roles: Sequence[Role],
    *,
    token_id: str | None = None,
    created: datetime,
    expires: datetime | None = None,
) -> tuple[str, Entry]:
    """Make a token and its entry. Raises `ValidationError` for a name that can't be one."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    entry = Entry(
        id=secrets.token_hex(4) if token_id is None else token_id,
        sha256=digest_of(token).hex(),
        tenant=tenant,
        roles=frozenset(roles),
        created=created,
        expires=expires,
    )
    return token, entry


def digest_of(token: str) -> bytes:
    """Give the SHA-256 of a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
