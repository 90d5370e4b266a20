"""What a starter bundle is worth in a real shop, beside models of the shop's own first days.

    python -m benchmarks.starter EVENTS [--bundle NAME:VERSION] [--store FOLDER] [--from 2021-01-04]
        [--time-zone America/Los_Angeles] [--own-days 1 3 7 16] [--replicates 200]

EVENTS is a folder of events. Scored are visits from the day `--from` on, before their first order,
by the starter, and by logistic regressions on counts (the usual baseline) and LightGBM on the same
portable features, both fitted on the shop's own last N days before. "Days known" is the starter
recalibrated on them. The base rate is the share of buyers at each number of events. Intervals are
by visitor.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from micromoment.events.shop import Shop
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.stores.bundles import default_bundle_store, find_bundle
from training.evaluation.bootstrap import paired_intervals
from training.evaluation.metrics import log_loss, measure
from training.event_files import event_days
from training.models.baseline import BASELINE_FEATURES, fit_baseline
from training.models.calibration_track import CALIBRATION_KS, DayOutcomes
from training.models.conversion import Growth, fit_conversion
from training.models.rows import DecisionRows
from training.models.weights import at_counts
from training.pipeline.plain_rows import plain_rows
from training.publishing.bundle import read_calibration
from training.replay.run import ReplaySettings
from training.starter.model import PARAMS

KS = (1, 2, 3, 5, 10, 20)
# Trees of a shop's own few days: few and small, so that they don't learn its visits by heart.
OWN = Growth(60, 0.05, 60, ())

FloatArray = npt.NDArray[np.float64]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path)
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2021, 1, 4))
    parser.add_argument("--time-zone", default="America/Los_Angeles")
    parser.add_argument("--own-days", type=int, nargs="*", default=[1, 3, 7, 16])
    parser.add_argument("--replicates", type=int, default=200)
    given = parser.parse_args()
    bundle = load_bundle(find_bundle(given.store or default_bundle_store(), given.bundle))
    with TemporaryDirectory() as temporary:
        settings = ReplaySettings(Shop("", given.time_zone), workers=2)
        rows = plain_rows(event_days(given.events), Path(temporary), settings).rows
    first = given.first.toordinal()
    later = rows.take((rows.day >= first) & ~np.isin(rows.session, rows.session[rows.day < first]))
    scores = {"starter": starter_scores(bundle, later)}
    for days in given.own_days:
        begin = (given.first - timedelta(days=days)).toordinal()
        own = rows.take((rows.day >= begin) & (rows.day < first))
        scores[f"starter, {days} days known"] = recalibrated_scores(bundle, own, later)
    for days in given.own_days:
        begin = (given.first - timedelta(days=days)).toordinal()
        own = rows.take((rows.day >= begin) & (rows.day < first))
        baseline, _ = fit_baseline(own)
        scores[f"logistic, {days} own days"] = baseline.probabilities(
            later.columns(BASELINE_FEATURES)
        )
        scores[f"LightGBM, {days} own days"] = own_scores(bundle, own, later)
    for k in KS:
        _print(k, later, scores, given.replicates)


def starter_scores(bundle: LoadedBundle, rows: DecisionRows) -> FloatArray:
    """Give the bundle's probabilities of n rows."""
    model = bundle.conversion
    assert model is not None, "the bundle has no conversion model"
    raw = model.trees.raw_scores(rows.only(model.feature_names).features)
    return np.array(model.calibrator.probabilities(raw.tolist(), rows.events_seen.tolist()))


def recalibrated_scores(bundle: LoadedBundle, own: DecisionRows, rows: DecisionRows) -> FloatArray:
    """Give the probabilities of n rows after `micromoment recalibrate` on the shop's own days."""
    model, track = bundle.conversion, read_calibration(bundle.path)
    assert model is not None
    assert track is not None
    own = own.take(at_counts(own.events_seen, own.session, CALIBRATION_KS))
    raw = np.asarray(model.trees.raw_scores(own.only(model.feature_names).features))
    for day in np.unique(own.day):
        at = own.day == day
        track = track.after(DayOutcomes(raw[at], own.label[at], own.events_seen[at]))
    later = model.trees.raw_scores(rows.only(model.feature_names).features)
    return np.array(track.calibrator.probabilities(later.tolist(), rows.events_seen.tolist()))


def own_scores(bundle: LoadedBundle, own: DecisionRows, rows: DecisionRows) -> FloatArray:
    """Give n rows' probabilities by trees of the shop's own days on the starter's features."""
    assert bundle.conversion is not None
    names = bundle.conversion.feature_names
    trees = LightGbmModel(fit_conversion(own.only(names), OWN, PARAMS), len(names))
    raw = np.asarray(trees.raw_scores(rows.only(names).features))
    trees.close()
    return np.asarray(1 / (1 + np.exp(-raw)))


def _print(k: int, rows: DecisionRows, scores: dict[str, FloatArray], replicates: int) -> None:
    at = at_counts(rows.events_seen, rows.session, (k,))
    label, visitor = rows.label[at], rows.visitor[at]
    rate = np.full(len(label), label.mean())
    print(
        f"\n{k} events: {len(label):,} visits, {int(label.sum())} buy; base rate: log loss "
        f"{log_loss(label, rate):.4f}, PR-AUC {label.mean():.4f}"
    )
    starter = scores["starter"][at]
    for name, every in scores.items():
        one = every[at]
        found = measure(label, one)
        text = (
            f"  {name:24} ROC-AUC {found.roc_auc:.3f} PR-AUC {found.pr_auc:.4f} log loss "
            f"{found.log_loss:.4f} predicted/observed {found.predicted_over_observed:.2f} "
            f"slope {found.calibration_slope:.2f}"
        )
        if name != "starter":
            rng = np.random.default_rng(1)
            paired = paired_intervals(label, starter, one, visitor, replicates, rng)
            ratio = measure(label, starter).pr_auc / found.pr_auc
            bounds = paired.pr_auc_ratio
            text += f"; starter's PR-AUC over it {ratio:.2f} [{bounds.low:.2f}, {bounds.high:.2f}]"
        print(text)


if __name__ == "__main__":
    main()
