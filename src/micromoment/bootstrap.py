"""The composition root: everything that a server consists of is put together here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import structlog
import uvloop
from structlog.typing import Processor

from micromoment.applications import ApplicationMaker, Stores
from micromoment.background import tell_of_threads
from micromoment.ending import end_process, exit_for_sure
from micromoment.erasure_opening import open_register
from micromoment.exposure import check_exposure
from micromoment.lifecycle import (
    Loaded,
    Service,
    bundle_copies,
    bundle_trust,
    run_until_stopped,
)
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.golden import check_golden
from micromoment.securing import open_security
from micromoment.security.key_files import warn_if_readable_by_all
from micromoment.session_opening import (
    open_link,
    open_sessions,
    open_withdrawals,
    outside_limits,
)
from micromoment.settings import Settings
from micromoment.stores.absent import NoEventLog, NoUserFeatures
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.event_log import OUTSIDE_FILE, EventLog, OutsideVisitLog
from micromoment.stores.id_keys import id_encoder
from micromoment.stores.interfaces import UserFeatureStore
from micromoment.stores.loading import load_stored_bundle
from micromoment.stores.redis_outside_visits import RedisOutsideVisitLog
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.redis_tombstones import RedisTombstones
from micromoment.stores.user_features import FeastUserFeatures
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
    """Put a server together without starting it; what is given replaces what settings name.

    Raises `InvalidSettingError` for certificates and credentials that can't be used, and for an
    address beyond loopback without them.
    """
    check_exposure(settings)
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

    return Service(settings, metrics, load, around, open_security(settings, metrics))


def serve(settings: Settings, make: Callable[[Settings], Service] = make_service) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then drain and end the process with the exit status.

    What in it still hangs half a second later does not hold that up. Raises `MicromomentError` when
    the server can't start.
    """
    configure_logs(settings.log_level, settings.log_format, also=_processors(settings))
    tell_of_threads()
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

    Raises `BundleError` for a bundle that is missing, damaged, untrusted or gives wrong answers.
    """
    trust = bundle_trust(settings)
    trust.read_keys()  # a setting that can't work is told as such
    keys = settings.id_keys
    ids = id_encoder(settings.id_key_file, keys.get_secret_value() if keys else None)
    if settings.id_key_file is not None:
        warn_if_readable_by_all("id_key_file", settings.id_key_file)
    bundle = bundle_copies(settings).load(lambda folder: _load_checked(folder, trust))
    if bundle.manifest.starter:
        _log.warning("starter_bundle", bundle=bundle.tag, made_from="no data of this shop")
    users = users or _open_user_features(settings)
    users.warm_up()
    sessions, visit_log = open_sessions(settings, observer, clock_us)
    shared = sessions.erased if isinstance(sessions, RedisSessionStore) else None
    if shared is not None and isinstance(users, FeastUserFeatures):
        shared.changed = users.let_go
    stores = Stores(
        sessions,
        visit_log,
        users,
        event_log or _open_event_log(settings, shared),
        open_register(settings, shared),
        *open_withdrawals(settings, sessions, visit_log, clock_us),
    )
    maker = ApplicationMaker(settings, stores, observer, ids, clock_us)
    application = maker.make(bundle, warm_up_rounds=FULL_ROUNDS)
    return Loaded(application, bundle.manifest, stores, maker)


def _load_checked(folder: Path, trust: BundleTrust) -> LoadedBundle:
    bundle = load_stored_bundle(folder, trust)
    golden = check_golden(bundle)
    _log.info("golden_sessions_passed", bundle=bundle.tag, answers=golden.answers)
    return bundle


def _open_user_features(settings: Settings) -> UserFeatureStore:
    if settings.feature_store is None:
        _log.warning("no_user_features", setting="feature_store")
        return NoUserFeatures()
    # It may be the one that `serve` found where it was started.
    _log.info("user_features", workspace=str(settings.feature_store.absolute()))
    return FeastUserFeatures(settings.feature_store, timeout_s=settings.user_feature_timeout)


def _open_event_log(settings: Settings, erased: RedisTombstones | None) -> EventLog:
    if settings.event_log is None:
        return NoEventLog()
    if settings.session_store is not None:
        return RedisOutsideVisitLog(
            open_link(settings.session_store, settings.session_timeout),
            prefix=settings.session_prefix,
            limits=outside_limits(settings),
            erased=erased,
        )
    return OutsideVisitLog(
        settings.event_log / OUTSIDE_FILE, retention_s=settings.outside_retention
    )
