"""Prometheus metrics in a registry of their own.

Labels are methods, status codes, stages and reasons: all of them few and known beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
)

from micromoment.errors import InvalidSettingError
from micromoment.scoring.calls import AppliedConsent, Degraded, Score, Withdrawal
from micromoment.telemetry.histograms import Histograms
from micromoment.telemetry.prompt_server import start_server
from micromoment.telemetry.watched_counter import WatchedCounter

_CALL_BUCKETS: Final = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
_WAIT_BUCKETS: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_STAGE_BUCKETS: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25,
)  # fmt: skip

ACTIVATION_OUTCOMES: Final = (
    "activated", "unchanged", "checked", "refused", "not_found", "failed",
)  # fmt: skip

DENIAL_REASONS: Final = ("no_token", "unknown_token", "expired_token", "role")


class Metrics:
    """The server's metrics. It takes measurements as a `transport.observer.Observer`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._calls = self._histogram(
            "micromoment_call_seconds", "Calls by method and status", ("method", "code"),
            _CALL_BUCKETS,
        )  # fmt: skip
        self._stages = self._histogram(
            "micromoment_stage_seconds", "Parts of scoring one request", ("stage",), _STAGE_BUCKETS
        )
        self._degraded = self._counter(
            "micromoment_degraded", "Answers that lacked something, by what it was", "reason"
        )
        self._events = self._counter(
            "micromoment_events", "Events by what became of them", "outcome"
        )
        self._not_kept = self._counter(
            "micromoment_events_not_kept", "Events not kept for want of consent, by why", "reason"
        )
        self._withdrawals = self._counter(
            "micromoment_withdrawals", "Sessions deleted because consent was withdrawn", "outcome"
        )
        for became in (Withdrawal.DONE, Withdrawal.PENDING):
            self._withdrawals.labels(became.value)
        self._sessions = self._gauge("micromoment_sessions", "Sessions kept in memory")
        self._session_bytes = self._gauge(
            "micromoment_session_bytes", "Memory that the sessions kept take, about"
        )
        self._evictions = WatchedCounter(
            "micromoment_session_evictions", "Sessions no longer kept in memory, by why", "reason"
        )
        self.registry.register(self._evictions)
        self._store_asked = self._gauge(
            "micromoment_session_store_asked",
            "0 while a session store on Redis is left alone after failures, else 1",
        )
        self._store_asked.set(1)
        self._log_rows = self._counter(
            "micromoment_log_rows", "Rows of the event log by what became of them", "outcome"
        )
        for outcome in ("written", "lost"):
            self._log_rows.labels(outcome)
        self._log_groups = self._histogram(
            "micromoment_log_commit_seconds",
            "From a row's hand-over to the commit of its group", (), _CALL_BUCKETS,
        )  # fmt: skip
        self._log_waiting = self._gauge("micromoment_log_rows_waiting", "Rows not yet written")
        self._log_lag = self._gauge(
            "micromoment_log_lag_seconds", "For how long the oldest of them has waited"
        )
        self._log_taking = self._gauge(
            "micromoment_log_taking", "0 while the event log can't be written, else 1"
        )
        self._log_taking.set(1)
        self._erasures = self._gauge(
            "micromoment_erasures_pending", "Erasures of people that were begun and are not done"
        )
        self._in_flight = self._gauge("micromoment_calls_in_flight", "Calls being answered")
        self._wait = self._histogram(
            "micromoment_call_wait_seconds", "From taking a call from gRPC to its turn", (),
            _WAIT_BUCKETS,
        ).of().observe  # fmt: skip
        self._refused = self._counter(
            "micromoment_refused", "Calls that were too much, by the setting that says so",
            "method", "reason",
        )  # fmt: skip
        self._arrived = WatchedCounter("micromoment_calls_arrived", "Calls that reached gRPC")
        self.registry.register(self._arrived)
        self._queue_wait = self._gauge(
            "micromoment_queue_seconds", "How long calls wait to be taken from gRPC, about"
        )
        self._streams = self._gauge("micromoment_streams", "Streams of StreamScores that are open")
        self._serving = self._gauge("micromoment_serving", "1 while health says SERVING")
        self._bundle = Gauge(
            "micromoment_bundle_info", "Bundle that answers", ("bundle",), registry=self.registry
        )
        self._bundle_age = self._gauge(
            "micromoment_bundle_age_seconds",
            "Since the end of the last day that the bundle was trained on; NaN for a starter",
        )
        self._activations = self._counter(
            "micromoment_activations", "Bundles that were to answer, by outcome", "outcome"
        )
        for outcome in ACTIVATION_OUTCOMES:
            self._activations.labels(outcome)
        self._denied = self._counter(
            "micromoment_denied", "Calls that were not let in, by what their token lacks", "reason"
        )
        for reason in DENIAL_REASONS:
            self._denied.labels(reason)
        self._reloads = self._counter(
            "micromoment_file_reloads", "Files of settings read again, by outcome",
            "setting", "outcome",
        )  # fmt: skip
        self._stale = Gauge(
            "micromoment_file_stale",
            "1 while what the file of a setting holds can't be used and an earlier reading stands",
            ("setting",), registry=self.registry,
        )  # fmt: skip
        self._certificate_end = self._gauge(
            "micromoment_certificate_not_after_seconds",
            "When the server's certificate expires, in seconds since 1970; NaN without TLS",
        )
        self._certificate_end.set(float("nan"))
        # Looking a label up takes longer than adding to it.
        self._event = cache(self._events.labels)
        self._lack = cache(self._degraded.labels)

    def call_ended(self, method: str, code: str, seconds: float) -> None:
        """Count a call and its duration."""
        self._calls.of(method, code).observe(seconds)

    def call_waited(self, seconds: float) -> None:
        """Count how long a call waited for its turn."""
        self._wait(seconds)

    def call_refused(self, method: str, reason: str) -> None:
        """Count a call that was too much."""
        self._refused.labels(method, reason).inc()

    def caller_denied(self, reason: str) -> None:
        """Count a call that was not let in."""
        self._denied.labels(reason).inc()

    def file_reloaded(self, setting: str, *, good: bool) -> None:
        """Count a file that was read again, and show whether what it holds is used."""
        self._reloads.labels(setting, "good" if good else "refused").inc()
        self._stale.labels(setting).set(0 if good else 1)

    def watch_certificate(self, not_after: Callable[[], float]) -> None:
        """Show when the certificate of the moment expires whenever metrics are read."""
        self._certificate_end.set_function(not_after)

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Count the duration of a part of scoring."""
        self._stages.of(stage).observe(seconds)

    def scored(self, score: Score) -> None:
        """Count what the answer lacked."""
        for reason in score.degraded:
            self._lack(reason.value).inc()

    def lacked(self, reason: Degraded) -> None:
        """Count what an answer lacked."""
        self._lack(reason.value).inc()

    def log_written(self, rows: int, seconds: float) -> None:
        """Count rows of the event log that were committed together, and how long that took."""
        self._log_rows.labels("written").inc(rows)
        self._log_groups.of().observe(seconds)

    def log_lost(self, rows: int) -> None:
        """Count rows that the event log did not take."""
        self._log_rows.labels("lost").inc(rows)

    def watch_log(
        self, waiting: Callable[[], int], lag: Callable[[], float], taking: Callable[[], bool]
    ) -> None:
        """Show the event log's state whenever metrics are read; `lag` is in seconds."""
        self._log_waiting.set_function(waiting)
        self._log_lag.set_function(lag)
        self._log_taking.set_function(lambda: float(taking()))

    def events_taken(self, outcome: str, events: int) -> None:
        """Count events by what became of them."""
        if events:
            self._event(outcome).inc(events)

    def consent_applied(self, consent: AppliedConsent) -> None:
        """Count what was not kept, and sessions that were deleted, for want of consent."""
        for why, events in consent.not_kept:
            self._not_kept.labels(why.value).inc(events)
        if consent.withdrawal is not Withdrawal.NONE:
            self._withdrawals.labels(consent.withdrawal.value).inc()

    def watch(self, *, sessions: Callable[[], int]) -> None:
        """Show the number of sessions whenever metrics are read."""
        self._sessions.set_function(sessions)

    def answers_with(self, bundle: str, trained_until: float) -> None:
        """Show the bundle that answers, and its age whenever metrics are read.

        `trained_until` is in seconds since 1970, NaN where the bundle was trained on no days.
        """
        self._bundle.clear()
        self._bundle.labels(bundle).set(1)
        self._bundle_age.set_function(lambda: time.time() - trained_until)

    def activation_ended(self, outcome: str) -> None:
        """Count a bundle that was to answer, by what became of it."""
        self._activations.labels(outcome).inc()

    def watch_session_memory(
        self, held: Callable[[], int], evictions: Callable[[], Iterable[tuple[str, int]]]
    ) -> None:
        """Show the bytes held and the sessions gone by reason whenever metrics are read."""
        self._session_bytes.set_function(held)
        self._evictions.watch(evictions)

    def watch_session_store(self, asked: Callable[[], bool]) -> None:
        """Show whether the session store is asked whenever metrics are read."""
        self._store_asked.set_function(lambda: float(asked()))

    def watch_load(
        self, *, arrived: Callable[[], int], wait_s: Callable[[], float], streams: Callable[[], int]
    ) -> None:
        """Show calls that reached gRPC, how long they wait there, and open streams when read."""
        self._arrived.watch(lambda: [("", arrived())])
        self._queue_wait.set_function(wait_s)
        self._streams.set_function(streams)

    def watch_erasures(self, pending: Callable[[], int]) -> None:
        """Show the erasures that are not done whenever metrics are read."""
        self._erasures.set_function(pending)

    def watch_in_flight(self, in_flight: Callable[[], int]) -> None:
        """Show the calls being answered whenever metrics are read."""
        self._in_flight.set_function(in_flight)

    def set_serving(self, serving: bool) -> None:
        """Show what health says."""
        self._serving.set(int(serving))

    def _histogram(
        self, name: str, meaning: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histograms:
        histograms = Histograms(name, meaning, labels, buckets)
        self.registry.register(histograms)
        return histograms

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry)


class MetricsServer:
    """Serves a registry over HTTP from a thread of its own."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        try:
            server, self._thread = start_server(port, host, metrics.registry)
        except OSError as error:
            raise InvalidSettingError(
                "metrics_port", f"cannot listen on {host} port {port}: {error.strerror}"
            ) from None
        self._server: WSGIServer = server

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=1.0)
