"""The command line as a function, called more than once by one process."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from micromoment import __version__
from micromoment.cli import app, main


def test_offline_commands_join_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A second call finds the commands of the first and adds none."""
    counts = []
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert ended.value.code == 0
        counts.append((len(app.registered_commands), len(app.registered_groups)))
    assert counts[0] == counts[1]
    assert counts[0][0] > 10
    assert capsys.readouterr().out == 2 * f"micromoment {__version__}\n"


@pytest.mark.parametrize("command", ["check", "backup", "restore"])
def test_log_commands_are_for_folders(command: str, tmp_path: Path) -> None:
    """The URL of a Redis is refused as what it is, without its password."""
    targets = [] if command == "check" else [str(tmp_path / "target")]
    url = "redis://:secret@127.0.0.1:6379/0"
    done = CliRunner().invoke(app, ["log", command, url, *targets])
    assert done.exit_code == 2
    assert "are for folders" in " ".join(done.stderr.replace("│", "").split())
    assert "secret" not in done.stderr
