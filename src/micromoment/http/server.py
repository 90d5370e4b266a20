"""Runs the front door in this process, with the life cycle of the gRPC server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

import structlog
import uvicorn

from micromoment.background import tell_of_threads
from micromoment.ending import end_process, exit_for_sure
from micromoment.http.prompt_protocol import PromptProtocol
from micromoment.http.service import FrontDoor
from micromoment.http.tls import make_context
from micromoment.ports import cannot_listen
from micromoment.settings import Settings
from micromoment.telemetry.logs import configure_logs

_BACKLOG: Final = 2_048
# Longer than balancers keep theirs, a minute mostly: who closes first loses no call of the other's.
_KEEP_ALIVE_S: Final = 75

_log = structlog.get_logger(__name__)


def serve_http(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then drain and end the process with the exit status.

    What in it still hangs half a second later does not hold that up. Raises `MicromomentError` when
    the server can't start.
    """
    configure_logs(settings.log_level, settings.log_format)
    tell_of_threads()
    listener = _open_port(settings.host, settings.http_port)
    with listener:
        # A start that fails is told by its error, not by a traceback of a library's.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        front_door = FrontDoor(settings)
        server = _Server(front_door, listener)
        # Uvicorn's way out of a start that failed, with a status of its own.
        with suppress(SystemExit):
            server.run(sockets=[listener])
    if front_door.failure is not None:
        raise front_door.failure
    status = 0 if server.started else 1
    exit_for_sure(status)
    end_process(status)


class _Server(uvicorn.Server):
    """Drains from the outside in: not ready, `drain_lag`, then the port and the calls in flight.

    A signal while it loads ends the process at once with status 0, a second one ends the drain.
    """

    def __init__(self, front_door: FrontDoor, listener: socket.socket) -> None:
        config = uvicorn.Config(
            front_door.bento_service.to_asgi(),
            http=PromptProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            # Whole seconds; one more than needed rather than one less.
            timeout_graceful_shutdown=int(front_door.settings.drain_grace) + 1,
        )
        if front_door.security.tls is not None:
            tls = make_context(front_door.security.tls)
            config.ssl_context_factory = lambda _config, _default: tls
        super().__init__(config)
        self._front_door = front_door
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            host, port = self._listener.getsockname()[:2]
            _log.info("serving_http", host=host, port=port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        if self._loop is None:
            os._exit(0)
        # Nothing more: a handler may come in the midst of anything, of a line of the log say.
        self._loop.call_soon_threadsafe(self._on_signal)

    def _on_signal(self) -> None:
        self._signals += 1
        if not self.started:
            # Nothing is there to be kept, and what hangs must not hold it up.
            _log.info("stopped_while_loading")
            sys.stderr.flush()
            os._exit(0)
        if self._signals > 1:
            self.should_exit = self.force_exit = True
            return
        lag = self._front_door.settings.drain_lag
        self._front_door.say_not_ready()
        _log.info("draining", lag=lag)
        asyncio.get_running_loop().call_later(lag, self._exit)

    def _exit(self) -> None:
        self._front_door.begin_grace()
        self.should_exit = True


def _open_port(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise cannot_listen(host, port, error.strerror or str(error), "http_port") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise cannot_listen(host, port, error.strerror or str(error), "http_port") from None
    return listener
