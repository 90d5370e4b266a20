"""Part B: bundles that are swapped under load."""

from __future__ import annotations

import asyncio
import time
from math import inf

from micromoment.client import AsyncClient
from tests.promises.conftest import Form, Reached
from tests.support.paced_calls import p99, paced
from tests.support.shop_server import ShopServer, Visits
from tests.support.two_bundles import tags


async def test_b3_bundles_are_swapped_under_load(
    models: ShopServer, form: Form, reached: Reached
) -> None:
    """100 hot swaps at 500 calls/s: 0 failed, p99 <= 2x baseline, RSS < +20 MB.

    Every answer equals the golden value of the bundle that it names, so that none comes from two.
    The quick form makes 4 swaps at 100 calls/s and tells the p99 without judging it: of a few
    hundred calls it is a single wait.
    """
    swaps, rate, limit = form((4, 100, inf), (100, 500, 2.0))
    both = tags(models.store)
    for one in (*both[1:], both[0]):  # what is taken once
        models.admin.activate_bundle(one)
    async with AsyncClient(models.address, deadline_s=30) as client, asyncio.TaskGroup() as group:
        visits, ends = Visits(client, models.store, both[0]), asyncio.Event()
        for player in range(3):
            group.create_task(visits.play(player, ends))
        async with paced(visits.call, rate) as calls:
            started = time.monotonic()
            await asyncio.sleep(form(2.0, 30.0))
            begun, rss = time.monotonic(), models.rss
            for number in range(swaps):
                reply = await asyncio.to_thread(
                    models.admin.activate_bundle, both[(number + 1) % 2]
                )
                assert (reply.changed, reply.previous_bundle) == (True, both[number % 2])
            ended, grown = time.monotonic(), models.rss - rss
        ends.set()
    baseline = p99(one.seconds for one in calls.between(started, begun))
    swapped = p99(one.seconds for one in calls.between(begun, ended))
    reached(
        "B3",
        f"{len(calls.failed)} of {len(calls.outcomes):,} calls failed in {swaps} swaps at "
        f"{rate}/s, {len(visits.wrong)} answered otherwise than their bundle; p99 "
        f"{swapped / baseline:.1f}x; RSS {grown / 1e6:+.1f} MB",
    )
    assert (calls.failed, visits.wrong) == ([], [])
    assert visits.bundles == {*both}
    assert grown < 20e6
    assert swapped <= limit * baseline
