"""The file of tokens' hashes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from micromoment.errors import InvalidSettingError
from micromoment.security.callers import Role
from micromoment.security.credentials import (
    TOKEN_PREFIX,
    CredentialsFile,
    digest_of,
    new_token,
    read_credentials,
    write_file,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTRY = {"id": "one", "sha256": "0" * 64, "tenant": "shop-a", "roles": ["score"]}


def write(path: Path, *entries: Any, **fields: Any) -> Path:  # noqa: ANN401 - JSON
    """Write a file as somebody might by hand."""
    path.write_text(json.dumps({"version": 1, "tokens": entries} | fields), encoding="utf-8")
    return path


def test_a_token_is_found_by_its_hash_alone(tmp_path: Path) -> None:
    """The file does not hold it, and says whose it is, what it may and when it ends."""
    ends = NOW + timedelta(days=90)
    token, entry = new_token("shop-a", [Role.SCORE, Role.ADMIN], created=NOW, expires=ends)
    path = tmp_path / "credentials.json"
    write_file(path, CredentialsFile(tokens=(entry,)))
    assert token not in path.read_text()
    (caller,) = read_credentials(path).values()
    assert read_credentials(path)[digest_of(token)] == caller
    assert (caller.tenant, caller.roles) == ("shop-a", frozenset({Role.SCORE, Role.ADMIN}))
    assert caller.expires == ends.timestamp()
    assert caller.digest.hex() not in repr(caller)


def test_tokens_are_long_and_random() -> None:
    """Each has 256 random bits behind its prefix: no two are alike."""
    made = {new_token("a", [Role.SCORE], created=NOW)[0] for _ in range(1_000)}
    assert len(made) == 1_000
    assert {len(token) - len(TOKEN_PREFIX) for token in made} == {43}  # 32 bytes in base 64
    assert all(token.startswith(TOKEN_PREFIX) for token in made)


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """A new one is read by nobody else; one that was there keeps its mode."""
    path = tmp_path / "new" / "credentials.json"
    write_file(path, CredentialsFile())
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    write_file(path, CredentialsFile())
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (ENTRY | {"tenant": "Shop"}, "tokens.0.tenant"),
        (ENTRY | {"tenant": "a:b"}, "tokens.0.tenant"),
        (ENTRY | {"tenant": ""}, "tokens.0.tenant"),
        (ENTRY | {"sha256": "canary"}, "tokens.0.sha256"),
        (ENTRY | {"roles": ["root"]}, "tokens.0.roles"),
        (ENTRY | {"roles": []}, "tokens.0.roles"),
        (ENTRY | {"expires": "2027-01-01T00:00:00"}, "tokens.0.expires"),
        (ENTRY | {"token": "canary"}, "tokens.0.token"),
        ({"id": "one"}, "tokens.0"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(
    tmp_path: Path, entry: dict[str, Any], named: str
) -> None:
    """The error has file and field, and nothing that stood there."""
    path = write(tmp_path / "credentials.json", entry)
    with pytest.raises(InvalidSettingError) as caught:
        read_credentials(path)
    assert f"setting credentials: {path}, {named}" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"tokens": []}', '{"version": 2}', '{"tokens": 1}']
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str) -> None:
    """So is a version that is not known."""
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(InvalidSettingError, match="setting credentials"):
        read_credentials(path)
    with pytest.raises(InvalidSettingError, match="can't be read"):
        read_credentials(tmp_path / "absent")


def test_a_file_without_tokens_is_warned_of(tmp_path: Path) -> None:
    """It may be meant, when the last token was revoked, and lets nobody in."""
    path = write(tmp_path / "credentials.json")
    with capture_logs() as logs:
        assert read_credentials(path) == {}
        read_credentials(write(tmp_path / "other.json", ENTRY))
    assert [(one["event"], one["path"]) for one in logs] == [
        ("credentials_without_tokens", str(path))
    ]


def test_two_tokens_are_two(tmp_path: Path) -> None:
    """Neither an id nor a hash is there twice."""
    for other in (ENTRY | {"sha256": "1" * 64}, ENTRY | {"id": "two"}):
        with pytest.raises(InvalidSettingError, match="two tokens have the same"):
            read_credentials(write(tmp_path / "credentials.json", ENTRY, other))


def test_a_tenant_has_a_plain_name() -> None:
    """It begins keys, so that it has no colon and is not empty."""
    for tenant in ("", "a:b", "A", "-a", "a" * 64, "ä"):
        with pytest.raises(ValidationError):
            new_token(tenant, [Role.SCORE], created=NOW)
