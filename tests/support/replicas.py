"""Whole servers in this process, on one Redis or alone, and shoppers who come back with repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event, item, score_request
from micromoment.features.user_snapshot import UserStatus
from micromoment.lifecycle import Service
from micromoment.settings import Settings
from micromoment.telemetry.metrics import Metrics
from micromoment.v1 import events_pb2 as events_pb
from micromoment.v1 import scoring_pb2 as pb
from tests.support.serving import SlowUsers

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW_US = int((START + timedelta(hours=3)).timestamp()) * 1_000_000
KINDS = ("page_view", "item_view", "item_view", "cart_add", "cart_view", "search")
# Longer than any pause of a busy machine: only what is broken on purpose may fail here.
PATIENT_S = 20.0


@asynccontextmanager
async def serving(
    bundles: Path, state_dir: Path, redis_port: int | None, metrics: Metrics | None = None
) -> AsyncIterator[Service]:
    """Run a server, its sessions in a Redis or in memory, until the block ends."""
    settings = Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=bundles,
        state_dir=state_dir,
        drain_lag=0.0,
        drain_grace=1.0,
        session_store=f"redis://127.0.0.1:{redis_port}" if redis_port else "",
        session_timeout=PATIENT_S,
    )
    users = SlowUsers(status=UserStatus.UNKNOWN)
    service = make_service(settings, metrics=metrics, users=users, clock_us=lambda: NOW_US)
    await service.listen()
    await service.load()
    try:
        yield service
    finally:
        await service.drain()


def client_of(service: Service) -> AsyncClient:
    """Open a client of one server."""
    return AsyncClient(f"127.0.0.1:{service.port}", deadline_s=60.0)


class Shoppers:
    """Makes requests of a few sessions with numbered events, some of them sent again."""

    def __init__(self, seed: int, sessions: int) -> None:
        self._random = Random(seed)
        self._sessions = sessions
        self._sent: dict[str, list[events_pb.Event]] = {}
        self.events = 0

    def request(self) -> pb.ScoreRequest:
        """Make the next request: up to four new events and now and then earlier ones."""
        random = self._random
        session = f"s{random.randrange(self._sessions)}"
        sent = self._sent.setdefault(session, [])
        again = random.sample(sent[-100:], min(len(sent), random.choice((0, 0, 1, 2))))
        new = [self._event(session, len(sent) + place) for place in range(random.randint(1, 4))]
        sent += new
        self.events += len(again) + len(new)
        mixed = [*again, *new] if random.random() < 0.5 else [*new, *again]
        return score_request(session, mixed, anonymous_id=session, include_features=True)

    def distinct(self) -> Counter[str]:
        """Count the distinct events of each session."""
        return Counter({session: len(sent) for session, sent in self._sent.items()})

    def _event(self, session: str, number: int) -> events_pb.Event:
        random = self._random
        return event(
            random.choice(KINDS),
            event_id=f"{session}/{number}",
            event_time=START + timedelta(seconds=7 * number),
            items=[item(f"sku{random.randrange(30)}", price="9.99", quantity=1)],
            page=f"/{random.randrange(20)}",
        )


def comparable(reply: pb.ScoreResponse) -> bytes:
    """Give all of an answer but its own id."""
    copy = pb.ScoreResponse()
    copy.CopyFrom(reply)
    copy.score_id = ""
    return copy.SerializeToString(deterministic=True)


async def send(client: AsyncClient, request: pb.ScoreRequest) -> pb.ScoreResponse:
    """Send a request as it is."""
    (result,) = await client.batch_score([request])
    assert result.HasField("response")
    return result.response
