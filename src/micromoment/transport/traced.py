"""A span around each call, child of the caller's where the caller sends one."""

from __future__ import annotations

from typing import Any, Final, cast

import grpc
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from micromoment.transport.grpc_types import Call, Context, Handler, RpcHandlers

_OWN_PACKAGE: Final = "/micromoment."
_HEADERS: Final = ("traceparent", "tracestate")
_SERVERS_FAULT: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


class Traced(RpcHandlers):
    """Gives the handlers of `inner`, the project's own unary methods each with a span around it.

    Names and attributes are those of OpenTelemetry's conventions for RPC.
    """

    def __init__(self, inner: RpcHandlers, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer
        self._extract = TraceContextTextMapPropagator().extract
        self._traced: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Give the handler of a method; none for one that does not exist."""
        handler = self._inner.service(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.unary_unary is None or not method.startswith(_OWN_PACKAGE):
            return handler
        traced = self._traced.get(method)
        if traced is None:
            traced = self._traced[method] = grpc.unary_unary_rpc_method_handler(
                self._around(method, cast(Call, handler.unary_unary)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return traced

    def _around(self, method: str, call: Call) -> Call:
        service, _, name = method.lstrip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

        async def traced(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
            metadata = context.invocation_metadata() or ()
            headers = {key: value for key, value in metadata if key in _HEADERS}
            with self._tracer.start_as_current_span(
                f"{service}/{name}",
                context=self._extract(headers),
                kind=SpanKind.SERVER,
                attributes=attributes,
                # What was raised may hold what a caller sent.
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    return await call(request, context)
                finally:
                    # No status where nobody set one, whatever the annotation says.
                    code: object = context.code()
                    if not isinstance(code, grpc.StatusCode):
                        code = grpc.StatusCode.OK
                    span.set_attribute("rpc.grpc.status_code", code.value[0])
                    if code.name in _SERVERS_FAULT:
                        span.set_status(StatusCode.ERROR)

        return traced
