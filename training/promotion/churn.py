"""Candidate and serving bundle's churn at later cuts, on the same customers."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.bundle import LoadedBundle
from training.churn.judging import ChurnEvaluation
from training.progress import Steps
from training.promotion.checks import Check, checked, not_judged
from training.promotion.later import LaterDays, last_known

_NAME: Final = "churn"


def judge_churn(
    candidate: LoadedBundle, serving: LoadedBundle | None, later: LaterDays, steps: Steps
) -> Check:
    """Compare the order of customers; windows of churn are long, so often no later one is over."""
    # Of training.pipeline, which must be imported first: the two use each other.
    from training.churn.evaluate import ChurnRequest, evaluate_churn  # noqa: PLC0415

    if candidate.churn is None:
        reason = candidate.manifest.absent.get("churn", "")
        return not_judged(_NAME, f"no churn model: {reason}")
    if serving is None or serving.churn is None:
        return not_judged(_NAME, "nothing serves to compare with")
    if serving.churn.horizon_days != candidate.churn.horizon_days:
        return not_judged(
            _NAME,
            f"of {candidate.churn.horizon_days} days, in serving of {serving.churn.horizon_days}: "
            "can't be compared",
        )
    first = later.first or last_known(candidate, serving) + timedelta(days=1)
    request = ChurnRequest(
        bundle=candidate.path,
        events=later.events,
        first_day=first,
        last_day=later.last,
        ids=later.ids,
        bootstrap=later.bootstrap,
        rival=serving.path,
    )
    try:
        return _compare(evaluate_churn(request, steps), later.min_buyers)
    except NotEnoughDataError as error:
        return not_judged(_NAME, str(error))


def _compare(found: ChurnEvaluation, least: int) -> Check:
    if min(found.churned, found.n - found.churned) < least:
        return not_judged(_NAME, f"{found.churned} of {found.n} churned, too few to tell")
    ours = found.scores[0]
    theirs = next(one for one in found.scores if one.name == "rival")
    bounds = theirs.roc_auc_difference
    finding = (
        f"ROC-AUC {ours.pooled.roc_auc:.3f}, serving {theirs.pooled.roc_auc:.3f}: "
        f"difference [{bounds.low:+.3f}, {bounds.high:+.3f}], {found.n:,} customers at cuts"
    )
    difference = ours.pooled.roc_auc - theirs.pooled.roc_auc
    return checked(_NAME, not bounds.high < 0, finding, roc_auc_difference=difference)
