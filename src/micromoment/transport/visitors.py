"""Looks the visitor of a call up, within a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from micromoment.events.hashing import hash_id
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.transport.consent import SaidConsent
from micromoment.transport.observer import Observer
from micromoment.v1 import events_pb2 as pb

_UNAVAILABLE: Final = no_lookup(UserStatus.UNAVAILABLE)
_UNKNOWN: Final = no_lookup(UserStatus.UNKNOWN)


@dataclass(slots=True)
class VisitCall:
    """A call with the ids under which its visitor may be stored, the current form first.

    `events` are the call's events as they are logged, at `received_time_us` (microseconds since
    1970). `identified` tells that the visitor is a known customer. Where there are several keys for
    pseudonyms, `session_ids` has the session's id under each, in the order of `visitor_ids`, and
    `form` is the place of the one that the call goes by. `late` counts events that were left out
    because they are from before their visitor was erased; `is_late` tells that all are. `consent`
    is None where nothing was said of it; `is_dry_run` tells that the caller wants nothing changed.
    """

    call: ScoreCall
    visitor_ids: tuple[str, ...]
    events: Sequence[pb.Event] = ()
    identified: bool = False
    received_time_us: int = 0
    session_ids: tuple[str, ...] = ()
    form: int = 0

    late: int = 0
    is_late: bool = False
    is_dry_run: bool = False
    consent: SaidConsent | None = None

    @property
    def visitor_id(self) -> str:
        """The id under which the visitor is stored with this session; empty where nobody is."""
        return self.visitor_ids[self.form] if self.visitor_ids else ""

    def possible_keys(self) -> tuple[SessionKey, ...]:
        """Give where the session may be kept, the current form first."""
        key = self.call.key
        return tuple([SessionKey(key.tenant, one) for one in self.session_ids]) or (key,)

    def go_by(self, form: int) -> None:
        """Go by another form of all ids: a session stays under the key with which it began."""
        if form == self.form:
            return
        call, self.form = self.call, form
        call.key = self.possible_keys()[form]
        if self.visitor_ids:
            call.visitor = hash_id(self.visitor_id)
            records = call.batch.events
            records["visitor"] = call.visitor
            if self.identified:
                records["user"] = call.visitor


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
