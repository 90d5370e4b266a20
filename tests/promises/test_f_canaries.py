"""F3: planted ids, addresses and tokens are nowhere but with those whom they concern."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.promises.conftest import Form, Reached
from tests.support.canaries import (
    BROWSER,
    MAIL,
    SESSION,
    USER,
    Told,
    held_by,
    held_by_redis,
    is_loose,
    plant,
    plant_over_http,
)
from tests.support.feature_stores import DAY, LAG, SHOP, a_redis, day, published
from tests.support.keyed import BEFORE, ROTATED, encoder
from tests.support.restarts import scrape
from tests.support.segment_calls import call, write_lines
from tests.support.server_process import Server, Start
from training.feature_store import FeatureWorkspace, apply, materialize
from training.importers import import_segment
from training.importers.log import import_log, log_source
from training.rekeying import RekeyRequest, rekey
from training.server_process import HttpServerProcess
from training.snapshots import build_user_snapshots

Held = Iterator[tuple[str, bytes]]


def workspace_of(folder: Path, keys: str) -> FeatureWorkspace:
    """Import calls with canaries, cut users' snapshots and publish them, all with some keys."""
    calls = [
        call(
            "page",
            60 * hour,
            anonymousId=BROWSER,
            userId=USER if hour else None,
            messageId=f"m{hour}",
            timestamp=f"{DAY}T{hour + 8:02}:00:00Z",
            context={"page": {"title": MAIL, "path": f"/u/{MAIL}"}, "sessionId": SESSION},
        )
        for hour in range(3)
    ]
    path = write_lines(folder / "calls.jsonl", calls)
    import_segment(path, folder / "kept" / "events", ids=encoder(keys), time_zone="Europe/Berlin")
    workspace = FeatureWorkspace(folder / "kept" / "features")
    build_user_snapshots(
        folder / "kept" / "events", workspace.snapshots,
        shop=SHOP, first_day=day(1), last_day=day(1), publish_lag=LAG,
    )  # fmt: skip
    apply(workspace)
    materialize(workspace, published(2))
    return workspace


def stop(server: Server) -> None:
    """Drain a server."""
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.end(30)[0] == 0


def loose(held: Held) -> list[str]:
    """Name what holds a canary."""
    return [name for name, data in held if is_loose(data)]


@dataclass
class Shop:
    """A shop whose servers, stores and imports are full of canaries."""

    start: Start
    folder: Path
    sessions: list[str]
    redis_port: int
    client: Any  # a Redis, or nothing
    searched: int = 0

    @property
    def url(self) -> str:
        """The Redis of sessions."""
        return f"redis://127.0.0.1:{self.redis_port}"

    def data(self, name: str) -> Path:
        """Where events, snapshots and online rows of some keys are."""
        return self.folder / "data" / name / "kept"

    def settings(self, name: str, keys: str) -> dict[str, str]:
        """Make the settings of a server."""
        state = self.folder / name
        kept = (
            {"session_store": self.url} if self.client else {"state_file": str(state / "sessions")}
        )
        return {
            "state_dir": str(state),
            "log_level": "debug",
            "log_format": "json",
            "log_features": "1",
            "id_keys": keys,
            "metrics_port": "0",
            "session_timeout": "20",
            "feature_store": str(self.data(name) / "features"),
            "user_feature_timeout": "20",
        } | kept

    def play(self, name: str, keys: str) -> tuple[Told, list[str]]:
        """Serve canaries with some keys; give what was told, and which stores hold one."""
        server = self.start(**self.settings(name, keys))
        ports = server.await_event("serving")
        told = Told()
        plant(f"127.0.0.1:{ports['port']}", self.sessions, told)
        told.parts.append(scrape(ports["metrics_port"]).encode())
        held = loose(held_by(self.folder / name))
        stop(server)
        told.parts.append(server.log.encode())
        return told, held + loose(self.stores(name))

    def stores(self, name: str) -> Held:
        """Give all that the stores of a server hold, Redis included, and all that was imported."""
        parts = [held_by(self.folder / name), held_by(self.data(name))]
        if self.client is not None:
            parts.append(held_by_redis(self.client))
        for one in chain(*parts):
            self.searched += 1
            yield one

    def rekey(self, name: str) -> None:
        """Let all visits end and bring all stores under the current key."""
        state = self.folder / name
        state_file = None if self.client else state / "sessions"
        log = self.url if self.client else str(state / "event_log")
        if self.client is not None:
            self.client.delete(*self.client.keys("*:writes"), *self.client.keys("*}:v*"))
        events, features = self.data(name) / "events", self.data(name) / "features"
        reports = rekey(RekeyRequest(encoder(ROTATED), log, state_file, (events,), features))
        assert [one.left for one in reports] == [0] * len(reports)
        import_log(log_source(log), self.data(name) / "imported")


@pytest.mark.parametrize("kept_in", ["memory", "redis"])
def test_f3_planted_canaries_are_found_nowhere(
    start: Start, tmp_path: Path, kept_in: str, form: Form, reached: Reached
) -> None:
    """Ids, e-mail addresses and tokens: 0 hits in statuses, logs, metrics, stores; keys rotate.

    Searched are status messages and details, metadata, logs at debug level, metrics, every key and
    value of Redis, and every file: state, event log, state file, events, snapshots, online store;
    over a change of keys, and after re-keying, when no earlier pseudonym is left, either. Without
    keys the same search finds the canaries in the stores.
    """
    sessions = [f"{SESSION}-{number}" for number in range(form(2, 40))]
    with ExitStack() as stack:
        port = stack.enter_context(a_redis(tmp_path))[1] if kept_in == "redis" else 0
        client = stack.enter_context(Redis(port=port)) if port else None
        shop = Shop(start, tmp_path, sessions, port, client)
        workspace_of(tmp_path / "data" / "plain", "")
        workspace_of(tmp_path / "data" / "keyed", BEFORE)
        # The control: what is not hidden is found.
        _, held = shop.play("plain", "")
        assert held
        assert loose(held_by(shop.data("plain")))
        if client is not None:
            assert loose(held_by_redis(client))
            client.flushall()
        # Keys change, while visits are under way.
        for keys in (BEFORE, ROTATED):
            told, held = shop.play("keyed", keys)
            assert told.loose() == []
            assert held == []
            assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"} <= told.codes
        shop.rekey("keyed")
        stores = list(shop.stores("keyed"))
        assert loose(iter(stores)) == []
        earlier = [encoder(BEFORE).encode(one).encode() for one in (USER, BROWSER, *sessions)]
        assert [name for name, part in stores if any(one in part for one in earlier)] == []
        # It was the canaries that were re-keyed.
        current = encoder(ROTATED).encode(BROWSER).encode()
        assert any(current in part for _, part in stores)
    reached(
        "F3",
        f"{kept_in}: 0 canaries in {shop.searched:,} files, keys and values, 0 told; 0 earlier"
        " pseudonyms after re-keying; without keys they are found",
    )


def test_f3_the_front_door_tells_no_canary(
    store: Path, tmp_path: Path, form: Form, reached: Reached
) -> None:
    """Over HTTP: 0 canaries in errors, headers, logs, metrics and files."""
    state, log = tmp_path / "state", tmp_path / "http.log"
    settings: dict[str, str | Path | float] = {
        "bundle_store": store, "state_dir": state, "id_keys": BEFORE, "log_level": "debug",
        "log_format": "json", "drain_lag": 0.0, "drain_grace": 1.0,
    }  # fmt: skip
    told = Told()
    with HttpServerProcess(settings, log) as server:
        for number in range(form(1, 20)):
            plant_over_http(server.address, f"{SESSION}-{number}", told)
    told.parts.append(log.read_bytes())
    assert told.loose() == []
    assert {"HTTP 200", "HTTP 400", "HTTP 404"} <= told.codes
    held = list(held_by(state))
    assert loose(iter(held)) == []
    reached("F3", f"HTTP: 0 canaries in {len(told.parts):,} answers and {len(held):,} files")
