"""A server whose bundles are swapped, and damage to bundles."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event, item
from micromoment.features.user_snapshot import UserLookup
from micromoment.lifecycle import Service
from micromoment.scoring.golden import EVENTS_FILE, EXPECTED_FILE
from micromoment.scoring.manifest import digest_file, read_manifest, write_manifest
from micromoment.settings import Settings
from micromoment.stores.bundles import find_bundle
from micromoment.telemetry.metrics import Metrics
from micromoment.v1 import events_pb2, models_pb2, scoring_pb2
from micromoment.v1.models_pb2_grpc import ModelServiceStub
from tests.support.serving import SlowUsers

if TYPE_CHECKING:
    from micromoment.v1.models_pb2_grpc import ModelServiceAsyncStub


@dataclass
class Served:
    """A server that serves, with a client of each of its ports."""

    service: Service
    metrics: Metrics
    scoring: AsyncClient
    models: ModelServiceAsyncStub

    async def activate(self, bundle: str) -> models_pb2.ActivateBundleResponse:
        """Let a bundle answer."""
        return await self.models.ActivateBundle(models_pb2.ActivateBundleRequest(bundle=bundle))

    async def refused(self, bundle: str) -> tuple[str, str]:
        """Ask for a bundle that is not to answer; give the status and what it says."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.activate(bundle)
        return caught.value.code().name, caught.value.details() or ""

    def value(self, name: str, **labels: str) -> float | None:
        """Read a metric."""
        return self.metrics.registry.get_sample_value(name, labels)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110 - metrics and tasks have no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def swapping(settings: Settings, users: SlowUsers | None = None) -> AsyncIterator[Served]:
    """Serve until the block ends, then drain."""
    metrics = Metrics()
    service = make_service(settings, metrics=metrics, users=users or SlowUsers())
    await service.listen()
    try:
        await service.load()
        async with (
            AsyncClient(f"127.0.0.1:{service.port}", deadline_s=60) as scoring,
            grpc.aio.insecure_channel(f"127.0.0.1:{service.admin_port}") as channel,
        ):
            stub: ModelServiceAsyncStub = ModelServiceStub(channel)
            yield Served(service, metrics, scoring, stub)
    finally:
        await service.drain()


@dataclass
class GatedUsers(SlowUsers):
    """Answers when told to."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Wait for the gate."""
        answer = await super().look_up(visitor_id)
        await self.gate.wait()
        return answer


def golden_visit(store: Path, tag: str) -> list[events_pb2.Event]:
    """Give the events of a small bundle's golden session as a storefront sends them."""
    rows = pq.read_table(find_bundle(store, tag) / EVENTS_FILE).to_pylist()
    return [
        event(
            row["type"],
            event_id=row["event_id"],
            event_time=row["event_time"],
            items=[item(one["item_id"], price="10", quantity=1) for one in row["items"]],
        )
        for row in rows
    ]


@cache
def golden_answers(store: Path, tag: str) -> list[tuple[float, bytes]]:
    """Give the conversion and the features that a bundle must answer after each of its events."""
    table = pq.read_table(find_bundle(store, tag) / EXPECTED_FILE)
    features = [name for name in table.column_names if name.startswith("feature.")]
    rows = np.stack([table[name].to_numpy() for name in features], axis=1)
    conversions = table["conversion"].to_pylist()
    return [
        (conversion, row.astype(np.float32).tobytes())
        for conversion, row in zip(conversions, rows, strict=True)
    ]


def answer_of(reply: scoring_pb2.ScoreResponse) -> tuple[float, bytes]:
    """Give what `golden_answers` gives."""
    return reply.conversion, np.array(reply.feature_vector.values, np.float32).tobytes()


def damage(path: Path, kind: str, seed: int) -> None:
    """Damage a file: truncate, flip a bit, zero 64 bytes, or swap lines or bytes of its header."""
    random = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    place = int(random.integers(len(content) - 64))
    if kind == "truncate":
        del content[place:]
    elif kind == "flip":
        content[place] ^= 1 << int(random.integers(8))
    elif kind == "zero":
        content[place : place + 64] = bytes(64)
    else:
        lines = bytes(content).split(b"\n")
        if len(lines) > 4:
            other = int(random.integers(1, 4))
            lines[0], lines[other] = lines[other], lines[0]
            content = bytearray(b"\n".join(lines))
        else:
            content[:4], content[4:8] = content[4:8], content[:4]
    path.write_bytes(content)


def accept_damage(store: Path, tag: str) -> str:
    """Let manifest and version say what the files are, as if they had been made so; gives the tag.

    Only the trial can find out then.
    """
    folder = find_bundle(store, tag)
    manifest = read_manifest(folder)
    files = {name: digest_file(folder / name) for name in manifest.files}
    manifest = manifest.model_copy(update={"files": files})
    write_manifest(folder, manifest)
    place = folder.with_name(manifest.version)
    if place.is_dir():  # damaged likewise before
        shutil.rmtree(folder)
    else:
        folder.rename(place)
    return manifest.tag


def change_latest(store: Path, **changes: Any) -> str:  # noqa: ANN401 - fields of several types
    """Put a bundle beside the latest that differs in its manifest, and let it be the latest."""
    folder = find_bundle(store, "shop:latest")
    copy = Path(shutil.copytree(folder, folder.with_name("changed")))
    manifest = read_manifest(copy).model_copy(update=changes)
    write_manifest(copy, manifest)
    copy.rename(copy.with_name(manifest.version))
    (store / "shop" / "latest").write_text(manifest.version)
    return manifest.tag
