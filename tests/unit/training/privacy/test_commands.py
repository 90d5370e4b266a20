"""The commands of the privacy office: ids from a file or standard input, a server first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from micromoment.errors import InvalidDataError, ServerCallError
from micromoment.events.identity import IdEncoder, IdKey
from tests.support.feature_stores import SHOP
from tests.support.happenings import Happening, write_events
from training.cli_privacy import register

NOW = datetime.now(UTC)


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of events of a year ago and of now, without a workspace in sight."""
    monkeypatch.chdir(tmp_path)
    pseudonym = IdEncoder([IdKey("k1", b"secret-of-sixteen-1")]).encode("u3")
    happenings = [
        Happening(at, user_id=user, session_id=f"{user}-{number}")
        for number, at in enumerate((NOW - timedelta(days=365), NOW))
        for user in ("u1", "u2", pseudonym)
    ]
    return write_events(tmp_path / "events", happenings, SHOP)


def run(*arguments: str, told: str = "") -> Result:
    """Run a command as a person does."""
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, arguments, input=told)


def users(folder: Path) -> set[str]:
    """Give the users of all events."""
    return {
        row["user_id"]
        for path in folder.glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }


def test_ids_come_from_standard_input(events: Path) -> None:
    """Those named on the command line, too; blank lines mean nobody."""
    done = run("erase", "--ids", "-", "--user-id", "u2", "--events", str(events), told="u1\n\n")
    assert done.exit_code == 0, done.output
    assert "u1" not in done.output
    assert users(events).isdisjoint({"u1", "u2"})
    assert len(users(events)) == 1


def test_each_form_of_an_id_is_looked_for(events: Path, tmp_path: Path) -> None:
    """Plain, and by each key."""
    (tmp_path / "keys").write_text("k2:secret-of-sixteen-2\nk1:secret-of-sixteen-1\n")
    (tmp_path / "ids").write_text("u3\n")
    arguments = ["--ids", "ids", "--id-keys", "keys", "--events", str(events)]
    told = run("export-user", *arguments)
    rows = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    assert [row["row"]["session_id"][-2:] for row in rows] == ["-0", "-1"]
    assert run("erase", *arguments).exit_code == 0
    assert users(events) == {"u1", "u2"}


def test_keys_come_from_the_environment(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all other commands have them: as a text, or as the name of a file."""
    arguments = ["export-user", "--user-id", "u3", "--events", str(events)]
    assert not run(*arguments).stdout
    with monkeypatch.context() as set_keys:
        set_keys.setenv("MICROMOMENT_ID_KEYS", "k1:secret-of-sixteen-1")
        assert len(run(*arguments).stdout.splitlines()) == 2
    (events / "keys").write_text("k1:secret-of-sixteen-1\n")
    monkeypatch.setenv("MICROMOMENT_ID_KEY_FILE", str(events / "keys"))
    assert run("erase", *arguments[1:]).exit_code == 0
    assert users(events) == {"u1", "u2"}


def test_nobody_is_an_error(events: Path) -> None:
    """Without an id nothing is erased."""
    assert run("erase", "--events", str(events)).exit_code == 2
    assert run("erase", "--ids", "-", "--events", str(events), told="\n").exit_code == 2


def test_a_file_of_ids_that_cannot_be_read_is_named(events: Path) -> None:
    """And why; nothing is erased."""
    (events.parent / "ids").write_bytes(b"u1\xff")
    for file, reason in (("none", "can't be read: No such file"), ("ids", "can't be read as text")):
        done = run("erase", "--ids", file, "--events", str(events))
        assert isinstance(done.exception, InvalidDataError)
        assert f"{file}: {reason}" in str(done.exception)


def test_a_server_that_does_not_answer_comes_first(events: Path) -> None:
    """What could not be erased there is not erased here, and the address is told, no id."""
    done = run("erase", "--user-id", "u1", "--server", "127.0.0.1:1", "--events", str(events))
    assert isinstance(done.exception, ServerCallError)
    assert "127.0.0.1:1" in str(done.exception)
    assert "u1" not in str(done.exception).replace("127.0.0.1:1", "")
    assert "u1" in users(events)


@pytest.mark.parametrize("command", ["erase", "export-user"])
def test_what_a_connection_needs_is_told(
    events: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line: no token in plain text over a network, and files that can't be read."""
    arguments = [command, "--user-id", "u1", "--events", str(events), "--server"]
    for file in ("--token-file", "--ca"):
        done = run(*arguments, "127.0.0.1:1", file, str(events / "missing"))
        assert isinstance(done.exception, ServerCallError)
        assert "can't be read" in str(done.exception)
    (events / "token").write_bytes(b"\xff")
    done = run(*arguments, "127.0.0.1:1", "--token-file", str(events / "token"))
    assert isinstance(done.exception, ServerCallError)
    monkeypatch.setenv("MICROMOMENT_TOKEN", "a-token")
    done = run(*arguments, "scores:50051")
    assert isinstance(done.exception, ServerCallError)
    assert "plain text" in str(done.exception)
    assert "a-token" not in str(done.exception)
    assert "u1" in users(events)


@pytest.mark.parametrize("command", ["erase", "export-user"])
def test_what_is_no_log_is_refused(events: Path, command: str) -> None:
    """A Redis and a folder that is mistyped: nothing is made, and nothing erased elsewhere."""
    arguments = [command, "--user-id", "u1", "--events", str(events), "--log"]
    for log in ("redis://:hidden@localhost/0", "rediss://localhost/0", "mistyped", str(events)):
        done = run(*arguments, log)
        assert isinstance(done.exception, InvalidDataError), log
        assert "hidden" not in str(done.exception)
    assert sorted(path.name for path in events.parent.iterdir()) == ["events"]
    assert "u1" in users(events)


def test_the_folder_of_features_has_both_names(events: Path) -> None:
    """As `train` calls it, and as it was called before."""
    for name in ("--features", "--workspace"):
        done = run("expire", "--older-than", "100d", name, str(events.parent / "none"))
        assert done.exit_code == 0, done.output


def test_old_days_go(events: Path) -> None:
    """By age in days alone."""
    assert run("expire", "--older-than", "100d", "--events", str(events)).exit_code == 0
    assert len(list(events.glob("*.parquet"))) == 1
    for age in ("100", "0d", "1y"):
        assert run("expire", "--older-than", age, "--events", str(events)).exit_code == 2
    assert run("expire", "--older-than", "100d").exit_code == 2
