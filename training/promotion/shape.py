"""What a bundle is, beside the one that serves: shop, models, size, time of an answer."""

from __future__ import annotations

from math import isfinite
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import EXPECTED_FILE
from micromoment.scoring.manifest import Manifest
from training.promotion.checks import Check, checked, not_judged
from training.promotion.trial import Trial
from training.publishing.bundle import CALIBRATION_FILE

# 300 trees of 31 leaves: what one answer may cost.
MOST_LEAVES: Final = 9_300
LARGEST_BYTES: Final = 64_000_000
# A shared core is no laboratory: well above what two runs of one bundle differ by.
SLOWEST_RATIO: Final = 1.5
SLOWEST_US: Final = 2_000.0
# The longest step of calibration between trainings, in log-odds: odds twice or half as high.
LONGEST_STEP: Final = float(np.log(2))
_MODELS: Final = ("conversion", "churn", "clusters", "audiences")
_OF_CALIBRATION: Final = (CALIBRATION_FILE, EXPECTED_FILE)
_NO_CALIBRATION: Final = dict.fromkeys(("slope", "intercept", "deep_slope", "deep_intercept"), 0.0)


def check_trial(trial: Trial) -> list[Check]:
    """Judge whether a server could start with it."""
    if trial.error:
        return [checked("loads", passed=False, finding=trial.error)]
    answers = f"{trial.golden_answers} answers of its golden sessions are as expected"
    return [checked("loads", passed=True, finding=answers, answers=trial.golden_answers)]


def check_shop(candidate: LoadedBundle, serving: LoadedBundle) -> Check:
    """Judge whether it counts as the serving one does: money, days, visits."""
    ours, theirs = candidate.manifest, serving.manifest
    pairs = {
        "currency": (ours.shop.currency, theirs.shop.currency),
        "time zone": (ours.shop.time_zone, theirs.shop.time_zone),
        "session expiry": (ours.session_expiry_s, theirs.session_expiry_s),
        "clock skew": (ours.max_clock_skew_s, theirs.max_clock_skew_s),
        "publish lag": (ours.publish_lag_s, theirs.publish_lag_s),
    }
    wrong = [f"{name}: {a!r}, serving {b!r}" for name, (a, b) in pairs.items() if a != b]
    finding = "; ".join(wrong) or "currency, time zone and the rules of visits are those of serving"
    return checked("shop", not wrong, finding)


def check_features(candidate: LoadedBundle, serving: LoadedBundle) -> Check:
    """Say which features come and go; that this code knows them all is part of loading."""
    ours, theirs = set(candidate.feature_names), set(serving.feature_names)
    new, gone = len(ours - theirs), len(theirs - ours)
    finding = f"{len(ours)} features, all known to this code: {new} new, {gone} gone"
    return checked("features", passed=True, finding=finding, features=len(ours))


def check_models(candidate: LoadedBundle, serving: LoadedBundle) -> Check:
    """Judge whether it answers everything that the serving one does."""
    missing = [
        f"{name} ({candidate.manifest.absent.get(name, 'no reason given')})"
        for name in _MODELS
        if getattr(serving, name) is not None and getattr(candidate, name) is None
    ]
    if missing:
        return checked(
            "models", passed=False, finding="serving has, this lacks: " + "; ".join(missing)
        )
    ours, theirs = candidate.churn, serving.churn
    if ours is not None and theirs is not None and ours.target != theirs.target:
        finding = f"churn is of {ours.target}, in serving of {theirs.target}"
        return checked("models", passed=False, finding=finding)
    return checked("models", passed=True, finding="nothing that is served goes missing")


def check_calibrators(candidate: LoadedBundle) -> Check:
    """Judge whether higher scores stay higher: a calibrator that turns them round is broken."""
    calibrators: dict[str, PlattCalibrator] = {}
    if candidate.conversion is not None:
        both = candidate.conversion.calibrator
        calibrators = {"conversion": both.first, "conversion, deep": both.deep}
    if candidate.churn is not None:
        calibrators["churn"] = candidate.churn.model.calibrator
    wrong = [
        f"{name}: slope {one.slope:g}, intercept {one.intercept:g}"
        for name, one in calibrators.items()
        if not (one.slope > 0 and isfinite(one.slope) and isfinite(one.intercept))
    ]
    finding = "; ".join(wrong) or "slopes are above 0"
    return checked("calibrators", not wrong, finding)


def check_size(trial: Trial) -> Check:
    """Judge the bundle's size: leaves of its largest model, bytes of all files."""
    finding = (
        f"{trial.trees} trees with {trial.leaves:,} leaves (at most {MOST_LEAVES:,}), "
        f"{trial.size / 1e6:.1f} MB (at most {LARGEST_BYTES / 1e6:.0f})"
    )
    fits = trial.leaves <= MOST_LEAVES and trial.size <= LARGEST_BYTES
    return checked("size", fits, finding, leaves=trial.leaves, bytes=trial.size)


def check_latency(trial: Trial, serving: Trial | None) -> Check:
    """Judge the time of an answer, beside the serving bundle's in the same process."""
    if not isfinite(trial.answer_us):
        return not_judged("latency", "was not measured, as serving could not be loaded beside it")
    finding = f"{trial.answer_us:.0f} us an answer (at most {SLOWEST_US:.0f})"
    if serving is None:
        fits = trial.answer_us <= SLOWEST_US
        return checked("latency", fits, finding, answer_us=trial.answer_us)
    ratio = trial.answer_us / serving.answer_us
    finding += f", {ratio:.2f} of serving's (at most {SLOWEST_RATIO})"
    fits = trial.answer_us <= SLOWEST_US and ratio <= SLOWEST_RATIO
    return checked("latency", fits, finding, answer_us=trial.answer_us, ratio=ratio)


def is_recalibrated(candidate: LoadedBundle, judged: LoadedBundle) -> bool:
    """Whether the two differ in the conversion's calibration alone: all else is the same."""
    return _without_calibration(candidate.manifest) == _without_calibration(judged.manifest)


def _without_calibration(manifest: Manifest) -> Manifest:
    files = {name: one for name, one in manifest.files.items() if name not in _OF_CALIBRATION}
    conversion = manifest.conversion and manifest.conversion.model_copy(update=_NO_CALIBRATION)
    return manifest.model_copy(update={"files": files, "conversion": conversion, "training": {}})


def check_step(candidate: LoadedBundle, judged: LoadedBundle) -> Check:
    """Judge how far a calibration moved, on the golden sessions that both bundles hold."""
    moved = _log_odds(candidate) - _log_odds(judged)
    step = float(np.nanmean(moved)) if np.isfinite(moved).any() else 0.0
    finding = (
        f"models are those of {judged.tag}; calibration moved by {step:+.3f} log-odds "
        f"(at most {LONGEST_STEP:.2f})"
    )
    return checked("calibration step", abs(step) <= LONGEST_STEP, finding, step=step)


def _log_odds(bundle: LoadedBundle) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    column = pq.read_table(bundle.path / EXPECTED_FILE, columns=["conversion"])["conversion"]
    probability = np.clip(column.to_numpy().astype(np.float64), 1e-12, 1 - 1e-12)
    odds: np.ndarray[tuple[int], np.dtype[np.float64]] = np.log(probability / (1 - probability))
    return odds
