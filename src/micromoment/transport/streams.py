"""StreamScores: many requests over one stream, some of them under way at once.

What can be answered at once is answered in the order of arrival. What must wait, for a visitor's
features say, lets requests of other sessions pass; those of its own session wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from micromoment.events.validation import check_stream_scores_request
from micromoment.transport.admission import Admission
from micromoment.transport.errors import (
    DeadlineError,
    OverloadedError,
    StalledStreamError,
    TooManyStreamsError,
    UndecodableRequestError,
)
from micromoment.transport.grpc_types import Context, Undecodable
from micromoment.transport.observer import Observer
from micromoment.transport.shedding import Shedding
from micromoment.transport.statuses import code_of, status_of
from micromoment.v1 import scoring_pb2 as pb

# Requests of a stream that were read and whose answers are not sent yet.
MAX_IN_FLIGHT: Final = 64
_END: Final = grpc.aio.EOF  # type: ignore[attr-defined] # the annotations lack it
METHOD: Final = "StreamScores"

Start = Callable[[pb.ScoreRequest], pb.ScoreResponse | Awaitable[pb.ScoreResponse]]


class Streams:
    """Serves up to `most` streams until they end, are idle for `idle_s`, or `close` is called.

    One whose peer does not read an answer for `stall_s` is broken off. Each request is admitted and
    has `deadline_s` seconds, as a call of its own would. `check` is called with each; what it
    raises ends the stream.
    """

    def __init__(
        self,
        admission: Admission,
        observer: Observer,
        shedding: Shedding,
        *,
        most: int,
        idle_s: float,
        stall_s: float,
        deadline_s: float,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._check = check
        self._admission = admission
        self._observer = observer
        self._shedding = shedding
        self._most = most
        self._idle_s = idle_s
        self._stall_s = stall_s
        self._deadline_s = deadline_s
        self._open: set[_Stream] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, context: Context, start: Start) -> None:
        """Serve one stream; `start` answers a request with a message or an awaitable of one.

        Raises `TooManyStreamsError`, and `StalledStreamError` for a peer that does not read.
        """
        if len(self._open) >= self._most:
            self._observer.call_refused(METHOD, "max_streams")
            raise TooManyStreamsError
        answer = partial(self._answer, start)
        stream = _Stream(context, answer, self._check, idle_s=self._idle_s, stall_s=self._stall_s)
        self._open.add(stream)
        try:
            await stream.run()
        finally:
            self._open.discard(stream)

    def close(self) -> None:
        """Read no more requests; streams end when what was read is answered."""
        for stream in self._open:
            stream.end()

    def _answer(
        self, start: Start, message: pb.StreamScoresRequest
    ) -> pb.StreamScoresResponse | Coroutine[Any, Any, pb.StreamScoresResponse]:
        """Answer a request, at once where that can be; never raises."""
        started = perf_counter()
        try:
            check_stream_scores_request(message)
            self._shedding.check()
            with self._admission:
                answer = start(message.request)
        except Exception as error:  # noqa: BLE001 - becomes the request's status
            return self._refusal(message, error, started)
        if isinstance(answer, Message):
            self._observer.call_ended(METHOD, "OK", perf_counter() - started)
            return _response(message, answer)
        return self._wait(message, answer, started)

    async def _wait(
        self, message: pb.StreamScoresRequest, answer: Awaitable[Any], started: float
    ) -> pb.StreamScoresResponse:
        try:
            with self._admission:
                async with asyncio.timeout(self._deadline_s):
                    reply = await answer
        except TimeoutError:
            return self._refusal(message, DeadlineError(), started)
        except Exception as error:  # noqa: BLE001 - becomes the request's status
            return self._refusal(message, error, started)
        self._observer.call_ended(METHOD, "OK", perf_counter() - started)
        return _response(message, reply)

    def _refusal(
        self, message: pb.StreamScoresRequest, error: Exception, started: float
    ) -> pb.StreamScoresResponse:
        if isinstance(error, OverloadedError):
            self._observer.call_refused(METHOD, error.reason)
        status = status_of(error)
        self._observer.call_ended(METHOD, code_of(status).name, perf_counter() - started)
        return pb.StreamScoresResponse(request_id=message.request_id, status=status)


def _response(message: pb.StreamScoresRequest, answer: pb.ScoreResponse) -> pb.StreamScoresResponse:
    return pb.StreamScoresResponse(request_id=message.request_id, response=answer)


_Answer = Callable[
    [pb.StreamScoresRequest],
    pb.StreamScoresResponse | Coroutine[Any, Any, pb.StreamScoresResponse],
]


class _Stream:
    def __init__(
        self,
        context: Context,
        answer: _Answer,
        check: Callable[[], object],
        *,
        idle_s: float,
        stall_s: float,
    ) -> None:
        self._context = context
        self._check = check
        self._answer = answer
        self._idle_s = idle_s
        self._stall_s = stall_s
        self._look_s = min(idle_s, stall_s) / 2
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._answers: asyncio.Queue[pb.StreamScoresResponse | None] = asyncio.Queue()
        # Of each session the last request that waits: the next one follows it.
        self._waiting: dict[str, asyncio.Task[pb.StreamScoresResponse]] = {}
        self._loop = asyncio.get_running_loop()
        self._last_moved = self._loop.time()
        self._is_writing = False
        self._is_stalled = False
        self._next_look: asyncio.TimerHandle | None = None
        self._reader = self._loop.create_task(self._read())
        self._writer = self._loop.create_task(self._write())

    async def run(self) -> None:
        """Read, answer and write until there is nothing more to read.

        Raises `UndecodableRequestError` and `StalledStreamError`.
        """
        self._watch()
        try:
            await asyncio.wait((self._reader, self._writer), return_when=asyncio.FIRST_COMPLETED)
            if not self._writer.done():
                # Whatever ended the reading: a status can't be sent past an answer that is not.
                if self._waiting:
                    await asyncio.wait(self._waiting.values())
                self._answers.put_nowait(None)
                await asyncio.wait((self._writer,))
            if self._is_stalled:
                raise StalledStreamError
            _raise_of(self._writer)
            _raise_of(self._reader)
        finally:
            if self._next_look is not None:
                self._next_look.cancel()
            for task in (self._reader, self._writer, *self._waiting.values()):
                task.cancel()

    def end(self) -> None:
        """Read no more."""
        self._reader.cancel()

    async def _read(self) -> None:
        while True:
            await self._room.acquire()
            message = await self._context.read()
            if message is _END:
                return
            self._last_moved = self._loop.time()
            self._check()
            if isinstance(message, Undecodable):
                raise UndecodableRequestError(METHOD)
            self._take(message)

    def _take(self, message: pb.StreamScoresRequest) -> None:
        session_id = message.request.session_id
        before = self._waiting.get(session_id)
        if before is None:
            answer = self._answer(message)
            if isinstance(answer, pb.StreamScoresResponse):
                self._answers.put_nowait(answer)
                return
            task = self._loop.create_task(answer)
        else:
            task = self._loop.create_task(self._answer_after(before, message))
        self._waiting[session_id] = task
        task.add_done_callback(partial(self._answered, session_id))

    async def _answer_after(
        self, before: asyncio.Task[pb.StreamScoresResponse], message: pb.StreamScoresRequest
    ) -> pb.StreamScoresResponse:
        await asyncio.wait((before,))
        answer = self._answer(message)
        return answer if isinstance(answer, pb.StreamScoresResponse) else await answer

    def _answered(self, session_id: str, task: asyncio.Task[pb.StreamScoresResponse]) -> None:
        if self._waiting.get(session_id) is task:
            del self._waiting[session_id]
        if not task.cancelled():
            self._answers.put_nowait(task.result())

    async def _write(self) -> None:
        while (answer := await self._answers.get()) is not None:
            self._is_writing = True
            self._last_moved = self._loop.time()
            await self._context.write(answer)
            self._is_writing = False
            self._last_moved = self._loop.time()
            self._room.release()

    def _watch(self) -> None:
        most = self._stall_s if self._is_writing else self._idle_s
        left = self._last_moved + most - self._loop.time()
        if left > 0:
            self._next_look = self._loop.call_later(min(left, self._look_s), self._watch)
        elif self._is_writing:
            self._is_stalled = True
            self._writer.cancel()
        else:
            self.end()


def _raise_of(task: asyncio.Task[None]) -> None:
    """Raise what a task raised; that it was ended is no error."""
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
