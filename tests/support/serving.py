"""A server in this process with a scorer that counts instead of predicting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from micromoment.errors import SessionNotFoundError
from micromoment.events.identity import IdEncoder
from micromoment.events.record import EventBatch
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import JourneyStage
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import (
    Churn,
    Degraded,
    Reason,
    Score,
    ScoreCall,
    Segment,
    SessionKey,
    SessionSummary,
    UserFeatureAge,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.scorer import FoldResult
from micromoment.stores.absent import NoEventLog
from micromoment.stores.event_log import EventLog
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.transport.admission import Admission
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.observer import NoObserver, Observer
from micromoment.transport.server import GrpcServer, make_server
from micromoment.transport.visits import Visits, VisitScorer

FEATURE_NAMES = ("n_events", "duration_s")


def a_score(
    *,
    conversion: float | None = 0.25,
    events_seen: int = 1,
    last_event_id: str = "e1",
    duplicates: int = 0,
    degraded: tuple[Degraded, ...] = (),
    reasons: tuple[Reason, ...] = (),
    user: UserFeatureAge | None = None,
    churn: Churn | None = None,
    cluster: Segment | None = None,
    audiences: tuple[Segment, ...] = (),
) -> Score:
    """Make an answer."""
    return Score(
        conversion=conversion,
        abandonment=None,
        converted=False,
        churn=churn,
        cluster=cluster,
        audiences=audiences,
        journey_stage=JourneyStage.DECIDE,
        lifecycle=Lifecycle.NEW,
        events_seen=events_seen,
        last_event_id=last_event_id,
        duplicates=duplicates,
        as_of_us=1_700_000_000_000_123,
        bundle="shop:test",
        calibration_error=None,
        user=user or UserFeatureAge(found=False, snapshot_time_us=0, age_us=0, stale=False),
        degraded=degraded,
        features=np.array([events_seen, np.nan], np.float32),
        reasons=reasons,
        summary=SessionSummary(events_seen, 1_000_000, 2_000_000, 0, 1, 0, None),
    )


@dataclass
class CountingScorer:
    """Remembers event ids by session; asks for user features once, when a session begins."""

    sessions: dict[SessionKey, list[str]] = field(default_factory=dict)
    calls: list[ScoreCall] = field(default_factory=list)
    failure: Exception | None = None

    def needs_user(self, key: SessionKey, batch: EventBatch) -> bool:
        """Say yes while the session is unknown."""
        return key not in self.sessions and len(batch) > 0

    def score(self, call: ScoreCall) -> Score:
        """Count the events that are new."""
        result = self.fold(call)
        seen = self.sessions[call.key]
        return a_score(events_seen=len(seen), last_event_id=seen[-1], duplicates=result.duplicates)

    def fold(self, call: ScoreCall) -> FoldResult:
        """Remember the events that are new."""
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        if call.key not in self.sessions and not call.event_ids:
            raise SessionNotFoundError
        seen = self.sessions.setdefault(call.key, [])
        before = len(seen)
        for event_id in call.event_ids:
            if event_id not in seen:
                seen.append(event_id)
        accepted = len(seen) - before
        return FoldResult(accepted, len(call.event_ids) - accepted)

    def session(self, key: SessionKey, *, explain: bool = False) -> Score:  # noqa: ARG002 - the scorer's
        """Count again."""
        if key not in self.sessions:
            raise SessionNotFoundError
        return a_score(events_seen=len(self.sessions[key]), last_event_id=self.sessions[key][-1])


@dataclass
class SlowUsers:
    """Answers after `delay_s`, always alike, and remembers whom it was asked about."""

    delay_s: float = 0.0
    status: UserStatus = UserStatus.UNKNOWN
    asked: list[str] = field(default_factory=list)
    warm: bool = False
    closed: bool = False

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Wait, then answer."""
        self.asked.append(visitor_id)
        await asyncio.sleep(self.delay_s)
        return no_lookup(self.status)

    def warm_up(self) -> None:
        """Remember it."""
        self.warm = True

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


def an_application(
    scorer: VisitScorer | None = None,
    users: UserFeatureStore | None = None,
    *,
    event_log: EventLog | None = None,
    ids: IdEncoder | None = None,
    user_timeout_s: float = 1.0,
    observer: Observer | None = None,
    clock_us: Callable[[], int] = lambda: 1_700_000_000_000_000,
) -> Application:
    """Put an application together from fakes."""
    visits = Visits(
        scorer or CountingScorer(), users or SlowUsers(), user_timeout_s, observer or NoObserver()
    )
    return Application(
        RequestDecoder(Shop(), ids or IdEncoder(), clock_us),
        ReplyEncoder(FEATURE_NAMES, "fingerprint"),
        visits,
        event_log or NoEventLog(),
    )


@dataclass(frozen=True)
class RunningServer:
    """A server that listens on a free port."""

    server: GrpcServer
    slot: ApplicationSlot
    admission: Admission

    @property
    def address(self) -> str:
        """Where to reach it."""
        return f"127.0.0.1:{self.server.port}"

    def channel(self, options: Sequence[tuple[str, int]] = ()) -> grpc.aio.Channel:
        """Open a connection."""
        return grpc.aio.insecure_channel(self.address, options=options)


@asynccontextmanager
async def a_server(
    application: Application | None,
    *,
    observer: Observer | None = None,
    max_concurrent: int = 8,
    default_deadline_s: float = 5.0,
) -> AsyncIterator[RunningServer]:
    """Serve `application` until the block ends; None leaves the server loading."""
    slot = ApplicationSlot()
    admission = Admission(max_concurrent)
    server = make_server(
        slot,
        admission,
        observer or NoObserver(),
        host="127.0.0.1",
        port=0,
        default_deadline_s=default_deadline_s,
        reflect=True,
    )
    if application is not None:
        slot.fill(application)
        server.health.set_serving(True)
    await server.server.start()
    try:
        yield RunningServer(server, slot, admission)
    finally:
        server.health.close()
        await server.server.stop(0.5)
