"""What is around every method: admission, deadline, errors to statuses, measurement.

Each method is wrapped once. It may answer at once, with a message, or with an awaitable of one. A
request that can't be decoded reaches the guard as `Undecodable`, because what a deserializer raises
would go to the caller as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from typing import Any, Final, NoReturn, cast

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from micromoment.transport.admission import Admission
from micromoment.transport.errors import DeadlineError, UndecodableRequestError
from micromoment.transport.grpc_types import (
    Call,
    Context,
    Handler,
    RpcHandlers,
    Stream,
    Undecodable,
)
from micromoment.transport.observer import Observer
from micromoment.transport.statuses import code_of, status_of

_OWN_PACKAGE: Final = "/micromoment."
_DETAILS_KEY: Final = "grpc-status-details-bin"


class Guards(RpcHandlers):
    """Guards the methods of all services that are added to it, and is added to the server itself.

    Calls of other packages (health, reflection) are always admitted. An interceptor would do the
    same, but gRPC walks through those anew for each call.
    """

    def __init__(
        self, admission: Admission, observer: Observer, *, default_deadline_s: float
    ) -> None:
        self._admission = admission
        self._observer = observer
        self._default_deadline_s = default_deadline_s
        self._services: list[RpcHandlers] = []
        self._guarded: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[RpcHandlers]) -> None:
        """Take services, as a `grpc.Server` does."""
        self._services.extend(handlers)

    def add_registered_method_handlers(
        self, _service: str, _handlers: Mapping[str, Handler]
    ) -> None:
        """Ignore what says the same in another form, as `grpc.aio.Server` does."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Give the guarded handler of the method; none for a method that does not exist."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = self._find(handler_call_details)
            if handler is None:
                return None  # gRPC answers UNIMPLEMENTED
            guarded = self._guarded[method] = self._guard(method, handler)
        return guarded

    def _find(self, details: grpc.HandlerCallDetails) -> Handler | None:
        found = (service.service(details) for service in self._services)
        return next((handler for handler in found if handler is not None), None)

    def _guard(self, method: str, handler: Handler) -> Handler:
        # The annotations of grpc know synchronous handlers only.
        if handler.unary_unary is not None:
            call = cast(Call, handler.unary_unary)
            own = method.startswith(_OWN_PACKAGE)
            return grpc.unary_unary_rpc_method_handler(
                self._guard_own(method, call) if own else _guard_other(method, call),
                _tolerant(handler.request_deserializer),
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(method, cast(Stream, handler.unary_stream)),
                _tolerant(handler.request_deserializer),
                handler.response_serializer,
            )
        stream = handler.stream_stream
        return grpc.stream_stream_rpc_method_handler(
            _guard_both_ways(cast(Call, stream))
            if method.startswith(_OWN_PACKAGE)
            else _guard_stream(method, cast(Stream, stream)),
            _tolerant(handler.request_deserializer),
            handler.response_serializer,
        )

    def _guard_own(self, method: str, call: Call) -> Call:
        label = method.rsplit("/", 1)[-1]
        admission, observer = self._admission, self._observer

        async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
            started = perf_counter()
            code = "OK"
            try:
                with admission:
                    _check_decoded(request, method)
                    left: float | None = context.time_remaining()
                    if left is not None and left <= 0:
                        raise DeadlineError
                    answer = call(request, context)
                    if isinstance(answer, Message):
                        return answer
                    return await self._in_time(answer, left)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - becomes the call's status
                status = status_of(error)
                code = code_of(status).name
                await _abort(context, status)
            finally:
                observer.call_ended(label, code, perf_counter() - started)

        return guarded

    async def _in_time(self, answer: Awaitable[Any], left: float | None) -> Any:  # noqa: ANN401
        if left is not None:
            # A client's own deadline ends the call from outside: gRPC cancels it.
            return await answer
        try:
            async with asyncio.timeout(self._default_deadline_s):
                return await answer
        except TimeoutError:
            raise DeadlineError from None


def _guard_other(method: str, call: Call) -> Call:
    async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
        try:
            _check_decoded(request, method)
            answer = call(request, context)
            return answer if isinstance(answer, Message) else await answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await _abort(context, status_of(error))

    return guarded


def _guard_stream(method: str, stream: Stream) -> Stream:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        try:
            _check_decoded(request, method)
            async for reply in stream(request, context):
                yield reply
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await _abort(context, status_of(error))

    return guarded


def _guard_both_ways(serve: Call) -> Call:
    # It reads and writes through the context, and admits each request by itself.
    async def guarded(requests: Any, context: Context) -> None:  # noqa: ANN401 - any messages
        try:
            await serve(requests, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await _abort(context, status_of(error))

    return guarded


def _check_decoded(request: object, method: str) -> None:
    if isinstance(request, Undecodable):
        raise UndecodableRequestError(method)


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def tolerant(data: bytes) -> Any:  # noqa: ANN401 - any message
        try:
            return deserialize(data)
        except Exception:  # noqa: BLE001 - what a parser raises is its own affair
            return Undecodable()

    return tolerant


async def _abort(context: Context, status: Status) -> NoReturn:
    details = ((_DETAILS_KEY, status.SerializeToString()),)
    await context.abort(code_of(status), status.message, details)
