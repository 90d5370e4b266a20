"""One connection to Redis: commands that wait together go in one round trip, and none hangs.

Whoever asks may be cancelled at any time. The exchange with Redis runs in a task of its own, so
that a reply is always read where its command was sent, and never reaches somebody else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from micromoment.errors import InvalidSettingError
from micromoment.stores.breaker import Breaker
from micromoment.stores.errors import SessionStoreUnavailableError

Command = tuple[str | bytes | int, ...]

_LOG_PERIOD_S: Final = 30.0
# A connection that was not used for so long may have been closed by the other side.
_IDLE_S: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    command: Command
    answer: asyncio.Future[Any]


class RedisLink:
    """Sends commands to the Redis at `url`; belongs to one event loop.

    A round trip takes at most `timeout_s` seconds, connecting included; a command waits for one
    that is under way and for its own. Nothing is sent twice. After three failures in a row Redis is
    left alone for a second, then a single round trip finds out whether it is back. Raises
    `InvalidSettingError` for a URL that is none; its text is never told, it may hold a password.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._connection = _connection(url, timeout_s)
        self._timeout_s = timeout_s
        self._breaker = Breaker()
        self._waiting: list[_Asked] = []
        self._exchange: asyncio.Task[None] | None = None
        self._closed = False
        self._used_at = float("-inf")
        self._next_log = float("-inf")

    def is_asked(self) -> bool:
        """Tell whether commands are sent now; False while Redis is left alone after failures."""
        return not self._breaker.is_open

    async def ask(self, *command: str | bytes | int) -> Any:  # noqa: ANN401 - what Redis answers
        """Send a command and give Redis's answer, strings as bytes.

        Raises `NoScriptError`, which is the caller's to mend, and `SessionStoreUnavailableError`
        for everything else.
        """
        if self._closed or not self._breaker.admits():
            raise SessionStoreUnavailableError
        loop = asyncio.get_running_loop()
        asked = _Asked(command, loop.create_future())
        self._waiting.append(asked)
        if self._exchange is None or self._exchange.done():
            self._exchange = loop.create_task(self._send_all())
        reply = await asked.answer
        if isinstance(reply, NoScriptError):
            raise reply
        if isinstance(reply, Exception):
            raise SessionStoreUnavailableError from reply
        return reply

    async def close(self) -> None:
        """Close the connection; what waits is unavailable, and so is all that is asked later."""
        self._closed = True
        if self._exchange is not None:
            self._exchange.cancel()
            await asyncio.wait([self._exchange])
        _answer(self._waiting, ConnectionError())
        await self._connection.disconnect(nowait=True)

    async def _send_all(self) -> None:
        while self._waiting:
            # Whoever gave up before the command was sent does not want it sent any more.
            batch = [asked for asked in self._waiting if not asked.answer.done()]
            self._waiting.clear()
            try:
                async with asyncio.timeout(self._timeout_s):
                    replies = await self._round_trip([asked.command for asked in batch])
            except Exception as error:  # noqa: BLE001 - nobody may wait for an answer for ever
                await self._connection.disconnect(nowait=True)
                self._failed(error)
                # What came meanwhile would only wait as long again.
                _answer([*batch, *self._waiting], error)
                self._waiting.clear()
            except asyncio.CancelledError:
                _answer(batch, ConnectionError())
                raise
            else:
                await self._note(replies)
                for asked, reply in zip(batch, replies, strict=True):
                    _answer([asked], reply)

    async def _round_trip(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._connection
        await self._connect()
        packed = connection.pack_commands(commands)
        await connection.send_packed_command(packed, check_health=False)
        replies = [await _read(connection) for _ in commands]
        self._used_at = time.monotonic()
        return replies

    async def _connect(self) -> None:
        connection = self._connection
        if connection.is_connected and time.monotonic() - self._used_at > _IDLE_S:
            try:
                stale = await connection.can_read_destructive()  # type: ignore[no-untyped-call] # redis's
            except (RedisError, OSError):
                stale = True
            if stale:
                await connection.disconnect(nowait=True)
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call] # redis's

    async def _note(self, replies: Sequence[object]) -> None:
        errors = [reply for reply in replies if isinstance(reply, ResponseError)]
        refused = [error for error in errors if not isinstance(error, NoScriptError)]
        if refused:
            # A server that became a replica refuses for ever; its name may lead elsewhere by now.
            await self._connection.disconnect(nowait=True)
        if refused and len(refused) == len(replies):
            self._failed(refused[0])
        elif not refused and self._breaker.succeeded():
            _log.info("session_store_available")

    def _failed(self, error: Exception) -> None:
        self._breaker.failed()
        now = time.monotonic()
        if now >= self._next_log:
            self._next_log = now + _LOG_PERIOD_S
            _log.warning(
                "session_store_unavailable", error=type(error).__name__, detail=_detail(error)
            )


def _connection(url: str, timeout_s: float) -> AbstractConnection:
    try:
        options: dict[str, Any] = {**parse_url(url)}
        kind = options.pop("connection_class", Connection)
        options |= {
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            # The round trip as a whole has its limit.
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,
        }
        connection: AbstractConnection = kind(**options)
    except (RedisError, TypeError, ValueError):
        raise InvalidSettingError(
            "session_store", "is no Redis URL: redis://[user:password@]host:port[/db], or rediss://"
        ) from None
    return connection


async def _read(connection: AbstractConnection) -> Any:  # noqa: ANN401 - what Redis answers
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _answer(asked: Sequence[_Asked], reply: object) -> None:
    for one in asked:
        if not one.answer.done():
            one.answer.set_result(reply)


def _detail(error: Exception) -> str:
    # Redis repeats what it was sent, keys included; the first word is what kind of error it is.
    return str(error).split(" ", 1)[0] if isinstance(error, ResponseError) else str(error)
