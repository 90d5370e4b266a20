"""Why a score is what it is: contributions of features, one for each group of like ones.

SHAP values of the trees (Lundberg et al. 2018, "path-dependent"), times the calibrator's slope:
base and contributions add up to the log-odds of the calibrated probability. Which one of several
correlated features gets the credit is an accident of the trees, so the catalogue's groups are
summed. The groups are declared and not found in data, so that a reason's id means the same over
retrainings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.scoring.calls import Explanation, Reason
from micromoment.scoring.models import CalibratedModel, ChurnModel, Float32Array

MAX_REASONS: Final = 5
# In log-odds: less changes a probability by one percentage point at most, and is no reason.
_LEAST: Final = 0.04
# A group's second feature is told, too, where it contributes half as much as the first.
_WORTH_TELLING: Final = 0.5
_SPECS: Final = {spec.name: spec for spec in SESSION_FEATURES}

# A feature's contribution, its name and its value.
_Part = tuple[float, str, float]


def explain(model: CalibratedModel, row: Float32Array, currency: str) -> Explanation:
    """Explain the probability of one row of the bundle's features, shape (n,).

    Money is worded in `currency`, "" for any.
    """
    slope, intercept = model.calibrator.slope, model.calibrator.intercept
    base, parts = _of_trees(model, row, slope)
    return _in_groups(base + intercept, parts, currency)


def explain_churn(model: ChurnModel, row: Float32Array, currency: str) -> Explanation:
    """Explain the churn of one eligible row of the bundle's features, shape (n,).

    What BG/NBD says of the customer's orders beyond what it says of the shop's customers on the
    mean counts with their recency, what the season does to it with the day of the year.
    """
    if model.orders is None:
        return explain(model.model, row, currency)
    slope, intercept = model.model.calibrator.slope, model.model.calibrator.intercept
    said = model.order_parts(row)
    base, parts = _of_trees(model.model, row, slope * (1.0 - said.share))
    parts.append((slope * said.share * said.beyond_typical, *said.recency))
    parts.append((slope * said.season, *said.year_day))
    return _in_groups(base + intercept + slope * said.share * said.typical, parts, currency)


def _of_trees(model: CalibratedModel, row: Float32Array, scale: float) -> tuple[float, list[_Part]]:
    own = row[model.index]
    contributions = (scale * model.trees.contributions(own)).tolist()
    base: float = contributions.pop()
    return base, list(zip(contributions, model.feature_names, own.tolist(), strict=True))


def _in_groups(base: float, parts: Iterable[_Part], currency: str) -> Explanation:
    groups: dict[str, list[_Part]] = {}
    for part in parts:
        groups.setdefault(_SPECS[part[1]].group, []).append(part)
    sums = {group: sum(part[0] for part in parts) for group, parts in groups.items()}
    counting = (group for group in sums if abs(sums[group]) >= _LEAST)
    shown = sorted(counting, key=lambda group: -abs(sums[group]))[:MAX_REASONS]
    other = sum(total for group, total in sums.items() if group not in shown)
    reasons = tuple(_reason(group, sums[group], groups[group], currency) for group in shown)
    return Explanation(base=base, reasons=reasons, other=other)


def _reason(group: str, total: float, parts: Iterable[_Part], currency: str) -> Reason:
    agreeing = sorted(
        (part for part in parts if part[0] * total > 0), key=lambda part: -abs(part[0])
    )
    (most, feature, value), *rest = agreeing
    sentence = _sentence(feature, value, currency)
    if rest and abs(rest[0][0]) >= _WORTH_TELLING * abs(most):
        second = _sentence(*rest[0][1:], currency)
        if second != sentence:
            sentence = f"{sentence}; {second[0].lower()}{second[1:]}"
    known = value == value  # noqa: PLR0124 - NaN alone is not
    return Reason(group, feature, value if known else None, total, sentence)


def _sentence(feature: str, value: float, currency: str) -> str:
    return _SPECS[feature].says(value, currency)
