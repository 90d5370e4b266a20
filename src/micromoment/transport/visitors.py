"""Looks the visitor of a call up, within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import ScoreCall
from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.transport.observer import Observer
from micromoment.v1 import events_pb2 as pb

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)


@dataclass(slots=True)
class VisitCall:
    """A call with the ids under which its visitor may be stored, the current form first.

    `events` are the call's events as they came, at `received_time_us` (microseconds since 1970).
    `identified` tells that the visitor is a known customer.
    """

    call: ScoreCall
    visitor_ids: tuple[str, ...]
    events: Sequence[pb.Event] = ()
    identified: bool = False
    received_time_us: int = 0


class Visitors:
    """Looks visitors up. A look-up longer than `timeout_s` counts as failed.

    The users are those of `tenant`; the visitors of all others are unknown.
    """

    def __init__(
        self,
        users: UserFeatureStore,
        timeout_s: float,
        observer: Observer,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self._tenant = tenant
        self._users = users
        self._timeout_s = timeout_s
        self._observer = observer

    async def added_to(self, visit: VisitCall) -> ScoreCall:
        """Give the call with what is known of its visitor."""
        if visit.call.key.tenant != self._tenant:
            return replace(visit.call, user=_UNKNOWN)
        started = time.perf_counter()
        user = await self._look_up(visit.visitor_ids)
        self._observer.stage_ended("user", time.perf_counter() - started)
        return replace(visit.call, user=user)

    async def _look_up(self, visitor_ids: tuple[str, ...]) -> UserLookup:
        answer = _UNKNOWN
        try:
            async with asyncio.timeout(self._timeout_s):
                for visitor_id in visitor_ids:
                    answer = await self._users.look_up(visitor_id)
                    if answer.status is not UserStatus.UNKNOWN:
                        break
        except TimeoutError:
            return _UNAVAILABLE
        return answer
