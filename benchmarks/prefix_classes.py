"""The published task of four classes from a visit's prefix, on a GA4 shop.

    python -m benchmarks.prefix_classes EVENTS [--until 2021-01-03] [--time-zone ZONE]

EVENTS is a folder of events; days up to `--until` train, those after are tested. A visit is a
buyer (an order in it), intent (a cart or a checkout, no order), a researcher (two product views or
searches, or more, no cart) or a browser (the rest). The publication does not say how it drew the
lines, so these are ours and the figures are comparable in kind only.

A prefix is a visit up to a moment before its first order; events from the first order on, and those
of its confirmation page, are no prefixes. "may decide" counts all prefixes, as published: one with
a cart in it cannot be a browser's. "undecided" counts those without a cart, a checkout or a second
product view or search: there every class is still possible. Models learn from the same kind of
prefixes as they are tested on. Both classifiers weigh classes by a power of their frequency, chosen
for macro-F1 on the last fifth of the training days.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from micromoment.events.shop import Shop
from micromoment.features.tables import served_tables
from training.event_files import event_days
from training.models.lightgbm_params import REPEATABLE
from training.models.rows import DecisionRows
from training.models.weights import at_counts
from training.pipeline.features import WARM_UP_DAYS, build_history, temporary_workspace
from training.pipeline.learn import learnable
from training.pipeline.plain_rows import read_rows
from training.replay.partition import partition_events
from training.replay.run import ReplaySettings, replay_parts
from training.tables.fit import fit_tables

CLASSES = ("buyer", "intent", "researcher", "browser")
KS = (1, 2, 3, 5, 10, 20, 40)
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_PARAMS = REPEATABLE | {
    "objective": "multiclass",
    "metric": "multi_logloss",
    "num_class": len(CLASSES),
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "seed": 7,
    "num_threads": 2,
}
_TREES = 120  # of each class
_GROUPS = 17  # 16 and none

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Prefixes:
    """n prefixes, the class of their visits, and whether every class is still possible."""

    rows: DecisionRows
    kind: IntArray  # place in CLASSES
    undecided: BoolArray

    def take(self, which: BoolArray) -> Prefixes:
        """Give the prefixes that a mask names."""
        return Prefixes(self.rows.take(which), self.kind[which], self.undecided[which])


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path)
    parser.add_argument("--until", type=date.fromisoformat, default=date(2021, 1, 3))
    parser.add_argument("--time-zone", default="America/Los_Angeles")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        train, test = replayed(given.events, given.until, given.time_zone, Path(temporary))
    for name, of_train, of_test in (
        ("may decide", classed(train), classed(test)),
        ("undecided", _undecided(classed(train)), _undecided(classed(test))),
    ):
        _judge(name, of_train, of_test)


def replayed(
    events: Path, until: date, time_zone: str, scratch: Path
) -> tuple[DecisionRows, DecisionRows]:
    """Replay both sides with tables of the training days alone, crossed by visitor."""
    settings = ReplaySettings(Shop("", time_zone), workers=2)
    days = event_days(events)
    first = until + timedelta(days=1)
    workspace = temporary_workspace(scratch / "features")
    last_cut = days.days[-1] + timedelta(days=1)
    history = build_history(days, workspace, settings, timedelta(hours=1), last_cut)
    before = days.between(last=until)
    parts = partition_events(before, scratch / "train")
    tables = fit_tables(parts, settings)
    train = replay_parts(
        parts, scratch / "a", settings, history.rows_at, tables, only_eligible=True, cross_fit=True
    )
    after = days.between(first=first - timedelta(days=WARM_UP_DAYS))
    later = replay_parts(
        partition_events(after, scratch / "test", wanted_from=first),
        scratch / "b",
        settings,
        history.rows_at,
        served_tables(tables),
        only_eligible=True,
    )
    span = len(before.days)
    return (
        learnable(read_rows(train.outputs, before, settings), span),
        learnable(read_rows(later.outputs, after, settings), span),
    )


def classed(rows: DecisionRows) -> Prefixes:
    """Find each visit's class and what its prefixes have decided already."""
    names = ("n_cart_adds", "n_cart_removes", "cart_viewed", "n_checkout_steps", "payment_seen")
    cart = np.nan_to_num(rows.columns(names)).sum(axis=1) > 0
    views = np.nan_to_num(rows.columns(("n_item_views", "n_searches"))).sum(axis=1)
    visits = int(rows.session.max()) + 1
    bought, carted, looked = (np.zeros(visits, np.bool_) for _ in range(3))
    bought[rows.session[rows.label]] = True
    carted[rows.session[cart]] = True
    looked[rows.session[views >= 2]] = True
    of_visit = np.where(bought, 0, np.where(carted, 1, np.where(looked, 2, 3)))
    return Prefixes(rows, of_visit[rows.session], ~cart & (views < 2))


def _undecided(prefixes: Prefixes) -> Prefixes:
    return prefixes.take(prefixes.undecided)


def _judge(name: str, train: Prefixes, test: Prefixes) -> None:
    days = np.unique(train.rows.day)
    late = train.rows.day >= days[-max(1, len(days) // 5)]
    visits = np.unique(train.rows.session)
    shares = np.bincount(test.kind, minlength=4) / len(test.kind)
    print(
        f"\n{name}: {len(train.kind):,} prefixes of {len(visits):,} visits train, "
        f"{len(test.kind):,} are tested: "
        + ", ".join(f"{one} {share:.1%}" for one, share in zip(CLASSES, shares, strict=True))
    )
    for model, fit in (("Markov-2", markov), ("LightGBM", trees)):
        earlier, held = train.take(~late), train.take(late)
        frequency = np.bincount(train.kind, minlength=4) / len(train.kind)
        log_odds = fit(earlier, held)
        power = max(POWERS, key=lambda one: _f1(held, log_odds - one * np.log(frequency)))
        found = fit(train, test) - power * np.log(frequency)
        plain = f1_score(test.kind, found.argmax(axis=1), average=None, labels=range(4))
        print(
            f"  {model}, class weight frequency^-{power}: macro-F1 {_f1(test, found):.3f}; "
            + ", ".join(f"{one} {f1:.3f}" for one, f1 in zip(CLASSES, plain, strict=True))
        )
        for k in KS:
            at = at_counts(test.rows.events_seen, test.rows.session, (k,))
            if at.any():
                print(
                    f"    {k:3} events: {int(at.sum()):6,} prefixes, "
                    f"macro-F1 {_f1(test.take(at), found[at]):.3f}"
                )


def _f1(prefixes: Prefixes, scores: FloatArray) -> float:
    return float(f1_score(prefixes.kind, scores.argmax(axis=1), average="macro", labels=range(4)))


def trees(train: Prefixes, test: Prefixes) -> FloatArray:
    """Give log probabilities of the test's prefixes by LightGBM on all features, shape (n, 4)."""
    booster = lgb.train(_PARAMS, lgb.Dataset(train.rows.features, train.kind), _TREES)
    found: FloatArray = np.asarray(booster.predict(test.rows.features), np.float64)
    return np.log(np.maximum(found, 1e-15))


def markov(train: Prefixes, test: Prefixes) -> FloatArray:
    """Give log posteriors by second-order Markov chains of event groups, one per class, (n, 4)."""
    counts = np.ones((4, _GROUPS, _GROUPS, _GROUPS))  # Laplace
    two, one, now = _chain(train.rows)
    np.add.at(counts, (train.kind, two, one, now), 1.0)
    log_p = np.log(counts / counts.sum(axis=3, keepdims=True))
    prior = np.log(np.bincount(train.kind, minlength=4) / len(train.kind))
    two, one, now = _chain(test.rows)
    steps = log_p[:, two, one, now].T
    return prior + _running(steps, test.rows.session)


def _chain(rows: DecisionRows) -> tuple[IntArray, IntArray, IntArray]:
    """Give the groups of the last three events of each prefix; 16 for none."""
    last = np.nan_to_num(rows.columns(("last_group_3", "last_group_2", "last_group")), nan=16.0)
    two, one, now = (np.clip(last[:, place], 0, 16).astype(np.int64) for place in range(3))
    return two, one, now


def _running(steps: FloatArray, session: IntArray) -> FloatArray:
    """Sum the steps of each visit up to each prefix; rows are in the order of visits and events."""
    total = np.cumsum(steps, axis=0)
    begins = np.concatenate([[True], session[1:] != session[:-1]])
    before = (total - steps)[begins]
    return np.asarray(total - before[np.cumsum(begins) - 1])


if __name__ == "__main__":
    main()
