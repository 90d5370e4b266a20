"""How long clusters and audiences take for one decision point.

    python -m benchmarks.segments [--rounds N]

The default audiences are evaluated on random vectors, beside one prediction by a LightGBM model of
300 trees with 31 leaves on as many features, the baseline of the ratios. Rounds go in turn. Prints
CPU microseconds a decision point as median [min, max] over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import lightgbm as lgb
import numpy as np

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import Audiences, PointFacts
from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Clusters, Dimension
from micromoment.scoring.lifecycle import lifecycle_of
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.scoring.manifest import LifecycleRecord
from micromoment.scoring.settling import Assignment, settle
from training.segments.clusters import FEATURES
from training.segments.definitions import DEFAULT_AUDIENCES, read_definitions

POINTS = 2_000
PLACES = {name: place for place, name in enumerate(FEATURE_NAMES)}
FACTS = PointFacts(
    conversion=0.1,
    abandonment=0.9,
    churn=None,
    converted=False,
    stage="decide",
    lifecycle="engaged",
    cluster="bouncers",
)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    random = np.random.default_rng(1)
    rows = random.gamma(1.0, 3.0, (POINTS, len(FEATURE_NAMES))).astype(np.float32)
    works = _works(rows)
    for work in works.values():  # compiled before the clock runs
        work(0)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(given.rounds):
        for name, work in works.items():
            start = time.process_time()
            for place in range(POINTS):
                work(place)
            seconds[name].append((time.process_time() - start) / POINTS)
    _print(seconds)


def _works(rows: np.ndarray) -> dict[str, Callable[[int], object]]:
    definitions = read_definitions(DEFAULT_AUDIENCES, FEATURE_NAMES)
    limits = {name: limit.default for name, limit in definitions.limits.items()}
    audiences = Audiences(definitions.with_limits(limits), FEATURE_NAMES)
    trees, clusters = _trees(rows), _clusters()
    lists, rules = rows.tolist(), LifecycleRecord()
    return {
        "LightGBM, 300 trees (baseline)": lambda at: trees.raw_score(rows[at]),
        "cluster of 4": lambda at: clusters.numbers(rows[at : at + 1]),
        "lifecycle": lambda at: lifecycle_of(lists[at], PLACES, rules),
        f"{len(definitions.audiences)} audiences": lambda at: audiences.bits(lists[at], FACTS),
        "settling": lambda at: settle(Assignment(2, 1, 1, 3, 3), at % 4, at % 8),
    }


def _trees(rows: np.ndarray) -> LightGbmModel:
    random = np.random.default_rng(2)
    labels = (rows[:, :5].sum(axis=1) + random.normal(0, 5, len(rows)) > 15).astype(int)
    parameters = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(rows, labels), num_boost_round=300)
    return LightGbmModel(booster.model_to_string().encode(), rows.shape[1])


def _clusters() -> Clusters:
    random = np.random.default_rng(3)
    return Clusters(
        ClusterFile(
            dimensions=tuple(
                Dimension(feature=name, log=True, fill=0, mean=1, scale=1) for name in FEATURES
            ),
            clusters=tuple(
                ClusterRecord(
                    number=number,
                    id=f"c{number}",
                    name="c",
                    meaning="",
                    share=0.25,
                    centroid=tuple(random.normal(size=len(FEATURES)).tolist()),
                )
                for number in range(1, 5)
            ),
            quality={},
        ),
        FEATURE_NAMES,
    )


def _print(seconds: dict[str, list[float]]) -> None:
    baseline = next(iter(seconds.values()))
    for name, times in seconds.items():
        micros = sorted(spent * 1e6 for spent in times)
        ratio = statistics.median(spent / base for spent, base in zip(times, baseline, strict=True))
        print(
            f"{name:<32} {statistics.median(micros):7.2f} us [{micros[0]:.2f}, {micros[-1]:.2f}]"
            f"  {ratio:6.2f} x baseline's"
        )


if __name__ == "__main__":
    main()
