"""Leaks in tables of decision rows: each that is planted is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from tests.support.leaky_rows import MadeUp, made_up_rows
from training.lint.report import Finding, LintReport, Severity
from training.lint.rows import RowTable, read_rows
from training.lint.table import lint_table

Plant = Callable[[MadeUp], npt.NDArray[np.generic]]


@pytest.fixture(scope="module")
def made_up() -> MadeUp:
    """Honest rows that all tests here plant into."""
    return made_up_rows(1)


def errors(report: LintReport) -> list[Finding]:
    """Give what would stop a training."""
    return [one for one in report.findings if one.severity is Severity.ERROR]


def only_for_buyers(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """A column that is filled for half of the buyers, and for nobody else."""
    filled = made_up.rows.label & (made_up.rows.session % 2 == 0)
    return np.where(filled, made_up.random.normal(size=len(filled)), np.nan)


def missing_for_buyers(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """A column that is empty for who buys."""
    return np.where(made_up.rows.label, np.nan, made_up.random.normal(size=len(made_up.rows)))


def total_orders(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """The visitor's orders over all days, this visit's included."""
    return made_up.total


def orders_with_this(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """The visitor's orders up to and with this visit."""
    return made_up.past + made_up.rows.label


def own_encoding(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """The smoothed share of buyers of 300 categories, the row's own outcome included."""
    n = np.bincount(made_up.category)
    hits = np.bincount(made_up.category, made_up.rows.label)
    shares: npt.NDArray[np.generic] = (hits + 10 * made_up.rows.label.mean()) / (n + 10)
    return shares[made_up.category]


def whole_length(made_up: MadeUp) -> npt.NDArray[np.generic]:
    """The visit's number of events, known from its first event on."""
    return made_up.final


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (only_for_buyers, "outcome-values"),
        (missing_for_buyers, "outcome-values"),
        (total_orders, "single-feature-auc"),
        (orders_with_this, "user-totals"),
        (own_encoding, "own-rows"),
        (whole_length, "looks-ahead"),
    ],
)
def test_what_is_planted_is_found(made_up: MadeUp, plant: Plant, check: str) -> None:
    """Each kind of leak is an error of its check that names the feature."""
    rows = made_up.with_feature(plant(made_up))
    found = errors(lint_table(RowTable(rows, None), "planted"))
    assert (check, "planted") in {(one.check, one.subject) for one in found}
    assert {one.subject for one in found if one.check != "mid-visit-auc"} == {"planted"}


@pytest.mark.parametrize("seed", range(4))
def test_honest_rows_have_no_error(seed: int) -> None:
    """Features that know the past alone stop nothing, and hardly warn."""
    report = lint_table(RowTable(made_up_rows(seed).rows, None), "honest")
    assert errors(report) == []
    assert len(report.findings) <= 1
    assert {"shuffled-labels", "mid-visit-auc", "train-later"} <= set(report.checked)


def test_an_encoding_of_other_rows_is_honest(made_up: MadeUp) -> None:
    """Shares among the visitors of the other half are no leak."""
    rows, half = made_up.rows, made_up.rows.visitor % 2
    size = int(made_up.category.max()) + 1
    values = np.zeros(len(rows))
    for side in (0, 1):
        own, others = half == side, half != side
        hits = np.bincount(made_up.category[others], rows.label[others], size)
        n = np.bincount(made_up.category[others], minlength=size)
        values[own] = ((hits + 0.6) / (n + 10))[made_up.category[own]]
    assert errors(lint_table(RowTable(made_up.with_feature(values), None), "honest")) == []


def test_a_model_that_is_too_good_is_an_error(made_up: MadeUp) -> None:
    """No feature alone knows the outcome here, two together do."""
    secret = made_up.random.normal(size=int(made_up.rows.session.max()) + 1)[made_up.rows.session]
    rows = made_up.with_feature(secret)
    other = np.where(rows.label, 1, -1) * np.sign(secret) * np.abs(rows.features[:, 3])
    features = np.concatenate([rows.features, other.astype(np.float32)[:, np.newaxis]], axis=1)
    names = (*rows.feature_names, "other")
    rows = replace(rows, features=np.ascontiguousarray(features), feature_names=names)
    found = errors(lint_table(RowTable(rows, None), "planted"))
    assert {one.check for one in found} == {"mid-visit-auc"}


def test_visits_on_both_sides_are_found(made_up: MadeUp) -> None:
    """Rows parted at random share their visits, and shuffled outcomes are learned by heart."""
    judged = made_up.random.random(len(made_up.rows)) < 0.3
    identity = made_up.with_feature(made_up.rows.session)
    found = errors(lint_table(RowTable(identity, judged), "planted"))
    assert {"split", "shuffled-labels"} <= {one.check for one in found}


def test_a_number_of_the_day_is_found(made_up: MadeUp) -> None:
    """What tells the date would be learned from, and be another later."""
    report = lint_table(RowTable(made_up.with_feature(made_up.rows.day), None), "planted")
    assert [(one.check, one.subject) for one in errors(report)] == [("train-later", "planted")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"session": ["a", "b"], "label": ["yes", "no"], "x": [1.0, 2.0]}, "label is string"),
        ({"session": ["a", "b"], "label": [True, False]}, "no column of features"),
        ({"session": ["a", "b"], "x": [1.0, 2.0]}, "column label is missing"),
    ],
)
def test_tables_that_cannot_be_linted(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    """A label in words, no feature at all, no label: each is said plainly."""
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(InvalidDataError, match=message):
        read_rows(tmp_path / "rows.parquet")
