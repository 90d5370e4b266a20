"""What is around every method: who calls, admission, deadline, errors to statuses, measurement.

Each method is wrapped once. It may answer at once, with a message, or with an awaitable of one. A
request that can't be decoded reaches the guard as `Undecodable`, because what a deserializer raises
would go to the caller as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, cast

import grpc
from google.protobuf.message import Message

from micromoment.errors import PermissionDeniedError, UnauthenticatedError
from micromoment.security.access import Access, Needs, needs_of
from micromoment.transport.admission import Admission
from micromoment.transport.errors import (
    DeadlineError,
    OverloadedError,
    StalledStreamError,
    UndecodableRequestError,
)
from micromoment.transport.grpc_types import (
    Call,
    Context,
    Handler,
    RpcHandlers,
    Stream,
    Undecodable,
)
from micromoment.transport.observer import Observer
from micromoment.transport.overload import OverloadWatch
from micromoment.transport.statuses import abort_with, code_of, status_of

_OWN_PACKAGE: Final = "/micromoment."
# When the call of this task came, by perf_counter: gRPC asks for the handler and calls it in one.
_came: ContextVar[float] = ContextVar("came")


class Guards(RpcHandlers):
    """Guards the methods of all services that are added to it, and is added to the server itself.

    With `access` a call must bring a token, which is looked at before its request is read. Calls of
    other packages (health, reflection) are admitted however many they are. An interceptor would do
    the same, but gRPC walks through those anew for each call.
    """

    def __init__(
        self,
        admission: Admission,
        observer: Observer,
        *,
        default_deadline_s: float,
        watch: OverloadWatch | None = None,
        access: Access | None = None,
    ) -> None:
        self._admission = admission
        self._observer = observer
        self._watch = watch
        self._access = access
        self._needs: dict[str, Needs] = {}
        self._default_deadline_s = default_deadline_s
        self._services: list[RpcHandlers] = []
        self._guarded: dict[str, Handler] = {}
        self._refusing: dict[tuple[str, type[Exception]], Handler] = {}

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
        watch = self._watch
        _came.set(perf_counter() if watch is None else watch.take())
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = self._find(handler_call_details)
            if handler is None:
                return None  # gRPC answers UNIMPLEMENTED
            guarded = self._guarded[method] = self.guard(method, handler)
            self._needs[method] = needs_of(method[1:].partition("/")[0])
        if self._access is not None:
            metadata = handler_call_details.invocation_metadata or ()
            try:
                self._access.admit(self._needs[method], metadata)
            except (UnauthenticatedError, PermissionDeniedError) as error:
                return self._refusal(method, error)
        if watch is None or not watch.shedding.is_on or not method.startswith(_OWN_PACKAGE):
            return guarded
        if not watch.shedding.refuses():
            return guarded
        return self._refusal(method, OverloadedError("max_wait"))

    def _refusal(self, method: str, error: Exception) -> Handler:
        kind = method, type(error)
        refusing = self._refusing.get(kind)
        if refusing is None:
            refusing = self._refusing[kind] = _refusing(_label(method), error, self._observer)
        return refusing

    def _find(self, details: grpc.HandlerCallDetails) -> Handler | None:
        found = (service.service(details) for service in self._services)
        return next((handler for handler in found if handler is not None), None)

    def guard(
        self, method: str, handler: Handler, on_call: Callable[[], object] = lambda: None
    ) -> Handler:
        """Give the guarded handler of a method; of other packages' each call calls `on_call`."""
        # The annotations of grpc know synchronous handlers only.
        if handler.unary_unary is not None:
            call = cast(Call, handler.unary_unary)
            own = method.startswith(_OWN_PACKAGE)
            return grpc.unary_unary_rpc_method_handler(
                self._guard_own(method, call) if own else _guard_other(method, call, on_call),
                _tolerant(handler.request_deserializer),
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(method, cast(Stream, handler.unary_stream), on_call),
                _tolerant(handler.request_deserializer),
                handler.response_serializer,
            )
        stream = handler.stream_stream
        return grpc.stream_stream_rpc_method_handler(
            _guard_both_ways(cast(Call, stream))
            if method.startswith(_OWN_PACKAGE)
            else _guard_stream(method, cast(Stream, stream), on_call),
            _tolerant(handler.request_deserializer),
            handler.response_serializer,
        )

    def _guard_own(self, method: str, call: Call) -> Call:
        label = _label(method)
        admission, observer, default_s = self._admission, self._observer, self._default_deadline_s

        async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
            came = _came.get()
            waited = perf_counter() - came
            code = "OK"
            try:
                with admission:
                    _check_decoded(request, method)
                    own: float | None = context.time_remaining()
                    left = default_s - waited if own is None else own
                    if left <= 0:
                        raise DeadlineError
                    answer = call(request, context)
                    if isinstance(answer, Message):
                        return answer
                    # A client's own deadline ends the call from outside: gRPC cancels it.
                    return await (answer if own is not None else _within(left, answer))
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - becomes the call's status
                if isinstance(error, OverloadedError):
                    observer.call_refused(label, error.reason)
                status = status_of(error)
                code = code_of(status).name
                await abort_with(context, status)
            finally:
                observer.call_waited(waited)
                observer.call_ended(label, code, perf_counter() - came)

        return guarded


async def _within(seconds: float, answer: Awaitable[Any]) -> Any:  # noqa: ANN401 - any message
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise DeadlineError from None


def _label(method: str) -> str:
    return method.rsplit("/", 1)[-1]


def _refusing(label: str, error: Exception, observer: Observer) -> Handler:
    """Refuse calls of any kind without reading their requests."""
    status = status_of(error)

    async def refuse(_requests: Any, context: Context) -> None:  # noqa: ANN401 - any messages
        if isinstance(error, OverloadedError):
            observer.call_refused(label, error.reason)
        observer.call_ended(label, code_of(status).name, perf_counter() - _came.get())
        await abort_with(context, status)

    return grpc.stream_stream_rpc_method_handler(refuse)


def _guard_other(method: str, call: Call, on_call: Callable[[], object]) -> Call:
    async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
        on_call()
        try:
            _check_decoded(request, method)
            answer = call(request, context)
            return answer if isinstance(answer, Message) else await answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await abort_with(context, status_of(error))

    return guarded


def _guard_stream(method: str, stream: Stream, on_call: Callable[[], object]) -> Stream:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        on_call()
        try:
            _check_decoded(request, method)
            async for reply in stream(request, context):
                yield reply
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await abort_with(context, status_of(error))

    return guarded


def _guard_both_ways(serve: Call) -> Call:
    # It reads and writes through the context, and admits each request by itself.
    async def guarded(requests: Any, context: Context) -> None:  # noqa: ANN401 - any messages
        try:
            await serve(requests, context)
        except grpc.aio.AbortError:
            raise
        except StalledStreamError as error:
            # The status waits behind the answers that nobody reads, until the connection ends.
            with suppress(grpc.aio.InternalError):
                await abort_with(context, status_of(error))
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            await abort_with(context, status_of(error))

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
