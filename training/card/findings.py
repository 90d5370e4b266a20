"""What a reader must know before believing a card, found in its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

from training.card.card import Card
from training.card.lint import lint_report
from training.churn.judging import ChurnEvaluation
from training.drift.psi import SHIFTED
from training.evaluation import Evaluation, EvaluationRow

LOW: Final = 0.8
HIGH: Final = 1.25
FEW_BUYERS: Final = 100
LEAK_ROC_AUC: Final = 0.95


def find_warnings(card: Card) -> list[str]:
    """Give the warnings as sentences, the gravest first; none where all is well."""
    found = _overlap(card)
    if card.visits is not None:
        found += _of_visits(card.visits)
    if card.churn is not None:
        found += _of_churn(card.churn)
    found = [*_leaks(card), *found]
    moved = [one.name for one in card.shifts if one.psi > SHIFTED]
    if moved:
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        found.append(
            f"Moved since training (PSI above {SHIFTED}): {len(moved)} of {len(card.shifts)}"
            f" features, {', '.join(moved[:3])}{more}."
        )
    if card.score_shift is not None and card.score_shift.psi > SHIFTED:
        found.append(f"The score itself has moved since training: PSI {card.score_shift.psi:.2f}.")
    return found


def _leaks(card: Card) -> list[str]:
    findings = lint_report(card).get("findings", ())
    errors = sorted({one["check"] for one in findings if one["severity"] == "error"})
    if errors:
        return [
            (
                "Leaks were found in training and acknowledged: "
                f"{', '.join(errors)}. Figures may be too good; see the part on leaks."
            )
        ]
    return ["The leak linter has warnings: see the part on leaks."] if findings else []


def _overlap(card: Card) -> list[str]:
    training = card.bundle.training if card.bundle else {}
    day = card.population.first_day if card.population else None
    first = day.isoformat() if day else ""
    if first and first <= str(training.get("last_day", "")):
        last = training["last_day"]
        return [f"The evaluated days begin {first}, training ends {last}: figures are too good."]
    for known in ("calibrated_until", "tables_until"):
        if first and first <= str(training.get(known, "")):
            return [
                (
                    f"The evaluated days begin {first}, and the bundle knows outcomes until"
                    f" {training[known]} ({known}): figures of the calibration are too good."
                )
            ]
    return []


def _of_visits(evaluation: Evaluation) -> list[str]:
    rows = [row for row in evaluation.rows if row.buyers and row.k is not None]
    checks: tuple[tuple[Callable[[EvaluationRow], bool], str], ...] = (
        (
            lambda row: row.model.metrics.roc_auc > LEAK_ROC_AUC,
            "ROC-AUC above 0.95 after {}: a leak until shown otherwise.",
        ),
        (
            lambda row: row.intervals.log_loss_over_alone.high > 1,
            "Log loss is not proven to be below that of the base rate after {}.",
        ),
        (
            lambda row: row.intervals.pr_auc_ratio.low <= 1,
            "No proof of a gain over the logistic baseline after {}: the interval holds 1.",
        ),
        (
            lambda row: _is_off(row.model.metrics.predicted_over_observed),
            f"Predicted over observed purchases lie outside {LOW} to {HIGH} after {{}}.",
        ),
        (
            lambda row: _is_off(row.model.metrics.calibration_slope),
            f"The calibration slope lies outside {LOW} to {HIGH} after {{}}.",
        ),
        (
            lambda row: row.model.metrics.ece > row.model.ece_floor.high,
            "Calibration error above what chance explains after {}.",
        ),
        (
            lambda row: row.buyers < FEW_BUYERS,
            f"Fewer than {FEW_BUYERS} buyers after {{}}: figures there are rough.",
        ),
    )
    found = []
    for holds, text in checks:
        rows_found = [row for row in rows if holds(row)]
        if rows_found:
            found.append(text.format(name_counts(rows_found)))
    return found


def _of_churn(evaluation: ChurnEvaluation) -> list[str]:
    found = []
    model = evaluation.scores[0].pooled
    if _is_off(model.predicted_over_observed):
        found.append(
            f"Churn: predicted over observed is {model.predicted_over_observed:.2f}, outside"
            f" {LOW} to {HIGH}."
        )
    if len(evaluation.cuts) == 1:
        found.append("Churn is judged at a single cut: what it says of other weeks is not known.")
    return found


def _is_off(value: float) -> bool:
    return isfinite(value) and not LOW <= value <= HIGH


def name_counts(rows: Sequence[EvaluationRow]) -> str:
    """Name the numbers of events of one row or more: "1, 3 and 5 events"."""
    names = [row.name for row in rows]
    if names == ["1"]:
        return "1 event"
    return f"{', '.join(names[:-1])} and {names[-1]} events" if names[1:] else f"{names[0]} events"
