"""One stream for many visits: cheaper than a call each, for a backend that asks all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, Unpack

import grpc
from google.rpc.status_pb2 import Status

from micromoment.client.access import Metadata
from micromoment.client.requests import ScoreOptions, score_request
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub

_END: Final = grpc.aio.EOF  # type: ignore[attr-defined] # the annotations lack it
# The server takes 256 KiB, the id and what is around the request included.
_MAX_REQUEST_BYTES: Final = 256 * 1_024 - 64
_TOO_LARGE: Final = Status(
    code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="the request has more than 256 KiB"
)
_Answer = asyncio.Future[pb.StreamScoresResponse | None]


class ScoreRefusedError(Exception):
    """The server answered a request on a stream with an error; `status` tells which."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status

    @property
    def code(self) -> int:
        """The number of the gRPC status."""
        return int(self.status.code)


class ScoreStream:
    """A stream to one server, made by `AsyncClient.stream`, for tasks of one event loop.

    Calls may overlap: those of one session are answered in order. A stream that the server has
    ended, idle or about to stop, is opened again with the next call, and what it left unanswered is
    sent again: ids of events make that safe.
    """

    def __init__(
        self, stub: ScoringServiceStub, deadline_s: float, metadata: Metadata = ()
    ) -> None:
        self._stub: Any = stub
        self._deadline_s = deadline_s
        self._metadata = metadata
        self._ids = count(1)
        self._waiting: dict[str, _Answer] = {}
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

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
        """End the stream; calls that wait for an answer fail."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait((self._reader,))
        if self._call is not None:
            self._call.cancel()

    async def score(
        self,
        session_id: str,
        events: Iterable[events_pb2.Event] = (),
        *,
        deadline_s: float | None = None,
        **options: Unpack[ScoreOptions],
    ) -> pb.ScoreResponse:
        """Tell what just happened in a visit and get its scores.

        Raises `ScoreRefusedError` for an error of the request's own, `grpc.RpcError` when no server
        can be reached and `TimeoutError` without an answer within the deadline, the stream's or
        the call's own.
        """
        request = score_request(session_id, events, **options)
        return await self.score_request(request, deadline_s=deadline_s)

    async def score_request(
        self, request: pb.ScoreRequest, *, deadline_s: float | None = None
    ) -> pb.ScoreResponse:
        """Do the same with a request that `client.score_request` made."""
        if request.ByteSize() > _MAX_REQUEST_BYTES:
            # The server would end the stream, and with it what others asked.
            raise ScoreRefusedError(_TOO_LARGE)
        async with asyncio.timeout(self._deadline_s if deadline_s is None else deadline_s):
            answer = await self._ask(request)
            while answer is None:
                answer = await self._ask(request)
        if answer.WhichOneof("outcome") == "status":
            raise ScoreRefusedError(answer.status)
        return answer.response

    async def _ask(self, request: pb.ScoreRequest) -> pb.StreamScoresResponse | None:
        """Ask on the stream that is open; None when it ended in good order without an answer."""
        message = pb.StreamScoresRequest(request_id=str(next(self._ids)), request=request)
        future: _Answer = asyncio.get_running_loop().create_future()
        # One writes at a time, so that requests of a session keep their order.
        async with self._turn:
            self._open()
            self._waiting[message.request_id] = future
            # Where it can't be written the reader tells why.
            with suppress(grpc.RpcError, asyncio.InvalidStateError):
                await self._call.write(message)
        try:
            return await future
        finally:
            self._waiting.pop(message.request_id, None)

    def _open(self) -> None:
        if self._reader is None or self._reader.done():
            self._call = self._stub.StreamScores(metadata=self._metadata)
            self._reader = asyncio.get_running_loop().create_task(self._read(self._call))

    async def _read(self, call: Any) -> None:  # noqa: ANN401 - grpc's call
        error: BaseException | None = None
        try:
            while (answer := await call.read()) is not _END:
                future = self._waiting.get(answer.request_id)
                if future is not None and not future.done():
                    future.set_result(answer)
        except (grpc.RpcError, asyncio.CancelledError) as failure:
            error = failure
        for future in self._waiting.values():
            if not future.done():
                _end(future, error)


def _end(future: _Answer, error: BaseException | None) -> None:
    if isinstance(error, asyncio.CancelledError):
        future.cancel()
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(None)
