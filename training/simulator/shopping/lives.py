"""The lives of shoppers: visit after visit until they stay away or the export ends."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.emission import ROWS_PER_STEP, Batch, complete
from training.simulator.shopping.records import Record, Records
from training.simulator.shopping.rhythm import (
    DAY_US,
    HOUR_US,
    WEEKDAY_TRAFFIC,
    moment_of_day,
    weekday,
)
from training.simulator.shopping.streams import Stream, branch, chance, uniform
from training.simulator.shopping.visit import MAX_STEPS, close_visit, open_visit, step

_ROWS_PER_VISIT: Final = MAX_STEPS * ROWS_PER_STEP
# Two visits of one shopper lie at least this far apart, unless they run side by side.
_REST_US: Final = 31 * 60 * 1_000_000


@compiled
def live(
    shop: Shop,
    shoppers: Records,
    streams: Stream,
    intent: float,
    parallel_session: float,
    from_us: int,
    until_us: int,
    sessions: Records,
    openings: Records,
    rows: Records,
    batch: Batch,
) -> tuple[Records, Records, Records]:
    """Live the lives of all shoppers, each on a stream of its own; their records change in place.

    The last three arrays are buffers and grow as needed. Returned are the sessions whose visit
    starts in [from_us, until_us), the visits as they opened, and the sessions' rows in the order of
    the sessions.
    """
    m = 0
    n = 0
    rng = np.empty(1, np.uint64)
    visits = np.empty(2, openings.dtype)
    for who in range(shoppers.size):
        shopper = shoppers[who]
        rng[0] = streams[who]
        start_us = moment_of_day(shopper["first_us"], rng)
        shopper["first_us"] = start_us
        while 0 <= start_us < until_us:
            if m + 2 > sessions.size:
                sessions = _grown(sessions)
                openings = _grown(openings)
            if n + 2 * _ROWS_PER_VISIT > rows.size:
                rows = _grown(rows)
            beside_us = start_us + 30_000_000 + int(uniform(rng) * 270_000_000)
            beside = uniform(rng) < parallel_session and beside_us < until_us
            count = 2 if beside else 1
            end = n
            for k in range(count):
                own = np.empty(1, np.uint64)
                own[0] = branch(rng)
                visits[k] = np.zeros(1, openings.dtype)[0]
                opening_us = beside_us if k == 1 else start_us
                session = sessions[m + k]
                session["shopper"] = who
                session["channel"] = open_visit(shop, shopper, visits[k], own, opening_us, intent)
                session["number"] = shopper["visits"]
                session["start_us"] = opening_us
                session["stream"] = own[0]
                openings[m + k] = visits[k]
                end = _run(shop, shopper, visits[k], own, batch, rows, end, m + k)
                session["end_us"] = visits[k]["time_us"]
                session["converted"] = visits[k]["converted"]
            # The first visit's cart is what stays.
            for k in range(count - 1, -1, -1):
                close_visit(shopper, visits[k])
            if start_us >= from_us:
                m += count
                n = end
            start_us = _next_start(shopper, visits[0]["time_us"], rng)
    return sessions[:m], openings[:m], rows[:n]


@compiled
def _run(
    shop: Shop,
    shopper: Record,
    visit: Record,
    rng: Stream,
    batch: Batch,
    rows: Records,
    n: int,
    session: int,
) -> int:
    """Run a visit to its end, copying its rows to `rows` from `n` on; returns their end."""
    while visit["ended"] == 0:
        step(shop, shopper, visit, rng, batch)
        complete(batch, visit)
        for k in range(batch.size[0]):
            batch.rows[k]["session"] = session
            rows[n] = batch.rows[k]
            n += 1
    return n


@compiled
def _next_start(shopper: Record, now_us: int, rng: Stream) -> int:
    """Draw when the shopper comes back; -1 for never."""
    unfinished = 0.9 if shopper["cart_lines"] > 0 else 0.0
    if not chance(rng, -1.3 + 0.8 * shopper["loyalty"] + 0.4 * shopper["need"] + unfinished):
        return -1
    if uniform(rng) < 0.2:
        return now_us + _REST_US + int(uniform(rng) * 5 * HOUR_US)
    mean_days = 5.0 * math.exp(-0.3 * shopper["loyalty"])
    day_us = now_us - now_us % DAY_US + DAY_US
    day_us += int(-math.log(uniform(rng)) * mean_days) * DAY_US
    while uniform(rng) > WEEKDAY_TRAFFIC[weekday(day_us)] / 1.1:
        day_us += DAY_US
    return max(moment_of_day(day_us, rng), now_us + _REST_US)


@compiled
def _grown(buffer: Records) -> Records:
    larger = np.zeros(2 * buffer.size + 2 * _ROWS_PER_VISIT, buffer.dtype)
    for k in range(buffer.size):
        larger[k] = buffer[k]
    return larger
