"""How long the parts of a call take inside our server, from the histograms that it publishes."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_METRIC: Final = "micromoment_stage_seconds"
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A histogram so far: seconds and calls in all, and calls by upper bound, cumulative."""

    seconds: float
    calls: float
    below: Mapping[float, float]

    def since(self, earlier: Stage | None) -> Stage:
        """Give what was added since an earlier look."""
        if earlier is None:
            return self
        below = {bound: n - earlier.below[bound] for bound, n in self.below.items()}
        return Stage(self.seconds - earlier.seconds, self.calls - earlier.calls, below)

    @property
    def mean_us(self) -> float:
        """Give the mean in microseconds."""
        return self.seconds / self.calls * 1e6

    @property
    def median_us(self) -> float:
        """Give the median in microseconds, taking calls as spread evenly within a bucket."""
        low, passed = 0.0, 0.0
        for bound, n in sorted(self.below.items()):
            if n >= self.calls / 2:
                share = (self.calls / 2 - passed) / (n - passed)
                return (low + share * (bound - low)) * 1e6 if math.isfinite(bound) else math.inf
            low, passed = bound, n
        return math.inf


def stages(metrics_port: int) -> dict[str, Stage]:
    """Read the histograms of a server on this machine, by stage."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    with opener.open(url, timeout=_TIMEOUT_S) as reply:
        return parsed(reply.read().decode())


def parsed(text: str) -> dict[str, Stage]:
    """Read the histograms out of Prometheus's text format."""
    totals: dict[tuple[str, str], float] = {}
    below: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name != _METRIC:
            continue
        for sample in family.samples:
            stage = sample.labels["stage"]
            if sample.name.endswith("_bucket"):
                below.setdefault(stage, {})[float(sample.labels["le"])] = sample.value
            else:
                totals[stage, sample.name.rpartition("_")[2]] = sample.value
    return {
        stage: Stage(totals[stage, "sum"], totals[stage, "count"], counts)
        for stage, counts in below.items()
    }
