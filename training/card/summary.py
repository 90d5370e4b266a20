"""The head of the card, verdict first, and its end: intended use and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import isfinite, nan

from training.card.card import Card
from training.card.findings import find_warnings, name_counts
from training.card.parts import Part, bullets, section
from training.churn.judging import MODEL, ChurnEvaluation
from training.churn.table import NAMES
from training.evaluation import Evaluation, EvaluationRow
from training.evaluation.bootstrap import Interval
from training.evaluation.table import interval, number

_KEY_COUNTS = (1, 5, 20)
_STARTER = (
    "<p class='verdict'><b>Starter bundle.</b> Made without any data of this shop: it ranks visits"
    " by what simulated shops have in common, and its level is what the shop said. Train on the"
    " shop's own data as soon as <code>micromoment readiness</code> says that there are enough.</p>"
)


def summary_html(card: Card) -> str:
    """Compose what stands above all parts: what it is, how good it is, what to beware of."""
    verdicts = [_STARTER] if card.bundle is not None and card.bundle.starter else []
    verdicts += [
        f"<p class='verdict'><b>{name}.</b> {escape(text)}</p>"
        for name, text in (
            (
                "Conversion",
                visits_verdict(card.visits) if card.visits else _absent(card, "conversion"),
            ),
            ("Churn", churn_verdict(card.churn) if card.churn else _absent(card, "churn")),
        )
        if text
    ]
    warnings = find_warnings(card)
    return (
        f"<header><h1>{escape(card.title)}</h1><p class='muted'>{escape(_what(card))}</p>"
        f"{''.join(verdicts)}</header>{_tiles(card)}"
        + (
            "<section class='warn'><h3>Beware</h3>"
            + bullets(escape(text) for text in warnings)
            + "</section>"
            if warnings
            else ""
        )
    )


def limits_part(card: Card) -> Part | None:
    """Say what the bundle is for and what not; None for a card without a bundle."""
    bundle = card.bundle
    if bundle is None:
        return None
    uses = []
    if bundle.conversion is not None:
        uses.append(
            "To rank the visits of this shop, while they go on, by how likely an order follows, and"
            " to choose by that whom an action reaches. Probabilities may be multiplied with money"
            " where the part on calibration says that they hold."
        )
    if bundle.churn is not None:
        what = "order" if bundle.churn.target == "purchase" else "visit"
        uses.append(
            f"To tell which customers are likely to make no {what} within"
            f" {bundle.churn.horizon_days} days from now."
        )
    if bundle.clusters is not None or bundle.audiences is not None:
        uses.append("To describe visits by what they did so far, in clusters and audiences.")
    limits = [
        (
            "It predicts, it does not explain: neither a contribution nor a cluster says what would"
            " happen if one acted. What an action adds is known from an experiment with a holdout"
            " alone."
        ),
        (
            "A starter bundle: it knows nothing of this shop, neither pages, products and campaigns"
            " nor how sure its probabilities are."
            if bundle.starter
            else "It is of this shop, its pages, products and campaigns; another shop needs its own"
            " training,"
            " and this one a new one as assortment and traffic change."
        ),
        (
            "Not for prices or terms by person, for credit, work or anything else with legal effect"
            " on"
            " people. It knows behaviour only, and no group of people was compared with another."
        ),
        (
            "It says nothing after the order, and little of the first events of visitors never seen"
            " before: see the figures at 1 to 3 events."
        ),
        (
            f"A visit ends after {bundle.session_expiry_s // 60} minutes without an event; orders"
            " that"
            " come in a later visit, on another device or by telephone count as none."
        ),
    ]
    return Part(
        "limits",
        "Intended use and limits",
        section("Meant for", "", bullets(uses)) + section("Limits", "", bullets(limits)),
    )


def visits_verdict(evaluation: Evaluation) -> str:
    """Say in sentences whether the model is better than its opponents, and calibrated."""
    rows = [row for row in evaluation.rows if row.buyers]
    if not rows:
        return "No visit bought in the evaluated days: nothing can be said."
    counts = [row for row in rows if row.k is not None]
    if not evaluation.bootstrap:
        return "Evaluated without intervals: whether gains are chance cannot be said."
    logistic = _proven(counts, lambda row: row.intervals.pr_auc_ratio.low > 1)
    alone = _proven(counts, lambda row: row.intervals.pr_auc_over_alone.low > 1)
    sentences = [
        (
            f"Finds buyers better than the logistic baseline {logistic} and better than counting"
            " events"
            f" {alone}, by 95 % intervals of the ratio of PR-AUC."
        )
    ]
    wrong = [row for row in counts if excludes(row.intervals.predicted_over_observed, 1.0)]
    sentences.append(
        "The number of purchases is as predicted, within chance, at every number of events seen."
        if not wrong
        else "The number of purchases differs from the prediction beyond chance after"
        f" {name_counts(wrong)}."
    )
    return " ".join(sentences)


def churn_verdict(evaluation: ChurnEvaluation) -> str:
    """Say in sentences how the churn model compares with its baselines."""
    model = next(score for score in evaluation.scores if score.name == MODEL)
    others = [score for score in evaluation.scores if score.name != MODEL]
    beaten = [one.name for one in others if one.roc_auc_difference.low > 0]
    lost = [one.name for one in others if one.roc_auc_difference.high < 0]
    even = [one.name for one in others if one.name not in (*beaten, *lost)]
    parts = [
        f"{words} {', '.join(NAMES.get(name, name) for name in names)}"
        for words, names in (("better than", beaten), ("worse than", lost), ("on a par with", even))
        if names
    ]
    compared = f", {'; '.join(parts)} (95 % intervals)" if parts else ""
    return (
        f"ROC-AUC {number(model.pooled.roc_auc)} {interval(model.roc_auc)}{compared}. Predicted"
        " over"
        f" observed {number(model.pooled.predicted_over_observed, 2)}."
    )


def excludes(bounds: Interval, value: float) -> bool:
    """Tell whether an interval is defined and does not hold a value."""
    return isfinite(bounds.low) and not bounds.low <= value <= bounds.high


def _proven(rows: Sequence[EvaluationRow], holds: Callable[[EvaluationRow], bool]) -> str:
    good = [row for row in rows if holds(row)]
    if len(good) == len(rows):
        return "at every number of events seen"
    return f"after {name_counts(good)}" if good else "at no number of events seen"


def _absent(card: Card, model: str) -> str:
    if card.bundle is None:
        return ""
    reason = card.bundle.absent.get(model)
    return f"No model: {reason}." if reason else ""


def _what(card: Card) -> str:
    words = []
    if card.bundle is not None:
        training = card.bundle.training
        shop = card.bundle.shop
        words.append(
            f"Bundle {card.bundle.name} ({shop.currency or 'any currency'}, {shop.time_zone})"
        )
        if card.bundle.starter:
            words.append("made from simulated shops, without any data of this one")
        if training.get("first_day"):
            words.append(f"trained on {training['first_day']} to {training.get('last_day')}")
    if card.visits is not None and card.visits.first_event and card.visits.last_event:
        first, last = card.visits.first_event[:10], card.visits.last_event[:10]
        words.append(f"visits evaluated on {first} to {last} (UTC)")
    if card.churn is not None and card.churn.cuts:
        first, last = card.churn.cuts[0].cut, card.churn.cuts[-1].cut
        cuts = f"the cut {first}" if first == last else f"cuts {first} to {last}"
        words.append(f"churn evaluated at {cuts}")
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _tiles(card: Card) -> str:
    tiles = []
    for k in _KEY_COUNTS:
        row = card.visits.at(k) if card.visits else None
        if row is None or not row.buyers:
            continue
        bounds = row.intervals.pr_auc_ratio
        base = row.baseline.metrics.pr_auc
        ratio = row.model.metrics.pr_auc / base if base else nan
        tiles.append(
            _tile(
                f"PR-AUC after {k} event{'s' if k > 1 else ''}",
                f"{number(row.model.metrics.pr_auc)}",
                f"{interval(row.intervals.model_pr_auc)}; {number(ratio, 2)} times the logistic's"
                f" {interval(bounds, 2)}",
            )
        )
    every = card.visits.at(None) if card.visits else None
    if every is not None and every.buyers:
        bounds = every.intervals.predicted_over_observed
        value = number(every.model.metrics.predicted_over_observed, 2)
        tiles.append(
            _tile(
                "Predicted over observed, all points", value, f"{interval(bounds, 2)}; 1 is right"
            )
        )
    if card.churn is not None:
        model = card.churn.scores[0]
        tiles.append(
            _tile(
                f"Churn: ROC-AUC, {card.churn.horizon_days} days",
                number(model.pooled.roc_auc),
                f"{interval(model.roc_auc)}; ECE {number(model.pooled.ece)}",
            )
        )
    return f"<div class='tiles'>{''.join(tiles)}</div>" if tiles else ""


def _tile(title: str, value: str, below: str) -> str:
    return f"<div class='tile'><span>{title}</span><b>{value}</b><span>{below}</span></div>"
