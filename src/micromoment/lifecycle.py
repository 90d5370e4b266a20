"""A server's life: it listens, loads, serves, drains and stops.

It listens before it loads, so that a taken port is known at once and health can say NOT_SERVING.
It drains from the outside in: health, the port, calls in flight, then sessions and stores.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

import structlog

from micromoment.settings import Settings
from micromoment.stores.event_log import EventLog
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.session_file import save_sessions
from micromoment.stores.sessions import MemorySessionStore
from micromoment.telemetry.metrics import Metrics, MetricsServer
from micromoment.transport.admission import Admission
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.server import GrpcServer, make_server

_CLOSE_TIMEOUT_S: Final = 1.0
_EXIT_TIMEOUT_S: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the application and the stores that it uses."""

    application: Application
    bundle: str
    sessions: MemorySessionStore | RedisSessionStore
    users: UserFeatureStore
    event_log: EventLog


class _Closable(Protocol):
    async def close(self) -> None: ...


class Service:
    """One server. `load` runs in a thread, so that health answers meanwhile."""

    def __init__(self, settings: Settings, metrics: Metrics, load: Callable[[], Loaded]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._load = load
        self._slot = ApplicationSlot()
        self._loaded: Loaded | None = None
        self._grpc: GrpcServer | None = None
        self._metrics_server: MetricsServer | None = None

    @property
    def slot(self) -> ApplicationSlot:
        """Holds the application once it is loaded."""
        return self._slot

    @property
    def port(self) -> int:
        """The gRPC port, once it is open."""
        return self._grpc.port if self._grpc else 0

    @property
    def metrics_port(self) -> int | None:
        """The metrics' port, once it is open; None without metrics."""
        return self._metrics_server.port if self._metrics_server else None

    async def listen(self) -> None:
        """Open the ports; health says NOT_SERVING. Raises `InvalidSettingError` for a taken one."""
        settings = self._settings
        admission = Admission(settings.max_concurrent)
        self._metrics.watch_in_flight(lambda: admission.in_flight)
        self._grpc = make_server(
            self._slot,
            admission,
            self._metrics,
            host=settings.host,
            port=settings.port,
            default_deadline_s=settings.default_deadline,
            max_streams=settings.max_streams,
            stream_idle_s=settings.stream_idle,
            reflect=settings.reflection,
        )
        if settings.metrics_port is not None:
            self._metrics_server = MetricsServer(
                self._metrics, settings.host, settings.metrics_port
            )
        await self._grpc.server.start()
        _log.info("listening", host=settings.host, port=self.port, metrics_port=self.metrics_port)

    async def load(self) -> None:
        """Load, then serve. Raises `MicromomentError` for what can't be loaded."""
        started = time.monotonic()
        loaded = self._loaded = await _in_daemon_thread(self._load)
        if self._settings.state_file is not None:
            # Its sessions change from here on: after a crash they must not be taken for current.
            self._settings.state_file.unlink(missing_ok=True)
        if isinstance(loaded.sessions, RedisSessionStore):
            await loaded.sessions.warm_up()
            self._metrics.watch_session_store(loaded.sessions.is_asked)
        else:
            memory = loaded.sessions
            self._metrics.watch_session_memory(lambda: memory.bytes_held, memory.evictions.items)
        self._metrics.watch(sessions=lambda: len(loaded.sessions), bundle=loaded.bundle)
        self._slot.fill(loaded.application)
        # What lives now lives on: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._set_serving(serving=True)
        _log.info(
            "serving",
            host=self._settings.host,
            port=self.port,
            metrics_port=self.metrics_port,
            bundle=loaded.bundle,
            sessions=len(loaded.sessions),
            load_seconds=round(time.monotonic() - started, 2),
        )

    async def drain(self) -> None:
        """Stop without losing a call: say NOT_SERVING, wait, finish, keep the sessions."""
        _log.info("draining", lag=self._settings.drain_lag, grace=self._settings.drain_grace)
        self._set_serving(serving=False)
        await asyncio.sleep(self._settings.drain_lag)
        await self.close()

    async def close(self) -> None:
        """Close the port, finish calls in flight, keep the sessions, close the stores."""
        if self._grpc is not None:
            self._grpc.end_streams()
            await self._grpc.server.stop(self._settings.drain_grace)
        if self._loaded is not None:
            stores: list[_Closable] = [self._loaded.users, self._loaded.event_log]
            if isinstance(self._loaded.sessions, MemorySessionStore):
                self._save_sessions(self._loaded.sessions)
            else:
                stores.append(self._loaded.sessions)
            for store in stores:
                await _close(store)
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.close)
        # Extension modules call what was frozen leaked.
        gc.unfreeze()
        # Of a start that failed the error tells alone.
        if self._loaded is not None:
            _log.info("stopped")

    def _save_sessions(self, sessions: MemorySessionStore) -> None:
        path = self._settings.state_file
        if path is None:
            return
        try:
            save_sessions(sessions, path)
        except OSError as error:
            _log.error("sessions_not_kept", path=str(path), reason=error.strerror)
        else:
            _log.info("sessions_kept", path=str(path), sessions=len(sessions))

    def _set_serving(self, *, serving: bool) -> None:
        self._metrics.set_serving(serving)
        if self._grpc is not None:
            self._grpc.health.set_serving(serving)


async def run_until_stopped(service: Service) -> int:
    """Run a service until SIGTERM or SIGINT and give the exit status; a second one ends at once.

    A signal while loading ends the process: nothing is there to be kept.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    try:
        await service.listen()
        loading = asyncio.create_task(service.load())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            _log.info("stopped_while_loading")
            _exit_now(0)
        await loading
    except BaseException:
        await service.close()
        raise
    await stopping
    await service.drain()
    return 0


def exit_for_sure(status: int) -> None:
    """End the process soon even if some thread hangs, in a store that does not answer say."""

    def end() -> None:
        threading.Event().wait(_EXIT_TIMEOUT_S)
        _exit_now(status)

    threading.Thread(target=end, daemon=True, name="exit").start()


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        _log.warning("stopped_at_once", signal=number.name)
        _exit_now(128 + number)
    stop.set()


def _exit_now(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


async def _close(store: _Closable) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await store.close()
    except Exception as error:  # noqa: BLE001 - the other stores must be closed all the same
        _log.warning("store_not_closed", store=type(store).__name__, error=type(error).__name__)


async def _in_daemon_thread(work: Callable[[], Loaded]) -> Loaded:
    """Run `work` in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Loaded] = loop.create_future()

    def run() -> None:
        # Without a loop there is nobody left to tell.
        with suppress(RuntimeError):
            try:
                loaded = work()
            except Exception as error:  # noqa: BLE001 - raised where the outcome is awaited
                loop.call_soon_threadsafe(outcome.set_exception, error)
            else:
                loop.call_soon_threadsafe(outcome.set_result, loaded)

    threading.Thread(target=run, daemon=True, name="load").start()
    return await outcome
