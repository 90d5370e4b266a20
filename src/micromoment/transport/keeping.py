"""Holds replies back until the event log has what they tell of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from micromoment.scoring.calls import Degraded
from micromoment.stores.visit_log import VisitLog
from micromoment.transport.encoding import DEGRADED_REASONS
from micromoment.transport.observer import Observer
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.events_pb2 import CONSENT_STATE_DENIED


def when_kept(
    reply: pb.ScoreResponse, log: VisitLog, observer: Observer
) -> pb.ScoreResponse | Awaitable[pb.ScoreResponse]:
    """Give a reply at once, or what to wait for; where the log takes nothing, it says so."""
    barrier = log.barrier()
    if not isinstance(barrier, bool):
        return _wait(reply, barrier, observer)
    if not barrier:
        say_not_kept(reply, observer)
    return reply


async def kept(reply: pb.ScoreResponse, log: VisitLog, observer: Observer) -> pb.ScoreResponse:
    """Give a reply once the log has what it tells of; where the log takes nothing, it says so."""
    if not await settled(log.barrier()):
        say_not_kept(reply, observer)
    return reply


async def settled(barrier: asyncio.Future[bool] | bool) -> bool:
    """Wait, where there is something to wait for, until it is known whether rows are kept."""
    return barrier if isinstance(barrier, bool) else await barrier


def say_not_kept(reply: pb.ScoreResponse, observer: Observer) -> None:
    """Let a reply say that the log did not take the call, unless none was to be logged."""
    if reply.consent.analytics == CONSENT_STATE_DENIED:
        return
    reply.degraded.append(DEGRADED_REASONS[Degraded.LOG_UNAVAILABLE])
    observer.lacked(Degraded.LOG_UNAVAILABLE)


async def _wait(
    reply: pb.ScoreResponse, barrier: asyncio.Future[bool], observer: Observer
) -> pb.ScoreResponse:
    if not await barrier:
        say_not_kept(reply, observer)
    return reply
