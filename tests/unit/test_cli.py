"""The command line as a function, called more than once by one process."""

import pytest

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
