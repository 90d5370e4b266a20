"""Traces: a span for each call, with what the caller and an operator need, and nobody's id."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from micromoment.client import event, score_request
from micromoment.telemetry.traces import TracedMetrics, name_trace
from micromoment.transport.traced import Traced
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, a_server, an_application

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"  # pragma: allowlist secret - of the specification
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
REQUEST = score_request("secret-session", [event("page_view")], anonymous_id="secret-visitor")


@pytest.fixture
def spans() -> tuple[InMemorySpanExporter, TracerProvider]:
    """Where spans end up, and what makes them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter, provider


async def call(provider: TracerProvider, scorer: CountingScorer) -> grpc.StatusCode:
    """Score once over a traced server, as part of the caller's trace."""
    metrics = TracedMetrics()
    application = an_application(scorer, observer=metrics)
    around = partial(Traced, tracer=provider.get_tracer("test"))
    serving = a_server(application, observer=metrics, around=around)
    async with serving as server, server.channel() as channel:
        try:
            await ScoringServiceStub(channel).Score(REQUEST, metadata=(("traceparent", PARENT),))
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def texts(span: ReadableSpan) -> str:
    """Everything that a span says."""
    return str(span.to_json())


async def test_a_call_is_a_child_of_the_callers(
    spans: tuple[InMemorySpanExporter, TracerProvider],
) -> None:
    """Its span has the caller's trace, the method and the parts of scoring, and no id."""
    exporter, provider = spans
    assert await call(provider, CountingScorer()) is grpc.StatusCode.OK
    (span,) = exporter.get_finished_spans()
    assert span.name == "micromoment.v1.ScoringService/Score"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == 0
    assert {"decode", "user", "score", "encode"} <= {one.name for one in span.events}
    assert span.status.status_code is StatusCode.UNSET
    assert "secret" not in texts(span)


async def test_a_failure_is_told_without_what_was_sent(
    spans: tuple[InMemorySpanExporter, TracerProvider],
) -> None:
    """The span has the status that the caller got; an exception's text stays out of it."""
    exporter, provider = spans
    failing = CountingScorer(failure=ValueError("secret-session"))
    assert await call(provider, failing) is grpc.StatusCode.INTERNAL
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == grpc.StatusCode.INTERNAL.value[0]
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in texts(span)


def test_lines_of_the_log_name_the_trace(
    spans: tuple[InMemorySpanExporter, TracerProvider],
) -> None:
    """Inside a span a line has its ids, outside it has none."""
    _, provider = spans
    with provider.get_tracer("test").start_as_current_span("one") as span:
        line = name_trace(None, "info", {"event": "e"})
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert name_trace(None, "info", {"event": "e"}) == {"event": "e"}


async def test_requests_that_are_not_ours_are_not_traced(
    spans: tuple[InMemorySpanExporter, TracerProvider],
) -> None:
    """Health and reflection make no spans."""
    exporter, provider = spans
    around = partial(Traced, tracer=provider.get_tracer("test"))
    async with a_server(an_application(), around=around) as server, server.channel() as channel:
        for method in ("grpc.health.v1.Health/Check", "micromoment.v1.ScoringService/Nowhere"):
            ask = channel.unary_unary(f"/{method}", bytes, bytes)
            with suppress(grpc.aio.AioRpcError):
                await ask(b"")
    assert not exporter.get_finished_spans()
