"""BatchScore: many sessions a call, scored in as few passes as their order allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Final

from micromoment.scoring.calls import Score
from micromoment.transport.application import Application
from micromoment.transport.keeping import say_not_kept, settled
from micromoment.transport.observer import Observer, note_answer
from micromoment.transport.statuses import status_of
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import scoring_pb2 as pb

# Sessions in one pass: more gains little, and other calls wait for the pass to end.
_TOGETHER: Final = 32

# A turn of the loop that is shorter had no call in it; after so many of them nobody waits.
_EMPTY_TURN_S: Final = 0.00005
_EMPTY_TURNS: Final = 8

_Outcomes = list[Score | Exception | None]


async def score_batch(
    application: Application, requests: Sequence[pb.ScoreRequest], observer: Observer
) -> pb.BatchScoreResponse:
    """Score requests in order; each succeeds or fails by itself."""
    response = pb.BatchScoreResponse()
    waiting: list[tuple[int, asyncio.Future[bool] | bool]] = []
    for first in range(0, len(requests), _TOGETHER):
        started = perf_counter()
        some = requests[first : first + _TOGETHER]
        visits, outcomes = _decode(application, some)
        for places in _rounds(visits):
            scored = await application.visits.score_batch([visits[place] for place in places])
            for place, outcome in zip(places, scored, strict=True):
                outcomes[place] = outcome
        for place, (request, answer) in enumerate(zip(some, outcomes, strict=True)):
            result = response.results.add()
            if isinstance(answer, Exception):
                result.status.CopyFrom(status_of(answer))
            elif answer is not None:
                _encode(application, request, answer, result.response)
                note_answer(observer, answer, visits[place])
        waiting.append((first, application.visit_log.barrier()))
        await _let_others_go(perf_counter() - started)
    for first, barrier in waiting:
        if not await settled(barrier):
            _say_not_kept(response, first, observer)
    return response


def _say_not_kept(response: pb.BatchScoreResponse, first: int, observer: Observer) -> None:
    for result in response.results[first : first + _TOGETHER]:
        if result.HasField("response"):
            say_not_kept(result.response, observer)


async def _let_others_go(seconds: float) -> None:
    """Wait while other calls are answered, up to as long as a part of the batch took."""
    now, empty = perf_counter(), 0
    end = now + seconds
    while empty < _EMPTY_TURNS and now < end:
        before = now
        await asyncio.sleep(0)
        now = perf_counter()
        empty = empty + 1 if now - before < _EMPTY_TURN_S else 0


def _decode(
    application: Application, requests: Sequence[pb.ScoreRequest]
) -> tuple[dict[int, VisitCall], _Outcomes]:
    """Give the calls by their places, and the outcomes of those that are none."""
    visits: dict[int, VisitCall] = {}
    outcomes: _Outcomes = [None] * len(requests)
    for place, request in enumerate(requests):
        try:
            visits[place] = application.decoder.score_call(request)
        except Exception as error:  # noqa: BLE001 - becomes this item's status
            outcomes[place] = error
    return visits, outcomes


def _rounds(visits: Mapping[int, VisitCall]) -> Iterator[list[int]]:
    """Give the places of calls in rounds: in each a session has one call, its next."""
    left = list(visits)
    while left:
        seen = set()
        this: list[int] = []
        later: list[int] = []
        for place in left:
            key = visits[place].call.key
            (later if key in seen else this).append(place)
            seen.add(key)
        yield this
        left = later


def _encode(
    application: Application, request: pb.ScoreRequest, score: Score, reply: pb.ScoreResponse
) -> None:
    include = request.include_features
    application.encoder.fill(reply, request.session_id, score, include_features=include)
