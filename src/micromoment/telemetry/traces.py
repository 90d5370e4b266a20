"""OpenTelemetry traces of calls, where they are asked for.

Where spans go is OpenTelemetry's own to say, by its variables (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and so on). No attribute of a span holds an id.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Tracer
from structlog.typing import EventDict

from micromoment import __version__
from micromoment.errors import InvalidSettingError
from micromoment.telemetry.metrics import Metrics

_SERVICE: Final = "micromoment"


def exporting_tracer() -> Tracer:
    """Make what records spans and sends them, a batch at a time, on a thread of its own.

    Raises `InvalidSettingError` where the packages of the extra `traces` are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - optional
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise InvalidSettingError(
            "traces", "needs the extra `traces`: pip install 'micromoment[traces]'"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": _SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer(_SERVICE, __version__)


class TracedMetrics(Metrics):
    """Metrics whose stages are events of the call's span, too."""

    def stage_ended(self, stage: str, seconds: float) -> None:
        """Count the duration of a part of scoring."""
        super().stage_ended(stage, seconds)
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(stage, {"seconds": seconds})


def name_trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the ids of the trace and the span under way to a line of the log."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event
