"""Encodings fitted on the rows that they encode: they repeat the rows' own shares of buyers.

An encoding of a category is (buyers + m p) / (n + m), m = 0 for a plain mean, or its log-odds, with
or without the base rate taken off. On the rows that it was fitted on, two numbers m and p explain
all its values; on others none do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from training.lint.report import Finding, Severity
from training.lint.rows import visits_at
from training.lint.scores import column_of
from training.models.rows import DecisionRows

FloatArray = npt.NDArray[np.float64]

_MIN_VALUES: Final = 8
_CLOSE: Final = 0.002  # of the values' spread
_SHARE: Final = 0.9
_EARLIER: Final = 0.8


def lint_own_rows(rows: DecisionRows, judged: npt.NDArray[np.bool_] | None) -> list[Finding]:
    """Find features whose values are the rows' own shares of buyers, smoothed or not."""
    found: dict[str, Finding] = {}
    for what, part in _parts(rows, judged):
        if not 0 < int(part.label.sum()) < len(part):
            continue
        for name, values in zip(part.feature_names, part.features.T, strict=True):
            if name in found:
                continue
            explained = own_share(values, part.label)
            if explained > _SHARE:
                evidence = (
                    f"{explained:.1%} of {what} have as its value the share of buyers among the "
                    "rows of that value themselves, smoothed by one pair of numbers"
                )
                numbers = {"explained": explained, "n": len(part)}
                found[name] = Finding("own-rows", Severity.ERROR, name, evidence, numbers)
    return list(found.values())


def _parts(
    rows: DecisionRows, judged: npt.NDArray[np.bool_] | None
) -> Iterator[tuple[str, DecisionRows]]:
    first = visits_at(rows, 1)
    yield "all rows", rows
    yield "all visits' first rows", first
    if judged is not None:
        yield "the rows to train on", rows.take(~judged)
        return
    days = np.unique(rows.day)
    if len(days) > 2:
        border = days[int(len(days) * _EARLIER) - 1]
        yield "the rows of the earlier days", rows.take(rows.day <= border)
        yield "the earlier visits' first rows", first.take(first.day <= border)


def own_share(values: npt.NDArray[np.floating], label: npt.NDArray[np.bool_]) -> float:
    """Give the share of rows whose value is explained by their own outcomes, at best; else 0."""
    column = column_of(values)
    known = np.isfinite(column.values)
    hits = np.bincount(column.group, label, len(column.values))[known].astype(np.float64)
    n, held = column.counts[known].astype(np.float64), column.values[known]
    if len(held) < _MIN_VALUES or (hits > 0).sum() < _MIN_VALUES // 2 or len(held) > len(label) / 2:
        return 0.0
    base = float(label.mean())
    best = 0.0
    for decode in _decodings(base):
        best = max(best, _explained(decode(held), n, hits))
    return best


def _decodings(base: float) -> tuple[Callable[[FloatArray], FloatArray], ...]:
    return (
        lambda value: value,
        lambda value: np.asarray(expit(value)),
        lambda value: np.asarray(expit(value + logit(base))),
        lambda value: value * base,
    )


def _explained(share: FloatArray, n: FloatArray, hits: FloatArray) -> float:
    if share.min() < 0 or share.max() > 1 or share.std() < 1e-9:
        return 0.0
    # share (n + m) = hits + m p, hence share n - hits = m p - m share: a line in share.
    weight = np.sqrt(n)
    line = np.stack([np.ones_like(share), share], axis=1) * weight[:, np.newaxis]
    (offset, slope), *_ = np.linalg.lstsq(line, (share * n - hits) * weight, rcond=None)
    m = max(-slope, 0.0)
    fitted = (hits + (offset if m > 0 else 0.0)) / (n + m)
    close = np.abs(fitted - share) < _CLOSE * share.std() + 1e-7
    # One common value must not speak for all: most values that anybody bought at must agree too.
    values = float(close[hits > 0].mean())
    return min(float(n[close].sum() / n.sum()), values)
