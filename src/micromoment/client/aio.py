"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from micromoment.client.access import AccessOptions, make_access
from micromoment.client.channel import DEFAULT_DEADLINE_S, OPTIONS
from micromoment.client.fallback import FallbackReason, Fallbacks, OnFallback
from micromoment.client.pushback import HeldBackError, Pushback
from micromoment.client.requests import ScoreOptions, score_request
from micromoment.client.stream import ScoreStream
from micromoment.v1 import events_pb2, scoring_pb2
from micromoment.v1.events_pb2_grpc import EventServiceStub
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub

_Reply = TypeVar("_Reply", bound=Message)


class AsyncClient:
    """One connection to a server, for one event loop; make it after a fork, not before.

    Calls raise `grpc.RpcError`, after retries, when there is no answer within `deadline_s` seconds
    (the client's, or the call's own) or the request breaks the contract; its `details()` name the
    fields. After a server that is overloaded refused a call, some are not sent and raise the same
    at once. `score_or_fallback` never raises: it answers with a copy of `fallback` instead, by
    default one without any score, and tells `on_fallback` why. `options` are TLS and token, see
    `AccessOptions`.
    """

    def __init__(
        self,
        address: str,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        credentials: grpc.ChannelCredentials | None = None,
        fallback: scoring_pb2.ScoreResponse | None = None,
        on_fallback: OnFallback | None = None,
        **options: Unpack[AccessOptions],
    ) -> None:
        access = make_access(address, credentials, **options)
        if access.credentials is None:
            # Whoever makes the client chooses: without credentials plaintext is asked for.
            # nosemgrep: no-plaintext-beyond-loopback
            self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(address, access.credentials, options=OPTIONS)
        self._metadata = access.metadata
        self._deadline_s = deadline_s
        self._pushback = Pushback()
        self._fallbacks = Fallbacks(fallback, on_fallback)
        self._scoring = ScoringServiceStub(self._channel)
        self._events = EventServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close(grace=None)

    async def wait_until_ready(self, timeout_s: float) -> bool:
        """Connect and wait until a server says SERVING; False when none does within `timeout_s`.

        Call it once when the application starts: the first call then finds an open connection.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._channel.channel_ready()
        except TimeoutError:
            return False
        return True

    async def score(
        self,
        session_id: str,
        events: Iterable[events_pb2.Event] = (),
        *,
        deadline_s: float | None = None,
        **options: Unpack[ScoreOptions],
    ) -> scoring_pb2.ScoreResponse:
        """Tell what just happened in a visit and get its scores."""
        request = score_request(session_id, events, **options)
        return await self._call(self._scoring.Score, request, deadline_s)

    async def score_or_fallback(
        self,
        session_id: str,
        events: Iterable[events_pb2.Event] = (),
        *,
        deadline_s: float | None = None,
        **options: Unpack[ScoreOptions],
    ) -> scoring_pb2.ScoreResponse:
        """Do the same for a page that must neither wait nor break.

        Without an answer within the deadline it is the fallback, which `is_fallback` tells; the
        events may have been counted all the same.
        """
        request = score_request(session_id, events, **options)
        started = time.perf_counter()
        try:
            return await self._call(self._scoring.Score, request, deadline_s)
        except (grpc.RpcError, grpc.aio.UsageError) as error:  # UsageError: the client is closed
            cause: BaseException = error
        except asyncio.CancelledError as error:
            # A client that is closed cancels its calls; who cancels the caller's task means it.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            cause = error
        seconds = time.perf_counter() - started
        return self._fallbacks.instead_of(request, cause, seconds)

    def fallback_counts(self) -> dict[FallbackReason, int]:
        """Give how often `score_or_fallback` had to do without the service, by reason."""
        return self._fallbacks.counts()

    async def try_score(
        self,
        session_id: str,
        events: Iterable[events_pb2.Event] = (),
        **options: Unpack[ScoreOptions],
    ) -> scoring_pb2.ScoreResponse | None:
        """Do the same without a fallback: None when there is no answer."""
        try:
            return await self.score(session_id, events, **options)
        except grpc.RpcError:
            return None

    def stream(self) -> ScoreStream:
        """Give a stream for many visits; `async with` ends it."""
        return ScoreStream(self._scoring, self._deadline_s, self._metadata)

    async def batch_score(
        self,
        score_requests: Iterable[scoring_pb2.ScoreRequest],
        *,
        deadline_s: float | None = None,
    ) -> list[scoring_pb2.BatchScoreResult]:
        """Score many visits; each result holds a response or a status, in order."""
        request = scoring_pb2.BatchScoreRequest(requests=score_requests)
        reply = await self._call(self._scoring.BatchScore, request, deadline_s)
        return list(reply.results)

    async def get_session(
        self, session_id: str, *, explain: bool = False, deadline_s: float | None = None
    ) -> scoring_pb2.GetSessionResponse:
        """Ask what is known of a visit and why it was scored as it was."""
        request = scoring_pb2.GetSessionRequest(session_id=session_id, explain=explain)
        return await self._call(self._scoring.GetSession, request, deadline_s)

    async def ingest(
        self,
        events: Iterable[events_pb2.Event],
        *,
        session_id: str = "",
        user_id: str = "",
        anonymous_id: str = "",
        consent: events_pb2.Consent | None = None,
        deadline_s: float | None = None,
    ) -> events_pb2.IngestResponse:
        """Report events without asking for scores; without a session, from outside a visit."""
        request = events_pb2.IngestRequest(
            session_id=session_id,
            user_id=user_id,
            anonymous_id=anonymous_id,
            events=events,
            consent=consent,
        )
        return await self._call(self._events.Ingest, request, deadline_s)

    async def _call(
        self,
        method: Callable[..., Awaitable[_Reply]],
        request: Message,
        deadline_s: float | None,
    ) -> _Reply:
        try:
            self._pushback.check()
        except HeldBackError as held:
            # Of the class that every other error of this client has.
            raise grpc.aio.AioRpcError(
                held.code(), grpc.aio.Metadata(), grpc.aio.Metadata(), held.details(), None
            ) from None
        try:
            reply = await method(
                request,
                timeout=self._deadline_s if deadline_s is None else deadline_s,
                metadata=self._metadata,
            )
        except grpc.RpcError as error:
            self._pushback.failed(error)
            raise
        self._pushback.answered()
        return reply
