"""The composition root: everything that a server consists of is put together here."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import structlog
import uvloop
from structlog.typing import Processor

from micromoment.applications import ApplicationMaker, Stores
from micromoment.ending import end_process, exit_for_sure
from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.events.identity import IdEncoder
from micromoment.lifecycle import (
    Loaded,
    Service,
    bundle_copies,
    run_until_stopped,
)
from micromoment.recovery import recover_sessions
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.golden import check_golden
from micromoment.settings import Settings
from micromoment.stores.absent import NoEventLog, NoUserFeatures, NoVisitLog
from micromoment.stores.event_log import OUTSIDE_FILE, EventLog, OutsideVisitLog
from micromoment.stores.id_keys import load_id_keys
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.stores.loading import load_stored_bundle
from micromoment.stores.log_segments import LogLimits
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.session_file import load_sessions
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.user_features import FeastUserFeatures
from micromoment.stores.visit_log import LogObserver, SqliteVisitLog
from micromoment.telemetry.logs import configure_logs
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.decoding import now_us
from micromoment.warm_up import FULL_ROUNDS

_log = structlog.get_logger(__name__)


def make_service(
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    users: UserFeatureStore | None = None,
    event_log: EventLog | None = None,
    clock_us: Callable[[], int] = now_us,
) -> Service:
    """Put a server together without starting it; what is given replaces what settings name."""
    around = None
    if settings.traces:
        # Imported where it is asked for: its packages are optional.
        from micromoment.telemetry.traces import TracedMetrics, exporting_tracer  # noqa: PLC0415
        from micromoment.transport.traced import Traced  # noqa: PLC0415

        metrics = metrics or TracedMetrics()
        around = partial(Traced, tracer=exporting_tracer())
    metrics = metrics or Metrics()

    def load() -> Loaded:
        return load_parts(settings, metrics, users=users, event_log=event_log, clock_us=clock_us)

    return Service(settings, metrics, load, around)


def serve(settings: Settings, make: Callable[[Settings], Service] = make_service) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then drain and end the process with the exit status.

    What in it still hangs half a second later does not hold that up. Raises `MicromomentError` when
    the server can't start.
    """
    configure_logs(settings.log_level, settings.log_format, also=_processors(settings))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(run_until_stopped(make(settings)))
        exit_for_sure(status)
    end_process(status)


def _processors(settings: Settings) -> Sequence[Processor]:
    if not settings.traces:
        return ()
    from micromoment.telemetry.traces import name_trace  # noqa: PLC0415 - as above

    return (name_trace,)


def load_parts(
    settings: Settings,
    observer: Metrics,
    *,
    users: UserFeatureStore | None = None,
    event_log: EventLog | None = None,
    clock_us: Callable[[], int] = now_us,
) -> Loaded:
    """Load the bundle, check and warm it, open the stores.

    Raises `BundleError` for a bundle that is missing, damaged or gives wrong answers.
    """
    ids = IdEncoder(load_id_keys(settings.id_key_file) if settings.id_key_file else ())
    bundle = bundle_copies(settings).load(_load_checked)
    if bundle.manifest.starter:
        _log.warning("starter_bundle", bundle=bundle.tag, made_from="no data of this shop")
    users = users or _open_user_features(settings)
    users.warm_up()
    stores = Stores(
        *_open_sessions_and_log(settings, observer, clock_us),
        users=users,
        event_log=event_log or _open_event_log(settings),
    )
    maker = ApplicationMaker(settings, stores, observer, ids, clock_us)
    application = maker.make(bundle, warm_up_rounds=FULL_ROUNDS)
    return Loaded(application, bundle.manifest, stores, maker)


def _load_checked(folder: Path) -> LoadedBundle:
    bundle = load_stored_bundle(folder)
    golden = check_golden(bundle)
    _log.info("golden_sessions_passed", bundle=bundle.tag, answers=golden.answers)
    return bundle


def _open_sessions_and_log(
    settings: Settings, observer: LogObserver, clock_us: Callable[[], int]
) -> tuple[MemorySessionStore | RedisSessionStore, SqliteVisitLog | NoVisitLog]:
    if settings.session_store is not None:
        link = RedisLink(settings.session_store.get_secret_value(), settings.session_timeout)
        shared = RedisSessionStore(
            link,
            prefix=settings.session_prefix,
            ttl_s=settings.session_ttl,
            max_recalled=settings.max_sessions,
        )
        return shared, NoVisitLog()
    sessions = MemorySessionStore(
        settings.max_sessions,
        settings.session_ttl,
        max_per_tenant=settings.max_sessions_per_tenant,
    )
    if settings.event_log is None:
        _restore(sessions, settings.state_file)
        return sessions, NoVisitLog()
    log = _open_visit_log(settings, settings.event_log, observer, clock_us)
    if not _restore(sessions, settings.state_file, log_position=log.last_position):
        _recover(sessions, settings, settings.event_log, clock_us)
    return sessions, log


def _open_visit_log(
    settings: Settings, folder: Path, observer: LogObserver, clock_us: Callable[[], int]
) -> SqliteVisitLog:
    limits = LogLimits(settings.log_segment_bytes, settings.log_retention, settings.log_max_bytes)
    try:
        return SqliteVisitLog(folder, settings.durability, limits, observer, clock_us=clock_us)
    except (OSError, sqlite3.Error) as error:
        raise InvalidSettingError("event_log", f"can't be opened: {error}") from None


def _restore(
    sessions: MemorySessionStore, path: Path | None, log_position: int | None = None
) -> bool:
    """Take the sessions of a file in; False where there is none or the log went on after it."""
    if path is None or not path.exists():
        return False
    try:
        restored = load_sessions(sessions, path, log_position=log_position)
    except InvalidDataError as error:
        _log.warning("sessions_not_restored", reason=str(error))
        return False
    _log.info("sessions_restored", kept=restored.kept, refused=restored.refused)
    return True


def _recover(
    sessions: MemorySessionStore, settings: Settings, folder: Path, clock_us: Callable[[], int]
) -> None:
    started = time.monotonic()
    found = recover_sessions(
        folder,
        sessions,
        ttl_s=settings.session_ttl,
        most=settings.max_sessions,
        now=clock_us() / 1_000_000,
    )
    _log.info(
        "sessions_recovered",
        sessions=found.sessions,
        lost=found.lost,
        events=found.events,
        seconds=round(time.monotonic() - started, 2),
    )


def _open_user_features(settings: Settings) -> UserFeatureStore:
    if settings.feature_store is None:
        _log.warning("no_user_features", setting="feature_store")
        return NoUserFeatures()
    return FeastUserFeatures(settings.feature_store, timeout_s=settings.user_feature_timeout)


def _open_event_log(settings: Settings) -> EventLog:
    if settings.event_log is None:
        return NoEventLog()
    return OutsideVisitLog(settings.event_log / OUTSIDE_FILE)
