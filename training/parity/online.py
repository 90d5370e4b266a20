"""The online side: the same day through protobuf and a running server, in random requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from micromoment.client import score_request
from micromoment.v1 import events_pb2 as events_pb
from micromoment.v1 import scoring_pb2 as pb
from training.parity.callers import Via, connected
from training.parity.offline import Answer, Answers, canonical_bytes
from training.parity.proto_events import Row, event_message
from training.progress import Advance

_IN_FLIGHT: Final = 8
_MAX_CHUNK: Final = 6
# Small requests are the common ones: half hold one event.
_CHUNK_SIZES: Final = (1, 1, 1, 2, 3, _MAX_CHUNK)


@dataclass(frozen=True, slots=True)
class Request:
    """Consecutive events of one session, sent in one call."""

    session_id: str
    user_id: str
    anonymous_id: str
    events: tuple[events_pb.Event, ...]


@dataclass(slots=True)
class OnlineAnswers:
    """What the server said at the end of each request, and what can't be compared."""

    answers: Answers
    events: int = 0
    state_lost: int = 0
    degraded: int = 0


def chunked(rows: Sequence[Row], random: Random) -> Iterator[Request]:
    """Cut one session's rows, in arrival order, into requests of random size."""
    start = 0
    while start < len(rows):
        first = rows[start]
        size = random.choice(_CHUNK_SIZES)
        end = start + 1
        while end < min(start + size, len(rows)) and _visitor(rows[end]) == _visitor(first):
            end += 1
        user_id, anonymous_id = _visitor(first)
        messages = tuple(event_message(row) for row in rows[start:end])
        yield Request(first["session_id"], user_id, anonymous_id, messages)
        start = end


async def play(
    via: Via,
    address: str,
    sessions: Sequence[Sequence[Request]],
    into: OnlineAnswers,
    advance: Advance,
) -> None:
    """Send all requests, each session's in order, several sessions at once."""
    waiting = iter(sessions)
    async with connected(via, address) as score:

        async def work() -> None:
            for requests in waiting:
                for request in requests:
                    reply = await score(
                        score_request(
                            request.session_id,
                            request.events,
                            user_id=request.user_id,
                            anonymous_id=request.anonymous_id,
                            include_features=True,
                        )
                    )
                    _note(into, request, reply)
                    advance(len(request.events))

        await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))


def _note(into: OnlineAnswers, request: Request, reply: pb.ScoreResponse) -> None:
    into.events += len(request.events)
    if pb.DEGRADED_REASON_STATE_LOST in reply.degraded:
        into.state_lost += 1
        return
    into.degraded += bool(reply.degraded)
    churn = reply.churn if reply.HasField("churn") else None
    into.answers[request.session_id, reply.last_event_id] = Answer(
        conversion=reply.conversion if reply.HasField("conversion") else None,
        abandonment=reply.abandonment if reply.HasField("abandonment") else None,
        churn=churn.probability if churn else None,
        expected_orders=churn.expected_orders
        if churn and churn.HasField("expected_orders")
        else None,
        expected_value_micros=churn.expected_value_micros
        if churn and churn.HasField("expected_value_micros")
        else None,
        converted=reply.converted,
        segment=reply.segment.segment_id,
        cluster=reply.cluster.segment_id,
        audiences=tuple(one.segment_id for one in reply.audiences),
        lifecycle=pb.Lifecycle.Name(reply.lifecycle).removeprefix("LIFECYCLE_").lower(),
        journey_stage=pb.JourneyStage.Name(reply.journey_stage).removeprefix("JOURNEY_STAGE_"),
        events_seen=reply.events_seen,
        features=canonical_bytes(np.array(reply.feature_vector.values, dtype=np.float32)),
    )


def _visitor(row: Row) -> tuple[str, str]:
    return row["user_id"] or "", row["anonymous_id"] or ""
