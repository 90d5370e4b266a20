"""Where a server holds something of people: in memory and files, or in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf.struct_pb2 import Struct

from micromoment.erasure import hashes_of
from micromoment.errors import UserFeaturesUnavailableError
from micromoment.features.state import STATE
from micromoment.features.user_snapshot import UserStatus
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores import redis_erasing
from micromoment.stores.absent import NoVisitLog
from micromoment.stores.event_log import EventLog, read_outside_visits
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import stream_name
from micromoment.stores.redis_outside_visits import outside_stream_name
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.tombstones import Erasure
from micromoment.stores.user_features import FeastUserFeatures
from micromoment.stores.visit_log import SqliteVisitLog
from micromoment.v1 import log_pb2
from micromoment.v1 import privacy_pb2 as pb
from micromoment.workspace_erasing import erase_from_workspace, workspace_rows

_VISITOR_AT: Final[int] = STATE.fields["visitor"][1]  # type: ignore[index] # it has fields


@dataclass(frozen=True, slots=True)
class FeaturePlaces:
    """The users' features: the online store, and the workspace that it is filled from.

    They are those of `tenant`: the ids of all others name nobody in them.
    """

    users: UserFeatureStore
    workspace: Path | None
    tenant: str = DEFAULT_TENANT

    async def erase_online(self, erasure: Erasure) -> int:
        """Erase the visitors' user features; give how many visitors had some."""
        if erasure.tenant != self.tenant or not isinstance(self.users, FeastUserFeatures):
            return 0
        return await self.users.erase(erasure.visitors)

    async def erase_workspace(self, erasure: Erasure) -> int:
        """Erase the visitors' rows from the feature workspace; give how many."""
        if erasure.tenant != self.tenant or self.workspace is None:
            return 0
        return await asyncio.to_thread(
            erase_from_workspace, self.workspace, erasure.visitors, erasure.time_us
        )

    async def held_features(
        self, tenant: str, visitors: Sequence[str]
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell the visitors' features. Raises `UserFeaturesUnavailableError`."""
        if tenant != self.tenant or self.workspace is None:
            return
        for visitor in visitors:
            found = await self.users.look_up(visitor)
            if found.status is UserStatus.UNAVAILABLE:
                raise UserFeaturesUnavailableError("the online store does not answer")
            if found.status is UserStatus.FOUND:
                yield _row("online", visitor, _columns(found.row))
        for store, row in await asyncio.to_thread(list, workspace_rows(self.workspace, visitors)):
            yield _row(store, str(row.get("visitor_id")), row)


@dataclass(frozen=True, slots=True)
class LocalPlaces:
    """Sessions in memory and a log in files."""

    sessions: MemorySessionStore
    log: SqliteVisitLog | NoVisitLog
    outside: EventLog
    features: FeaturePlaces
    log_folder: Path | None
    outside_file: Path | None

    async def find_sessions(
        self,
        tenant: str,
        visitors: Sequence[str],
        *,
        surely: bool,  # noqa: ARG002 - there are none but those
    ) -> frozenset[str]:
        """Give the sessions in which one of the visitors occurs, by states and by the log."""
        keys = self.sessions.holding(hashes_of(visitors), _VISITOR_AT)
        found = frozenset(key.session_id for key in keys if key.tenant == tenant)
        if isinstance(self.log, SqliteVisitLog):
            found |= await self.log.sessions_of(tenant, visitors)
        return found

    async def forget_session(self, key: SessionKey) -> bool:
        """Let the memory forget a session."""
        return self.sessions.forget(key)

    async def erase_calls(self, erasure: Erasure) -> int:
        """Blank the rows of the log."""
        erased = await self.log.erase(
            erasure.tenant, visitors=erasure.visitors, sessions=erasure.sessions
        )
        return erased.rows

    async def erase_outside(self, erasure: Erasure) -> int:
        """Remove events from outside visits."""
        return await self.outside.erase(erasure.tenant, erasure.visitors)

    async def erase_online(self, erasure: Erasure) -> int:
        """Erase user features."""
        return await self.features.erase_online(erasure)

    async def erase_workspace(self, erasure: Erasure) -> int:
        """Erase rows of the workspace."""
        return await self.features.erase_workspace(erasure)

    async def held(
        self, tenant: str, visitors: Sequence[str], sessions: frozenset[str]
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held."""
        for session_id in sorted(sessions):
            entry = self.sessions.peek(SessionKey(tenant, session_id))
            if entry is not None:
                yield _session(session_id, entry)
        if self.log_folder is not None:
            for segment in segments(self.log_folder):
                for piece in await asyncio.to_thread(
                    list, _calls(segment, tenant, frozenset(visitors), sessions)
                ):
                    yield piece
        if self.outside_file is not None and self.outside_file.exists():
            for piece in await asyncio.to_thread(
                list, _outside(self.outside_file, tenant, frozenset(visitors))
            ):
                yield piece
        async for piece in self.features.held_features(tenant, visitors):
            yield piece


@dataclass(frozen=True, slots=True)
class RedisPlaces:
    """Sessions and log on a Redis; `link` is a connection of its own, with time for long pages."""

    store: RedisSessionStore
    outside: EventLog
    features: FeaturePlaces
    link: RedisLink
    prefix: str

    async def find_sessions(
        self, tenant: str, visitors: Sequence[str], *, surely: bool
    ) -> frozenset[str]:
        """Give the sessions in which one of the visitors occurs, by states and by the log."""
        held = await redis_erasing.sessions_holding(
            self.link,
            self.prefix,
            tenant,
            hashes_of(visitors),
            suffix=self.store.suffix,
            place=_VISITOR_AT,
            others=not surely,
        )
        return held | await redis_erasing.sessions_in_stream(
            self.link, self.prefix, tenant, visitors
        )

    async def forget_session(self, key: SessionKey) -> bool:
        """Let all servers forget a session."""
        return await self.store.forget(key)

    async def erase_calls(self, erasure: Erasure) -> int:
        """Delete entries of the log."""
        erased = await redis_erasing.erase_calls(
            self.link,
            self.prefix,
            erasure.tenant,
            visitors=erasure.visitors,
            sessions=erasure.sessions,
        )
        return erased.rows

    async def erase_outside(self, erasure: Erasure) -> int:
        """Remove events from outside visits."""
        return await self.outside.erase(erasure.tenant, erasure.visitors)

    async def erase_online(self, erasure: Erasure) -> int:
        """Erase user features."""
        return await self.features.erase_online(erasure)

    async def erase_workspace(self, erasure: Erasure) -> int:
        """Erase rows of the workspace."""
        return await self.features.erase_workspace(erasure)

    async def held(
        self, tenant: str, visitors: Sequence[str], sessions: frozenset[str]
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """Tell all that is held."""
        for session_id in sorted(sessions):
            held = await self.store.fetch(SessionKey(tenant, session_id))
            if held.entry is not None:
                yield _session(session_id, held.entry)
        log, outside = stream_name(self.prefix), outside_stream_name(self.prefix)
        async for entry in redis_erasing.entries_of(
            self.link, log, tenant, visitors=visitors, sessions=sessions
        ):
            yield _call(
                int(entry[b"time"]),
                entry[b"session"].decode(),
                entry[b"visitor"].decode(),
                entry[b"body"],
            )
        async for entry in redis_erasing.entries_of(self.link, outside, tenant, visitors=visitors):
            yield _event(int(entry[b"time"]), entry[b"visitor"].decode(), entry[b"event"])
        async for piece in self.features.held_features(tenant, visitors):
            yield piece


def _calls(
    segment: Path, tenant: str, visitors: frozenset[str], sessions: frozenset[str]
) -> Iterator[pb.ExportUserResponse]:
    for row in read_rows(segment):
        theirs = row.visitor_id in visitors or row.session_id in sessions
        if row.tenant == tenant and theirs:
            yield _call(row.received_time_us, row.session_id, row.visitor_id, row.body)


def _outside(path: Path, tenant: str, visitors: frozenset[str]) -> Iterator[pb.ExportUserResponse]:
    for _, event in read_outside_visits(path):
        if event.tenant == tenant and event.visitor_id in visitors:
            yield _event(event.received_time_us, event.visitor_id, event.event)


def _call(time_us: int, session_id: str, visitor_id: str, body: bytes) -> pb.ExportUserResponse:
    held = pb.HeldCall(session_id=session_id, visitor_id=visitor_id)
    held.received_time.FromMicroseconds(time_us)
    held.call.CopyFrom(log_pb2.LoggedCall.FromString(body))
    return pb.ExportUserResponse(call=held)


def _event(time_us: int, visitor_id: str, event: bytes) -> pb.ExportUserResponse:
    held = pb.HeldEvent(visitor_id=visitor_id)
    held.received_time.FromMicroseconds(time_us)
    held.event.MergeFromString(event)
    return pb.ExportUserResponse(outside_event=held)


def _session(session_id: str, entry: SessionEntry) -> pb.ExportUserResponse:
    held = pb.HeldSession(session_id=session_id, last_event_id=entry.last_event_id)
    if len(entry.data) == STATE.itemsize:
        held.state.CopyFrom(_struct(_columns(entry.state)))
    else:
        held.raw_state = entry.data
    return pb.ExportUserResponse(session=held)


def _row(store: str, visitor_id: str, columns: dict[str, object]) -> pb.ExportUserResponse:
    held = pb.HeldRow(store=store, visitor_id=visitor_id, columns=_struct(columns))
    return pb.ExportUserResponse(row=held)


def _columns(row: np.ndarray[Any, Any]) -> dict[str, object]:
    return {name: row[name][0].tolist() for name in row.dtype.names or ()}


def _struct(columns: dict[str, object]) -> Struct:
    struct = Struct()
    struct.update({name: _plain(value) for name, value in columns.items()})
    return struct


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON has
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | bool):
        return value
    # Numbers of JSON are doubles: larger ones, hashes above all, keep their digits as text.
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return str(value)
