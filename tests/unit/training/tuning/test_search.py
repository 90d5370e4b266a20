"""The search for parameters, on made-up rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from training.models.conversion import ConversionParams, Split, find_growth
from training.models.rows import DecisionRows
from training.tuning.search import MAX_LEAVES, MAX_TREES, Budget, search


def rows(n: int, seed: int) -> DecisionRows:
    """Make visits of one event each that buy the more likely the larger their first feature is."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 4)).astype(np.float32)
    label = random.random(n) < 1 / (1 + np.exp(2 - 2 * features[:, 0]))
    every = np.arange(n)
    ones = np.ones(n, np.int64)
    return DecisionRows(features, ("a", "b", "c", "d"), label, ones, every, every, ones)


@pytest.fixture(scope="module")
def splits() -> list[Split]:
    """One split."""
    return [(rows(800, 1), rows(400, 2))]


def test_the_same_seed_finds_the_same(splits: list[Split]) -> None:
    """The defaults are tried first, so that what is found is never worse, within the bounds."""
    found = search(splits, Budget(trials=4))
    assert found == search(splits, Budget(trials=4))
    assert found.complete + found.pruned == 4
    assert found.default_loss == min(find_growth(splits).history)
    assert found.loss <= found.default_loss
    assert found.loss == min(find_growth(splits, found.params).history)
    assert found.params.num_leaves <= MAX_LEAVES
    assert found.params.max_trees == MAX_TREES


def test_an_interrupt_keeps_the_best_so_far(splits: list[Split]) -> None:
    """Ctrl-C after the first trial leaves the defaults; before it, nothing."""

    def press(_: int) -> None:
        raise KeyboardInterrupt

    found = search(splits, Budget(trials=5), press)
    assert found.interrupted
    assert found.complete == 1
    assert found.params == ConversionParams()
    with pytest.raises(NotEnoughDataError, match="before its first trial"):
        search(Interrupting(splits), Budget(trials=5))


class Interrupting(list[Split]):
    """Splits that somebody stops at."""

    def __iter__(self) -> Iterator[Split]:
        """Begin, and be stopped."""
        raise KeyboardInterrupt
