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
_CLOSE: Final = 0.01
_SHARE: Final = 0.6
_PAIRS: Final = 300
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
                    f"{explained:.1%} of its values are the share of buyers among the rows that "
                    f"have them, smoothed by one pair of numbers: it was fitted on {what}"
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
    """Give the part of a column's values that its rows' own outcomes explain, 0 for too few."""
    column = column_of(values)
    known = np.isfinite(column.values)
    hits = np.bincount(column.group, label, len(column.values))[known].astype(np.float64)
    n, held = column.counts[known].astype(np.float64), column.values[known]
    if len(held) < _MIN_VALUES or (hits > 0).sum() < _MIN_VALUES or len(held) > len(label) / 2:
        return 0.0
    base = float(label.mean())
    best = 0.0
    for decode in _decodings(base):
        best = max(best, _explained(decode(held), n, hits, base))
    return best


def _decodings(base: float) -> tuple[Callable[[FloatArray], FloatArray], ...]:
    return (
        lambda value: value,
        lambda value: np.asarray(expit(value)),
        lambda value: np.asarray(expit(value + logit(base))),
        lambda value: value * base,
    )


def _explained(share: FloatArray, n: FloatArray, hits: FloatArray, base: float) -> float:
    """Give the part of the values with buyers that one pair of m and p explains, at best.

    share (n + m) = hits + m p, hence share n - hits = m p - m share: a line through two values.
    Categories that happen to share a value spoil their own point only, so that lines through many
    pairs are tried and the one that most values lie on is taken (Fischler and Bolles 1981).
    """
    if share.min() < 0 or share.max() > 1 or share.std() < 1e-9:
        return 0.0
    # Single rows and certainties are explained by anything.
    telling = (hits > 0) & (n > 1) & (share > 1e-4) & (share < 1 - 1e-4)
    if telling.sum() < max(_MIN_VALUES, 0.2 * (hits > 0).sum()):
        return 0.0
    share, n, hits = (values[telling] for values in (share, n, hits))
    random = np.random.default_rng(0)
    one, other = random.integers(0, len(share), (2, _PAIRS))
    rise = share[one] - share[other]
    height = share * n - hits
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.maximum(-(height[one] - height[other]) / rise, 0.0)
        offset = height[one] + m * share[one]
        p = offset / m
    # What is mixed in is a share not far from the average, or nothing.
    fits = np.isfinite(m) & np.isfinite(p) & (p > base / 5) & (p < min(5 * base, 1.0))
    m, offset = np.append(m[fits], 0.0), np.append(offset[fits], 0.0)
    fitted = (hits + offset[:, np.newaxis]) / (n + m[:, np.newaxis])
    # Close against the distance from p: where m is large, all that is near p would seem explained.
    prior = np.where(m > 0, offset / np.maximum(m, 1e-12), base)
    distance = np.abs(share - prior[:, np.newaxis])
    close = (np.abs(fitted - share) < _CLOSE * distance) & (distance > 1e-5)
    close &= np.abs(fitted - share) < _CLOSE * np.minimum(share, 1 - share)
    return float(close.mean(axis=1).max())
