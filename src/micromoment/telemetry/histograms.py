"""Histograms for the hot path: one look-up and three additions for a measurement.

Those of `prometheus_client` walk through their buckets under a lock. These are for one thread that
measures; any other may read them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

_INFINITY = float("inf")


def _name(bound: float) -> str:
    return "+Inf" if bound == _INFINITY else repr(bound)


class Histogram:
    """Counts measurements by bucket; `bounds` are the buckets' upper ends, included."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a measurement."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Give how many measurements are at most each bound, infinity last."""
        counted = 0
        found = []
        for bound, count in zip((*self._bounds, _INFINITY), self._counts, strict=True):
            counted += count
            found.append((_name(bound), float(counted)))
        return found

    @property
    def sum(self) -> float:
        """The sum of all measurements."""
        return self._sum


class Histograms(Collector):
    """Histograms of one name, one for each combination of labels that was measured."""

    def __init__(
        self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds = bounds
        self._found: dict[tuple[str, ...], Histogram] = {}

    def of(self, *labels: str) -> Histogram:
        """Give the histogram of these labels."""
        found = self._found.get(labels)
        if found is None:
            found = self._found[labels] = Histogram(self._bounds)
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give all for the registry."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, histogram in tuple(self._found.items()):
            family.add_metric(labels, histogram.buckets(), histogram.sum)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Give their name for the registry."""
        return (HistogramMetricFamily(self._name, self._meaning, labels=self._labels),)
