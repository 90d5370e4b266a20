"""Part A: what a server's liveness depends on."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from micromoment import health
from micromoment.client import AsyncClient
from micromoment.transport.health import LIVENESS
from tests.promises.conftest import Reached, Steady
from tests.support.feature_stores import a_locked_file, a_redis, a_workspace, published
from tests.support.paced_calls import paced
from tests.support.restarts import scoring
from tests.support.server_process import Start
from training.feature_store import FeatureWorkspace, materialize

LIVENESS_S = 5.0


def alive(address: str, timeout_s: float = LIVENESS_S) -> bool:
    """Probe a server's liveness as docs/operations.md says."""
    return health.check(address, LIVENESS, timeout_s) == "SERVING"


def models_and_features(store: Path, folder: Path) -> tuple[Path, FeatureWorkspace]:
    """Copy a bundle store, and make a feature workspace."""
    workspace = a_workspace(folder)
    materialize(workspace, published(3))
    return Path(shutil.copytree(store, folder / "models")), workspace


async def test_a5_liveness_depends_on_no_store(
    start: Start, store: Path, tmp_path: Path, reached: Reached
) -> None:
    """Liveness never depends on Redis, Feast or the model store."""
    models, workspace = models_and_features(store, tmp_path)
    with a_redis(tmp_path) as (redis, redis_port):
        server = start(
            bundle_store=str(models),
            bundle_poll="0.1",
            session_store=f"redis://127.0.0.1:{redis_port}",
            feature_store=str(workspace.root),
            drain_lag="1",
        )
        address = f"127.0.0.1:{server.await_event('listening')['port']}"
        probes = [alive(address)]  # while it loads
        server.await_event("serving")
        redis.send_signal(signal.SIGSTOP)
        try:
            async with AsyncClient(address, deadline_s=10) as client:
                with a_locked_file(workspace.root / "online.db"):
                    await asyncio.to_thread(models.rename, tmp_path / "away")
                    async with paced(scoring(client), 50) as calls:
                        for _ in range(5):
                            probes.append(await asyncio.to_thread(alive, address))
                            await asyncio.sleep(0.2)
        finally:
            redis.send_signal(signal.SIGCONT)
        server.process.send_signal(signal.SIGTERM)
        server.await_event("draining")
        probes.append(alive(address))
        assert server.end(20)[0] == 0
    reached(
        "A5",
        f"{sum(probes)} of {len(probes)} probes passed while loading, with Redis stopped, Feast "
        f"locked and the model store gone, and while draining; {len(calls.failed)} calls failed",
    )
    assert all(probes)
    assert calls.failed == []


def test_a5_a_stuck_loop_fails_liveness(start: Start, steady: Steady, reached: Reached) -> None:
    """It fails only when the loop is stuck > 5 s: SIGSTOP for less passes, for more does not."""
    stuck = start()
    stuck_address = f"127.0.0.1:{stuck.await_event('serving')['port']}"
    with ThreadPoolExecutor(2) as pool:
        for server in (stuck, steady.server):
            server.process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        brief, long = (pool.submit(alive, one) for one in (steady.address, stuck_address))
        time.sleep(3.0)
        steady.server.process.send_signal(signal.SIGCONT)
        assert brief.result()
        assert not long.result()
        seconds = time.monotonic() - started
    stuck.process.send_signal(signal.SIGCONT)
    reached("A5", f"stuck for 3 s: passes; stuck for {seconds:.1f} s: fails; goes on: passes")
    assert alive(stuck_address)
