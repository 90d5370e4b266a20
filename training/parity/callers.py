"""The ways in which the online side is called; each server is one of the product's own commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

import grpc
import httpx
from google.protobuf import json_format

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
    async with grpc.aio.insecure_channel(address, options=_NO_PROXY) as channel:
        stub = ScoringServiceStub(channel)

        async def score_over_grpc(request: pb.ScoreRequest) -> pb.ScoreResponse:
            return await stub.Score(request, timeout=_DEADLINE_S)

        yield score_over_grpc


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
