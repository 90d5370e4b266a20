"""A server in this process with a scorer that counts instead of predicting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from micromoment.errors import MicromomentError, SessionNotFoundError
from micromoment.events.identity import IdEncoder
from micromoment.events.record import EventBatch
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import JourneyStage
from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import (
    AppliedConsent,
    Churn,
    Degraded,
    Explanation,
    Score,
    ScoreCall,
    Segment,
    SessionSummary,
    UserFeatureAge,
)
from micromoment.scoring.lifecycle import Lifecycle
from micromoment.scoring.scorer import Ask, Folded, FoldResult, Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.security.access import Access
from micromoment.stores.absent import NoEventLog, NoVisitLog
from micromoment.stores.event_log import EventLog
from micromoment.stores.interfaces import SessionStore, UserFeatureStore
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.visit_log import VisitLog
from micromoment.transport.admission import Admission
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.grpc_types import RpcHandlers
from micromoment.transport.observer import NoObserver, Observer
from micromoment.transport.server import GrpcServer, Limits, make_server
from micromoment.transport.visitors import Visitors
from micromoment.transport.visits import Visits, VisitScorer

FEATURE_NAMES = ("n_events", "duration_s")


def a_score(
    *,
    conversion: float | None = 0.25,
    events_seen: int = 1,
    last_event_id: str = "e1",
    duplicates: int = 0,
    degraded: tuple[Degraded, ...] = (),
    explanation: Explanation | None = None,
    calibration_error: float | None = None,
    user: UserFeatureAge | None = None,
    churn: Churn | None = None,
    cluster: Segment | None = None,
    audiences: tuple[Segment, ...] = (),
    consent: AppliedConsent | None = None,
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
        calibration_error=calibration_error,
        user=user or UserFeatureAge(found=False, snapshot_time_us=0, age_us=0, stale=False),
        degraded=degraded,
        features=np.array([events_seen, np.nan], np.float32),
        explanation=explanation,
        summary=SessionSummary(events_seen, 1_000_000, 2_000_000, 0, 1, 0, None),
        consent=consent,
        score_id="0190163d-8694-739b-aea5-966c26f8ad91",
    )


@dataclass
class CountingScorer:
    """Counts event ids; asks for user features once, when a session begins."""

    calls: list[ScoreCall] = field(default_factory=list)
    failure: Exception | None = None

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:
        """Say yes while the session is unknown."""
        return entry is None and len(batch) > 0

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Count the events that are new."""
        folded = self.fold(call, entry, lost=lost)
        seen = folded.entry or entry
        degraded = (Degraded.STATE_LOST,) if lost else ()
        score = _score_of(seen, duplicates=folded.result.duplicates, degraded=degraded)
        return Scored(score, None if call.dry_run else folded.entry)

    def score_together(self, asks: Sequence[Ask]) -> list[Scored | MicromomentError]:
        """Answer one after the other."""
        outcomes: list[Scored | MicromomentError] = []
        for ask in asks:
            try:
                outcomes.append(self.score(ask.call, ask.entry, lost=ask.lost))
            except MicromomentError as error:
                outcomes.append(error)
        return outcomes

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:  # noqa: ARG002 - the scorer's
        """Remember the events that are new, in place of the last one."""
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        if entry is None and not call.event_ids:
            raise SessionNotFoundError
        before = _event_ids(entry)
        seen = list(dict.fromkeys([*before, *call.event_ids]))
        accepted = len(seen) - len(before)
        result = FoldResult(accepted, len(call.event_ids) - accepted)
        kept = SessionEntry.of(new_state(), ",".join(seen)) if call.event_ids else None
        return Folded(result, kept)

    def session(self, entry: SessionEntry | None, *, explain: bool = False) -> Score:  # noqa: ARG002 - the scorer's
        """Count again."""
        return _score_of(entry)


def _score_of(
    entry: SessionEntry | None, *, duplicates: int = 0, degraded: tuple[Degraded, ...] = ()
) -> Score:
    seen = _event_ids(entry)
    if not seen:
        raise SessionNotFoundError
    return a_score(
        events_seen=len(seen), last_event_id=seen[-1], duplicates=duplicates, degraded=degraded
    )


def _event_ids(entry: SessionEntry | None) -> list[str]:
    return entry.last_event_id.split(",") if entry else []


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
    visit_log: VisitLog | None = None,
    ids: IdEncoder | None = None,
    user_timeout_s: float = 1.0,
    observer: Observer | None = None,
    clock_us: Callable[[], int] = lambda: 1_700_000_000_000_000,
    sessions: SessionStore | None = None,
) -> Application:
    """Put an application together from fakes and a store in memory."""
    observer = observer or NoObserver()
    visits = Visits(
        scorer or CountingScorer(),
        sessions or MemorySessionStore(100, 3_600),
        Visitors(users or SlowUsers(), user_timeout_s, observer),
        observer,
    )
    return Application(
        RequestDecoder(Shop(), ids or IdEncoder(), clock_us),
        ReplyEncoder(FEATURE_NAMES, "fingerprint"),
        visits,
        event_log or NoEventLog(),
        visit_log or NoVisitLog(),
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

    @property
    def streams_open(self) -> int:
        """How many streams it serves now."""
        return len(self.server.streams)

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
    max_streams: int = 8,
    stream_idle_s: float = 5.0,
    stream_stall_s: float = 5.0,
    max_waiting: int = 128,
    around: Callable[[RpcHandlers], RpcHandlers] | None = None,
    access: Access | None = None,
    credentials: grpc.ServerCredentials | None = None,
    reflect: bool = True,
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
        limits=Limits(
            default_deadline_s=default_deadline_s,
            max_streams=max_streams,
            stream_idle_s=stream_idle_s,
            stream_stall_s=stream_stall_s,
            max_waiting=max_waiting,
        ),
        reflect=reflect,
        around=around,
        access=access,
        credentials=credentials,
    )
    if application is not None:
        slot.fill(application)
        server.health.set_serving(True)
    await server.start()
    try:
        yield RunningServer(server, slot, admission)
    finally:
        server.end_streams()
        await server.stop(0.5)
