"""Counts that are kept elsewhere, read whenever metrics are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector


class WatchedCounter(Collector):
    """A counter with a label or none, whose counts are read from elsewhere once it is told."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._read: Callable[[], Iterable[tuple[str, int]]] = tuple

    def watch(self, read: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """Take the counts from `read` from now on."""
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counts for the registry."""
        (family,) = self.describe()
        for label, count in self._read():
            family.add_metric((str(label),) if self._labels else (), count)
        yield family

    def describe(self) -> tuple[CounterMetricFamily]:
        """Give the name for the registry."""
        return (CounterMetricFamily(self._name, self._meaning, labels=self._labels),)
