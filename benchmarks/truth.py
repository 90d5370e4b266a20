"""How much training recovers of the probabilities that a simulated shop was made from.

    python -m benchmarks.truth [--days N] [--sessions-per-day N] [--test-days N] [--conversion P]
        [--seed N] [--lessons N] [--rollouts N] [--keep FOLDER]

A shop is simulated, imported and trained on; its later days are scored. The true probabilities know
traits and moods that no event shows, so nobody reaches them. What can be reached is their mean over
all shoppers who would have shown the same. A reference learns it from the true probabilities, which
are free of the outcomes' luck, of many more visits to the same shop, and from what the simulator
says was shown, past importer, reducer and feature store. Ratios of PR-AUC are to that reference:
they tell what the features, the finite data and the model lose. Intervals are by visitor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from micromoment.scoring.bundle import load_bundle
from training.evaluation.bootstrap import Interval, paired_intervals
from training.evaluation.metrics import measure
from training.evaluation.reliability import calibration_slope
from training.event_files import event_days
from training.importers.ga4 import import_ga4
from training.pipeline import TrainRequest, train
from training.pipeline.score import score_days
from training.simulator import (
    DecisionPoints,
    ShopConfig,
    SimulatedShop,
    observables,
    point_keys,
    simulate,
    true_conversion,
    write_ga4_export,
)
from training.simulator.shopping.rhythm import DAY_US

BATCHES: Final = (1, 2, 3, 5, 8, 12, 20)
_TAILS: Final = (0.025, 0.975)
_HIDDEN_SHARE: Final = 0.1
_TREES: Final = 150
_REFERENCE: Final = {
    "objective": "cross_entropy",
    "learning_rate": 0.06,
    "num_leaves": 63,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.7,
    "lambda_l2": 2.0,
    "seed": 1,
    "num_threads": 2,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Study:
    """A shop, how many of its last days are judged, and what the reference learns from.

    `lessons` are decision points with true probabilities, by `rollouts` futures each, of a
    simulation with `traffic` times as many sessions over the days before.
    """

    shop: ShopConfig
    test_days: int = 6
    lessons: int = 100_000
    rollouts: int = 30
    traffic: int = 3

    @property
    def train_days(self) -> int:
        """The days that training sees."""
        return self.shop.days - self.test_days


@dataclass(frozen=True)
class Recovery:
    """PR-AUC of model and baseline over the reference's, and the model's calibration slope."""

    name: str
    n: int
    buyers: int
    reference_pr_auc: float
    model: float
    model_interval: Interval
    baseline: float
    baseline_interval: Interval
    slope: float
    slope_interval: Interval


def judged_points(study: Study, folder: Path) -> pd.DataFrame:
    """Simulate, import, train, score, and ask the reference; files go to `folder`.

    One row per decision point of the last days. Columns: visitor_id, batch (counted from 1 in a
    session), label, reference, conversion, baseline, and truth, NaN for nine points of ten.
    """
    shop = simulate(study.shop)
    points = _last_days(study, shop)
    shown = point_keys(shop, points).to_pandas()
    sample = np.random.default_rng(0).random(len(points)) < _HIDDEN_SHARE
    truth = np.full(len(points), np.nan)
    truth[sample] = true_conversion(shop, points.take(sample), 4 * study.rollouts)
    known = pd.DataFrame(
        {
            "session_id": shown["user_pseudo_id"] + "." + shown["ga_session_id"].astype(str),
            "event_time": pd.to_datetime(shown["event_timestamp"], unit="us", utc=True),
            "batch": points.step,
            "reference": _reference(study).predict(observables(shop, points)),
            "truth": truth,
        }
    )
    scored = _score(study, folder)
    scored = scored[scored["batch_last"] & ~scored["converted"] & ~scored["after_order"]]
    scored = scored.assign(event_time=scored["event_time"].astype(known["event_time"].dtype))
    joined = scored.merge(known, on=["session_id", "event_time"], validate="one_to_one")
    if len(joined) != len(known):
        raise ValueError(f"{len(known) - len(joined)} of {len(known)} points were not scored")
    return joined


def judge(points: pd.DataFrame, name: str = "all", replicates: int = 300) -> Recovery:
    """Compare model and baseline with the reference on these points."""
    label = points["label"].to_numpy(np.bool_)
    visitor = pd.factorize(points["visitor_id"])[0].astype(np.int64)
    best, model, baseline = (
        points[column].to_numpy(np.float64) for column in ("reference", "conversion", "baseline")
    )
    model_interval, baseline_interval = (
        paired_intervals(
            label, scores, best, visitor, replicates, np.random.default_rng(0)
        ).pr_auc_ratio
        for scores in (model, baseline)
    )
    reference_pr_auc = measure(label, best).pr_auc
    return Recovery(
        name=name,
        n=len(points),
        buyers=int(label.sum()),
        reference_pr_auc=reference_pr_auc,
        model=measure(label, model).pr_auc / reference_pr_auc,
        model_interval=model_interval,
        baseline=measure(label, baseline).pr_auc / reference_pr_auc,
        baseline_interval=baseline_interval,
        slope=measure(label, model).calibration_slope,
        slope_interval=_slope_interval(label, model, visitor, replicates),
    )


def _last_days(study: Study, shop: SimulatedShop) -> DecisionPoints:
    points = shop.decision_points()
    first_us = study.shop.end_us - study.test_days * DAY_US
    return points.take(shop.sessions["start_us"][points.session] >= first_us)


def _reference(study: Study) -> lgb.Booster:
    """Learn the true probabilities' mean given what was shown, on the days that training sees."""
    busier = replace(
        study.shop,
        days=study.train_days,
        sessions_per_day=study.traffic * study.shop.sessions_per_day,
    )
    shop = simulate(busier)
    points = shop.decision_points()
    chosen = np.random.default_rng(1).permutation(len(points))[: study.lessons]
    points = points.take(np.sort(chosen))
    truth = true_conversion(shop, points, study.rollouts)
    return lgb.train(_REFERENCE, lgb.Dataset(observables(shop, points), truth), _TREES)


def _score(study: Study, folder: Path) -> pd.DataFrame:
    write_ga4_export(study.shop, folder / "export")
    import_ga4(folder / "export", folder / "events")
    first_day = study.shop.day(study.train_days)
    request = TrainRequest(
        events=folder / "events",
        workspace=folder / "features",
        until=first_day - timedelta(days=1),
        store=folder / "store",
    )
    name, version = train(request).tag.split(":")
    bundle = load_bundle(folder / "store" / name / version)
    scores: pd.DataFrame = score_days(bundle, event_days(folder / "events"), first_day).to_pandas()
    return scores


def _slope_interval(
    label: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    visitor: npt.NDArray[np.int64],
    replicates: int,
) -> Interval:
    rng = np.random.default_rng(0)
    n_visitors = int(visitor.max()) + 1
    slopes = np.empty(replicates)
    for replicate in range(replicates):
        drawn = np.bincount(rng.integers(0, n_visitors, n_visitors), minlength=n_visitors)
        slopes[replicate] = calibration_slope(label, scores, drawn[visitor].astype(np.float64))
    low, high = np.nanquantile(slopes, _TAILS)
    return Interval(float(low), float(high))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    given = _parser().parse_args(arguments)
    shop = ShopConfig(
        seed=given.seed,
        days=given.days,
        sessions_per_day=given.sessions_per_day,
        target_conversion=given.conversion,
    )
    study = Study(shop, given.test_days, given.lessons, given.rollouts)
    with TemporaryDirectory() as temporary:
        points = judged_points(study, given.keep or Path(temporary))
    hidden = points[points["truth"].notna()]
    label = hidden["label"].to_numpy(np.bool_)
    print(f"PR-AUC at {len(hidden):,} points:", end="")
    for column in ("truth", "reference", "conversion", "baseline"):
        print(f" {column} {measure(label, hidden[column].to_numpy()).pr_auc:.3f}", end="")
    print(f"\n{'batch':>5} {'n':>7} {'buyers':>6} {'reference':>9}  ", end="")
    print(f"{'model / reference':<23}{'baseline / reference':<23}calibration slope")
    _print(judge(points))
    for batch in BATCHES:
        _print(judge(points[points["batch"] == batch], str(batch)))


def _print(row: Recovery) -> None:
    parts = (
        (row.model, row.model_interval),
        (row.baseline, row.baseline_interval),
        (row.slope, row.slope_interval),
    )
    cells = "  ".join(f"{value:.3f} [{span.low:.3f}, {span.high:.3f}]" for value, span in parts)
    print(f"{row.name:>5} {row.n:>7,} {row.buyers:>6,} {row.reference_pr_auc:>9.3f}  {cells}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=24)
    parser.add_argument("--sessions-per-day", type=int, default=1_500)
    parser.add_argument("--test-days", type=int, default=6)
    parser.add_argument("--conversion", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lessons", type=int, default=100_000)
    parser.add_argument("--rollouts", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="empty folder for the files")
    return parser


if __name__ == "__main__":
    main()
