"""`micromoment parity`: its options reach the comparison, and its status says what came of it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import training.parity
from training.cli_served import register
from training.parity import Mismatch, ParityReport, ParityRequest, Via

DIFFERS = (Mismatch("s1", "e1", "feature n_events", "1.0", "1.1"),)


@pytest.mark.parametrize(
    ("mismatches", "options", "sabotages"),
    [
        (DIFFERS, ("--sabotage",), (True, False)),
        (DIFFERS, ("--sabotage-centroid",), (False, True)),
        ((), (), (False, False)),
    ],
)
def test_what_is_asked_is_compared_and_a_difference_ends_with_1(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mismatches: tuple[Mismatch, ...],
    options: tuple[str, ...],
    sabotages: tuple[bool, bool],
) -> None:
    """Each kind of sabotage by its own option, one day's events, the bundle that is named."""
    asked: list[ParityRequest] = []

    def compared(request: ParityRequest, _steps: object) -> ParityReport:
        asked.append(request)
        return ParityReport(date(2021, 1, 8), 1, 9, 8, 1, 0, 0, mismatches)

    monkeypatch.setattr(training.parity, "check_parity", compared)
    (tmp_path / "bundles" / "shop" / "0123456789abcdef").mkdir(parents=True)
    app = typer.Typer()
    register(app)
    folders = ("--events", str(tmp_path), "--store", str(tmp_path / "bundles"))
    which = ("--bundle", "shop:0123456789abcdef", "--limit", "7", "--via", "batch")
    done = CliRunner().invoke(app, ["parity", *which, *folders, *options])
    assert done.exit_code == bool(mismatches), done.output
    (request,) = asked
    assert (request.sabotage, request.sabotage_centroid) == sabotages
    assert (request.events, request.limit, request.via) == (tmp_path, 7, Via.BATCH)
    assert request.bundle.name == "0123456789abcdef"
    assert ("n_events" in done.output) == bool(mismatches)
