"""All features together: is a small model too good, does chance stay chance, do days differ?"""

from __future__ import annotations

from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.lint.report import Finding, Severity
from training.lint.rows import MIN_BUYERS, enough, visits_at
from training.lint.scores import auc_error, column_auc, column_of, half_of, roc_auc
from training.models.lightgbm_params import REPEATABLE
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight, training_weight

TOO_GOOD: Final = 0.95
MID_VISIT: Final = (3, 5, 10, 20)
# A chance area further from 0.5 than so many standard errors is none.
CHANCE_ERRORS: Final = 5.0
_SHUFFLES: Final = 3
_TREES: Final = 60
_FIT_ROWS: Final = 60_000
_DATE_ALONE: Final = 0.99
# Of fewer days the weekday alone may tell the later ones, which is no leak.
_DATE_DAYS: Final = 15

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def lint_mid_visit(aucs: dict[int, tuple[float, int, int]], what: str) -> list[Finding]:
    """Judge areas by k, each with its buyers and others; of few cases the lower bound counts."""
    found = []
    for k, (auc, buyers, others) in aucs.items():
        low = auc - 1.96 * auc_error(auc, buyers, others)
        surely = auc if buyers >= 50 else low
        if buyers < MIN_BUYERS or not auc > TOO_GOOD:
            continue
        severity = Severity.ERROR if surely > TOO_GOOD else Severity.WARNING
        evidence = f"ROC-AUC {auc:.3f} after {k} events (lower bound {low:.3f}), {buyers:,} buyers"
        numbers = {"roc_auc": auc, "low": low, "events_seen": k, "buyers": buyers}
        found.append(Finding("mid-visit-auc", severity, what, evidence, numbers))
    return found


def small_model_aucs(
    fit: DecisionRows, judge: DecisionRows, ks: tuple[int, ...] = MID_VISIT
) -> tuple[dict[int, tuple[float, int, int]], list[str]]:
    """Fit a small model on `fit`; give its area on `judge` by k, and its features by gain."""
    trees = _fit(fit)
    aucs = {}
    for k in ks:
        at_k = visits_at(judge, k)
        if enough(at_k):
            buyers = int(at_k.label.sum())
            auc = roc_auc(at_k.label, _predict(trees, at_k))
            aucs[k] = auc, buyers, len(at_k) - buyers
    gain = trees.feature_importance("gain")
    return aucs, [fit.feature_names[i] for i in np.argsort(-gain, kind="stable")[:5] if gain[i] > 0]


def lint_shuffled(fit: DecisionRows, judge: DecisionRows) -> tuple[list[Finding], dict[str, Any]]:
    """Shuffle outcomes among visits and fit: the area on `judge` must be chance."""
    codes = np.unique(np.concatenate([fit.session, judge.session]))
    outcome = np.zeros(len(codes), np.bool_)
    for rows in (fit, judge):
        outcome[np.searchsorted(codes, rows.session[rows.label])] = True
    aucs, errors = [], []
    for seed in range(_SHUFFLES):
        shuffled = np.random.default_rng(seed).permutation(outcome)
        ours, theirs = (_relabelled(rows, codes, shuffled) for rows in (fit, judge))
        if not (0 < ours.label.sum() < len(ours)):
            continue
        at_k = _one_row_a_visit(theirs)
        buyers = int(at_k.label.sum())
        if buyers < MIN_BUYERS // 2:
            continue
        aucs.append(roc_auc(at_k.label, _predict(_fit(ours, eager=True), at_k)))
        errors.append(auc_error(0.5, buyers, len(at_k) - buyers))
    if not aucs:
        return [], {}
    mean, error = float(np.mean(aucs)), float(np.mean(errors)) / np.sqrt(len(aucs))
    figures = {
        "roc_auc": round(mean, 4),
        "standard_error": round(float(error), 4),
        "shuffles": len(aucs),
    }
    if mean - 0.5 <= CHANCE_ERRORS * error:
        return [], figures
    return [_no_chance("rows to judge on", mean, error)], figures


def lint_shuffled_areas(
    shuffles: list[dict[int, tuple[float, int, int]]],
) -> tuple[list[Finding], dict[str, Any]]:
    """Judge areas by k of fits to shuffled outcomes: their mean over shuffles must be chance."""
    found = []
    figures: dict[str, Any] = {}
    for k in sorted({k for areas in shuffles for k in areas}):
        at_k = [areas[k] for areas in shuffles if k in areas and areas[k][1] >= MIN_BUYERS // 2]
        if not at_k:
            continue
        mean = float(np.mean([auc for auc, _, _ in at_k]))
        errors = [auc_error(0.5, buyers, others) for _, buyers, others in at_k]
        error = float(np.mean(errors)) / len(at_k) ** 0.5
        figures[str(k)] = {"roc_auc": round(mean, 4), "standard_error": round(error, 4)}
        if mean - 0.5 > CHANCE_ERRORS * error:
            found.append(_no_chance(f"rows to judge on, after {k} events", mean, error))
    return found, figures


def _no_chance(subject: str, mean: float, error: float) -> Finding:
    evidence = (
        f"with outcomes shuffled among visits, ROC-AUC is {mean:.3f}, "
        f"{(mean - 0.5) / error:.0f} standard errors above chance"
    )
    numbers = {"roc_auc": mean, "standard_error": error}
    return Finding("shuffled-labels", Severity.ERROR, subject, evidence, numbers)


def lint_split(fit: DecisionRows, judge: DecisionRows) -> list[Finding]:
    """Look for what both sides share: visits, points under other names, visitors, days."""
    found = []
    shared = np.intersect1d(fit.session, judge.session)
    if len(shared):
        evidence = f"{len(shared):,} visits have rows on both sides"
        found.append(_split(Severity.ERROR, "visits", evidence, len(shared)))
    copies = _copies(fit, judge)
    if copies > max(20, 0.02 * len(np.unique(judge.session))):
        evidence = f"{copies:,} visits to judge on equal a visit to fit on in every feature"
        found.append(_split(Severity.ERROR, "copied visits", evidence, copies))
    visitors = len(np.intersect1d(fit.visitor, judge.visitor))
    share = visitors / max(len(np.unique(judge.visitor)), 1)
    in_time = len(fit) and len(judge) and fit.day.max() < judge.day.min()
    if share > 0.5 and not in_time:
        evidence = f"{share:.0%} of the visitors to judge on are also fitted on, at other times"
        found.append(_split(Severity.WARNING, "visitors", evidence, visitors))
    if fit.day.any() and len(judge) and fit.day.max() > judge.day.min():
        late = int((fit.day > judge.day.min()).sum())
        evidence = f"{late:,} rows to fit on are of later days than the first to judge on"
        found.append(_split(Severity.WARNING, "days", evidence, late))
    return found


def _split(severity: Severity, subject: str, evidence: str, count: int) -> Finding:
    return Finding("split", severity, subject, evidence, {"count": count})


def lint_repeated(rows: DecisionRows) -> list[Finding]:
    """Look for decision points that the table holds more than once."""
    pairs = np.stack([rows.session, rows.events_seen], axis=1)
    distinct = len(np.unique(pairs, axis=0))
    repeated = len(rows) - distinct
    if repeated <= 0.001 * len(rows):
        return []
    evidence = f"{repeated:,} of {len(rows):,} rows repeat a visit's number of events seen"
    return [_split(Severity.WARNING, "repeated points", evidence, repeated)]


def _copies(fit: DecisionRows, judge: DecisionRows) -> int:
    # Only visits that are long enough not to be alike by chance.
    sides = [visits_at(rows, 5) for rows in (fit, judge)]
    if min(len(side) for side in sides) == 0 or len(fit.feature_names) < 8:
        return 0
    ours, theirs = ({row.tobytes() for row in side.features} for side in sides)
    return len(ours & theirs)


def lint_days(earlier: DecisionRows, later: DecisionRows) -> tuple[list[Finding], dict[str, Any]]:
    """Tell earlier days from later ones: by each feature alone, and by a small model."""
    both = [_one_row_a_visit(rows, limit=10_000) for rows in (earlier, later)]
    if min(len(rows) for rows in both) < 200:
        return [], {}
    features = np.concatenate([rows.features for rows in both])
    is_later = np.repeat([False, True], [len(rows) for rows in both])
    visitor = np.concatenate([rows.visitor for rows in both])
    days = len(np.unique(earlier.day)) + len(np.unique(later.day))
    severity = Severity.ERROR if days >= _DATE_DAYS else Severity.WARNING
    found = []
    for name, values in zip(earlier.feature_names, features.T, strict=True):
        alone = column_auc(column_of(values), is_later, visitor)
        if alone > _DATE_ALONE:
            evidence = f"alone it tells earlier days from later ones, ROC-AUC {alone:.3f}"
            if days < _DATE_DAYS:
                evidence += f"; of {days} days a weekday may do that"
            found.append(Finding("train-later", severity, name, evidence, {"roc_auc": alone}))
    half = half_of(visitor)
    trees = _train(features[~half], is_later[~half], np.ones(int((~half).sum())))
    auc = roc_auc(is_later[half], np.asarray(trees.predict(features[half], num_threads=2)))
    gain = trees.feature_importance("gain")
    top = [earlier.feature_names[i] for i in np.argsort(-gain, kind="stable")[:5] if gain[i] > 0]
    if auc > 0.8 and not found:
        evidence = f"ROC-AUC {auc:.3f} between earlier and later days; most by {', '.join(top)}"
        numbers = {"roc_auc": auc}
        found.append(Finding("train-later", Severity.WARNING, "all features", evidence, numbers))
    return found, {"roc_auc": round(auc, 4), "features_by_gain": top}


def _relabelled(rows: DecisionRows, codes: IntArray, outcome: BoolArray) -> DecisionRows:
    label = outcome[np.searchsorted(codes, rows.session)]
    return DecisionRows(
        rows.features, rows.feature_names, label, rows.events_seen,
        rows.session, rows.visitor, rows.day,
    )  # fmt: skip


def _one_row_a_visit(rows: DecisionRows, limit: int | None = None) -> DecisionRows:
    """Take one row of each visit, any, the same each time."""
    random = np.random.default_rng(5).permutation(len(rows))
    _, first = np.unique(rows.session[random], return_index=True)
    chosen = random[first]
    if limit is not None and len(chosen) > limit:
        chosen = np.random.default_rng(6).choice(chosen, limit, replace=False)
    return rows.take(np.sort(chosen))


def _fit(rows: DecisionRows, *, eager: bool = False) -> lgb.Booster:
    weight = training_weight(rows.events_seen)
    # A sample that keeps the short visits' share: points after a few numbers of events.
    chosen = np.flatnonzero(prefix_weight(rows.events_seen, rows.session, (1, 3, 5, 10, 20)) > 0)
    if len(chosen) > _FIT_ROWS:
        keep = np.random.default_rng(4).random(len(chosen)) < _FIT_ROWS / len(chosen)
        chosen = chosen[keep | rows.label[chosen]]
    return _train(rows.features[chosen], rows.label[chosen], weight[chosen], eager=eager)


def _train(
    features: npt.NDArray[np.float32], label: BoolArray, weight: FloatArray, *, eager: bool = False
) -> lgb.Booster:
    """Fit trees; eager ones have leaves so small that they learn rows by heart."""
    params = REPEATABLE | {
        "learning_rate": 0.1,
        "num_leaves": 63 if eager else 15,
        "min_data_in_leaf": 5 if eager else max(5, min(50, int(label.sum()) // 5)),
        "lambda_l2": 2.0,
        "seed": 7,
        "num_threads": 2,
        "max_bin": 63,
    }
    data = lgb.Dataset(np.ascontiguousarray(features), label.astype(np.float32), weight=weight)
    return lgb.train(params, data, _TREES)


def _predict(trees: lgb.Booster, rows: DecisionRows) -> FloatArray:
    return np.asarray(trees.predict(rows.features, num_threads=2))
