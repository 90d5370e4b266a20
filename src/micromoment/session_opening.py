"""Opens the store of sessions and the event log, and brings back what was in memory before."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import SecretStr

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.recovery import recover_sessions
from micromoment.settings import Settings
from micromoment.stores.absent import NoVisitLog
from micromoment.stores.log_segments import LogLimits
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.redis_withdrawals import RedisWithdrawals
from micromoment.stores.session_file import load_sessions
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.visit_log import LogObserver, SqliteVisitLog
from micromoment.stores.withdrawals import MemoryWithdrawals, Withdrawals
from micromoment.stores.withdrawn_sessions import WithdrawnSessions

_log = structlog.get_logger(__name__)


def open_sessions(
    settings: Settings, observer: LogObserver, clock_us: Callable[[], int]
) -> tuple[MemorySessionStore | RedisSessionStore, SqliteVisitLog | NoVisitLog]:
    """Open the store of sessions and the log of visits; what a server before had in memory is back.

    Raises `InvalidSettingError` for a log that can't be had.
    """
    if settings.session_store is not None:
        shared = RedisSessionStore(
            open_link(settings.session_store, settings.session_timeout),
            prefix=settings.session_prefix,
            ttl_s=settings.session_ttl,
            max_recalled=settings.max_sessions,
            log=None if settings.event_log is None else stream_limits(settings),
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


def open_withdrawals(
    settings: Settings,
    sessions: MemorySessionStore | RedisSessionStore,
    log: SqliteVisitLog | NoVisitLog,
    clock_us: Callable[[], int],
) -> tuple[WithdrawnSessions, Withdrawals]:
    """Give what remembers sessions whose consent was withdrawn, and what deletes them."""
    withdrawn = WithdrawnSessions(settings.session_ttl)
    erases = settings.on_withdrawal == "erase"
    if isinstance(sessions, RedisSessionStore) and settings.session_store is not None:
        # By a connection of its own: looking through the log must not hold calls up.
        return withdrawn, RedisWithdrawals(
            sessions,
            open_link(settings.session_store, settings.session_timeout),
            settings.session_prefix,
            erases=erases and settings.event_log is not None,
            clock_us=clock_us,
        )
    if isinstance(sessions, RedisSessionStore):
        raise TypeError("a store on Redis without its URL")
    memory = MemoryWithdrawals(sessions, log, withdrawn, erases=erases, clock_us=clock_us)
    if settings.event_log is not None:
        memory.take_up(settings.event_log, ttl_s=settings.session_ttl)
    return withdrawn, memory


def open_link(url: SecretStr, timeout_s: float) -> RedisLink:
    """Make a connection to Redis, which connects when it is first used."""
    return RedisLink(url.get_secret_value(), timeout_s)


def stream_limits(settings: Settings) -> StreamLimits:
    """Give what bounds the streams of the event log on Redis."""
    return StreamLimits(settings.log_retention, settings.log_max_entries)


def outside_limits(settings: Settings) -> StreamLimits:
    """Give what bounds the stream of events from outside visits on Redis."""
    return StreamLimits(settings.outside_retention, settings.log_max_entries)


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
