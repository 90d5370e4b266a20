"""Live figures as gauges, in a file for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from math import isfinite
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest

from training.drift import Shift
from training.monitor.judge import LiveRow
from training.monitor.run import LiveReport

_PREFIX: Final = "micromoment_"
_BY_K: Final[dict[str, tuple[str, Callable[[LiveRow], float]]]] = {
    "live_cases": ("Visits that reached so many events.", lambda row: row.n),
    "live_buyers": ("Those with an order after the score.", lambda row: row.buyers),
    "live_pr_auc": ("Area under precision and recall.", lambda row: row.live.pr_auc),
    "live_log_loss": ("Mean log loss, nats.", lambda row: row.live.log_loss),
    "live_calibration_ratio": (
        "Predicted over observed orders.",
        lambda row: row.live.predicted_over_observed,
    ),
    "live_calibration_slope": ("1 is right.", lambda row: row.live.calibration_slope),
    "live_calibration_error": ("Expected calibration error.", lambda row: row.live.ece),
    "bundle_pr_auc": ("The bundle's own.", lambda row: row.own.pr_auc),
    "bundle_log_loss": ("The bundle's own.", lambda row: row.own.log_loss),
    "bundle_calibration_ratio": ("The bundle's own.", lambda row: row.own.calibration_ratio),
}


def write_textfile(path: Path, report: LiveReport) -> None:
    """Write the gauges, all of them or nothing: a collector never reads half a file."""
    registry = CollectorRegistry()
    registry.register(_Gauges(report))
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(generate_latest(registry))
    draft.replace(path)


class _Gauges:
    """Gives a report's gauges to a registry."""

    def __init__(self, report: LiveReport) -> None:
        self._report = report

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Go through them."""
        report = self._report
        yield _gauge("live_degraded", "1: a figure has dropped below the bundle's own.", report)
        yield from self._of_figures()
        bundle = _family("live_bundle_info", "The bundle that is judged.", "bundle")
        bundle.add_metric([report.tag], 1)
        yield bundle
        scores = _family("live_scores", "Scores before an order, by what is known.", "state")
        for state, count in report.scores.items():
            scores.add_metric([state], count)
        yield scores
        orders = _family("live_orders", "Orders of settled visits, by how they ended.", "outcome")
        for outcome, count in report.orders.items():
            orders.add_metric([outcome], count)
        yield orders
        yield from self._of_rows(report.last.rows if report.last else ())
        yield from _of_shifts(report.shifts, report.score_shift)
        if report.last is not None:
            ended = datetime.combine(report.last.last + timedelta(days=1), time(), UTC)
            family = _family("live_window_end_timestamp_seconds", "End of the judged window.")
            family.add_metric([], ended.timestamp())
            yield family

    def _of_figures(self) -> Iterator[GaugeMetricFamily]:
        judged = _family("live_judged", "1: a figure that is judged, with orders enough.", *_WHICH)
        dropped = _family("live_dropped", "1: it has dropped below the bundle's own.", *_WHICH)
        for k, one in self._report.judged:
            judged.add_metric([one.name, str(k)], 1)
            dropped.add_metric([one.name, str(k)], one.dropped)
        yield from (judged, dropped)

    @staticmethod
    def _of_rows(rows: tuple[LiveRow, ...]) -> Iterator[GaugeMetricFamily]:
        for name, (text, value_of) in _BY_K.items():
            family = _family(name, text, "events_seen")
            for row in rows:
                value = value_of(row)
                if isfinite(value):
                    family.add_metric([str(row.k)], value)
            yield family


_WHICH: Final = ("figure", "events_seen")


def _gauge(name: str, text: str, report: LiveReport) -> GaugeMetricFamily:
    family = _family(name, text)
    family.add_metric([], report.degraded)
    return family


def _of_shifts(shifts: tuple[Shift, ...], score: Shift | None) -> Iterator[GaugeMetricFamily]:
    family = _family("feature_psi", "Population stability against training.", "feature")
    for one in shifts:
        family.add_metric([one.name], one.psi)
    yield family
    if score is not None:
        of_score = _family("score_psi", "Population stability of the score.")
        of_score.add_metric([], score.psi)
        yield of_score


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels)
