"""The ways in which the online side is called; each server is one of the product's own commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

import grpc
import httpx
from google.protobuf import json_format

from micromoment.client import ScoreStream
from micromoment.errors import MicromomentError
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from training.server_process import HttpServerProcess, ServerProcess

_DEADLINE_S: Final = 30.0
_HTTP_SCORE: Final = "/v1/score"
_NO_PROXY: Final = (("grpc.enable_http_proxy", 0),)

Score = Callable[[pb.ScoreRequest], Awaitable[pb.ScoreResponse]]


class Via(StrEnum):
    """How the server is called."""

    GRPC = "grpc"
    STREAM = "stream"
    BATCH = "batch"
    HTTP = "http"

    @property
    def server(self) -> type[ServerProcess]:
        """The process that takes such calls."""
        return HttpServerProcess if self is Via.HTTP else ServerProcess


class CallRefusedError(MicromomentError):
    """The server answered a call with an error."""


@asynccontextmanager
async def connected(via: Via, address: str) -> AsyncIterator[Score]:
    """Connect; gives a function that sends a request and waits for its answer."""
    if via is Via.HTTP:
        async with _over_http(address) as score:
            yield score
        return
    # Of a server that the check started itself, or was told of.
    # nosemgrep: no-plaintext-beyond-loopback
    async with grpc.aio.insecure_channel(address, options=_NO_PROXY) as channel:
        stub = ScoringServiceStub(channel)
        if via is Via.STREAM:
            async with ScoreStream(stub, _DEADLINE_S) as stream:
                yield stream.score_request
        elif via is Via.BATCH:
            yield _Batches(stub).score
        else:
            yield lambda request: stub.Score(request, timeout=_DEADLINE_S)


class _Batches:
    """Sends what comes at once, or while a batch is under way, in one batch."""

    def __init__(self, stub: ScoringServiceStub) -> None:
        self._stub = stub
        self._waiting: list[tuple[pb.ScoreRequest, asyncio.Future[pb.BatchScoreResult]]] = []
        self._sending = asyncio.Lock()

    async def score(self, request: pb.ScoreRequest) -> pb.ScoreResponse:
        """Send a request with others and wait for its answer."""
        future: asyncio.Future[pb.BatchScoreResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        async with self._sending:
            if not future.done():
                await self._send()
        result = await future
        if not result.HasField("response"):
            raise CallRefusedError(result.status.message)
        return result.response

    async def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch = pb.BatchScoreRequest(requests=[request for request, _ in waiting])
        stub: Any = self._stub  # whose annotations are those of the synchronous one
        reply = await stub.BatchScore(batch, timeout=_DEADLINE_S)
        for (_, future), result in zip(waiting, reply.results, strict=True):
            future.set_result(result)


@asynccontextmanager
async def _over_http(address: str) -> AsyncIterator[Score]:
    json = {"content-type": "application/json"}
    async with httpx.AsyncClient(
        base_url=f"http://{address}", headers=json, timeout=_DEADLINE_S, trust_env=False
    ) as client:

        async def score(request: pb.ScoreRequest) -> pb.ScoreResponse:
            body = json_format.MessageToJson(request)
            answer = await client.post(_HTTP_SCORE, content=body)
            if answer.status_code != httpx.codes.OK:
                raise CallRefusedError(f"HTTP {answer.status_code}: {answer.text}")
            return json_format.Parse(answer.text, pb.ScoreResponse())

        yield score
