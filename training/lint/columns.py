"""One feature at a time: does it, or its absence, know the outcome or how the visit goes on?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from training.lint.report import Finding, Severity
from training.lint.rows import KS, enough, visits_at
from training.lint.scores import Column, Purity, auc_error, column_auc, column_of, purest, roc_auc
from training.models.rows import DecisionRows

AUC_ERROR: Final = 0.95
AUC_WARNING: Final = 0.92
# The share of buyers, by its lower bound, that one value may not exceed; where most cases are
# positive, what is left of the others. The last step of a checkout reaches 0.75 or so.
PURE_ERROR: Final = 0.85
PURE_WARNING: Final = 0.7
AHEAD_ERROR: Final = 0.8
AHEAD_WARNING: Final = 0.7
_AHEAD_KS: Final = (1, 3, 5)
_AHEAD_CASES: Final = 8_000
_Z95: Final = 1.96

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def pure_limit(base: float, limit: float) -> float:
    """Give the share of positives that is too high to be true, by the base rate."""
    return max(limit, 1 - (1 - base) * (1 - limit))


def lint_columns(rows: DecisionRows) -> list[Finding]:
    """Look at every feature of visits after k events: its value's purity, its area alone."""
    worst: dict[tuple[str, str], tuple[float, Finding]] = {}
    for k in KS:
        at_k = visits_at(rows, k)
        if not enough(at_k):
            continue
        for name, values in zip(at_k.feature_names, at_k.features.T, strict=True):
            column = column_of(values)
            for weight, finding in _look_at(name, column, at_k, k):
                key = finding.check, name
                if key not in worst or weight > worst[key][0]:
                    worst[key] = weight, finding
    return [finding for _, finding in worst.values()]


def _look_at(
    name: str, column: Column, rows: DecisionRows, k: int
) -> Iterator[tuple[float, Finding]]:
    purity = purest(column, rows.label)
    base = float(rows.label.mean())
    for limit, severity in ((PURE_ERROR, Severity.ERROR), (PURE_WARNING, Severity.WARNING)):
        if purity.low > pure_limit(base, limit):
            yield purity.low, _impure(name, purity, base, k, severity)
            break
    auc = column_auc(column, rows.label, rows.visitor)
    buyers = int(rows.label.sum())
    low = auc - _Z95 * auc_error(auc, buyers, len(rows) - buyers)
    if auc > AUC_WARNING and low > 0.9:
        severity = Severity.ERROR if auc > AUC_ERROR else Severity.WARNING
        evidence = (
            f"alone it reaches ROC-AUC {auc:.3f} (lower bound {low:.3f}) after {k} events, "
            f"{buyers:,} buyers of {len(rows):,} visits"
        )
        numbers = {"roc_auc": auc, "low": low, "events_seen": k, "buyers": buyers, "n": len(rows)}
        yield auc, Finding("single-feature-auc", severity, name, evidence, numbers)


def _impure(name: str, purity: Purity, base: float, k: int, severity: Severity) -> Finding:
    evidence = (
        f"{purity.share:.1%} of the {purity.cases:,} visits where it is {purity.value} after {k} "
        f"events buy later (lower bound {purity.low:.1%}, base rate {base:.2%})"
    )
    numbers = {
        "share": purity.share,
        "low": purity.low,
        "visits": purity.cases,
        "base_rate": base,
        "events_seen": k,
    }
    return Finding("outcome-values", severity, name, evidence, numbers)


def lint_ahead(rows: DecisionRows) -> list[Finding]:
    """Correlate features after k events with what is still to come in the visit.

    What is to come is the rise, until the visit's last row, of the number of events and of every
    feature that never falls within a visit. Honest features know the past, whose rank correlation
    with the rest of the visit is small; totals of the whole visit are past plus rest.
    """
    last = _last_rows(rows)
    rising = _rising(rows)
    worst: dict[str, Finding] = {}
    for k in _AHEAD_KS:
        at_k = visits_at(_numbered(rows), k)
        if len(at_k) < 200:
            continue
        at_k = at_k.take(np.arange(len(at_k))[:_AHEAD_CASES])
        place = at_k.features[:, -1].astype(np.int64)
        end = last[at_k.session]
        names = ("number of events", *(rows.feature_names[i] for i in rising))
        rest = [rows.events_seen[end] - at_k.events_seen]
        rest += [rows.features[end, i] - rows.features[place, i] for i in rising]
        for finding in _correlated(rows, place, names, np.stack(rest, axis=1), k):
            known = worst.get(finding.subject)
            if known is None or _rho(finding) > _rho(known):
                worst[finding.subject] = finding
    return list(worst.values())


def _rho(finding: Finding) -> float:
    return float(finding.numbers["rank_correlation"])


def _numbered(rows: DecisionRows) -> DecisionRows:
    """Replace features by the row's number; float32 counts exactly to 16 million."""
    place = np.arange(len(rows), dtype=np.float32)[:, np.newaxis]
    return DecisionRows(
        np.ascontiguousarray(place), ("place",), rows.label, rows.events_seen,
        rows.session, rows.visitor, rows.day,
    )  # fmt: skip


def _last_rows(rows: DecisionRows) -> IntArray:
    order = np.lexsort((rows.events_seen, rows.session))
    last = np.zeros(int(rows.session.max(initial=-1)) + 1, np.int64)
    last[rows.session[order]] = order
    return last


def _rising(rows: DecisionRows) -> list[int]:
    order = np.lexsort((rows.events_seen, rows.session))[:200_000]
    same = rows.session[order][1:] == rows.session[order][:-1]
    steps = np.diff(rows.features[order], axis=0)[same]
    if not len(steps):
        return []
    never_falls = (np.nan_to_num(steps, nan=-1.0) >= 0).mean(axis=0) > 0.9999
    moves = (steps > 0).mean(axis=0) > 0.005
    return [int(i) for i in np.flatnonzero(never_falls & moves)]


def _correlated(
    rows: DecisionRows, place: IntArray, names: tuple[str, ...], rest: FloatArray, k: int
) -> Iterator[Finding]:
    values = rows.features[place].astype(np.float64)
    missing = np.isnan(values)
    filled = np.where(missing, -np.inf, values)
    known = _standard(rankdata(filled, axis=0))
    absent = _standard(missing.astype(np.float64))
    rich = [j for j in range(rest.shape[1]) if _rich(rest[:, j])]
    if not rich:
        return
    names = tuple(names[j] for j in rich)
    ahead = _standard(rankdata(rest[:, rich], axis=0))
    for ranks in (known, absent):
        rho = np.abs(ranks.T @ ahead) / len(place)
        for i in np.flatnonzero(rho.max(axis=1) > AHEAD_WARNING):
            j = int(rho[i].argmax())
            severity = Severity.ERROR if rho[i, j] > AHEAD_ERROR else Severity.WARNING
            evidence = (
                f"after {k} events its rank correlation with the rise of {names[j]} still to come "
                f"in the visit is {rho[i, j]:.2f}, {len(place):,} visits"
            )
            numbers = {"rank_correlation": float(rho[i, j]), "events_seen": k, "n": len(place)}
            yield Finding("looks-ahead", severity, rows.feature_names[i], evidence, numbers)


def _rich(rest: FloatArray) -> bool:
    # Whether a page is seen once more or not, the page before may tell.
    counts = np.unique(rest, return_counts=True)[1]
    return len(counts) >= 8 and counts.max() < 0.5 * len(rest)


def _standard(values: FloatArray) -> FloatArray:
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    standard: FloatArray = centred / np.where(spread > 0, spread, np.inf)
    return standard


def lint_totals(rows: DecisionRows) -> list[Finding]:
    """Look at what changes between a visitor's visits on different days.

    A total as of before the visit changes by what the visit before held. If the change tells what
    this visit holds, the total contains it.
    """
    first = visits_at(_numbered(rows), 1)
    order = np.lexsort((first.session, first.day, first.visitor))
    first = first.take(order)
    # Of several visits on one day nobody knows the order here: the pair is left out.
    pair = (first.visitor[1:] == first.visitor[:-1]) & (first.day[1:] > first.day[:-1])
    now, before = np.flatnonzero(pair) + 1, np.flatnonzero(pair)
    label = first.label[now]
    if label.sum() < 15 or (~label).sum() < 15:
        return []
    size = rows.events_seen[_last_rows(rows)][first.session].astype(np.float64)
    place = first.features[:, 0].astype(np.int64)
    found = []
    for column, name in enumerate(rows.feature_names):
        values = rows.features[place, column].astype(np.float64)
        change = np.nan_to_num(values[now]) - np.nan_to_num(values[before])
        finding = _of_change(name, change, label, size[now], size[before])
        if finding is not None:
            found.append(finding)
    return found


def _of_change(
    name: str,
    change: FloatArray,
    label: npt.NDArray[np.bool_],
    own: FloatArray,
    earlier: FloatArray,
) -> Finding | None:
    if (change == change[0]).all():
        return None
    auc = roc_auc(label, change)
    buyers = int(label.sum())
    low = auc - _Z95 * auc_error(auc, buyers, len(label) - buyers)
    purity = purest(column_of(change), label)
    if auc > AUC_ERROR and low > 0.9:
        evidence = (
            f"its change since the visitor's visit before tells this visit's outcome with ROC-AUC "
            f"{auc:.3f}, {buyers:,} buyers of {len(label):,} returning visits"
        )
        return Finding("user-totals", Severity.ERROR, name, evidence, {"roc_auc": auc, "low": low})
    if purity.low > PURE_ERROR:
        evidence = (
            f"{purity.share:.1%} of the {purity.cases:,} returning visits where its change since "
            f"the visit before is {purity.value} buy later"
        )
        numbers = {"share": purity.share, "low": purity.low}
        return Finding("user-totals", Severity.ERROR, name, evidence, numbers)
    this = _rank_correlation(change, own)
    that = _rank_correlation(change, earlier)
    if this > AHEAD_WARNING and this > 1.5 * that:
        severity = Severity.ERROR if this > AHEAD_ERROR else Severity.WARNING
        evidence = (
            f"its change since the visitor's visit before follows this visit's number of events "
            f"(rank correlation {this:.2f}) rather than that visit's ({that:.2f})"
        )
        return Finding("user-totals", severity, name, evidence, {"this": this, "before": that})
    return None


def _rank_correlation(one: FloatArray, other: FloatArray) -> float:
    ranks = _standard(rankdata(np.stack([one, other], axis=1), axis=0))
    return float(abs(ranks[:, 0] @ ranks[:, 1]) / len(one))
