"""A trained shop's log: served, killed, served on; then compared, imported and looked at."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import pyarrow.parquet as pq

from micromoment.stores.log_segments import read_rows, segments
from tests.e2e.conftest import LAST_DAY, TrainedShop
from training.event_files import event_days
from training.parity import Via, check_log
from training.parity.online import OnlineAnswers, Request, chunked, play
from training.server_process import ServerProcess

VISITS = 150


def visits_of(shop: TrainedShop) -> list[list[Request]]:
    """Cut visits of the last day, which the bundle has not seen, into calls."""
    own: dict[str, list[dict[str, object]]] = {}
    for row in pq.read_table(shop.events / f"{LAST_DAY}.parquet").to_pylist():
        own.setdefault(row["session_id"], []).append(row)
    random = Random(2)
    return [list(chunked(rows, random)) for rows in list(own.values())[:VISITS]]


def serve(settings: dict[str, str | Path | float], calls: Sequence[Sequence[Request]]) -> int:
    """Serve calls and kill the server; gives how many answers came."""
    answers = OnlineAnswers({})
    with ServerProcess(settings, Path(str(settings["state_dir"])) / "server.log") as server:
        asyncio.run(play(Via.STREAM, server.address, calls, answers, lambda _: None))
        os.kill(server.pid, signal.SIGKILL)
    return len(answers.answers)


def test_what_a_killed_server_had_answered_is_made_again(shop: TrainedShop, tmp_path: Path) -> None:
    """Clusters and audiences too, of visits over a kill -9, to the last bit.

    The log's import is a day of events to train on, and its monitor finds what visits ordered.
    """
    state = tmp_path / "state"
    state.mkdir()
    settings: dict[str, str | Path | float] = {
        "bundle": shop.tag,
        "bundle_store": shop.home.store,
        "feature_store": shop.features,
        "state_dir": state,
        "log_features": 1.0,
        "user_feature_timeout": 20.0,
        "default_deadline": 60.0,
        "log_format": "json",
    }
    calls = visits_of(shop)
    halves = [len(one) // 2 for one in calls]
    first = serve(settings, [one[:half] for one, half in zip(calls, halves, strict=True)])
    second = serve(settings, [one[half:] for one, half in zip(calls, halves, strict=True)])
    log = state / "event_log"
    rows = [visit for segment in segments(log) for visit in read_rows(segment)]
    report = check_log(rows, shop.home.store)
    assert report.mismatches == []
    assert report.compared == report.vectors == first + second
    scores = [visit.call().score for visit in rows]
    assert any(score.cluster_id for score in scores)
    assert any(score.audience_ids for score in scores)
    assert any(visit.call().user.snapshot for visit in rows)
    out = tmp_path / "events"
    shop.home.succeed("import", "log", log, "--out", out)
    days = event_days(out).days
    assert LAST_DAY in days
    assert days[0] >= LAST_DAY - timedelta(days=1)
    imported = sum(pq.read_metadata(path).num_rows for path in event_days(out).files.values())
    assert imported == sum(len(call.events) for one in calls for call in one)
    live = tmp_path / "live.html"
    done = shop.home.succeed("monitor", "--log", log, "--out", live, "--wait-hours", "0")
    assert "too few orders" in done.stdout
    assert "Have the data moved" in live.read_text(encoding="utf-8")
