"""Servers with keys for pseudonyms, and visits that go on while the keys change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event, item, score_request
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.lifecycle import Service
from micromoment.settings import Settings
from micromoment.stores.id_keys import id_encoder
from micromoment.v1 import scoring_pb2 as pb
from tests.support.events import DAY
from tests.support.folding import a_lookup
from tests.support.replicas import KINDS, PATIENT_S, START, client_of
from tests.support.serving import SlowUsers

K1 = "k1:a-first-secret-of-the-shop"
K2 = "k2:a-second-secret-of-the-shop:after=k1"
UNLINKED = "k3:a-secret-that-builds-on-none"
BEFORE, READY, ROTATED = K1, f"{K1}\n{K2}", f"{K2}\n{K1}"
_START_US = int(START.timestamp()) * 1_000_000


def encoder(keys: str) -> IdEncoder:
    """Make an encoder of keys as a setting holds them."""
    return id_encoder(None, keys)


@dataclass
class PublishedUsers(SlowUsers):
    """Knows some customers by the ids under which a training published them."""

    rows: Mapping[str, UserLookup] = field(default_factory=dict)

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Give a customer's row."""
        self.asked.append(visitor_id)
        return self.rows.get(visitor_id, no_lookup(UserStatus.UNKNOWN))


def published(keys: str, count: int = 6) -> PublishedUsers:
    """Publish a few customers under the current one of some keys."""
    ids = encoder(keys)
    rows = {
        ids.encode(f"customer-{number}"): a_lookup(
            snapshot_time=_START_US - DAY,
            first_seen=_START_US - (20 + number) * DAY,
            last_seen=_START_US - 3 * DAY,
            sessions=4 + number,
            active_days=3 + number,
            events_28d=50 * number,
        )
        for number in range(count)
    }
    return PublishedUsers(rows=rows)


@asynccontextmanager
async def keyed_server(
    bundles: Path,
    state_dir: Path,
    keys: str,
    **changes: Any,  # noqa: ANN401 - of several types
) -> AsyncIterator[Service]:
    """Run a server with keys until the block ends; its customers are those of before any change."""
    known: dict[str, Any] = {
        "port": 0,
        "metrics_port": None,
        "admin_port": None,
        "bundle_store": bundles,
        "state_dir": state_dir,
        "drain_lag": 0.0,
        "drain_grace": 1.0,
        "session_timeout": PATIENT_S,
        "user_feature_timeout": PATIENT_S,
        "log_features": 1.0,
        "id_keys": keys,
    }
    service = make_service(Settings(**(known | changes)), users=published(BEFORE))
    await service.listen()
    await service.load()
    try:
        yield service
    finally:
        await service.drain()


@asynccontextmanager
async def keyed_client(
    bundles: Path,
    state_dir: Path,
    keys: str,
    **changes: Any,  # noqa: ANN401 - of several types
) -> AsyncIterator[AsyncClient]:
    """Run such a server and open a client of it."""
    server = keyed_server(bundles, state_dir, keys, **changes)
    async with server as running, client_of(running) as client:
        yield client


def calls_of(session: str, number: int, count: int = 10) -> Iterator[pb.ScoreRequest]:
    """Make a visit's calls: a browser whose customer becomes known in the middle, with repeats."""
    sent = []
    for place in range(count):
        new = event(
            KINDS[(place + number) % len(KINDS)],
            event_id=f"{session}/{place}",
            event_time=START + timedelta(seconds=11 * place + number),
            items=[item(f"sku{place % 4}", price="9.99", quantity=1)],
            page=f"/{place % 3}",
        )
        sent.append(new)
        # Every third call sends the one before again, as a retry does.
        events = [*sent[-2:-1], new] if place % 3 == 2 else [new]
        yield score_request(
            session,
            events,
            anonymous_id=f"browser-{number}",
            user_id=f"customer-{number}" if place >= 4 else "",
            include_features=True,
        )
