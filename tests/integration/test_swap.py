"""Another bundle takes over while the server serves (B3, B4)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from micromoment.activation import BundleSwitch
from micromoment.applications import ApplicationMaker, Stores
from micromoment.bootstrap import make_service
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import UserStatus
from micromoment.settings import Settings
from micromoment.stores.absent import NoEventLog, NoVisitLog
from micromoment.stores.bundles import find_bundle
from micromoment.stores.loading import load_stored_bundle
from micromoment.stores.sessions import MemorySessionStore
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.decoding import now_us
from micromoment.transport.observer import NoObserver
from micromoment.v1 import models_pb2
from micromoment.v1.models_pb2_grpc import ModelServiceStub
from tests.support.serving import SlowUsers
from tests.support.swapping import (
    GatedUsers,
    answer_of,
    golden_answers,
    golden_visit,
    swapping,
)
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles, named by two pointers."""
    folder = tmp_path_factory.mktemp("store")
    first = make_tiny_store(folder)
    make_tiny_store(folder, seed=2)
    (folder / "shop" / "serving").write_text(first.version, encoding="utf-8")
    return folder


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Settings of a server that begins with the first bundle."""
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=0,
        bundle="shop:serving",
        bundle_store=store,
        state_dir=tmp_path,
        drain_lag=0.0,
        drain_grace=1.0,
    )


@pytest.fixture
def tags(store: Path) -> tuple[str, str]:
    """Name the first and the second bundle."""
    first, second = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    return f"shop:{first}", f"shop:{second}"


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Nothing is freed but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_visit_goes_on_under_the_new_bundle(
    settings: Settings, store: Path, tags: tuple[str, str]
) -> None:
    """Events from before the swap count, and the answer is what the new bundle says of them all."""
    visit = golden_visit(store, tags[0])
    async with swapping(settings) as served:
        before = await served.scoring.score("s1", visit[:3], anonymous_id="visitor")
        reply = await served.activate("shop:latest")
        after = await served.scoring.score("s1", visit[3:], include_features=True)
        again = await served.activate(tags[1])
        assert served.value("micromoment_bundle_info", bundle=tags[1]) == 1
        assert served.value("micromoment_bundle_info", bundle=tags[0]) is None
    assert (before.bundle, before.events_seen) == (tags[0], 3)
    assert (after.bundle, after.events_seen) == (tags[1], 4)
    assert answer_of(after) == golden_answers(store, tags[1])[3]
    assert answer_of(after) != golden_answers(store, tags[0])[3]
    assert reply.bundle == tags[1]
    assert (again.bundle, again.previous_bundle, again.changed) == (tags[1], tags[1], False)


async def test_calls_of_a_visit_keep_their_order_over_a_swap(
    settings: Settings, store: Path, tags: tuple[str, str]
) -> None:
    """One waits under the old bundle for its visitor, the next waits for it under the new one."""
    users = GatedUsers(status=UserStatus.UNKNOWN)
    patient = settings.model_copy(update={"user_feature_timeout": 60.0})
    visit = golden_visit(store, tags[0])
    async with swapping(patient, users) as served, asyncio.TaskGroup() as calls:
        first = calls.create_task(served.scoring.score("s1", visit[:1], anonymous_id="visitor"))
        await served.until(lambda: users.asked == ["visitor"])
        await served.activate(tags[1])
        second = calls.create_task(served.scoring.score("s1", visit[1:2], anonymous_id="visitor"))
        done, _ = await asyncio.wait({first, second}, timeout=0.5)
        assert done == set()
        users.gate.set()
        await asyncio.wait({first, second})
    assert (first.result().bundle, first.result().events_seen) == (tags[0], 1)
    assert (second.result().bundle, second.result().events_seen) == (tags[1], 2)
    assert users.asked == ["visitor"]


async def test_one_activation_at_a_time(settings: Settings, tags: tuple[str, str]) -> None:
    """A second one is ABORTED; the first goes on though whoever asked for it left."""
    async with swapping(settings) as served:
        call = served.models.ActivateBundle(models_pb2.ActivateBundleRequest(bundle=tags[1]))
        await served.until(lambda: any("activate" in str(task) for task in asyncio.all_tasks()))
        code, details = await served.refused(tags[0])
        call.cancel()
        await served.until(lambda: served.value("micromoment_bundle_info", bundle=tags[1]) == 1)
    assert code == "ABORTED"
    assert tags[1] in details


async def test_a_bundle_can_be_checked_alone(settings: Settings, tags: tuple[str, str]) -> None:
    """A dry run says what would be, and changes nothing."""
    async with swapping(settings) as served:
        request = models_pb2.ActivateBundleRequest(bundle=tags[1], dry_run=True)
        reply = await served.models.ActivateBundle(request)
        listed = await served.models.ListBundles(models_pb2.ListBundlesRequest())
    assert (reply.bundle, reply.changed, reply.golden_answers) == (tags[1], False, 4)
    assert listed.active_bundle == tags[0]


async def test_the_store_is_told_of(settings: Settings, tags: tuple[str, str]) -> None:
    """The list holds both bundles with pointers and models; one is told of in full."""
    async with swapping(settings) as served:
        listed = await served.models.ListBundles(models_pb2.ListBundlesRequest(name="shop"))
        other = await served.models.ListBundles(models_pb2.ListBundlesRequest(name="other"))
        details = await served.models.GetBundle(models_pb2.GetBundleRequest(bundle="shop:latest"))
    found = {one.bundle: (one.active, list(one.pointers)) for one in listed.bundles}
    assert found == {tags[0]: (True, ["serving"]), tags[1]: (False, ["latest"])}
    assert not other.bundles
    assert [one.present for one in details.bundle.models] == [True, False, False, False]
    assert [one.events_seen for one in details.bundle.quality] == [1, 5]
    assert (details.currency, details.time_zone) == ("EUR", "Europe/Berlin")
    assert details.session_expiry.seconds == 1_800
    assert details.bundle.size_bytes == sum(file.size_bytes for file in details.files) > 0
    assert dict(details.training) == {"data": "random numbers"}


async def test_the_old_bundle_is_let_go(
    settings: Settings, store: Path, tags: tuple[str, str], collector_off: None
) -> None:
    """Its models are freed when the last call of it has ended, without the garbage collector."""
    stores = Stores(MemorySessionStore(10, 60), NoVisitLog(), SlowUsers(), NoEventLog())
    maker = ApplicationMaker(settings, stores, NoObserver(), IdEncoder(), now_us)
    bundle = load_stored_bundle(find_bundle(store, tags[0]))
    assert bundle.conversion is not None
    trees, manifest = weakref.ref(bundle.conversion.trees), bundle.manifest
    slot = ApplicationSlot()
    slot.fill(maker.make(bundle, warm_up_rounds=20))
    del bundle
    in_flight = slot.current()
    await BundleSwitch(store, slot, maker, Metrics(), manifest).activate(tags[1])
    assert trees() is not None
    del in_flight
    assert trees() is None


async def test_the_admin_port_is_on_loopback_alone(settings: Settings) -> None:
    """A server for the network lets only its own machine change what answers."""
    open_to_all = settings.model_copy(update={"host": "0.0.0.0", "insecure": True})  # noqa: S104 - on purpose
    async with swapping(open_to_all) as served:
        _, writer = await asyncio.open_connection("127.0.0.2", served.service.port)
        writer.close()
        await writer.wait_closed()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.2", served.service.admin_port)


async def listed_services(port: int | None) -> list[str]:
    """Ask a port by reflection for its services, as grpcurl does."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        replies = [reply async for reply in call]
    return sorted(one.name for one in replies[0].list_services_response.service)


async def test_each_port_lists_its_own_services(settings: Settings) -> None:
    """Reflection shows operators' calls on their port alone."""
    async with swapping(settings) as served:
        own = await listed_services(served.service.port)
        admin = await listed_services(served.service.admin_port)
    reflection = "grpc.reflection.v1alpha.ServerReflection"
    services = ["micromoment.v1.EventService", "micromoment.v1.ScoringService"]
    assert own == ["grpc.health.v1.Health", reflection, *services]
    assert admin == [reflection, "micromoment.v1.ModelService", "micromoment.v1.PrivacyService"]


async def test_a_server_that_loads_has_no_bundles_yet(settings: Settings) -> None:
    """Its admin port says NOT_READY; without an admin port there is none."""
    service = make_service(settings)
    await service.listen()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.admin_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ModelServiceStub(channel).ListBundles(models_pb2.ListBundlesRequest())
    await service.close()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    silent = make_service(settings.model_copy(update={"admin_port": None}))
    await silent.listen()
    assert silent.admin_port is None
    await silent.close()
