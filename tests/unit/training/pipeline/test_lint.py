"""What the pipeline takes for an error, and what for a hint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.leaky_rows import MadeUp, made_up_rows
from training.lint.report import Severity
from training.lint.table import lint_features
from training.models.conversion import ConversionParams
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block
from training.pipeline.lint import lint_decisions


@pytest.fixture(scope="module")
def made_up() -> MadeUp:
    """Honest rows."""
    return made_up_rows(1)


def with_length(made_up: MadeUp, noise: float) -> DecisionRows:
    """Plant the visit's whole length, blurred by noise, in place of the first feature."""
    rows = made_up.rows
    _, visit = np.unique(rows.session, return_inverse=True)
    length = np.bincount(visit)[visit].astype(np.float64)
    features = rows.features.copy()
    features[:, 0] = length * np.exp(noise * made_up.random.normal(size=len(rows)))
    return replace(rows, features=features)


def severity_of(rows: DecisionRows) -> tuple[Severity, Severity]:
    """Give how bad a feature that looks ahead is, by rows alone and in the pipeline."""
    nothing = Block((), ())
    reports = lint_features(rows), lint_decisions(rows, nothing, ConversionParams())
    found = [
        max((one.severity for one in report.findings if one.check == "looks-ahead"),
            key=list(Severity).index, default=Severity.OK)
        for report in reports
    ]  # fmt: skip
    return found[0], found[1]


def test_in_the_pipeline_a_correlation_is_a_hint(made_up: MadeUp) -> None:
    """Bits are compared there, so that only what nearly is the future stops a training."""
    assert severity_of(with_length(made_up, 0.0)) == (Severity.ERROR, Severity.ERROR)
    assert severity_of(with_length(made_up, 0.3)) == (Severity.ERROR, Severity.WARNING)
