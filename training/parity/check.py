"""Run both sides on the last day of a folder of events and compare every answer, bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table

from micromoment.errors import NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.id_keys import id_encoder
from training.consented import read_consented
from training.event_files import EventDays, event_days
from training.feature_store import FeatureWorkspace, apply, materialize
from training.parity.callers import Via
from training.parity.offline import (
    Answer,
    Answers,
    OfflineJob,
    Points,
    score_offline,
    settled_answers,
)
from training.parity.online import OnlineAnswers, Request, chunked, play
from training.parity.proto_events import Row
from training.parity.stores import OnlineStores
from training.pipeline.features import build_history
from training.pipeline.score import replay_settings
from training.progress import Steps

MAX_SHOWN = 10


@dataclass(frozen=True)
class ParityRequest:
    """Which bundle on which events; at most `limit` events of the last day, whole visits.

    `sabotage` changes one bit of a feature, `sabotage_centroid` moves a cluster, offline alone.
    With `id_keys`, as the setting has them, both sides turn plain ids into pseudonyms; ids that are
    pseudonyms already both take as they are.
    """

    bundle: Path
    events: Path
    limit: int = 30_000
    seed: int = 1
    sabotage: bool = False
    sabotage_centroid: bool = False
    stores: OnlineStores = field(default_factory=OnlineStores)
    via: Via = Via.GRPC
    id_keys: str = field(default="", repr=False)


@dataclass(frozen=True)
class Mismatch:
    """One answer that differs: where, in what, and how."""

    session_id: str
    event_id: str
    field: str
    offline: str
    online: str


@dataclass(frozen=True)
class ParityReport:
    """What was compared and what differed."""

    day: date
    sessions: int
    events: int
    answers: int
    restarts: int
    state_lost: int
    degraded: int
    mismatches: tuple[Mismatch, ...]

    @property
    def equal(self) -> bool:
        """True when something was compared and nothing differed."""
        return self.answers > 0 and not self.mismatches

    def table(self) -> Table:
        """Show the report for people."""
        table = Table("parity", str(self.day), title=None)
        for name in ("sessions", "events", "answers", "restarts", "state_lost", "degraded"):
            table.add_row(name.replace("_", " "), f"{getattr(self, name):,}")
        table.add_row("mismatches", f"{len(self.mismatches):,}")
        for mismatch in self.mismatches[:MAX_SHOWN]:
            place = f"{mismatch.session_id} {mismatch.event_id}"
            what = f"{mismatch.field}: {mismatch.offline} != {mismatch.online}"
            table.add_row(place, what)
        return table


@dataclass(frozen=True)
class _Phase:
    """Requests that are sent to one run of the server, after snapshots were materialized."""

    published_until: datetime
    sessions: list[list[Request]]
    events: int


def check_parity(request: ParityRequest, steps: Steps | None = None) -> ParityReport:
    """Compare both sides.

    The server is stopped and started again when the day's user snapshots are published, and once
    more in the middle; its sessions must outlive that or say STATE_LOST.
    """
    steps = steps or Steps()
    bundle = load_bundle(request.bundle)
    days = event_days(request.events)
    ids = days.encoder(id_encoder(None, request.id_keys))
    # A server must not take keys from the environment where ids are pseudonyms already.
    keys = {"id_key_file": "", "id_keys": request.id_keys if ids is not None else ""}
    day = days.days[-1]
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        workspace = FeatureWorkspace(scratch / "features")
        request.stores.prepare(workspace)
        kept = request.stores.settings(scratch)
        with steps.step("Cut user snapshots and register features"):
            lag = timedelta(seconds=bundle.manifest.publish_lag_s)
            build_history(days, workspace, replay_settings(bundle, ids, 1), lag, day)
            apply(workspace)
        phases = _phases(days, bundle, request)
        with steps.step("Score offline, in a process of its own"):
            target = _last_event(phases) if request.sabotage else None
            offline = _offline(request, workspace, day, target, ids)
        total = sum(phase.events for phase in phases)
        with steps.step(f"Score online, over {request.via}", total) as advance:
            online = OnlineAnswers({})
            for phase in phases:
                materialize(workspace, phase.published_until)
                settings = _server(request, workspace, scratch) | kept | keys
                with request.via.server(settings, scratch / "server.log") as server:
                    asyncio.run(play(request.via, server.address, phase.sessions, online, advance))
    return ParityReport(
        day=day,
        sessions=len({session for session, _ in online.answers}),
        events=online.events,
        answers=len(online.answers),
        restarts=len(phases) - 1,
        state_lost=online.state_lost,
        degraded=online.degraded,
        mismatches=tuple(
            _compare(
                settled_answers(bundle, offline, online.answers),
                online.answers,
                bundle.feature_names,
            )
        ),
    )


def _last_event(phases: list[_Phase]) -> tuple[str, str]:
    request = phases[-1].sessions[-1][-1]
    return request.session_id, request.events[-1].event_id


def _offline(
    request: ParityRequest,
    workspace: FeatureWorkspace,
    day: date,
    sabotage: tuple[str, str] | None,
    ids: IdEncoder | None,
) -> Points:
    job = OfflineJob(
        request.bundle,
        request.events,
        workspace.root,
        day,
        sabotage,
        request.sabotage_centroid,
        ids,
    )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(score_offline, job).result()


def _server(
    request: ParityRequest, workspace: FeatureWorkspace, scratch: Path
) -> dict[str, str | Path | float]:
    folder = request.bundle
    return {
        "bundle": f"{folder.parent.name}:{folder.name}",
        "bundle_store": folder.parent.parent,
        "feature_store": workspace.root,
        "state_dir": scratch,
        # A slow machine must not turn a user's features into missing ones here.
        "user_feature_timeout": 20.0,
        "default_deadline": 60.0,
        "drain_lag": 0.0,
        "log_format": "json",
    }


def _phases(days: EventDays, bundle: LoadedBundle, request: ParityRequest) -> list[_Phase]:
    day = days.days[-1]
    midnight = datetime.combine(day, time(), bundle.shop.zone).astimezone(UTC)
    published = midnight + timedelta(seconds=bundle.manifest.publish_lag_s)
    table = _own_visits(days, request.limit)
    times = table["event_time"].to_numpy().astype("datetime64[us]")
    late = times >= np.datetime64(published.replace(tzinfo=None), "us")
    middle = np.median(times[late].astype(np.int64)) if late.any() else 0
    second = late & (times.astype(np.int64) > middle)
    random = Random(request.seed)
    phases = []
    for rows, until in (
        (~late, published - timedelta(microseconds=1)),
        (late & ~second, published),
        (second, published),
    ):
        if rows.any():
            part = table.filter(pa.array(rows))
            phases.append(_Phase(until, _requests(part, random), len(part)))
    return phases


def _own_visits(days: EventDays, limit: int) -> pa.Table:
    day = days.days[-1]
    table = read_consented(days.files[day])
    for earlier in days.before(day, 1).files.values():
        begun = pq.read_table(earlier, columns=["session_id"])["session_id"]
        known = pc.is_in(table["session_id"], pc.unique(begun))
        table = table.filter(pc.invert(known))
    if not len(table):
        raise NotEnoughDataError(f"no visit begins on {day}")
    if len(table) > limit:
        table = table.filter(pc.is_in(table["session_id"], _first_sessions(table, limit)))
    return table


def _first_sessions(table: pa.Table, limit: int) -> pa.Array:
    """Pick whole sessions by a hash of nothing but their order of arrival, up to `limit` events."""
    counts = table.group_by("session_id", use_threads=False).aggregate([("event_id", "count")])
    order = Random(0).sample(range(len(counts)), len(counts))
    sizes = np.cumsum(counts["event_id_count"].to_numpy()[order])
    chosen = np.array(order)[: max(1, int(np.searchsorted(sizes, limit, side="right")))]
    return counts["session_id"].combine_chunks().take(chosen)


def _requests(table: pa.Table, random: Random) -> list[list[Request]]:
    rows: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["session_id"], []).append(row)
    return [list(chunked(session, random)) for session in rows.values()]


def _compare(offline: Answers, online: Answers, features: Sequence[str]) -> list[Mismatch]:
    mismatches = []
    for (session_id, event_id), ours in online.items():
        theirs = offline.get((session_id, event_id))
        if theirs is None:
            mismatches.append(Mismatch(session_id, event_id, "answer", "none", "one"))
            continue
        mismatches += [
            Mismatch(session_id, event_id, name, was, now)
            for name, was, now in _differences(theirs, ours, features)
        ]
    return mismatches


def _differences(
    offline: Answer, online: Answer, features: Sequence[str]
) -> list[tuple[str, str, str]]:
    found = []
    for name in Answer.__dataclass_fields__:
        was, now = getattr(offline, name), getattr(online, name)
        if name == "features":
            found += _feature_differences(was, now, features)
        elif was != now:
            found.append((name, repr(was), repr(now)))
    return found


def _feature_differences(
    offline: bytes, online: bytes, names: Sequence[str]
) -> list[tuple[str, str, str]]:
    was, now = np.frombuffer(offline, np.float32), np.frombuffer(online, np.float32)
    if len(was) != len(now):
        return [("features", f"{len(was)} values", f"{len(now)} values")]
    bits = was.view(np.uint32) != now.view(np.uint32)
    return [
        (f"feature {names[place]}", repr(float(was[place])), repr(float(now[place])))
        for place in np.flatnonzero(bits).tolist()
    ]
