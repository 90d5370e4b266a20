"""The search: Optuna's TPE over few parameters, judged as training judges when to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import optuna

from micromoment.errors import NotEnoughDataError
from training.models.conversion import ConversionParams, Split, find_growth

# What serving allows: a score asks every tree.
MAX_LEAVES: Final = 31
MAX_TREES: Final = 300
LARGER_LEAVES: Final = 127
LARGER_TREES: Final = 1_000

_WARM_UP_TREES: Final = 20  # before these a trial's loss says little of its end
_EVERY_TREES: Final = 10


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to search: trials, seconds; `larger` lifts the bounds that serving sets."""

    trials: int = 30
    seconds: float = 1_800.0
    seed: int = 7
    larger: bool = False


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best parameters and their loss (nats, mean over splits and numbers of events seen).

    `default_loss` is that of the default parameters, tried first; `interrupted` by Ctrl-C.
    """

    params: ConversionParams
    loss: float
    default_loss: float
    complete: int
    pruned: int
    interrupted: bool

    @property
    def record(self) -> dict[str, Any]:
        """Give what is known of the search, for the file of parameters."""
        return {
            "loss": self.loss,
            "default_loss": self.default_loss,
            "complete": self.complete,
            "pruned": self.pruned,
            "interrupted": self.interrupted,
        }


def search(
    splits: Sequence[Split], budget: Budget, done: Callable[[int], None] = lambda _: None
) -> Tuned:
    """Try the defaults, then what TPE suggests; the same seed and splits give the same trials.

    A trial that is worse than the median of those before at as many trees is given up. Ctrl-C ends
    the search and keeps the best so far. Raises `NotEnoughDataError` when interrupted before any
    trial is complete, or as `find_growth` does.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=budget.seed),
        pruner=optuna.pruners.MedianPruner(5, _WARM_UP_TREES, _EVERY_TREES),
    )
    study.enqueue_trial(_suggested(ConversionParams()))

    def objective(trial: optuna.Trial) -> float:
        def watch(trees: int, loss: float) -> None:
            trial.report(loss, trees)
            if trial.should_prune():
                raise optuna.TrialPruned

        return min(find_growth(splits, _params(trial, budget.larger), watch=watch).history)

    interrupted = False
    try:
        study.optimize(
            objective,
            n_trials=budget.trials,
            timeout=budget.seconds,
            callbacks=[lambda _study, _trial: done(1)],
        )
    except KeyboardInterrupt:
        interrupted = True
    return _tuned(study, budget.larger, interrupted)


def _tuned(study: optuna.Study, larger: bool, interrupted: bool) -> Tuned:
    states = [trial.state for trial in study.trials]
    complete = states.count(optuna.trial.TrialState.COMPLETE)
    if not complete:
        raise NotEnoughDataError("the search ended before its first trial did")
    best = study.best_trial
    return Tuned(
        params=replace(_sized(larger), **best.params),
        loss=study.best_value,
        default_loss=float(study.trials[0].value or 0.0),  # the first is never given up
        complete=complete,
        pruned=states.count(optuna.trial.TrialState.PRUNED),
        interrupted=interrupted,
    )


def _params(trial: optuna.Trial, larger: bool) -> ConversionParams:
    # Not the learning rate: it is that of the search for the number of trees, and trials could not
    # be compared at equal numbers of trees if it differed.
    return replace(
        _sized(larger),
        num_leaves=trial.suggest_int(
            "num_leaves", 7, LARGER_LEAVES if larger else MAX_LEAVES, log=True
        ),
        min_data_in_leaf=trial.suggest_int("min_data_in_leaf", 20, 500, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.1, 0.9),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.3, 0.9),
        lambda_l2=trial.suggest_float("lambda_l2", 0.1, 50.0, log=True),
    )


def _sized(larger: bool) -> ConversionParams:
    return ConversionParams(max_trees=LARGER_TREES if larger else MAX_TREES)


def _suggested(params: ConversionParams) -> dict[str, Any]:
    names = (
        "num_leaves",
        "min_data_in_leaf",
        "feature_fraction",
        "bagging_fraction",
        "lambda_l2",
    )
    return {name: getattr(params, name) for name in names}
