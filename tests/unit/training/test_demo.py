"""What the demo says at its end."""

from __future__ import annotations

import shlex
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from micromoment import bootstrap
from micromoment.cli import app
from micromoment.settings import Settings
from training.demo import print_how_to_serve


def test_the_printed_command_serves_what_the_demo_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its bundle, features, state and log, each of which is where the text says."""
    folder, text = tmp_path / "a demo", StringIO()
    print_how_to_serve(folder, "demo:0123", Console(file=text, width=40))
    where, _, command = text.getvalue().strip().partition("\nServe them: ")
    variable, _, *arguments = shlex.split(command)
    served: list[Settings] = []
    monkeypatch.setattr(bootstrap, "serve", served.append)
    monkeypatch.setenv(*variable.split("=", 1))
    monkeypatch.delenv("MICROMOMENT_EVENT_LOG", raising=False)
    ports = ("--port", "0", "--metrics-port", "0", "--admin-port", "0")
    assert CliRunner().invoke(app, [*arguments, *ports]).exit_code == 0
    (settings,) = served
    assert settings.bundle == "demo:0123"
    assert settings.feature_store == folder / "features"
    for path in (settings.bundle_store, settings.state_dir, settings.event_log):
        assert str(path) in where
