"""Random streams that can be copied, stored and replayed inside compiled code.

A stream is an array of one uint64: the state of a multiply-with-carry generator (Marsaglia), whose
product of two 32-bit numbers never overflows, so that compiled and plain Python give the same
numbers.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.compiled import compiled

Stream = npt.NDArray[np.uint64]

_MULTIPLIER: Final = np.uint64(4294883355)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_TWO_PI: Final = 2 * math.pi

# What a family of streams is for; each has numbers of its own under one seed.
CATALOGUE: Final = 1
SHOPPERS: Final = 2
VISITS: Final = 3
EXPORT: Final = 4
ROLL_OUTS: Final = 5
PILOT: Final = 6


def generator(seed: int, purpose: int, *keys: int) -> np.random.Generator:
    """Make NumPy's generator for one purpose under a seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, purpose, *keys))))


def stream_seeds(seed: int, purpose: int, *keys: npt.NDArray[np.int64]) -> Stream:
    """Derive one stream per row of `keys`, arrays of shape (n,): equal keys, equal streams."""
    base = np.random.SeedSequence((seed, purpose)).generate_state(1, np.uint64)[0]
    state = np.full(keys[0].shape, base, dtype=np.uint64)
    for key in keys:
        state = _mixed(state ^ _mixed(key.astype(np.uint64)))
    return np.maximum(state, np.uint64(1))


def _mixed(values: Stream) -> Stream:
    """Spread the bits (the finalizer of SplitMix64, after Steele, Lea and Flood)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@compiled
def _next32(rng: Stream) -> np.uint64:
    state = rng[0]
    low = state & _LOW
    high = state >> _HALF
    rng[0] = _MULTIPLIER * low + high
    return low ^ high


@compiled
def uniform(rng: Stream) -> float:
    """Draw from the open interval (0, 1)."""
    return (float(_next32(rng)) + 0.5) / 4294967296.0


@compiled
def normal(rng: Stream) -> float:
    """Draw from the standard normal distribution (Box and Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(rng)))
    return radius * math.cos(_TWO_PI * uniform(rng))


@compiled
def below(rng: Stream, n: int) -> int:
    """Draw an integer from 0 to n - 1."""
    return int(uniform(rng) * n)


@compiled
def chance(rng: Stream, logit: float) -> bool:
    """Say yes with the probability 1 / (1 + exp(-logit))."""
    return uniform(rng) < 1.0 / (1.0 + math.exp(-logit))


@compiled
def branch(rng: Stream) -> np.uint64:
    """Draw the seed of another stream."""
    high = _next32(rng) << _HALF
    return (high | _next32(rng)) | np.uint64(1)
