"""Which benchmarks `make bench` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import run


def test_every_name_is_a_benchmark() -> None:
    """Each can be run by `python -m benchmarks.NAME`."""
    folder = Path(run.__file__).parent
    for name in run.BENCHMARKS:
        module = folder / f"{name}.py"
        assert module.exists() or (folder / name / "__main__.py").exists(), name


def test_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is run; the names are listed."""
    assert run.main(["nothing", "--quick"]) == 2
    said = capsys.readouterr().out
    assert "no benchmark nothing" in said
    assert "serving" in said
