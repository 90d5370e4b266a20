"""The commands for tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from micromoment.cli import app
from micromoment.errors import InvalidSettingError
from micromoment.security.credentials import digest_of, read_credentials


def run(path: Path, *arguments: str) -> Result:
    """Run a command of `micromoment token`."""
    return CliRunner().invoke(app, ["token", *arguments, "--credentials", str(path)])


def test_a_token_is_made_shown_once_and_revoked(tmp_path: Path) -> None:
    """Standard output has nothing but the token; no other command shows it."""
    path = tmp_path / "credentials.json"
    made = run(path, "new", "--tenant", "shop-a", "--role", "score", "--id", "web")
    token = made.stdout.strip()
    assert made.exit_code == 0
    assert read_credentials(path)[digest_of(token)].tenant == "shop-a"
    assert run(path, "new", "--role", "admin", "--expires", "90d").exit_code == 0
    listed = run(path, "list")
    assert "web" in listed.stdout
    assert token not in listed.stdout + made.stderr + path.read_text()
    assert run(path, "revoke", "web").exit_code == 0
    assert digest_of(token) not in read_credentials(path)
    assert len(read_credentials(path)) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--tenant", "A:b", "--role", "score"], "tenant"),
        (["--role", "score", "--id", "not an id"], "id"),
        (["--role", "score", "--id", "web"], "same id"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], named: str) -> None:
    """And the file stays as it was."""
    path = tmp_path / "credentials.json"
    run(path, "new", "--role", "score", "--id", "web")
    before = path.read_bytes()
    refused = run(path, "new", *arguments)
    assert isinstance(refused.exception, InvalidSettingError)
    assert named in str(refused.exception)
    assert isinstance(run(path, "revoke", "nobody").exception, InvalidSettingError)
    assert path.read_bytes() == before


def test_a_token_goes_into_a_file_of_its_owner_s(tmp_path: Path) -> None:
    """It is printed nowhere; a file that is there stays, and no token is added then."""
    path, out = tmp_path / "credentials.json", tmp_path / "web.token"
    made = run(path, "new", "--role", "score", "--out", str(out))
    token = out.read_text().strip()
    assert out.stat().st_mode & 0o777 == 0o600
    assert digest_of(token) in read_credentials(path)
    assert token not in made.output
    assert run(path, "new", "--role", "score", "--out", str(out)).exit_code == 2
    assert (out.read_text().strip(), len(read_credentials(path))) == (token, 1)


def test_a_file_of_a_token_is_not_left_without_its_hash(tmp_path: Path) -> None:
    """Where the credentials can't be written there is no token."""
    (tmp_path / "credentials.json").mkdir()
    out = tmp_path / "web.token"
    assert run(tmp_path / "credentials.json", "new", "--role", "score", "--out", str(out)).exception
    assert not out.exists()


def test_a_token_is_not_written_where_its_hash_is_to_be(tmp_path: Path) -> None:
    """The list would take its place, and nobody would have the token."""
    path = tmp_path / "credentials.json"
    for out in (path, tmp_path / "." / "x" / ".." / "credentials.json"):
        refused = run(path, "new", "--role", "score", "--out", str(out))
        assert refused.exit_code == 2
        assert "a file of its own" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_folder_is_not_made(tmp_path: Path) -> None:
    """The file of hashes would be where no server reads it."""
    refused = run(tmp_path / "nowhere" / "credentials.json", "new", "--role", "score")
    assert "there is no such folder" in str(refused.exception)
    assert list(tmp_path.iterdir()) == []


def test_what_a_tenant_may_be_called_is_said_in_words(tmp_path: Path) -> None:
    """Not as the pattern that it is tried by."""
    refused = run(tmp_path / "credentials.json", "new", "--role", "score", "--tenant", "Shop A")
    assert str(refused.exception).endswith(
        "tenant: must be 1 to 63 small letters, digits, _ and -, of which the first is a letter "
        "or a digit"
    )


@pytest.mark.parametrize("expires", ["2020-01-01", "0d", "soon", "99999999d"])
def test_an_end_is_a_day_to_come(tmp_path: Path, expires: str) -> None:
    """Days from now, or a date."""
    path = tmp_path / "credentials.json"
    assert run(path, "new", "--role", "score", "--expires", expires).exit_code == 2
    assert not path.exists()


def test_roles_are_asked_for_and_known(tmp_path: Path) -> None:
    """There is no token that may do nothing, nor anything."""
    path = tmp_path / "credentials.json"
    assert run(path, "new").exit_code == 2
    assert run(path, "new", "--role", "root").exit_code == 2
    run(path, "new", "--role", "privacy", "--role", "score")
    (entry,) = json.loads(path.read_text())["tokens"]
    assert entry["roles"] == ["privacy", "score"]
