"""A server's life: it listens, loads, serves, drains and stops.

It listens before it loads, so that a taken port is known at once and health can say NOT_SERVING.
It drains from the outside in: health, the port, calls in flight, then sessions and stores.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

import grpc
import structlog

from micromoment.activation import BundleSwitch
from micromoment.applications import ApplicationMaker, Stores
from micromoment.background import in_background
from micromoment.bundle_poll import BundlePoll
from micromoment.ending import exit_now
from micromoment.erasure_opening import Erasing
from micromoment.exposure import warn_of_exposure
from micromoment.scoring.manifest import Manifest
from micromoment.securing import Security
from micromoment.settings import Settings
from micromoment.stores.bundle_copies import BundleCopies
from micromoment.stores.bundle_list import trained_until
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.session_file import remove_drafts, save_sessions
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.visit_log import SqliteVisitLog
from micromoment.telemetry.metrics import Metrics, MetricsServer
from micromoment.threads import in_daemon_thread
from micromoment.transport.admin_server import make_admin_server
from micromoment.transport.admission import Admission
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.bundles import BundlesSlot
from micromoment.transport.grpc_types import RpcHandlers
from micromoment.transport.privacy import PrivacySlot
from micromoment.transport.server import GrpcServer, Limits, make_health_server, make_server
from micromoment.transport.tls import server_credentials

_CLOSE_TIMEOUT_S: Final = 1.0
# Of that, for the log, the part in which it closes its files and says what is missing.
_CLOSE_FILES_S: Final = 0.5
_ADMIN_GRACE_S: Final = 0.2

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the application of a bundle, the stores that it uses, its maker."""

    application: Application
    manifest: Manifest
    stores: Stores
    maker: ApplicationMaker


class _Closable(Protocol):
    async def close(self) -> None: ...


class Service:
    """One server. `load` runs in a thread, so that health answers meanwhile.

    `around` is put around its methods, tracing say; `security` is what calls must bring.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        load: Callable[[], Loaded],
        around: Callable[[RpcHandlers], RpcHandlers] | None = None,
        security: Security | None = None,
    ) -> None:
        self._settings = settings
        self.security: Final = security or Security()
        self._metrics = metrics
        self._load = load
        self._around = around
        self._slot = ApplicationSlot()
        self._bundles = BundlesSlot()
        self._privacy = PrivacySlot()
        self._erasing: Erasing | None = None
        self._stores: Stores | None = None
        self._poll: asyncio.Task[None] | None = None
        self._grpc: GrpcServer | None = None
        self._metrics_server: MetricsServer | None = None
        self._admin: tuple[grpc.aio.Server, int] | None = None
        self._probes: tuple[grpc.aio.Server, int] | None = None

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

    @property
    def admin_port(self) -> int | None:
        """The port for operators, once it is open; None without one."""
        return self._admin[1] if self._admin else None

    @property
    def health_port(self) -> int | None:
        """The port for probes, once it is open; None without one."""
        return self._probes[1] if self._probes else None

    async def listen(self) -> None:
        """Open the ports; health says NOT_SERVING. Raises `InvalidSettingError` for a taken one."""
        settings = self._settings
        warn_of_exposure(settings)
        security = self.security
        admission = Admission(settings.max_concurrent)
        self._metrics.watch_in_flight(lambda: admission.in_flight)
        self._grpc = make_server(
            self._slot,
            admission,
            self._metrics,
            host=settings.host,
            port=settings.port,
            limits=Limits(
                default_deadline_s=settings.default_deadline,
                max_streams=settings.max_streams,
                stream_idle_s=settings.stream_idle,
                stream_stall_s=settings.stream_stall,
                max_wait_s=settings.max_wait,
                max_waiting=settings.max_waiting,
            ),
            reflect=settings.reflection,
            around=self._around,
            access=security.access,
            credentials=server_credentials(security.tls) if security.tls else None,
            privacy=self._privacy,
        )
        served = self._grpc
        self._metrics.watch_load(
            arrived=served.arrivals.count,
            wait_s=lambda: served.watch.shedding.wait_s,
            streams=lambda: len(served.streams),
        )
        if settings.metrics_port is not None:
            self._metrics_server = MetricsServer(
                self._metrics, settings.metrics_host, settings.metrics_port
            )
        if settings.admin_port is not None:
            self._admin = make_admin_server(
                self._bundles,
                self._privacy,
                self._metrics,
                port=settings.admin_port,
                reflect=settings.reflection,
                access=security.access,
            )
            await self._admin[0].start()
        if settings.health_port is not None:
            self._probes = make_health_server(
                served.health, host=settings.metrics_host, port=settings.health_port
            )
            await self._probes[0].start()
        await self._grpc.start()
        security.watch.start()
        _log.info("listening", host=settings.host, **self._ports())

    async def load(self) -> None:
        """Load, then serve. Raises `MicromomentError` for what can't be loaded."""
        started = time.monotonic()
        loaded = await in_daemon_thread(self._load, "load")
        # It outlives bundles, so it must not keep the one that is loaded first.
        stores = self._stores = loaded.stores
        if self._settings.state_file is not None:
            # Its sessions change from here on: after a crash they must not be taken for current.
            self._settings.state_file.unlink(missing_ok=True)
            remove_drafts(self._settings.state_file)
        if isinstance(stores.sessions, RedisSessionStore):
            await stores.sessions.warm_up()
            self._metrics.watch_session_store(stores.sessions.is_asked)
        else:
            memory = stores.sessions
            self._metrics.watch_session_memory(lambda: memory.bytes_held, memory.evictions.items)
        if isinstance(stores.visit_log, SqliteVisitLog):
            log = stores.visit_log
            self._metrics.watch_log(
                waiting=lambda: log.rows_waiting,
                lag=lambda: log.lag_s,
                taking=lambda: log.is_taking,
            )
        stores.withdrawals.resume()
        self._metrics.watch(sessions=lambda: len(stores.sessions))
        self._metrics.answers_with(loaded.manifest.tag, trained_until(loaded.manifest))
        # What lives now lives on: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # Before anybody is answered: what was begun must not be seen half done.
        await self._begin_erasing(loaded)
        self._slot.fill(loaded.application)
        self._set_serving(serving=True)
        self._offer_bundles(loaded)
        _log.info(
            "serving",
            host=self._settings.host,
            **self._ports(),
            bundle=loaded.manifest.tag,
            sessions=len(stores.sessions),
            load_seconds=round(time.monotonic() - started, 2),
        )

    async def drain(self) -> None:
        """Stop without losing a call: say NOT_SERVING, wait, finish, keep the sessions."""
        _log.info("draining", lag=self._settings.drain_lag, grace=self._settings.drain_grace)
        self._set_serving(serving=False)
        await self._withdraw_bundles()
        await asyncio.sleep(self._settings.drain_lag)
        await self.close()

    async def close(self, graced_until: float | None = None) -> None:
        """Close the port, finish calls in flight, keep the sessions, close the stores.

        The grace for calls in flight, and for rows of the log, begins now unless the monotonic time
        of its end is given: where somebody else has closed the port.
        """
        await self._withdraw_bundles()
        self.security.watch.stop()
        if graced_until is None:
            graced_until = time.monotonic() + self._settings.drain_grace
        if self._grpc is not None:
            self._grpc.end_streams()
            await self._grpc.stop(self._settings.drain_grace)
        if self._probes is not None:
            await self._probes[0].stop(_ADMIN_GRACE_S)
        if self._stores is not None:
            await self._close_stores(self._stores, graced_until)
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.close)
        # Extension modules call what was frozen leaked.
        gc.unfreeze()
        # Of a start that failed the error tells alone.
        if self._stores is not None:
            _log.info("stopped")

    def _ports(self) -> dict[str, int | None]:
        return {
            "port": self.port,
            "metrics_port": self.metrics_port,
            "admin_port": self.admin_port,
            "health_port": self.health_port,
        }

    async def _begin_erasing(self, loaded: Loaded) -> None:
        self._erasing = Erasing(self._settings, loaded.stores, loaded.maker)
        eraser = self._erasing.eraser
        self._metrics.watch_erasures(lambda: eraser.pending)
        await self._erasing.start()
        self._privacy.fill(eraser)

    def _offer_bundles(self, loaded: Loaded) -> None:
        """Let other bundles take over: by a call, and by a look at the store now and then."""
        settings = self._settings
        switch = BundleSwitch(
            settings.bundle_store,
            self._slot,
            loaded.maker,
            self._metrics,
            loaded.manifest,
            keep=bundle_copies(settings).keep,
            trust=bundle_trust(settings),
        )
        self._bundles.fill(switch)
        if settings.bundle_poll:
            poll = BundlePoll(settings.bundle_store, settings.bundle, switch, settings.bundle_poll)
            self._poll = in_background(poll.run(), "bundle-poll")

    async def _withdraw_bundles(self) -> None:
        """Begin no activation any more; one that is under way changes nothing for long."""
        self._bundles.fill(None)
        self._privacy.fill(None)
        if self._erasing is not None:
            await self._erasing.stop()
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.wait({self._poll})
            self._poll = None
        if self._admin is not None:
            await self._admin[0].stop(_ADMIN_GRACE_S)
            self._admin = None

    async def _close_stores(self, stores: Stores, graced_until: float) -> None:
        await _close(stores.withdrawals)
        # The log first: the sessions' file says how far it goes.
        if isinstance(stores.visit_log, SqliteVisitLog):
            await _close_log(stores.visit_log, graced_until)
        closing: list[_Closable] = [stores.users, stores.event_log]
        if isinstance(stores.sessions, MemorySessionStore):
            log = stores.visit_log
            position = log.last_position if isinstance(log, SqliteVisitLog) else None
            self._save_sessions(stores.sessions, position)
        else:
            closing.append(stores.sessions)
        await asyncio.gather(*map(_close, closing))

    def _save_sessions(self, sessions: MemorySessionStore, log_position: int | None) -> None:
        path = self._settings.state_file
        if path is None:
            return
        try:
            save_sessions(sessions, path, log_position=log_position)
        except OSError as error:
            _log.error("sessions_not_kept", path=str(path), reason=error.strerror)
        else:
            _log.info("sessions_kept", path=str(path), sessions=len(sessions))

    def _set_serving(self, *, serving: bool) -> None:
        self._metrics.set_serving(serving)
        if self._grpc is not None:
            self._grpc.health.set_serving(serving)


def bundle_copies(settings: Settings) -> BundleCopies:
    """Give where copies of the bundle that answers are kept."""
    return BundleCopies(settings.bundle_copies, settings.bundle_store, settings.bundle)


def bundle_trust(settings: Settings) -> BundleTrust:
    """Give whose bundles may answer."""
    return BundleTrust(settings.bundle_keys)


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
            exit_now(0)
        await loading
    except BaseException:
        await service.close()
        raise
    await stopping
    await service.drain()
    return 0


def _on_signal(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        _log.warning("stopped_at_once", signal=number.name)
        exit_now(128 + number)
    stop.set()


async def _close_log(log: SqliteVisitLog, graced_until: float) -> None:
    """Close the log: rows that wait are calls in flight, so they have until the grace is over."""
    await log.write_out(graced_until - time.monotonic() - _CLOSE_TIMEOUT_S)
    await _ended(log, log.close(_CLOSE_TIMEOUT_S - _CLOSE_FILES_S))


async def _close(store: _Closable) -> None:
    await _ended(store, store.close())


async def _ended(store: _Closable, closing: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await closing
    except Exception as error:  # noqa: BLE001 - the other stores must be closed all the same
        _log.warning("store_not_closed", store=type(store).__name__, error=type(error).__name__)
