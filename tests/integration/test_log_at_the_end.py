"""A server's end waits for rows of its log within the grace of calls in flight, and no longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from google.protobuf import json_format

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event, score_request
from micromoment.http import service as http_service
from micromoment.http.server import _Server
from micromoment.http.service import FrontDoor
from micromoment.settings import Settings
from micromoment.stores.log_rows import LogRow, RowKind
from micromoment.stores.log_segments import SegmentWriter, read_rows, segments
from micromoment.stores.visit_log import GAP_FILE
from tests.support.front_door import BY_NAME
from tests.support.serving import SlowUsers
from tests.support.tiny_bundle import make_tiny_store

SLOW_S = 2.0


def settings_of(folder: Path, grace_s: float) -> Settings:
    """Give settings of a server with a bundle of its own, of which no call waits for its row."""
    make_tiny_store(folder / "store")
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=folder / "store",
        state_dir=folder / "state",
        durability="async",
        drain_lag=0.0,
        drain_grace=grace_s,
    )


async def the_end_of_a_server(folder: Path, grace_s: float) -> float:
    """Serve a call with nobody waiting for its row, then drain; give how long that took."""
    service = make_service(settings_of(folder, grace_s), users=SlowUsers())
    await service.listen()
    await service.load()
    async with AsyncClient(f"127.0.0.1:{service.port}", deadline_s=10.0) as client:
        await client.score("s1", [event("page_view", event_id="e1")], anonymous_id="a")
    began = time.monotonic()
    await service.drain()
    return time.monotonic() - began


def writing(monkeypatch: pytest.MonkeyPatch, hold_up: Callable[[], object]) -> None:
    """Let each group of rows be held up before it is written."""
    write = SegmentWriter.write

    def held_up(writer: SegmentWriter, rows: Sequence[LogRow]) -> None:
        hold_up()
        write(writer, rows)

    monkeypatch.setattr(SegmentWriter, "write", held_up)


def logged(folder: Path) -> list[RowKind]:
    """Give what kinds of rows are in the log."""
    log = folder / "state" / "event_log"
    return [row.kind for segment in segments(log) for row in read_rows(segment)]


async def test_rows_that_wait_for_a_slow_disk_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take longer than a store has to close, as long as calls in flight would have."""
    writing(monkeypatch, lambda: time.sleep(SLOW_S))
    seconds = await the_end_of_a_server(tmp_path, grace_s=20.0)
    assert logged(tmp_path) == [RowKind.BEGAN]
    assert not (tmp_path / "state" / "event_log" / GAP_FILE).exists()
    assert SLOW_S / 2 < seconds < SLOW_S + 5


async def test_a_disk_that_hangs_holds_the_end_up_for_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is lost is told, so that the next start takes no session for whole."""
    may = threading.Event()
    writing(monkeypatch, lambda: may.wait(60))
    try:
        seconds = await the_end_of_a_server(tmp_path, grace_s=1.5)
        assert (tmp_path / "state" / "event_log" / GAP_FILE).exists()
        assert 1.0 <= seconds < 4.0
    finally:
        may.set()


async def test_a_log_without_rows_that_wait_closes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the grace is."""
    writing(monkeypatch, lambda: None)
    close, may = SegmentWriter.close, threading.Event()

    def held_up(writer: SegmentWriter) -> None:
        may.wait(60)
        close(writer)

    monkeypatch.setattr(SegmentWriter, "close", held_up)
    try:
        assert await the_end_of_a_server(tmp_path, grace_s=20.0) < 4.0
    finally:
        may.set()


async def test_the_front_door_gives_no_second_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows have what calls in flight have left, which had it from when the port was closed."""
    settings = settings_of(tmp_path, grace_s=20.0)
    may = threading.Event()
    writing(monkeypatch, lambda: may.wait(60))
    front_door = FrontDoor(settings)
    with socket.socket() as listener:
        server = _Server(front_door, listener)
    await front_door.start()
    request = score_request("s1", [event("page_view", event_id="e1")], anonymous_id="a")
    body = json_format.MessageToJson(request).encode()
    try:
        assert (await front_door._door.answer(BY_NAME["Score"], body)).code == 200
        earlier = SimpleNamespace(monotonic=lambda: time.monotonic() - 19)
        monkeypatch.setattr(http_service, "time", earlier)
        server._exit()
        began = time.monotonic()
        await front_door.stop()
        assert time.monotonic() - began < 10
        assert (tmp_path / "state" / "event_log" / GAP_FILE).exists()
    finally:
        may.set()
