"""The metrics' HTTP server, for peers that come to the point.

It has a thread for each connection. As the library makes it, it waits for a request as long as the
peer likes: silent peers would use up the process's threads and file descriptors.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

# A scrape takes some hundredths of a second, and a Prometheus or two make them.
CONNECTION_S: Final = 4.0
MAX_CONNECTIONS: Final = 16


def start_server(
    port: int, host: str, registry: CollectorRegistry
) -> tuple[ThreadingWSGIServer, threading.Thread]:
    """Serve a registry from a thread, which is given, too. Raises `OSError` for a taken port."""
    kind = _Ipv6Server if ":" in host else _Server
    server = make_server(host, port, make_wsgi_app(registry), kind, _Handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    return server, thread


class _Server(ThreadingWSGIServer):
    """Closes at once what comes while `MAX_CONNECTIONS` are open."""

    request_queue_size = 128

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's own
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


class _Ipv6Server(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Ends its connection after `CONNECTION_S` seconds, whatever it waits for; logs nothing."""

    timeout = CONNECTION_S

    def setup(self) -> None:
        super().setup()
        # The timeout alone begins anew with every byte.
        self._closer = threading.Timer(CONNECTION_S, self._close)
        self._closer.daemon = True
        self._closer.start()

    def handle(self) -> None:
        # A peer that is gone, or was sent away, is no error of ours.
        with suppress(OSError):
            super().handle()

    def finish(self) -> None:
        self._closer.cancel()
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the library's own
        """Log no scrape."""

    def _close(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
