"""The gate: everything that a bundle must show before it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from micromoment.errors import BundleError, NotEnoughDataError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from training.progress import Steps
from training.promotion.checks import Check, checked, failures, not_judged
from training.promotion.churn import judge_churn
from training.promotion.later import LaterDays, judge_later
from training.promotion.shape import (
    check_calibrators,
    check_features,
    check_latency,
    check_models,
    check_shop,
    check_size,
    check_step,
    check_trial,
    is_recalibrated,
)
from training.promotion.trial import TIMEOUT_S, Trial, try_bundles


@dataclass(frozen=True)
class GateRequest:
    """Which bundle, against which; None where none serves yet.

    `judged` is a bundle whose calibration alone the candidate carried on, and that was judged on
    later days already. Without `later` days there is nothing to compare on.
    """

    candidate: Path
    serving: Path | None
    later: LaterDays | None = None
    judged: Path | None = None
    timeout_s: float = TIMEOUT_S


def run_gate(request: GateRequest, steps: Steps | None = None) -> tuple[Check, ...]:
    """Look at everything that can be looked at; nothing is changed.

    The first check is whether a server could start with the bundle at all; where not, it is alone.
    """
    steps = steps or Steps()
    with steps.step("Try the bundle in a process of its own"):
        trial, other = try_bundles(request.candidate, request.serving, request.timeout_s)
    checks = check_trial(trial)
    if failures(checks):
        return tuple(checks)
    candidate = load_bundle(request.candidate)
    serving, note = _load_serving(request.serving, other)
    checks += note
    checks += [check_calibrators(candidate), check_size(trial)]
    checks.append(check_latency(trial, other if serving is not None else None))
    if serving is not None:
        compared = [
            check(candidate, serving) for check in (check_shop, check_features, check_models)
        ]
        checks += compared
        if failures(compared[:1]):
            checks.append(not_judged("later days", "another shop's rules can't be compared"))
            return tuple(checks)
    checks += _judge(request, candidate, serving, steps)
    return tuple(checks)


def _load_serving(
    folder: Path | None, trial: Trial | None
) -> tuple[LoadedBundle | None, list[Check]]:
    if folder is None or trial is None:
        return None, [not_judged("serving", "nothing serves yet: judged by itself alone")]
    if trial.error:
        # No server could start with it: that is no reason to keep it.
        return None, [not_judged("serving", f"can't be used, judged without it: {trial.error}")]
    try:
        return load_bundle(folder), []
    except BundleError as error:
        return None, [not_judged("serving", f"can't be used, judged without it: {error}")]


def _judge(
    request: GateRequest, candidate: LoadedBundle, serving: LoadedBundle | None, steps: Steps
) -> list[Check]:
    judged = load_bundle(request.judged) if request.judged is not None else serving
    if judged is None or not is_recalibrated(candidate, judged):
        return _judge_later(request.later, candidate, serving, steps)
    checks = [check_step(candidate, judged)]
    if request.later is not None:
        try:
            checks += judge_later(candidate, serving, request.later, steps)
        except NotEnoughDataError as error:  # it knows all days already, as it is meant to
            checks.append(not_judged("later days", str(error)))
    return checks


def _judge_later(
    later: LaterDays | None, candidate: LoadedBundle, serving: LoadedBundle | None, steps: Steps
) -> list[Check]:
    if later is None:
        return [_nothing_to_judge_on("no events were given", serving)]
    churn = judge_churn(candidate, serving, later, steps)
    if candidate.conversion is None:
        reason = candidate.manifest.absent.get("conversion", "")
        return [not_judged("later days", f"no conversion model: {reason}"), churn]
    compared = serving if serving is not None and serving.conversion is not None else None
    try:
        return [*judge_later(candidate, compared, later, steps), churn]
    except NotEnoughDataError as error:
        return [_nothing_to_judge_on(str(error), compared), churn]


def _nothing_to_judge_on(why: str, serving: LoadedBundle | None) -> Check:
    if serving is None:
        return not_judged("later days", why)
    finding = f"{why}: nothing compares it with {serving.tag}, which serves"
    return checked("later days", passed=False, finding=finding)
