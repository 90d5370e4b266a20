import math

import numpy as np

from training.simulator.shopping.streams import (
    VISITS,
    below,
    branch,
    chance,
    normal,
    stream_seeds,
    uniform,
)


def a_stream(key: int = 1) -> np.ndarray:
    """Make the stream of a key under one seed."""
    return stream_seeds(3, VISITS, np.array([key]))


def test_a_copied_stream_goes_on_as_its_original() -> None:
    """Two copies of a stream give the same numbers, and streams of other keys give others."""
    first, copy, other = a_stream(), a_stream(), a_stream(2)
    numbers = [uniform(first) for _ in range(5)]
    assert numbers == [uniform(copy) for _ in range(5)]
    assert not set(numbers) & {uniform(other) for _ in range(5)}


def test_uniform_numbers_fill_the_open_interval_evenly() -> None:
    """Uniform draws stay inside (0, 1), with the moments of the uniform distribution."""
    rng = a_stream()
    draws = np.array([uniform(rng) for _ in range(40_000)])
    assert 0 < draws.min() < 0.001
    assert 0.999 < draws.max() < 1
    assert abs(draws.mean() - 0.5) < 4 / math.sqrt(12 * draws.size)
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 4 / math.sqrt(draws.size)


def test_other_draws_have_their_distributions() -> None:
    """Normal draws have mean 0 and variance 1, integers stay below n, chances meet their odds."""
    rng = a_stream()
    normals = np.array([normal(rng) for _ in range(20_000)])
    assert abs(normals.mean()) < 4 / math.sqrt(normals.size)
    assert abs(normals.var() - 1) < 0.05
    assert {below(rng, 3) for _ in range(100)} == {0, 1, 2}
    yes = np.mean([chance(rng, math.log(3)) for _ in range(20_000)])
    assert abs(yes - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 20_000)


def test_branches_of_a_stream_are_streams_of_their_own() -> None:
    """The numbers of a branch aren't those of the stream it came from."""
    rng = a_stream()
    other = np.array([branch(rng)], dtype=np.uint64)
    assert not {uniform(rng) for _ in range(50)} & {uniform(other) for _ in range(50)}


def test_streams_of_many_keys_differ() -> None:
    """No two of 100,000 pairs of keys share a seed, and a key's seed doesn't depend on the rest."""
    first = np.repeat(np.arange(1_000), 100)
    second = np.tile(np.arange(100), 1_000)
    seeds = stream_seeds(1, VISITS, first, second)
    assert np.unique(seeds).size == seeds.size
    assert stream_seeds(1, VISITS, first[7:8], second[7:8])[0] == seeds[7]
