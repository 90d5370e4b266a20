"""A server in this process whose users are in a real Feast store; a search of what it stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis import Redis

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient
from micromoment.features.user_snapshot import UserLookup
from micromoment.settings import Settings
from micromoment.stores.user_features import FeastUserFeatures
from micromoment.transport.application import Application
from tests.support.feature_stores import published

NOW = published(3) + timedelta(hours=1)
NOW_US = int(NOW.timestamp()) * 1_000_000


class CountedUsers(FeastUserFeatures):
    """Users in Feast, and how often they were read."""

    reads = 0

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Count, then read."""
        self.reads += 1
        return await super().look_up(visitor_id)


@dataclass(frozen=True)
class Served:
    """A server, its client, and its users."""

    client: AsyncClient
    users: CountedUsers
    application: Application
    metrics_port: int


@asynccontextmanager
async def a_consenting_server(
    store: Path,
    state_dir: Path,
    features: Path,
    **settings: Any,  # noqa: ANN401 - of several types
) -> AsyncIterator[Served]:
    """Serve with an event log and a file of sessions in `state_dir`, then drain."""
    given = Settings(
        port=0,
        metrics_port=0,
        admin_port=None,
        bundle_store=store,
        state_dir=state_dir,
        feature_store=features,
        drain_lag=0.0,
        drain_grace=1.0,
        user_feature_timeout=1.0,
        session_timeout=1.0,
        # What is logged is as old as `NOW`, and must not go by its age while a test looks for it.
        log_retention=1e9,
        **settings,
    )
    users = CountedUsers(features, timeout_s=1.0)
    service = make_service(given, users=users, clock_us=lambda: NOW_US)
    await service.listen()
    await service.load()
    try:
        async with AsyncClient(f"127.0.0.1:{service.port}", deadline_s=10.0) as client:
            yield Served(client, users, service.slot.current(), service.metrics_port or 0)
    finally:
        await service.drain()


def files_with(folder: Path, words: Iterable[str]) -> dict[str, int]:
    """Search all files of a folder, write-ahead logs included: how often each word occurs."""
    found = dict.fromkeys(words, 0)
    for path in sorted(folder.rglob("*")):
        # SQLite removes a write-ahead log with its last connection.
        with suppress(FileNotFoundError, IsADirectoryError):
            held = path.read_bytes()
            for word in found:
                found[word] += held.count(word.encode())
    return found


def redis_with(port: int, words: Iterable[str]) -> dict[str, int]:
    """Search all keys and values of a Redis: how often each word occurs."""
    found = dict.fromkeys(words, 0)
    with Redis(port=port) as client:
        for key in client.scan_iter():
            held: list[bytes] = [key]
            kind = client.type(key)
            if kind == b"string":
                held.append(client.get(key) or b"")
            elif kind == b"stream":
                for _, fields in client.xrange(key):
                    held += [*fields.keys(), *fields.values()]
            elif kind == b"set":
                held += client.smembers(key)
            else:
                held.append(client.dump(key) or b"")
            for word in found:
                found[word] += sum(part.count(word.encode()) for part in held)
    return found
