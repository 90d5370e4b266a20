"""Holds replies back until the event log has what they tell of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from micromoment.scoring.calls import Degraded
from micromoment.stores.visit_log import VisitLog
from micromoment.transport.encoding import DEGRADED_REASONS
from micromoment.transport.observer import Observer
from micromoment.v1 import scoring_pb2 as pb


def when_kept(
    reply: pb.ScoreResponse, log: VisitLog, observer: Observer
) -> pb.ScoreResponse | Awaitable[pb.ScoreResponse]:
    """Give a reply at once, or what to wait for; where the log takes nothing, it says so."""
    kept = log.barrier()
    if isinstance(kept, asyncio.Future):
        return _wait(reply, kept, observer)
    if not kept:
        say_not_kept(reply, observer)
    return reply


def say_not_kept(reply: pb.ScoreResponse, observer: Observer) -> None:
    """Let a reply say that the log did not take the call."""
    reply.degraded.append(DEGRADED_REASONS[Degraded.LOG_UNAVAILABLE])
    observer.lacked(Degraded.LOG_UNAVAILABLE)


async def _wait(
    reply: pb.ScoreResponse, kept: asyncio.Future[bool], observer: Observer
) -> pb.ScoreResponse:
    if not await kept:
        say_not_kept(reply, observer)
    return reply
